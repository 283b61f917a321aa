"""Hostile and damaged files: bombs, truncations, mutations, other formats; each a rejection with a code, never anything else."""

from __future__ import annotations

import contextlib
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, features

from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import (
    COLOURED,
    decoded,
    drawn,
    encoded,
    noise,
    png_chunk,
    png_header,
    prepare,
    rejection,
    with_chunk,
)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_compressed_metadata_is_no_bomb(kind: bytes) -> None:
    bomb = b"name\0\0" + zlib.compress(b"0" * 100_000_000, 1)
    data = with_chunk(encoded(drawn(), "PNG"), kind, bomb)
    assert rejection(data).code == "corrupt_image"


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_metadata_of_megabytes_is_left_behind(kind: bytes) -> None:
    # GIVEN a small image with more metadata than Pillow takes by itself
    much = b"name\0\0" + zlib.compress(b"0" * 3_000_000, 9)
    plain = encoded(drawn(), "PNG")

    # WHEN it is normalised THEN any decoder reads it, and decodes the same pixels
    sent = prepare(with_chunk(plain, kind, much)).data
    assert b"zTXt" not in sent
    assert b"iCCP" not in sent
    assert not ImageChops.difference(decoded(sent), decoded(plain)).getbbox()


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "GIF", "TIFF"])
def test_more_pixels_than_allowed_are_rejected_undecoded(fmt: str) -> None:
    image = Image.new("1", (1001, 1000))
    image.paste(1, (0, 0, 500, 500))
    assert rejection(encoded(image, fmt), max_pixels=1_001_000 - 1).code == "too_many_pixels"
    assert prepare(encoded(image, fmt), max_pixels=1_001_000)


def test_a_bomb_is_rejected_by_its_header() -> None:
    for width, height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)):
        refused = rejection(png_header(width, height), max_pixels=100_000_000)
        assert refused.code == "too_many_pixels"
        assert str(width) in str(refused)


def test_an_empty_object() -> None:
    assert rejection(b"").code == "empty_object"


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"BM is how this text begins, and it is long enough for two headers of a bitmap",
        b"PK\x03\x04",
        b"\0" * 5000,
        b"RIFF\0\0\0\0WAVE",
    ],
)
def test_what_is_no_image_that_is_read_here(data: bytes) -> None:
    assert rejection(data).code == "not_an_image"


def test_avif_is_rejected_where_pillow_cannot_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(drawn(), "AVIF", speed=10)
    monkeypatch.setattr(features, "check", lambda _: False)
    assert rejection(data).code == "unsupported_format"


FILES = {
    name: encoded(drawn(300, 200, mode), fmt, **options) for name, (mode, fmt, options) in COLOURED.items()
} | {f"small-{fmt.lower()}": encoded(drawn(32, 32), fmt) for fmt in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_cut_off_anywhere_a_file_is_rejected_or_shows_the_whole_image(kind: str) -> None:
    data = FILES[kind]
    whole = decoded(prepare(data).data)
    offsets = {0, 1, 2, 3, 4, 8, 12, 20, 33, *range(0, len(data), max(1, len(data) // 60)), len(data) - 1}
    for end in sorted(offsets):
        picture = None
        with contextlib.suppress(Rejection):
            picture = prepare(data[:end])
        if picture is not None:
            difference = ImageChops.difference(decoded(picture.data), whole)
            extrema: Any = difference.getextrema()
            assert max(high for _, high in extrema) <= 8, f"{kind} cut at {end} of {len(data)}"


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_half_a_file_is_called_truncated_or_corrupt(fmt: str) -> None:
    data = encoded(noise(300, 200), fmt)
    assert rejection(data[: len(data) // 2]).code in {"truncated_image", "corrupt_image"}
    if fmt in ("JPEG", "PNG", "GIF", "BMP"):
        assert rejection(data[: len(data) // 2]).code == "truncated_image"


def test_what_follows_an_image_does_not_matter() -> None:
    for fmt in ("JPEG", "PNG"):
        data = encoded(drawn(300, 200), fmt)
        assert prepare(data + b"trailing" * 1000) == prepare(data)


def test_a_rejection_names_what_it_found_in_bounded_length() -> None:
    assert "It begins with b'hello'." in str(rejection(b"hello"))
    assert len(str(rejection(b"\xff" * 10_000))) < 500


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_files_are_images_or_rejections(data: st.DataObject) -> None:
    """No exception but a Rejection, whatever is flipped, cut out, doubled or put in between."""
    content = bytearray(FILES[data.draw(st.sampled_from(sorted(FILES)), "file")])
    for _ in range(data.draw(st.integers(1, 4), "mutations")):
        last = len(content) - 1 if data.draw(st.booleans(), "anywhere") else min(100, len(content) - 1)
        at = data.draw(st.integers(0, last), "at")
        match data.draw(st.sampled_from(["flip", "set", "cut", "insert", "double", "zero"]), "how"):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 50))]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
            case "double":
                content[at:at] = content[at : at + 64]
            case "zero":
                content[at : at + 16] = bytes(len(content[at : at + 16]))
        if not content:
            break
    with contextlib.suppress(Rejection):
        prepare(bytes(content))


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=200))
def test_a_good_beginning_and_random_bytes(kind: str, tail: bytes) -> None:
    with contextlib.suppress(Rejection):
        prepare(FILES[kind][:40] + tail)


def test_a_png_whose_chunk_has_a_wrong_checksum_is_rejected() -> None:
    data = bytearray(encoded(drawn(), "PNG"))
    data[29] ^= 0xFF  # of IHDR
    assert rejection(bytes(data)).code == "corrupt_image"
    assert png_chunk(b"IEND", b"") == data[-12:]
