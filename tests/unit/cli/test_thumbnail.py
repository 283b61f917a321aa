"""The image that `dropsort results KEY` shows where the terminal can."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageColor
from rich.console import Console

from dropsort.cli import thumbnail
from dropsort.cli.thumbnail import COLUMNS, ROWS, draw, possible
from tests.unit.handlers.sample_images import encoded, many_scans, noise


def red(width: int, height: int) -> bytes:
    return encoded(Image.new("RGB", (width, height), "red"), "PNG")


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (10, 3000), (31, 33)])
def test_an_image_fits_and_has_its_colours(size: tuple[int, int]) -> None:
    found = draw(red(*size))
    assert found is not None
    lines = found.plain.rstrip("\n").split("\n")
    assert 1 <= len(lines) <= ROWS
    assert max(map(len, lines)) <= COLUMNS
    assert str(found.spans[0].style).startswith("#ff0000")


def test_what_is_no_image_is_not_shown() -> None:
    assert draw(b"") is None
    assert draw(red(64, 64)[:60]) is None


def test_hostile_uploads_are_decoded_within_the_limits_of_the_workflow() -> None:
    # GIVEN a format that the workflow does not read, as Encapsulated PostScript, which Pillow hands to another program
    assert draw(encoded(Image.new("RGB", (64, 64), "red"), "TGA")) is None
    assert draw(encoded(Image.new("RGB", (64, 64), "red"), "EPS")) is None
    # AND a JPEG with so many scans that its decoding takes minutes
    assert draw(many_scans(200, 160, 6000)) is None
    assert draw(encoded(noise(200, 160), "JPEG", progressive=True)) is not None


def test_an_image_with_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    image = encoded(noise(64, 48), "PNG")
    for most, shown in ((64 * 48, True), (64 * 48 - 1, False)):
        monkeypatch.setattr(thumbnail, "MAX_SHOWN_PIXELS", most)
        assert (draw(image) is not None) is shown


def test_only_terminals_with_all_colours_get_one() -> None:
    for terminal, colours, shown in (
        (True, "truecolor", True),
        (True, "256", False),
        (False, "truecolor", False),
    ):
        console = Console(file=io.StringIO(), force_terminal=terminal, color_system=colours)  # type: ignore[arg-type]
        assert possible(console) is shown


@pytest.mark.parametrize(
    ("size", "columns", "lines"),
    [((320, 320), 32, 16), ((640, 320), 32, 8), ((320, 640), 16, 16), ((31, 33), 30, 16), ((1, 1), 1, 1), ((32, 31), 32, 16)],
)  # fmt: skip
def test_an_image_has_at_most_32_columns_and_16_lines(
    size: tuple[int, int], columns: int, lines: int
) -> None:
    found = draw(red(*size))
    assert found is not None
    assert found.plain == ("▀" * columns + "\n") * lines
    assert thumbnail.MOST_BYTES == 20_000_000


def test_each_character_is_two_pixels_one_above_the_other() -> None:
    image = Image.new("RGB", (2, 3))
    for at, colour in enumerate(("#100000", "#002000", "#000030", "#404040", "#505000", "#006060")):
        image.putpixel((at % 2, at // 2), ImageColor.getrgb(colour))
    found = draw(encoded(image, "PNG"))
    assert found is not None
    assert [str(span.style) for span in found.spans] == [
        "#100000 on #000030", "#002000 on #404040", "#505000", "#006060"
    ]  # fmt: skip
    assert found.plain == "▀▀\n▀▀\n"


def test_a_blank_image_is_shown_all_the_same() -> None:
    found = draw(encoded(Image.new("RGB", (900, 900), "#123456"), "PNG"))
    assert found is not None
    assert {str(span.style) for span in found.spans} == {"#123456 on #123456"}
