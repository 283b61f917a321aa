"""An image as blocks of colour, for terminals that show 16 million colours."""

from __future__ import annotations

import io
import itertools
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

COLUMNS, ROWS = 32, 16
MOST_BYTES = 20_000_000  # larger uploads are not fetched for it
_PIXELS = 50_000_000
_UPPER_HALF = "▀"


def possible(console: Console) -> bool:
    """Whether a terminal can show one."""
    return console.is_terminal and console.color_system == "truecolor"


def draw(image: bytes) -> Text | None:
    """The image in at most `COLUMNS` by `ROWS` characters, two pixels each; None if it cannot be decoded."""
    from PIL import Image, ImageOps
    from rich.text import Text

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(image)) as opened:
                if opened.width * opened.height > _PIXELS:
                    return None
                opened.draft("RGB", (2 * COLUMNS, 4 * ROWS))
                small = ImageOps.exif_transpose(opened).convert("RGB")
                small.thumbnail((COLUMNS, 2 * ROWS))
    except Exception:  # Pillow's decoders raise nearly anything on hostile bytes
        return None
    data = small.tobytes()  # three bytes a pixel, row by row
    rows = [data[at : at + 3 * small.width] for at in range(0, len(data), 3 * small.width)]
    text = Text()
    for upper, lower in itertools.zip_longest(rows[::2], rows[1::2]):
        for at in range(0, len(upper), 3):
            ground = f" on #{lower[at : at + 3].hex()}" if lower else ""
            text.append(_UPPER_HALF, f"#{upper[at : at + 3].hex()}{ground}")
        text.append("\n")
    return text
