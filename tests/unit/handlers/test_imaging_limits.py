"""Memory and work are bounded by headers, before anything is decoded; what is allowed fits the function."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import limits, tiff
from handlers.rejections import Rejection
from tests import needs
from tests.unit.handlers.sample_images import (
    drawn,
    encoded,
    many_scans,
    noise,
    png_chunk,
    prepare,
    rejection,
    with_chunk,
)
from tests.unit.infra.template import RESOURCES

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "rest"), [("SerializeFunction", 250_000_000), ("SerializeLargeFunction", 500_000_000)]
)
def test_decoding_leaves_space_for_the_object_and_the_libraries(name: str, rest: int) -> None:
    found = RESOURCES[name]["Properties"]
    decoding = int(found["Environment"]["Variables"]["DECODING_MEGABYTES"]) * 1_000_000
    assert found["MemorySize"] * 2**20 - decoding >= rest
    if name == "SerializeLargeFunction":
        assert decoding == limits.DECODING_BYTES


PROGRAM = """
import json, os, resource, sys
from handlers import imaging

def prepare(path, memory, share):
    data = open(path, "rb").read()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit = used + int(share * (memory - used))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    result = imaging.prepare(data, side=256, max_pixels=100_000_000)
    return result.width * result.height, resource.getrusage(resource.RUSAGE_SELF).ru_utime

for line in sys.stdin:  # each in a process of its own, which has imported what it needs
    child = os.fork()
    if not child:
        try:
            outcome = prepare(*json.loads(line))
        except BaseException as error:
            outcome = repr(error)
        print(json.dumps(outcome), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(json.dumps(status), flush=True)
"""


@pytest.fixture(scope="module")
def preparing() -> Iterator[subprocess.Popen[str]]:
    """A process that normalises images within limits of memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    yield process
    process.communicate()


# Memory and time grow with the pixels, so that a sixteenth of them shows whether they fit; two formats are decoded in full as well.
# (JPEG 2000 needs more memory at its beginning than that share.)
SHARE = 1 / 16
LARGEST: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
    ("PNG", "RGBA", {"compress_level": 1}), ("PNG", "I;16", {"compress_level": 1}), ("GIF", "P", {}), ("BMP", "RGB", {}),
    ("PPM", "RGB", {}),
    ("WEBP", "RGB", {"method": 0}), ("WEBP", "RGBA", {"method": 0}), ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
    ("TIFF", "F", {"compression": "tiff_lzw"}), ("TIFF", "RGB", {"compression": "jpeg"}), ("AVIF", "RGB", {"speed": 10, "quality": 40}),
    ("AVIF", "RGBA", {"speed": 10, "quality": 40}), ("JPEG2000", "RGB", {"irreversible": True}),
    ("HEIF", "RGB", {"enc_params": {"preset": "ultrafast"}}),
]  # fmt: skip


@pytest.mark.slow(reason="decodes the largest allowed image of every format")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("fmt", "mode", "options", "share"),
    [
        (*LARGEST[0], 1.0),
        (*LARGEST[3], 1.0),
        *((*kind, SHARE * (1 + (kind[0] == "JPEG2000"))) for kind in LARGEST[1:3] + LARGEST[4:]),
    ],
)
def test_the_largest_allowed_image_fits_the_functions_memory_and_time(
    preparing: subprocess.Popen[str],
    tmp_path: Path,
    fmt: str,
    mode: str,
    options: dict[str, Any],
    share: float,
) -> None:
    # GIVEN an image of as many pixels as are allowed of its format, or a share of them
    most = (
        limits.DECODING_BYTES / limits.bytes_per_pixel(fmt, mode)
        if fmt not in ("JPEG", "JPEG2000")
        else 10**8
    )
    height = int(share * min(10_000, int(most / 10_000) - 1))
    grey = Image.radial_gradient("L").resize((1000, 1000))
    image = Image.merge("RGB", (grey, grey.rotate(90), grey)).resize(
        (10_000, height), Image.Resampling.NEAREST
    )
    if mode == "RGBA":
        image.putalpha(200)
    elif mode in ("F", "I;16"):
        image = image.convert("L").convert("F" if mode == "F" else "I").convert(mode)
    else:
        image = image.convert(mode)
    path = tmp_path / "largest"
    if fmt == "HEIF":
        needs.module("libraries", "pillow_heif").register_heif_opener()
    image.save(path, fmt, **options)
    del image

    # WHEN it is normalised within the function's memory, or that share of what is free of it
    function = RESOURCES["SerializeLargeFunction"]["Properties"]
    limit = function["MemorySize"] * 2**20
    assert preparing.stdin
    assert preparing.stdout
    preparing.stdin.write(json.dumps([str(path), limit, share]) + "\n")
    preparing.stdin.flush()
    outcome = json.loads(preparing.stdout.readline())

    # THEN there is enough of it, and of time
    assert isinstance(outcome, list), outcome
    assert json.loads(preparing.stdout.readline()) == 0
    pixels, seconds = outcome
    assert pixels == 10_000 * height
    assert seconds < share * function["Timeout"] / 2


