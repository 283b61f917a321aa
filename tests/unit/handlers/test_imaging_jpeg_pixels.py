"""How a JPEG is decoded: at which fraction, how often, with which bytes after each scan, and what is missing then."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import jpeg, jpeg_pixels
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import drawn, encoded, noise

WIDTH, HEIGHT = 72, 56


def loaded(data: bytes, side: int = 100, *, exact: bool = True, closed: bool | None = None) -> Image.Image:
    found = jpeg.inspect(data)
    if closed is not None:
        found.closed = closed
    return jpeg_pixels.load(data, found, side, exact=exact)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((64, 64), 16, (32, 32)), ((63, 64), 16, (63, 64)), ((64, 63), 16, (64, 63)), ((128, 128), 16, (32, 32)),
        ((127, 127), 16, (64, 64)),
        ((256, 256), 16, (32, 32)), ((200, 100), 16, (100, 50)), ((600, 600), 16, (75, 75)), ((65, 65), 64, (65, 65)),
        ((64, 20), 64, (64, 20)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_image_is_decoded_at_a_fraction(
    size: tuple[int, int], side: int, expected: tuple[int, int], progressive: bool
) -> None:
    data = encoded(drawn(*size), "JPEG", progressive=progressive)
    found = loaded(data, side)
    assert found.size == expected
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (2 * side, 2 * side))
        assert found.tobytes() == image.tobytes()
    assert found.tile == []  # type: ignore[attr-defined]  # nothing is decoded once more


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("exact", [True, False])
def test_a_small_image_and_one_with_restart_markers_are_decoded_twice(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], exact: bool
) -> None:
    data = encoded(noise(WIDTH, HEIGHT), "JPEG", **options)
    fills: list[bytes] = []
    feed = jpeg_pixels._feed

    def recorded(*arguments: Any) -> Image.Image:
        fills.append(arguments[5] if len(arguments) > 5 else b"")
        return feed(*arguments)

    monkeypatch.setattr(jpeg_pixels, "_feed", recorded)
    loaded(data, exact=exact)
    assert fills == ([b"", b"\xa5" * 7] if exact or options else [b""])


ENDS, MISSING = "JPEG: its data ends before its last row", "JPEG: a part of its data is missing"
EARLY, DAMAGED = "JPEG: the data of a scan ends early", "JPEG: its data is damaged"


def code_of(data: bytes, message: str, **options: Any) -> str:
    with pytest.raises(Rejection, match=message) as found:
        loaded(data, **options)
    return found.value.code


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_whole_files_are_decoded_as_pillow_does(mode: str, progressive: bool) -> None:
    for seed in range(6):
        image = noise(WIDTH + seed, HEIGHT, seed=seed).convert(mode)
        for options in ({}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 2}):
            data = encoded(image, "JPEG", progressive=progressive, quality=50 + 9 * seed, **options)
            with Image.open(io.BytesIO(data)) as whole:
                whole.load()
                assert loaded(data).tobytes() == loaded(data[:-2]).tobytes() == whole.tobytes()


def test_a_file_of_one_scan_that_ends_early() -> None:
    data = encoded(noise(WIDTH, HEIGHT), "JPEG", quality=90)
    assert code_of(data[:-40] + b"\xff\xd9", ENDS) == "truncated_image"
    assert code_of(data[: len(data) // 2], ENDS) == "truncated_image"
    for missing in (1, 2, 4, 8):
        with pytest.raises(Rejection) as found:
            loaded(data[: -2 - missing] + b"\xff\xd9")
        assert found.value.code == "truncated_image"


def test_scans_of_a_progressive_file_that_end_early() -> None:
    data = encoded(noise(WIDTH, HEIGHT), "JPEG", quality=90, progressive=True)
    scans = jpeg.inspect(data).scans
    assert len(scans) > 5
    codes = set()
    for scan in scans:
        for missing in (40, 9):
            if scan.end - scan.begin > 60:
                with pytest.raises(Rejection) as found:
                    loaded(data[: scan.end - missing] + data[scan.end :])
                codes.add(found.value.code)
    assert codes == {"truncated_image"}
    first = scans[0]
    assert code_of(data[: first.end - 40] + data[first.end :], EARLY, exact=False) == "truncated_image"


@pytest.mark.parametrize("progressive", [False, True])
def test_data_that_the_decoder_rejects(monkeypatch: pytest.MonkeyPatch, progressive: bool) -> None:
    # GIVEN that there is no table of quantisation
    data = encoded(noise(WIDTH, HEIGHT), "JPEG", progressive=progressive)
    broken = data.replace(b"\xff\xdb", b"\xff\xfe")
    assert broken != data
    for closed, code in ((True, "corrupt_image"), (False, "truncated_image")):
        assert code_of(broken, DAMAGED, closed=closed) == code


@pytest.mark.parametrize("height", [1, 255, 256, 257, 512, 600])
def test_pixels_are_compared_to_the_last_row(height: int) -> None:
    one = Image.new("RGB", (3, height))
    assert jpeg_pixels.same(one, one.copy())
    for y in {0, height // 2, 254, 255, 256, 257, 511, 512, height - 1}:
        for x in (0, 2):
            if y < height:
                other = one.copy()
                other.putpixel((x, y), (0, 0, 1))
                assert not jpeg_pixels.same(one, other), y
