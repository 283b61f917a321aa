"""Statistics of captured images: size, brightness, sharpness, as the integers of `IMAGE_STATISTICS`.

Optional: every input is decoded, which costs a hundred times the reading.
"""

from __future__ import annotations

import base64
import json
import warnings
from io import BytesIO

import numpy as np
from PIL import Image

from dropsort.contract.defaults import MAX_SHOWN_PIXELS

_SIDE = 256  # sharpness is taken at this size at most, so that images of any size can be compared


class ImageStatistics:
    """Decodes inputs of capture records."""

    def of_line(self, line: bytes) -> tuple[int, ...] | None:
        """Get the statistics of a record's input; None if it is not an image in base64."""
        side = json.loads(line)["captureData"].get("endpointInput")
        data, encoding = (side.get("data"), side.get("encoding")) if isinstance(side, dict) else (None, None)
        if not isinstance(data, str) or encoding != "BASE64":
            return None
        try:
            return statistics(base64.b64decode(data, validate=True))
        except ValueError:  # not base64, or not even ASCII
            return None


def statistics(data: bytes) -> tuple[int, int, int, int, int] | None:
    """Get width, height, bytes, brightness and sharpness of an encoded image; None if it cannot be decoded.

    Brightness is the mean grey level (0 to 255), sharpness the variance of the Laplacian of the grey levels, both in
    thousandths.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(data)) as image:
                width, height = image.size
                if width * height > MAX_SHOWN_PIXELS:
                    return None
                image.draft("L", (_SIDE, _SIDE))
                grey = image.convert("L")
    except Exception:  # a decoder may raise anything on hostile bytes
        return None
    grey.thumbnail((_SIDE, _SIDE))
    levels = np.asarray(grey, np.float64)
    brightness = levels.mean()
    sharpness = 0.0
    if min(levels.shape) >= 3:
        around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
        sharpness = (around - 4 * levels[1:-1, 1:-1]).var()
    return width, height, len(data), round(float(brightness) * 1000), round(float(sharpness) * 1000)
