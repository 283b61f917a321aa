"""Values of pixels as 8 bits, against values calculated here: depths, ranges, outliers, no data, palettes, transparency."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from PIL import Image, ImagePalette

from handlers.imaging import pixel_values
from handlers.rejections import Rejection

LARGEST = struct.unpack(">f", b"\x7f\x7f\xff\xff")[0]


def row(values: list[Any], mode: str) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def shown(
    values: list[Any], mode: str = "F", bits: int | None = None, no_data: float | None = None
) -> list[int]:
    found = pixel_values.eight_bit(row(values, mode), bits, no_data)
    assert found.mode == "L"
    return list(found.tobytes())


def between(values: list[Any], low: float, high: float) -> Any:
    """What is shown where `low` is black and `high` is white; a value between two numbers may be either."""
    return pytest.approx(
        [min(max(255 * (value - low) / (high - low) - 0.5, 0), 255) for value in values], abs=0.6
    )


@pytest.mark.parametrize("image", [Image.new("RGB", (9, 9)), Image.new("P", (1, 1))])
def test_without_a_palette_any_value_is_a_colour(image: Image.Image) -> None:
    image.paste(255, (0, 0, 1, 1))
    image.palette = None
    pixel_values.check_palette(image)


def test_grey_values_are_none_of_a_palette() -> None:
    image = Image.new("L", (2, 2), 255)
    image.palette = ImagePalette.ImagePalette("RGB", bytes(3))
    pixel_values.check_palette(image)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("colours", [1, 2, 200])
def test_a_value_is_one_of_the_palette(mode: str, colours: int) -> None:
    image = Image.new("P", (5, 5))
    image.palette = ImagePalette.ImagePalette(mode, bytes(len(mode) * colours))
    for value in (0, colours - 1):
        image.putpixel((4, 4), value)
        pixel_values.check_palette(image)
    image.putpixel((4, 4), colours)
    with pytest.raises(Rejection, match=f"It uses colour {colours} of a palette of {colours}.") as found:
        pixel_values.check_palette(image)
    assert found.value.code == "corrupt_image"
    image.palette = ImagePalette.ImagePalette(mode, b"")
    pixel_values.check_palette(image)


def test_deep_images_have_one_channel_of_more_than_8_bits() -> None:
    modes = (
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "CMYK",
        "LAB",
        "YCbCr",
        "I;16",
        "I;16L",
        "I;16B",
        "I",
        "F",
    )
    deep = [mode for mode in modes if pixel_values.is_deep(Image.new(mode, (1, 1)))]
    assert deep == ["I;16", "I;16L", "I;16B", "I", "F"]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_smallest_usual_depth_that_holds_all_values_is_white(bits: int) -> None:
    top = 2**bits - 1
    following = {8: 10, 10: 12, 12: 14, 14: 16}.get(bits)
    for low in (0, top // 3):
        values = [low, top // 3 + 5, top // 2 + 9, top - 1, top]
        assert shown(values, "I") == between(values, 0, top)
        assert shown(values, "I")[-1] == 255
        if following:
            values[-1] = top + 1
            assert shown(values, "I") == between(values, 0, 2**following - 1)
        else:
            values[-1] = 65536
            assert shown(values, "I") == between(values, low, 65536)


def test_other_numbers_are_mapped_by_what_is_used_of_them() -> None:
    for values in ([-1, 5, 100], [-70_000, 5, 70_000], [30_000, 50_000, 70_000]):
        assert shown(values, "I") == between(values, values[0], values[-1])


@pytest.mark.parametrize("bits", [1, 7, 9, 11, 16])
def test_significant_bits_count_where_they_hold_all_values(bits: int) -> None:
    top = 2**bits - 1
    assert shown([0, 1, top // 3, top], "I", bits) == between([0, 1, top // 3, top], 0, top)
    assert shown([1, 1], "I", bits) == between([1, 1], 0, top)
    values = [0, 1, top + 1]
    assert shown(values, "I", bits) == shown(values, "I")
    values = [-1, 1, top]
    assert shown(values, "I", bits) == between(values, -1, top)
    assert shown([0.0, 0.5, 1.0], "F", bits) == [0, 127, 255]
    assert shown([0, 1, 255], "I", 0) == shown([0, 1, 255], "I")


NEXT = 2.0**-23  # to 1, in 32 bits


@pytest.mark.parametrize(
    ("low", "high", "whole"),
    [
        (0.0, 1.0, True),
        (0.25, 0.75, True),
        (-(2.0**-20), 1.0, True),
        (-(2.0**-20) * (1 + NEXT), 1.0, False),
        (0.0, 1 + 2.0**-10, True),
        (0.0, 1 + 2.0**-10 + NEXT, False),
        (-0.5, 1.0, False),
        (0.5, 1.5, False),
    ],
)
def test_floating_point_from_0_to_1_is_mapped_as_it_is(low: float, high: float, whole: bool) -> None:
    # Two are at a step of what is shown: the least other range moves them over it.
    values = [low, high, *(value for value in (0.4 - 3e-7, 0.4 + 1e-7, 0.55, 0.6, 0.7, 0.9) if low <= value)]
    found = pixel_values.eight_bit(row(values, "F"), None, None)
    expected = row(values, "F").point(lambda value: value * 255.0 + 0.0).convert("L")
    assert (found.tobytes() == expected.tobytes()) == whole
    if not whole:
        assert list(found.tobytes()) == between(values, low, high)


def test_one_value_is_black() -> None:
    for mode, value in (("F", 7.0), ("I", -3), ("I", 70_000)):
        found = pixel_values.eight_bit(Image.new(mode, (3, 2), value), None, None)
        assert (found.mode, found.size, found.tobytes()) == ("L", (3, 2), bytes(6))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 5, 11])
def test_values_that_are_not_finite_are_damage_or_stand_for_no_data(value: float, place: int) -> None:
    values = [0.1 * number / 1.2 for number in range(12)]
    expected = shown(values)
    image = row(values, "F").transpose(Image.Transpose.ROTATE_90).transpose(Image.Transpose.ROTATE_270)
    image = image.crop((0, 0, 12, 1)).resize((12, 3), Image.Resampling.NEAREST)
    for y in (0, 2):
        damaged = image.copy()
        damaged.putpixel((place, y), value)
        for no_data in (None, -9999.0, 0.0):
            with pytest.raises(Rejection, match="It has values that are not finite numbers") as found:
                pixel_values.eight_bit(damaged, None, no_data)
            assert found.value.code == "corrupt_image"
        seen = list(pixel_values.eight_bit(damaged, None, value).tobytes())
        others = [number for number in range(36) if number != 12 * y + place]
        assert [seen[number] for number in others] == pytest.approx(
            [expected[number % 12] for number in others], abs=3
        )


NO_DATA = (-9999.0, -99999.0, -999.0, -32768.0, -32767.0, -2147483648.0, -LARGEST, LARGEST, 1e20, -1e20)


@pytest.mark.parametrize("value", [*NO_DATA, *(value * (1 + 9e-7) for value in NO_DATA[:6])])
def test_usual_values_for_no_data_are_not_the_range(value: float) -> None:
    values = [number / 40 for number in range(41)]
    assert shown(values + [value] * 30)[:41] == pytest.approx(shown(values), abs=3)


@pytest.mark.parametrize(
    "value", [-9998.0, 9999.0, -100000.0, -998.0, 999.0, -32766.0, 32768.0, 1e19, -5555.0, 5555.0]
)
def test_other_values_are_the_range_unless_the_file_gives_them(value: float) -> None:
    values = [number / 40 for number in range(41)]
    assert len(set(shown(values + [value] * 30)[:41])) <= 13
    assert shown(values + [value] * 30, no_data=value)[:41] == pytest.approx(shown(values), abs=3)
    assert len(set(shown(values + [value] * 30, no_data=value * 1.00001)[:41])) <= 13
    # What is usual counts as well.
    assert shown(values + [-9999.0] * 30, no_data=value)[:41] == pytest.approx(shown(values), abs=3)


def used(values: list[float], no_data: float | None = None) -> tuple[float, float]:
    return pixel_values._used_range(row(values, "F"), min(values), max(values), no_data)


RAMP = [10 + number / 10 for number in range(1000)]  # 10 to 109.9


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ([], []),
        ([-9e3], []),
        ([], [9e3]),
        ([], [3e30]),
        ([-7e9], []),
        ([-9999.0] * 50, []),
        ([-9999.0] * 1500, []),
        ([], [1e20] * 1500),
        ([], [1e20] * 50),
        ([-9999.0] * 50, [1e20] * 50),
        ([-9999.0, -99999.0], [3e7]),
        ([-500.0], []),
        ([], [500.0]),
    ],
)
def test_the_range_without_what_lies_apart_is_known_to_a_bin_or_two(
    below: list[float], above: list[float]
) -> None:
    low, high = used(below + RAMP + above)
    step = (high - low) / 255
    assert low - 0.001 <= 10 <= low + 2 * step
    assert high - step <= 109.9 <= high + 0.001
    if not below and not above:
        assert (low, high) == pytest.approx((10, 109.9), abs=1e-5)


@pytest.mark.parametrize(
    ("below", "above", "low", "high"),
    [
        ([-9e3] * 2, [], -9e3, 109.9),  # of 1,002 pixels
        ([], [9e3] * 2, 10, 9e3),
        ([-9e3] * 2, [9e3] * 2, -9e3, 9e3),
        ([-60.0], [], -60, 109.9),  # not half of the range
        ([], [200.0], 10, 200),
    ],
)
def test_many_values_and_those_that_are_near_are_the_range(
    below: list[float], above: list[float], low: float, high: float
) -> None:
    assert used(below + RAMP + above) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize(("count", "left_out"), [(3, True), (4, False)])
def test_one_pixel_of_a_thousand_may_lie_apart(count: int, left_out: bool) -> None:
    for value in (-9e3, 9e3):
        low, high = used(RAMP + RAMP + RAMP[: 1000 - count] + [value] * count)
        assert (high - low < 102) == left_out


@pytest.mark.parametrize(("last", "left_out"), [(126, True), (127, False)])
def test_half_of_the_bins_lie_between(last: int, left_out: bool) -> None:
    # GIVEN values of a bin each: 0 to 126 or 127, and 255
    values = [number + 0.5 for number in range(last + 1)] * 10
    assert used([0.0, *values, 255.0])[1] == (pytest.approx(last + 0.75, abs=0.5) if left_out else 255)
    # GIVEN the same from above, where the highest is in a bin of its own
    low = used([255.0, *(256 - value for value in values[1:]), 0.0])[0]
    assert low == (pytest.approx(255 - last, abs=1.1) if left_out else 0)


def test_few_values_below_go_before_few_above_that_are_no_fewer() -> None:
    # GIVEN two values apart at each side, of which each would be few, and the wider gap in the middle
    few, many = [0.0] * 2, [1000.0] * 3
    low, high = used(few + [1000.0] * 2000)
    assert (low, high) == pytest.approx((1000, 1000), abs=4)
    low, high = used([0.0] * 2000 + many[:2])
    assert (low, high) == pytest.approx((0, 0), abs=4)
    assert used([0.0] * 2 + [1000.0] * 2) == (0, 1000)


@pytest.mark.parametrize("value", [-20870.72685, -40318.751, -11322671.757])
def test_from_0_to_1_may_be_known_to_two_bins_only(value: float) -> None:
    # GIVEN a value apart after which the range begins nearly two bins below 0
    values = [number / 1000 for number in range(1001)]
    assert shown([value, *values])[1:] == shown(values)
    # GIVEN three bins THEN it is another range
    assert shown([-2.065, *(number / 1000 for number in range(-6, 1001))])[7] == 2


def test_of_two_values_for_no_data_the_one_with_fewer_pixels_goes_first() -> None:
    # GIVEN that the other is in one bin with all that is to be seen
    low, high = used([-1e20] * 50 + RAMP + [110.0] * 20, no_data=110.0)
    assert (low, high) == pytest.approx((10, 110), abs=1)
    low, high = used([9.0] * 20 + RAMP + [1e20] * 50, no_data=9.0)
    assert (low, high) == pytest.approx((9, 109.9), abs=1)


def test_the_largest_gap() -> None:
    assert pixel_values._largest_gap([3, 4, 9, 10, 30, 45]) == (11, 30)
    assert pixel_values._largest_gap([0, 2, 4]) == (1, 2)
    assert pixel_values._largest_gap([7]) == (0, 0)
    assert pixel_values._largest_gap([]) == (0, 0)


@pytest.mark.parametrize(("mode", "plain"), [("RGBA", "RGB"), ("LA", "L")])
def test_alpha_of_zero_everywhere_is_left_out(mode: str, plain: str) -> None:
    colour = (9, 8, 7)[: len(plain)]
    image = Image.new(mode, (2, 1), (*colour, 0))
    found = pixel_values.without_empty_alpha(image)
    assert (found.mode, found.tobytes()) == (plain, bytes(colour) * 2)
    image.putpixel((1, 0), (*colour, 1))
    assert pixel_values.without_empty_alpha(image) is image


def test_transparency_lies_on_white() -> None:
    image = row([(10, 20, 30, 255), (10, 20, 30, 0), (0, 0, 0, 128)], "RGBA")
    assert pixel_values.on_white(image).mode == "RGB"
    assert list(pixel_values.on_white(image).tobytes()) == [10, 20, 30, 255, 255, 255, 127, 127, 127]


@pytest.mark.parametrize("difference", [0, 4, 5])
def test_one_colour_differs_by_at_most_4(difference: int) -> None:
    blank = difference <= 4
    assert pixel_values.is_blank(row([100, 100 + difference], "L")) == blank
    for band in range(3):
        other = [50, 60, 70]
        other[band] += difference
        assert pixel_values.is_blank(row([(50, 60, 70), tuple(other)], "RGB")) == blank


def halves(values: list[tuple[int, ...]]) -> tuple[Image.Image, Image.Image]:
    """The upper and the lower bytes of colours."""
    return (
        row([tuple(value >> 8 for value in colour) for colour in values], "RGB"),
        row([tuple(value & 255 for value in colour) for colour in values], "RGB"),
    )


@pytest.mark.parametrize("bits", [8, 9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("given", [True, False])
def test_colour_of_fewer_bits_than_16(bits: int, given: bool) -> None:
    top = 2**bits - 1
    values: list[tuple[int, ...]] = [
        (0, 0, 0),
        (top // 3, 0, top - 77),
        (5, top // 7, 255),
        (7, top // 2 + 1, 2),
    ]
    if given or bits % 2:
        values.append((3, top, 1))
    found = pixel_values.combined(*halves(values), bits if given else None)
    depth = (
        bits if given else next(depth for depth in (8, 10, 12, 14, 16) if max(map(max, values)) < 2**depth)
    )
    if depth == 16:
        assert found is None
    else:
        assert found is not None
        assert list(found.tobytes()) == [value >> (depth - 8) for colour in values for value in colour]


@pytest.mark.parametrize(
    ("highest", "depth"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14), (16384, 16)],
)
def test_the_smallest_usual_depth_of_colour(highest: int, depth: int) -> None:
    for band in range(3):
        colour = [1, 2, 3]
        colour[band] = highest
        found = pixel_values.combined(*halves([tuple(colour)]), None)
        expected = None if depth == 16 else [value >> (depth - 8) for value in colour]
        assert (list(found.tobytes()) if found else None) == expected


def test_colour_that_is_not_combined() -> None:
    values: list[tuple[int, ...]] = [(100, 200, 300)]
    for bits in (1, 7, 16, 17):
        assert pixel_values.combined(*halves(values), bits) is None
    for significant in (None, 12):
        assert pixel_values.combined(*halves([(0, 0, 0)]), significant) is None
    found = pixel_values.combined(*halves([(256, 512, 0)]), None)
    assert found
    assert list(found.tobytes()) == [64, 128, 0]
    # What has more bits than the file says is white.
    found = pixel_values.combined(*halves([(1024, 1023, 65535)]), 10)
    assert found
    assert list(found.tobytes()) == [255, 255, 255]
