"""An image as blocks of colour, for terminals that show 16 million colours."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

from dropsort.contract import formats
from dropsort.contract.defaults import MAX_SHOWN_PIXELS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

COLUMNS, ROWS = 32, 16
MOST_BYTES = 20_000_000  # larger uploads are not fetched for it
_UPPER_HALF = "▀"


def possible(console: Console) -> bool:
    """Whether a terminal can show one."""
    return console.is_terminal and console.color_system == "truecolor"


def draw(image: bytes) -> Text | None:
    """The image in at most `COLUMNS` by `ROWS` characters, two pixels each; None if it cannot be decoded."""
    from PIL import Image
    from rich.text import Text

    from handlers import imaging
    from handlers.rejections import Rejection

    # Anybody who may upload has made these bytes: what decodes them is what the workflow decodes with, within its limits.
    try:
        image = imaging.prepare(image, side=2 * COLUMNS, max_pixels=MAX_SHOWN_PIXELS).data
    except Rejection as rejection:
        if rejection.code != "blank_image":  # which is found last, so within the limits
            return None
    try:
        with Image.open(io.BytesIO(image), formats=formats.PILLOW) as opened:
            small = opened.convert("RGB")
            small.thumbnail((COLUMNS, 2 * ROWS))
    except Exception:  # Pillow's decoders raise nearly anything
        return None
    data = small.tobytes()  # three bytes per pixel, row by row
    rows = [data[at : at + 3 * small.width] for at in range(0, len(data), 3 * small.width)]
    text = Text()
    for upper, lower in itertools.zip_longest(rows[::2], rows[1::2]):
        for at in range(0, len(upper), 3):
            ground = f" on #{lower[at : at + 3].hex()}" if lower else ""
            text.append(_UPPER_HALF, f"#{upper[at : at + 3].hex()}{ground}")
        text.append("\n")
    return text