def test_a_webp_of_38_bytes_is_rejected_by_its_header() -> None:
    data = bytes.fromhex("524946461e000000574542505650384c110000002f0fe7c31907508a6ad5a3808188e87f0000")
    refused = rejection(data, max_pixels=10**8)
    assert refused.code == "too_many_pixels"
    assert "WEBP" in str(refused)


def test_scans_are_counted_before_decoding() -> None:
    # GIVEN a progressive JPEG whose last scan is repeated thousands of times
    bomb = many_scans(1000, 800, 6000)
    started = time.process_time()
    assert rejection(bomb, max_pixels=10**8).code == "too_complex"
    assert time.process_time() - started < 2


def test_a_usual_number_of_scans_is_none_too_many() -> None:
    assert limits.MAX_WORK / 100_000_000 >= 20
    assert prepare(encoded(noise(1000, 800), "JPEG", progressive=True)).width == 1000


def test_fill_bytes_take_no_more_time_than_their_number() -> None:
    # GIVEN a run of bytes that may precede a marker: before the first one, in a scan with restart markers, and at the end
    data = encoded(drawn(320, 320), "JPEG", restart_marker_blocks=4)
    scan, restart = data.index(b"\xff\xda") + 20, data.index(b"\xff\xd1")
    started = time.process_time()
    # WHEN they are read THEN their number does not count twice
    assert rejection(data[:2] + b"\xff" * 5_000_000).code == "truncated_image"
    for at, byte in ((scan, b"\0"), (restart, b""), (len(data) - 2, b"")):
        with contextlib.suppress(Rejection):
            prepare(data[:at] + b"\xff" * 30_000 + byte + data[at:])
    assert time.process_time() - started < 2
    # AND of those that Pillow would read one by one, there are not too many
    assert rejection(data[:2] + b"\xff\xd8" * 50 + b"\xff" * 15_999_901 + data[2:]).code == "too_complex"


def test_marker_segments_are_counted() -> None:
    data = encoded(drawn(), "JPEG")
    assert rejection(data[:2] + b"\xff\xfe\0\2" * 100_000 + data[2:]).code == "too_complex"


def test_chunks_are_counted() -> None:
    started = time.process_time()
    data = encoded(drawn(), "PNG")
    assert rejection(data[:33] + png_chunk(b"teSt", b"") * 300_000 + data[33:]).code == "too_complex"
    assert time.process_time() - started < 5


def test_blocks_of_gif_are_counted() -> None:
    data = encoded(drawn(), "GIF")
    at = data.index(b"\x2c", 13 + 3 * 2)
    assert rejection(data[:at] + b"\x21\xfe\1x\0" * 100_000 + data[at:]).code in (
        "too_complex",
        "truncated_image",
    )


def test_tiles_larger_than_their_image_are_rejected() -> None:
    data = bytearray(encoded(drawn(64, 48), "TIFF"))
    for tag, number in ((278, 322), (279, 323)):  # the tags of strips become those of tiles
        at = next(
            at
            for at in range(8, len(data) - 12)
            if data[at : at + 4] in (struct.pack("<HH", tag, 3), struct.pack("<HH", tag, 4))
        )
        struct.pack_into("<HHII", data, at, number, 4, 1, 50_000)
    assert rejection(bytes(data)).code == "too_complex"


def test_strips_are_counted() -> None:
    data = bytearray(encoded(drawn(64, 48), "TIFF"))
    at = next(at for at in range(8, len(data) - 12) if data[at : at + 4] == struct.pack("<HH", 273, 4))
    struct.pack_into("<I", data, at + 4, 10_000_000)
    assert rejection(bytes(data)).code == "too_complex"


