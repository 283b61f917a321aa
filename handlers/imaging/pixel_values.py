"""Values of pixels as 8 bits: depth, range, values that stand for no data, and transparency.

A range of values is mapped to black and white as the file says (sBIT, MaxSampleValue), else by what is used of it: 10-bit values in
16 bits are not an image of black. A few pixels far from all others (hot pixels, a value for no data) do not count.
"""

from __future__ import annotations

import math
from itertools import pairwise

from PIL import Image, ImageChops, ImageMath

from handlers.rejections import Rejection

_BINS = 256
_OUTLIERS = 0.001  # share of pixels that may lie apart from all others
_LARGEST = 3.4028234663852886e38  # of 32 bits
_NO_DATA = (
    -9999.0,
    -99999.0,
    -999.0,
    -32768.0,
    -32767.0,
    -2147483648.0,
    -_LARGEST,
    _LARGEST,
    1e20,
    -1e20,
)
_DEPTHS = (8, 10, 12, 14, 16)
# Floating point within these is taken for values from 0 to 1, which 32 bits do not hold exactly.
_NEARLY_0, _NEARLY_1 = -(2.0**-20), 1 + 2.0**-10


def check_palette(image: Image.Image) -> None:
    """Reject a loaded image of palette colours with values that its palette does not have; ``corrupt_image``."""
    palette = image.palette if image.mode == "P" else None
    if palette is None:
        return
    if colours := len(palette.getdata()[1]) // len(palette.mode):
        check_highest(image, colours)


def check_highest(image: Image.Image, colours: int) -> None:
    """Reject an image of one band with a value that is none of `colours`; ``corrupt_image``."""
    highest = image.getextrema()[1]
    if isinstance(highest, int | float) and highest >= colours:
        raise Rejection("corrupt_image", f"It uses colour {highest} of a palette of {colours}.")


def is_deep(image: Image.Image) -> bool:
    """Whether it has one channel of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def eight_bit(image: Image.Image, significant_bits: int | None, no_data: float | None) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point, as grey of 8 bits.

    Parameters
    ----------
    significant_bits
        Of each value, as the file gives them; None if it does not.
    no_data
        The value of pixels without data, as the file gives it.

    Raises
    ------
    Rejection
        ``corrupt_image``: values that are not finite numbers, other than those for no data.
    """
    floating = image.mode == "F"
    grey = image if floating else image.convert("F")
    if no_data is not None and not math.isfinite(no_data):
        # Extremes and histograms pass over NaN, or have nothing else; a finite value for no data they count.
        grey = ImageMath.lambda_eval(
            lambda of: of["max"](of["min"](of["grey"], _LARGEST), -_LARGEST), grey=grey
        )
    low, high = _finite_range(grey)
    if not floating and significant_bits and low >= 0 and high < 2**significant_bits:
        return _mapped(grey, 0, 2**significant_bits - 1)
    found = low, high
    low, high = _used_range(grey, low, high, no_data)
    # Without outliers, the range is only known to a bin or two.
    slack = 0.0 if (low, high) == found else 2 * (high - low) / _BINS
    if floating:
        low, high = (0.0, 1.0) if low >= _NEARLY_0 - slack and high <= _NEARLY_1 + slack else (low, high)
    elif low >= -slack and high < 2 ** _DEPTHS[-1] + slack:
        low, high = 0.0, next(2**bits - 1 for bits in _DEPTHS if high < 2**bits + slack)
    return _mapped(grey, low, high)


def _mapped(grey: Image.Image, low: float, high: float) -> Image.Image:
    """As 8 bits, `low` black and `high` white; what lies outside is cut off."""
    if high == low:
        return Image.new("L", grey.size)
    scale = 255.0 / (high - low)
    return grey.point(lambda value: value * scale - low * scale).convert("L")


def _finite_range(grey: Image.Image) -> tuple[float, float]:
    low, high = (float(value) for value in grey.getextrema())  # type: ignore[arg-type]  # one band
    mean: float = grey.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[assignment]
    if math.isinf(low) or math.isinf(high) or math.isnan(mean):  # the extremes pass over NaN
        raise Rejection("corrupt_image", "It has values that are not finite numbers.")
    return low, high


def _used_range(grey: Image.Image, low: float, high: float, no_data: float | None) -> tuple[float, float]:
    """The range without values that lie far from all others and are few, or stand for no data."""
    few = grey.width * grey.height * _OUTLIERS
    for _ in range(64):  # a range of floating point shrinks by the number of bins each time
        bins = grey.histogram(extrema=(low, high))
        step = (high - low) / (_BINS - 1)
        used = [index for index, count in enumerate(bins) if count]
        if used and (used[0] > 1 or used[-1] < _BINS - 2):  # after something was left out
            low, high = max(low, low + step * (used[0] - 0.5)), min(high, low + step * (used[-1] + 1.5))
            continue
        begin, end = _largest_gap(used)
        if end - begin < _BINS // 2:
            return low, high
        below, above = sum(bins[:begin]), sum(bins[end:])
        # A value for no data may be in one bin with all others, if there is something larger.
        low_apart, high_apart = (
            below <= few or _stands_for_none(low, no_data),
            above <= few or _stands_for_none(high, no_data),
        )
        if low_apart and (below <= above or not high_apart):
            low += step * (end - 0.5)
        elif high_apart:
            high = low + step * (begin + 0.5)
        else:
            return low, high
    return low, high


def _stands_for_none(value: float, no_data: float | None) -> bool:
    known = _NO_DATA if no_data is None else (*_NO_DATA, no_data)
    return any(math.isclose(value, other, rel_tol=1e-6) for other in known)


def _largest_gap(used: list[int]) -> tuple[int, int]:
    """Begin and end of the longest run of empty bins between those that are used."""
    gaps = [(before + 1, after) for before, after in pairwise(used)]
    return max(gaps, key=lambda gap: gap[1] - gap[0], default=(0, 0))


def without_empty_alpha(image: Image.Image) -> Image.Image:
    """RGBA or LA without an alpha channel that hides everything: some tools leave it at 0."""
    if image.getchannel("A").getextrema() == (0, 0):
        return image.convert(image.mode.removesuffix("A"))
    return image


def on_white(image: Image.Image) -> Image.Image:
    """RGBA laid over white, as RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def is_blank(image: Image.Image) -> bool:
    """Whether an RGB or L image has one colour, but for what a lossy encoder makes of it."""
    extrema = image.getextrema()
    pairs = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(high - low <= 4 for low, high in pairs)  # of 8 bits, a pair each


def combined(high: Image.Image, low: Image.Image, significant_bits: int | None) -> Image.Image | None:
    """Colour of 16 bits, of which fewer are used, from its high and its low bytes; None if all are used.

    Parameters
    ----------
    high, low
        RGB: the upper and lower 8 bits of each value.
    """
    largest = max(top for _, top in high.getextrema())  # type: ignore[misc]
    bits = significant_bits or next(depth for depth in _DEPTHS if largest < 2 ** max(depth - 8, 0))
    if not 8 <= bits < 16 or (largest == 0 and not low.getbbox()):
        return None
    upper = high.point([value << (16 - bits) for value in range(256)] * 3)  # cut off at 255
    lower = low.point([value >> (bits - 8) for value in range(256)] * 3)
    return ImageChops.add(upper, lower)
