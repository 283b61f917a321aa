"""AV1: the structures and functions of dav1d's C API, and what is read of its images."""

from __future__ import annotations

import ctypes
import errno
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import dav1d, heif
from handlers.imaging.dav1d import Rectangle, _Data, _Picture, _Settings, checksums
from tests.unit.handlers.sample_images import drawn, encoded, noise

AGAIN, INVALID = -errno.EAGAIN, -errno.EINVAL
WORD = ctypes.sizeof(ctypes.c_void_p)


def test_structures() -> None:
    """As the headers of version 7 have them, on a machine with pointers of eight bytes."""
    assert WORD == 8

    def layout(structure: type[ctypes.Structure]) -> dict[str, tuple[int, int]]:
        members = [name for name, *_ in structure._fields_]
        return {name: (getattr(structure, name).offset, getattr(structure, name).size) for name in members}

    assert layout(_Settings) == {
        "n_threads": (0, 4), "max_frame_delay": (4, 4), "apply_grain": (8, 4), "operating_point": (12, 4), "all_layers": (16, 4),
        "frame_size_limit": (20, 4), "allocator": (24, 24), "logger_cookie": (48, 8), "logger": (56, 8),
        "strict_std_compliance": (64, 4), "output_invisible_frames": (68, 4), "inloop_filters": (72, 4), "decode_frame_type": (76, 4),
        "reserved": (80, 256),
    }  # fmt: skip
    assert layout(_Data) == {"data": (0, 8), "size": (8, 8), "rest": (16, 256)}
    assert layout(_Picture) == {
        "headers": (0, 16), "data": (16, 24), "stride": (40, 16), "width": (56, 4), "height": (60, 4), "layout": (64, 4),
        "bits": (68, 4), "rest": (72, 512),
    }  # fmt: skip
    signed = _Picture()
    signed.stride[1], signed.width = -5, -1
    assert (signed.stride[1], signed.width) == (-5, -1)


class Loaded:
    """A library, of a version, as ctypes loads it."""

    def __init__(self, version: int, without: str = "") -> None:
        self.functions: dict[str, Any] = {}
        self.version, self.without = version, without

    def __getattr__(self, name: str) -> Any:
        if name == self.without:
            raise AttributeError(name)
        if name == "dav1d_version_api" and name not in self.functions:
            self.functions[name] = type(name, (), {"__call__": lambda one: self.version})()
        return self.functions.setdefault(name, type(name, (), {})())


