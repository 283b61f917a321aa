"""What the processes that decode run: bytes of an upload to what a browser shows. It imports little, so that they start quickly."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from dropsort.contract.reasons import REASONS

MAX_PIXELS = 100_000_000


class Shown(NamedTuple):
    """An image as a browser shows it; or ``reason``, why it cannot be shown."""

    data: bytes
    content_type: str
    reason: str | None = None


def make(data: bytes, side: int) -> Shown:
    """A JPEG or PNG of at most `side` pixels a side."""
    from handlers import imaging
    from handlers.rejections import Rejection

    try:
        made = imaging.prepare(data, side=side, max_pixels=MAX_PIXELS)
    except Rejection as rejection:
        return Shown(b"", "", REASONS[rejection.code].sentence)
    return Shown(made.data, made.content_type)


def warm_up() -> None:
    """Import what decoding needs, before the first image comes."""
    importlib.import_module("handlers.imaging")
