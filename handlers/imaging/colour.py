"""Embedded colour profiles: Display P3 of phones, Adobe RGB, profiles of printers, made sRGB.

Applied after scaling down, so that it costs a few milliseconds whatever the size. The colour library is imported only where there is a
profile other than sRGB. A damaged profile is ignored, as browsers do.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from PIL import Image

_SPACES = {b"RGB ": ("RGB",), b"GRAY": ("L",), b"CMYK": ("CMYK",)}


def profile_of(image: Image.Image) -> bytes | None:
    """The embedded profile, if it changes what is seen: of a known colour space and not sRGB."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) < 132 or profile[16:20] not in _SPACES:
        return None
    return None if profile[16:20] == b"RGB " and _is_srgb(profile) else profile


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image in sRGB; unchanged if the profile is of another colour space or damaged.

    Parameters
    ----------
    image
        RGB, L or CMYK.
    profile
        As `profile_of` returns it.
    """
    if image.mode not in _SPACES[profile[16:20]]:
        return image
    try:
        from PIL import ImageCms

        found = ImageCms.applyTransform(image, _transform(profile, image.mode))
    except Exception:  # of damaged profiles, whatever the colour library raises
        return image
    return found or image


@lru_cache(8)
def _transform(profile: bytes, mode: str) -> Any:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


def _is_srgb(profile: bytes) -> bool:
    """Whether its description, without the zeros of UTF-16, has this name."""
    count = int.from_bytes(profile[128:132])
    for number in range(min(count, 100)):
        at = 132 + 12 * number
        if profile[at : at + 4] == b"desc":
            begin, size = (int.from_bytes(profile[at + n : at + n + 4]) for n in (4, 8))
            return b"sRGB" in profile[begin : begin + min(size, 512)].replace(b"\0", b"")
    return False