@pytest.mark.parametrize(
    ("version", "without", "found"),
    [
        (0x00070000, "", True),
        (0x0007FFFF, "", True),
        (0x00060000, "", False),
        (0x0006FFFF, "", False),
        (0x00080000, "", False),
        (0x01070000, "", False),
        (0x00070000, "dav1d_close", False),
        (0x00070000, "dav1d_version_api", False),
    ],
)
def test_the_library(version: int, without: str, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type("module", (), {"__file__": "a file"})
    library, names = Loaded(version, without), []

    def load(name: str) -> object:
        names.append(name)
        return library if name == "a file" else module

    monkeypatch.setattr(dav1d.importlib, "import_module", load)
    monkeypatch.setattr(ctypes, "CDLL", load)
    dav1d.library.cache_clear()
    try:
        assert dav1d.library() is (library if found else None)
    finally:
        dav1d.library.cache_clear()
    assert names == ["PIL._avif", "a file"]
    if not found:
        return
    # THEN its functions have the types of dav1d.h
    p, i, n = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    assert library.functions.pop("dav1d_version_api").restype is ctypes.c_uint
    assert {
        name: (one.restype, list(one.argtypes)) for name, one in sorted(library.functions.items())
    } == {
        "dav1d_close": (None, [p]), "dav1d_data_create": (p, [p, n]), "dav1d_data_unref": (None, [p]),
        "dav1d_default_settings": (None, [p]), "dav1d_get_picture": (i, [p, p]), "dav1d_open": (i, [p, p]),
        "dav1d_picture_unref": (None, [p]), "dav1d_send_data": (i, [p, p]),
    }  # fmt: skip


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_without_the_extension_there_is_no_library(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise error(name)

    monkeypatch.setattr(dav1d.importlib, "import_module", missing)
    dav1d.library.cache_clear()
    try:
        assert dav1d.library() is None
    finally:
        dav1d.library.cache_clear()


@dataclass
class Plane:
    """Rows of equal length, after each of which there are further bytes in memory."""

    rows: Sequence[bytes]
    behind: bytes = b"\xee\xee\xee"

    def __post_init__(self) -> None:
        self.memory = ctypes.create_string_buffer(b"".join(row + self.behind for row in self.rows))
        self.stride = len(self.rows[0] + self.behind)


def image(planes: Sequence[Plane], layout: int, bits: int = 8) -> _Picture:
    found = _Picture(layout=layout, bits=bits)
    found.width = len(planes[0].rows[0]) // (1 if bits == 8 else 2)
    found.height = len(planes[0].rows)
    for number, plane in enumerate(planes):
        found.data[number] = ctypes.addressof(plane.memory)
        found.stride[number > 0] = plane.stride
    return found


def plane(width: int, height: int, first: int, size: int = 1) -> Plane:
    """Samples that all differ, of so many bytes."""
    values = range(first, first + width * height)
    raw = b"".join(value.to_bytes(size) for value in values)
    step = width * size
    return Plane([raw[at : at + step] for at in range(0, len(raw), step)], b"\xee" * (3 if first else 5))


def checksum(planes: Sequence[Plane], size: int, *parts: tuple[range, range]) -> int:
    """Of columns and rows of planes."""
    found = 0
    for one, (columns, rows) in zip(planes, parts, strict=True):
        for y in rows:
            found = zlib.crc32(one.rows[y][columns.start * size : columns.stop * size], found)
    return found


# Columns and rows of luma, and of chroma in 4:2:0, 4:2:2 and 4:4:4
RECTANGLES: list[tuple[Rectangle, range, range, range, range]] = [
    ((0, 0, 7, 5), range(7), range(5), range(4), range(3)),
    ((0, 0, 64, 64), range(7), range(5), range(4), range(3)),
    ((2, 2, 6, 4), range(2, 6), range(2, 4), range(1, 3), range(1, 2)),
    ((4, 0, 7, 2), range(4, 7), range(2), range(2, 4), range(1)),
    ((2, 4, 5, 5), range(2, 5), range(4, 5), range(1, 3), range(2, 3)),
    ((6, 2, 8, 8), range(6, 7), range(2, 5), range(3, 4), range(1, 3)),
]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("rectangle", "x", "y", "half_x", "half_y"), RECTANGLES)
def test_checksums_of_a_rectangle(
    rectangle: Rectangle, x: range, y: range, half_x: range, half_y: range, size: int
) -> None:
    luma, bits = plane(7, 5, 0, size), 8 * size if size == 1 else 10
    for layout, wide, high, columns, rows in (
        (1, 4, 3, half_x, half_y),
        (2, 4, 5, half_x, y),
        (3, 7, 5, x, y),
    ):
        planes = [luma, plane(wide, high, 50, size), plane(wide, high, 100, size)]
        found = dav1d._checksum(image(planes, layout, bits), rectangle)
        assert found == checksum(planes, size, (x, y), (columns, rows), (columns, rows))
    # Grey has one plane
    assert dav1d._checksum(image([luma], 0, bits), rectangle) == checksum([luma], size, (x, y))


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_bytes_of_a_sample(bits: int) -> None:
    size = 1 if bits == 8 else 2
    luma = plane(3, 2, 7, size)
    assert dav1d._checksum(image([luma], 0, bits), (0, 0, 9, 9)) == zlib.crc32(b"".join(luma.rows))


@dataclass
class Decoder:
    """Takes so many bytes at a time; results of sending and getting are returned one after another."""

    sends: list[int] = field(default_factory=lambda: [0])
    gets: list[int] = field(default_factory=lambda: [0])
    takes: int = 100
    opens: int = 0
    memory: bool = True
    calls: list[str] = field(default_factory=list)
    taken: bytes = b""

    def __post_init__(self) -> None:
        self.luma = plane(4, 3, 1)

    def dav1d_default_settings(self, settings: Any) -> None:
        found = settings._obj
        found.n_threads = found.max_frame_delay = found.apply_grain = found.inloop_filters = 9
        found.logger, found.operating_point, found.all_layers = 9, 9, 9

    def dav1d_open(self, context: Any, settings: Any) -> int:
        self.settings = settings._obj
        context._obj.value = 7
        return self.opens

    def dav1d_data_create(self, data: Any, size: int) -> int | None:
        self.buffer = ctypes.create_string_buffer(size)
        data._obj.size = size
        return ctypes.addressof(self.buffer) if self.memory else None

    def dav1d_send_data(self, context: Any, data: Any) -> int:
        assert context.value == 7
        self.calls.append("send")
        code = self.sends.pop(0)
        if not code:
            found = data._obj
            begin = len(self.buffer) - found.size
            count = min(self.takes, found.size)
            self.taken += self.buffer.raw[begin : begin + count]
            found.size -= count
        return code

    def dav1d_get_picture(self, context: Any, found: Any) -> int:
        assert context.value == 7
        self.calls.append("get")
        code = self.gets.pop(0)
        if not code:
            shown = image([self.luma], 0)
            ctypes.memmove(ctypes.byref(found._obj), ctypes.byref(shown), ctypes.sizeof(shown))
        return code

    def dav1d_picture_unref(self, found: Any) -> None:
        assert isinstance(found._obj, _Picture)
        self.calls.append("image")

    def dav1d_data_unref(self, found: Any) -> None:
        assert isinstance(found._obj, _Data)
        self.calls.append("data")

    def dav1d_close(self, context: Any) -> None:
        assert context._obj.value == 7
        self.calls.append("close")


FREED = ["image", "data", "close"]


def test_settings_of_the_decoder() -> None:
    decoder = Decoder()
    rows = [zlib.crc32(decoder.luma.rows[0]), zlib.crc32(b"".join(decoder.luma.rows))]
    assert checksums(decoder, b"stream", [(0, 0, 4, 1), (0, 0, 4, 3)]) == rows
    found = decoder.settings
    assert (found.n_threads, found.max_frame_delay) == (1, 1)
    assert (found.apply_grain, found.inloop_filters, found.logger) == (0, 0, None)
    assert (found.operating_point, found.all_layers) == (9, 9)
    assert decoder.taken == b"stream"
    assert decoder.calls == ["send", "get", *FREED]


@pytest.mark.parametrize(
    ("sends", "gets", "takes", "found", "calls"),
    [
        ([0], [0], 100, True, "send get"),
        ([0, 0], [AGAIN, 0], 3, True, "send get send get"),
        ([AGAIN, 0], [AGAIN, 0], 100, True, "send get send get"),
        ([AGAIN], [0], 100, True, "send get"),
        ([0], [AGAIN], 100, False, "send get"),
        ([0, 0], [AGAIN, AGAIN], 3, False, "send get send get"),
        ([INVALID], [], 100, False, "send"),
        ([1], [], 100, False, "send"),
        ([0], [INVALID], 100, False, "send get"),
        ([0], [errno.EAGAIN], 100, False, "send get"),
        ([errno.EAGAIN], [], 100, False, "send"),
    ],
)
def test_the_first_image_is_decoded(
    sends: list[int], gets: list[int], takes: int, found: bool, calls: str
) -> None:
    decoder = Decoder(list(sends), list(gets), takes)
    assert (checksums(decoder, b"stream", [(0, 0, 4, 3)]) is not None) == found
    assert decoder.calls == [*calls.split(), *FREED]


def test_no_memory() -> None:
    with pytest.raises(MemoryError, match="no decoder"):
        checksums(Decoder(opens=-12), b"stream", [])
    decoder = Decoder(memory=False)
    with pytest.raises(MemoryError, match="no memory"):
        checksums(decoder, b"stream", [])
    assert decoder.calls == FREED


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4", "4:0:0"])
def test_pixels_of_a_real_image(subsampling: str) -> None:
    # GIVEN two images that differ in one corner
    photo = Image.blend(drawn(96, 80), noise(96, 80), 0.2)
    found = []
    for corner in ("white", "black"):
        photo.paste(corner, (90, 74, 96, 80))
        data = encoded(photo, "AVIF", speed=10, quality=90, subsampling=subsampling, autotiling=False)
        begin, length, *_ = next(heif.av1_extents(data))
        sums = checksums(dav1d.library(), data[begin : begin + length], [(0, 0, 96, 80), (80, 64, 96, 80)])
        assert sums is not None
        assert sums[0] != sums[1]
        found.append(sums)
    # THEN their checksums differ there
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]
    assert checksums(dav1d.library(), b"\x12\0" + bytes(40), [(0, 0, 1, 1)]) is None
