"""TIFF with CCITT compression: strips that end before their last row, and what libtiff reports."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import fax, libtiff, tiff
from handlers.imaging.tiff import Tiff
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import encoded
from tests.unit.handlers.sample_tiff import LONG, Tag
from tests.unit.handlers.sample_tiff import tiff as written

SCAN = Image.radial_gradient("L").resize((64, 48)).convert("1", dither=Image.Dither.NONE)
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def scan(compression: str, *, rows: int = 48, reverse: bool = False) -> tuple[dict[int, Any], list[bytes]]:
    """The tags of a scan, and its strips."""
    data = encoded(SCAN, "TIFF", compression=compression, tiffinfo={278: rows})
    page = tiff.inspect(data)
    strips = [data[begin : begin + length] for begin, length in zip(*page.parts, strict=True)]
    tags = page.tags
    if reverse:
        strips = [strip.translate(REVERSED) for strip in strips]
        tags[266] = (2,)
    return tags, strips


def file_of(tags: dict[int, Any], strips: list[bytes]) -> tuple[bytes, Tiff]:
    """A file of these strips, and what its tags say."""
    offsets = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    tags = {**tags, 273: tuple(offsets), 279: tuple(map(len, strips))}
    data = written([Tag(number, LONG, values) for number, values in sorted(tags.items())], b"".join(strips))
    return data, tiff.inspect(data)


def is_whole(tags: dict[int, Any], strips: list[bytes]) -> bool:
    """Whether its strips have data for all their rows."""
    with contextlib.suppress(Rejection):
        fax.check(*file_of(tags, strips))
        return True
    return False


@pytest.mark.parametrize("reverse", [False, True], ids=["first", "reverse"])
@pytest.mark.parametrize("rows", [48, 20])
@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_strips_that_are_cut_off(compression: str, rows: int, reverse: bool) -> None:
    tags, strips = scan(compression, rows=rows, reverse=reverse)
    assert len(strips) == -(-48 // rows)
    assert is_whole(tags, strips)
    # GIVEN a strip without its last bytes, or with zeros, ones or other codes in place of them
    for place in range(len(strips)):
        strip = strips[place]
        assert is_whole(tags, [*strips[:place], strip + bytes(9), *strips[place + 1 :]])
        files = [strip[:-cut] + more for cut in range(6, len(strip), 9) for more in (b"", bytes(cut))]
        found = sum(not is_whole(tags, [*strips[:place], file, *strips[place + 1 :]]) for file in files)
        # THEN it is found; of group 3, but for a few where the rest of a row happens to have its length
        assert found >= {"group4": 1, "tiff_ccitt": 0.8, "group3": 0.4}[compression] * len(files) > 0
    # AND a strip that the pixels do not need is not read
    assert is_whole(tags, [*strips, b"\0\0"])


def test_a_strip_without_data() -> None:
    tags, _ = scan("group4")
    assert not is_whole(tags, [b""])
    with pytest.raises(
        Rejection, match=r" TIFF: the data of a CCITT strip ends before its last row\.$"
    ) as found:
        fax.check(*file_of(tags, [b""]))
    assert found.value.code == "truncated_image"
    assert not is_whole(tags, [bytes(50)])


def test_a_strip_that_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    tags, strips = scan("group4")

    def fail(*_: object) -> bytes:
        raise OSError("decoder error")

    monkeypatch.setattr(Image.Image, "tobytes", fail)
    with pytest.raises(
        Rejection, match=r" TIFF: the data of a CCITT strip ends before its last row\.$"
    ) as found:
        fax.check(*file_of(tags, strips))
    assert found.value.code == "truncated_image"


@pytest.mark.parametrize(("same", "whole"), [(0, True), (1, False), (2, False)])
def test_each_continuation_counts(same: int, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a decoder that makes other pixels with one of the three
    tags, strips = scan("group4")
    seen: list[bytes] = []

    def decode(_: Image.Image) -> bytes:
        seen.append(b"")
        return b"other" if same and len(seen) == same + 1 else b"pixels"

    monkeypatch.setattr(Image.Image, "tobytes", decode)
    assert is_whole(tags, strips) == whole
    assert len(seen) == (same + 1 if same else 3)
    assert hashlib.sha256(b"other").digest() != hashlib.sha256(b"pixels").digest()


@pytest.mark.parametrize(("order", "reverse"), [((), False), ((1,), False), ((2,), True)])
def test_the_order_of_bits(order: tuple[int, ...], reverse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tags, strips = scan("group4", reverse=reverse)
    seen: list[bool] = []
    monkeypatch.setattr(fax, "_continued", lambda strip, _, reversed_: seen.append(reversed_) or strip)
    data, page = file_of(tags, strips)
    page.tags.pop(266, None)
    page.tags.update({266: order} if order else {})
    fax.check(data, page)
    assert seen == [reverse] * 3


def test_continuations_are_different_bits() -> None:
    assert [bits[:8] for bits in fax._CONTINUATIONS] == ["00000000", "11111111", "01010101"]
    assert all(len(bits) >= 512 and set(bits) <= {"0", "1"} for bits in fax._CONTINUATIONS)


@pytest.mark.parametrize(
    ("strip", "continuation", "reverse", "expected"),
    [
        ("1280", "1", False, "1288"), ("128000", "1", False, "1288"), ("12810000", "1111", False, "12811e"), ("12ff", "1", False, "12ff10"),
        ("12ff", "11111", False, "12ff1f"), ("12ff", "111111", False, "12ff1f80"), ("1240", "1" * 12, False, "1247ff80"),
        ("", "1", False, "10"),
        ("00", "11", False, "18"), ("1201", "1", True, "1211"), ("120100", "1", True, "1211"), ("12ff", "1", True, "12ff08"),
        ("12", "", False, "1200"), ("1248", "", True, "124800"), ("1210", "", False, "1210"), ("1230", "", False, "1230"),
    ],
)  # fmt: skip
def test_bits_after_the_last_code(strip: str, continuation: str, reverse: bool, expected: str) -> None:
    assert fax._continued(bytes.fromhex(strip), continuation, reverse).hex() == expected


COPIED = (256, 257, 258, 259, 262, 266, 277, 278, 292, 293)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_file_of_other_strips(tiled: bool, count: int) -> None:
    tags: dict[int, Any] = {number: (number * 70_000,) for number in COPIED}
    tags[258] = (1, 2, 3)
    tags.update({322: (5,), 323: (6,)} if tiled else {})
    strips = [b"first", b"", b"the third"][:count]
    others = {271: b"make", 273: (9,), 279: (9,), 281: (1,), 320: (1, 2)}
    data = fax._file(Tiff(5, 6, {**tags, **others}), strips)
    assert data[:4] == b"MM\0*"
    content = b"".join(strips)
    assert data[8:].startswith(content)
    found, following = tiff._directory(data, int.from_bytes(data[4:8], "big"), ">", False, 100)
    offsets = (8, 13, 13)[:count]
    assert found == tags | {324 if tiled else 273: offsets, 325 if tiled else 279: (5, 0, 9)[:count]}
    assert list(found) == sorted(found)
    assert following == 0
    assert len(data) == 8 + len(content) + 4 * (3 + (2 * count if count > 1 else 0)) + 2 + 12 * len(found) + 4


def test_compressions() -> None:
    assert {2, 3, 4} == fax.COMPRESSIONS


def bad_code() -> Image.Image:
    """A scan with a code that does not exist, not loaded yet."""
    tags, (strip,) = scan("group4")
    data, _ = file_of(tags, [strip[:9] + bytes([strip[9] ^ 4]) + strip[10:]])
    return Image.open(io.BytesIO(data))


def test_codes_that_do_not_exist() -> None:
    fax.load(Image.open(io.BytesIO(file_of(*scan("group4"))[0])))
    with pytest.raises(Rejection, match="TIFF: its CCITT data has codes that do not exist") as found:
        fax.load(bad_code())
    assert found.value.code == "corrupt_image"


def test_errors_of_libtiff_are_collected_until_the_end() -> None:
    with libtiff.errors() as outer:
        with libtiff.errors() as inner:
            assert inner == []
            bad_code().load()
        assert inner[0] == "Bad code word at line %u of %s %u (x %u)"
        count = len(inner)
        assert outer == []
        # THEN the handler of before is back
        bad_code().load()
        assert (len(outer), len(inner)) == (count, count)
        with pytest.raises(ValueError, match="stop"), libtiff.errors():  # noqa: PT012
            bad_code().load()
            raise ValueError("stop")
        bad_code().load()
        assert len(outer) == 2 * count
    bad_code().load()
    assert len(outer) == 2 * count


class Library:
    """A library whose function to set the handler is this."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

        def set_handler(handler: Any) -> int:
            self.handlers.append(handler)
            return 0

        self.TIFFSetErrorHandler = set_handler


def test_errors_without_a_text_or_with_other_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    with libtiff.errors() as found:
        handler = ctypes.cast(library.handlers[0], libtiff._HANDLER)
        handler(b"Fax", None, None)
        handler(None, b"Line %d\xff", None)
    assert found == ["", "Line %d\ufffd"]
    assert library.handlers[1:] == [0]


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_without_the_functions_of_libtiff_nothing_is_collected(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    with libtiff.errors() as found:
        bad_code().load()
    assert found == []
