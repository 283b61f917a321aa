"""Images on pages: made small, under limits, and re-encoded, so that nothing of the original bytes reaches the page.

A capture is somebody else's bytes. What cannot be shown gets a note that says why.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dropsort.contract import formats
from dropsort.contract.defaults import MAX_SHOWN_PIXELS
from dropsort.pages.formatting import short
from monitoring.aggregates.cells import Series, Uncertain
from monitoring.report.images import Lines, NoImage, image_of

SIDE = 256  # longest side on the page, pixels; the service sends no larger image to the endpoint
_TINY = 64  # up to this side pixels are not changed


class NoThumbnail(Exception):
    """Why an image is not shown, in a few words."""


@dataclass(frozen=True)
class GalleryImage:
    """One image of a gallery."""

    title: str
    score: str
    data: str  # data URI; "" if there is none
    alt: str = ""
    note: str = ""  # why there is none, or the image's size
    lines: tuple[str, ...] = ()  # below the image
    id: str = ""  # of the inference or event; shown whole where the image is enlarged


KeysOf = Callable[[Collection[str]], Mapping[str, str]]
"""Keys of uploads by inference id: of those of the given ids that are known."""


def no_keys(_: Collection[str]) -> Mapping[str, str]:
    """No key is known."""
    return {}


def captured_images(
    found: Iterable[tuple[Series, Uncertain]], lines: Lines, keys: KeysOf = no_keys
) -> Iterator[GalleryImage]:
    """Read each inference's record again and make its image small.

    Parameters
    ----------
    lines
        Gives a record's line; an OSError of it becomes the image's note.
    keys
        Keys of the uploads, where they are known.
    """
    every = list(found)
    known = keys({one.inference_id for _, one in every if one.inference_id})
    for series, one in every:
        try:
            data, note = thumbnail(image_of(lines(one.file, one.offset)))
        except (NoImage, NoThumbnail) as error:
            data, note = "", str(error)
        except OSError:
            data, note = "", "the capture file is gone"
        yield GalleryImage(
            title=short(one.label),
            score=f"{one.confidence / 1e9:.3f}",
            data=data,
            alt=f"input classified as {short(one.label)}",
            note=note,
            lines=(
                known.get(one.inference_id, ""),
                note if data else "",
                series.hour[:16].replace("T", " "),
            ),
            id=f"inference {one.inference_id}" if one.inference_id else f"event {one.event_id}",
        )


def showable(found: Iterable[GalleryImage], most: int = 24) -> list[GalleryImage]:
    """The first images that can be shown, each once; where none can, the first few that say why."""
    blank: list[GalleryImage] = []
    shown: dict[str, GalleryImage] = {}
    for one in found:
        if one.data:
            shown.setdefault(one.data, one)
        else:
            blank.append(one)
        if len(shown) == most:
            break
    return list(shown.values()) or blank[:6]


def file_thumbnail(path: Path) -> tuple[str, str]:
    """As `thumbnail`, of a file; without data and with the reason if it cannot be shown."""
    try:
        return thumbnail(path.read_bytes())
    except NoThumbnail as error:
        return "", str(error)
    except OSError:
        return "", "the file is gone"


def thumbnail(image: bytes) -> tuple[str, str]:
    """A small copy as a data URI, and the original's size in words.

    Raises
    ------
    NoThumbnail
        It is none that the workflow reads, or is too large.
    """
    from PIL import Image

    from handlers import imaging
    from handlers.rejections import Rejection

    size = None
    try:
        prepared = imaging.prepare(image, side=SIDE, max_pixels=MAX_SHOWN_PIXELS)
        image, size = prepared.data, (prepared.width, prepared.height)
    except Rejection as rejection:
        if rejection.code == "too_many_pixels":
            raise NoThumbnail(f"too large to show: {rejection}") from None
        if rejection.code != "blank_image":  # which is found last, so within the limits
            raise NoThumbnail(f"not an image that can be shown: {rejection}") from None
    try:
        with Image.open(io.BytesIO(image), formats=formats.PILLOW) as opened:
            size = size or opened.size
            small = opened.convert("RGB")
            small.thumbnail((SIDE, SIDE))
    except Exception as error:  # Pillow's decoders raise nearly anything
        raise NoThumbnail(f"not an image that can be shown ({type(error).__name__})") from None
    out = io.BytesIO()
    # A tiny image keeps its pixels; a larger one as JPEG of some kilobytes.
    if max(small.size) <= _TINY:
        small.save(out, "PNG")
        kind = "png"
    else:
        small.save(out, "JPEG", quality=78)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}", f"{size[0]} × {size[1]}"