def test_strips_that_overlap_are_no_more_work() -> None:
    # GIVEN thousands of strips that all lie at the same bytes, each of which would be decoded
    pixels = encoded(noise(600, 400), "JPEG", quality=95)
    rows, count = 8, 5000
    tags = {
        256: 600, 257: rows * count, 258: (8, 8, 8), 259: 7, 262: 6, 273: (0,) * count, 277: 3, 278: rows, 279: (len(pixels),) * count,
    }  # fmt: skip
    head = 8 + len(pixels)
    body = b""
    entries = []
    for tag, value in tags.items():
        values = value if isinstance(value, tuple) else (value,)
        values = (8,) * count if tag == 273 else values
        content = struct.pack(f"<{len(values)}I", *values)
        at = head + 2 + 12 * len(tags) + 4 + len(body)
        body += content if len(values) > 1 else b""
        entries.append(
            struct.pack("<HHI", tag, 4, len(values)) + (struct.pack("<I", at) if len(values) > 1 else content)
        )
    data = (
        b"II*\0"
        + struct.pack("<I", head)
        + pixels
        + struct.pack("<H", len(tags))
        + b"".join(entries)
        + bytes(4)
        + body
    )
    assert rejection(data, max_pixels=10**8).code == "too_complex"


def test_tags_of_tiff_that_are_not_used_are_not_read() -> None:
    # GIVEN 4,000 tags of 90,000 values each, all at the same bytes
    plain = encoded(drawn(64, 48), "TIFF")
    (first,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, first)
    entries = plain[first + 2 : first + 2 + 12 * count]
    more = b"".join(struct.pack("<HHII", tag, 3, 90_000, 8) for tag in range(40_000, 44_000) if tag != 42113)
    begin = len(plain) + 180_000
    data = plain[:4] + struct.pack("<I", begin) + plain[8:] + bytes(180_000)
    data += struct.pack("<H", count + 3999) + entries + more + bytes(4)
    assert len(tiff.inspect(data).tags) < 30


@pytest.mark.parametrize("fmt", ["AVIF", "HEIF"])
def test_boxes_within_boxes_are_counted(fmt: str) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    properties = box(b"iprp", box(b"ipco", box(b"free", b"") * 9000) * 2)
    brand = b"avif" if fmt == "AVIF" else b"heic"
    data = box(b"ftyp", brand + bytes(4) + brand) + box(b"meta", bytes(4) + properties * 2)
    assert rejection(data).code == "too_complex"


def test_headers_of_jpeg_2000_that_contradict_each_other() -> None:
    data = bytearray(encoded(drawn(64, 48), "JPEG2000"))
    at = data.index(b"ihdr") + 4
    data[at : at + 8] = (5000).to_bytes(4, "big") * 2
    assert rejection(bytes(data), max_pixels=10**8).code == "corrupt_image"


def test_an_icon_whose_image_is_a_bomb() -> None:
    header = png_chunk(b"IHDR", (60_000).to_bytes(4, "big") * 2 + b"\x08\2\0\0\0")
    bomb = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    entry = bytes((16, 16, 0, 0, 1, 0, 32, 0)) + len(bomb).to_bytes(4, "little") + (22).to_bytes(4, "little")
    assert rejection(b"\0\0\1\0\1\0" + entry + bomb, max_pixels=10**8).code == "too_many_pixels"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_a_decoder_cannot_allocate_more_than_the_function_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DECODING_BYTES", 0)
    # One of them may fit into what images of earlier tests have left free in this process.
    with limits.bounded_memory(), pytest.raises(MemoryError):
        _ = [bytearray(250_000_000) for _ in range(4)]
    assert len(bytearray(250_000_000)) == 250_000_000


def test_memory_that_runs_out_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("handlers.imaging.normalise.decode", fail)
    assert rejection(encoded(drawn(), "PNG")).code == "too_complex"


def test_a_dispensable_chunk_that_is_damaged_is_left_out() -> None:
    chunk = bytearray(png_chunk(b"tEXt", b"Comment\0x"))
    chunk[-1] ^= 1
    data = encoded(drawn(), "PNG")
    assert prepare(data[:33] + bytes(chunk) + data[33:]).width == 40
    assert with_chunk(data, b"tEXt", b"Comment\0x")[:33] == data[:33]
    assert Image.open(io.BytesIO(data)).size == (40, 30)
