"""What the processes that decode run: bytes of an upload to what a browser shows. It imports little, so that they start quickly."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import threading
from typing import NamedTuple

from dropsort.contract.defaults import MAX_MEGAPIXELS
from dropsort.contract.reasons import REASONS

MAX_PIXELS = 1_000_000 * MAX_MEGAPIXELS


class DisplayImage(NamedTuple):
    """An image as a browser shows it; or ``reason``, why it cannot be shown. ``hash`` is its `difference_hash`."""

    data: bytes
    content_type: str
    reason: str | None = None
    hash: int | None = None


def make(data: bytes, side: int) -> DisplayImage:
    """A JPEG or PNG of at most `side` pixels a side."""
    from handlers import imaging
    from handlers.rejections import Rejection

    try:
        made = imaging.prepare(data, side=side, max_pixels=MAX_PIXELS)
    except Rejection as rejection:
        return DisplayImage(b"", "", REASONS[rejection.code].sentence)
    return DisplayImage(made.data, made.content_type, None, difference_hash(made.data))


def difference_hash(data: bytes) -> int:
    """64 bits: whether each of 8 x 8 areas of an image is brighter than its left neighbour; near-duplicates differ in few."""
    from PIL import Image

    with Image.open(
        io.BytesIO(data), formats=("JPEG", "PNG")
    ) as image:  # which `prepare` has checked or made
        values = image.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = 2 * bits + (values[9 * row + column + 1] > values[9 * row + column])
    return bits


def end_with_parent() -> None:
    """End this process when the page's server is gone, even if that was killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def warm_up() -> None:
    """Import what decoding needs, before the first image comes."""
    importlib.import_module("handlers.imaging")
