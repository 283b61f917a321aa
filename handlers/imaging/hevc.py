"""HEVC, the data of HEIC: whether the decoder had to invent pixels, which libheif and pillow-heif do not report.

libde265, which decodes it, warns of data that breaks off or contradicts itself, and checks the checksum of the pixels that an encoder
may have written. libheif reads neither. So the data is decoded once more by the same library, which pillow-heif has loaded, through its
C API (de265.h, version 1), and without the filters, which change no more than the pixels that are there.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from handlers.imaging import heif
from handlers.rejections import Rejection

_SUFFIX_SEI = 40  # a type of NAL units: where the checksum is
_MOST_SLICE_TYPE = 31
# These bytes never occur in a NAL unit: an encoder puts a 3 between them. Bytes that were lost are often zero.
_NEVER = re.compile(rb"\0\0[\0-\2]")
_CHECK_HASH, _NO_DEBLOCKING, _NO_SAO = 0, 7, 8  # enum de265_param
# enum de265_error: warnings and errors of damaged data. Others are about limits, threads, and messages that are not understood.
_DAMAGE = {
    4: "coefficients outside", 5: "the checksum of its pixels is another", 6: "blocks outside", 8: "a value out of range",
    16: "its first slice is missing", 17: "a slice ends early", 18: "undecodable", 1002: "a slice ends early", 1004: "blocks outside",
    1005: "sequence header", 1006: "picture header", 1007: "slice header", 1009: "picture header", 1010: "sequence header",
    1017: "a row of blocks does not end where it should", 1020: "slice address", 1021: "slice address", 1027: "bit depth",
    1033: "slice header", 1034: "block sizes", 1035: "a value out of range", 1037: "slice address",
}  # fmt: skip
_BLOCK = 16  # pixels; the smallest coding tree block


def check(data: bytes) -> None:
    """Decode what the image is made of, after libheif has.

    Where the library is not found or has another version, or where the boxes are of a form that `heif` does not read, nothing is checked.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    library = _library()
    if library is None:
        return
    with contextlib.suppress(heif.NotUnderstood):
        for coded in heif.coded_images(data):
            if damage := _slices_damaged(coded.units) or _decoding_damaged(library, coded):
                raise Rejection("corrupt_image", f"HEIF: its data is damaged ({damage}).")


@cache
def _library() -> ctypes.CDLL | None:
    """libde265 as pillow-heif has loaded it; None if it is not there or not of version 1."""
    try:
        # What an extension is linked with is found through it.
        library = ctypes.CDLL(importlib.import_module("_pillow_heif").__file__)
        if library.de265_get_version_number() >> 24 != 1:
            return None
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        for name, result, *arguments in (
            ("new_decoder", pointer),
            ("free_decoder", integer, pointer),
            ("set_parameter_bool", None, pointer, integer, integer),
            ("push_NAL", integer, pointer, ctypes.c_char_p, integer, ctypes.c_int64, pointer),
            ("flush_data", integer, pointer),
            ("decode", integer, pointer, pointer),
            ("get_next_picture", pointer, pointer),
            ("get_warning", integer, pointer),
            ("get_chroma_format", integer, pointer),
            ("get_image_width", integer, pointer, integer),
            ("get_image_height", integer, pointer, integer),
            ("get_bits_per_pixel", integer, pointer, integer),
            ("get_image_plane", pointer, pointer, integer, pointer),
        ):
            function = getattr(library, f"de265_{name}")
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library


def _slices_damaged(units: list[bytes]) -> str:
    slices = (unit for unit in units if unit and unit[0] >> 1 <= _MOST_SLICE_TYPE)
    return "bytes that no encoder writes" if any(_NEVER.search(unit) for unit in slices) else ""


def _decoding_damaged(library: Any, coded: heif.CodedImage) -> str:
    """What the decoder reports; "" if nothing."""
    decoder = library.de265_new_decoder()
    if not decoder:
        return ""
    try:
        has_hash = any(unit and unit[0] >> 1 == _SUFFIX_SEI for unit in coded.units)
        library.de265_set_parameter_bool(decoder, _CHECK_HASH, has_hash)
        for parameter in (_NO_DEBLOCKING, _NO_SAO):
            library.de265_set_parameter_bool(decoder, parameter, not has_hash)
        for unit in coded.units:
            library.de265_push_NAL(decoder, unit, len(unit), 0, None)
        library.de265_flush_data(decoder)
        unwritten = False
        for image in _images(library, decoder):
            if isinstance(image, str):
                return image
            unwritten = unwritten or _has_unwritten_blocks(library, image, coded.width, coded.height)
        while code := library.de265_get_warning(decoder):
            if code in _DAMAGE:
                return _DAMAGE[code]
        return "blocks are missing" if unwritten else ""
    finally:
        library.de265_free_decoder(decoder)


def _images(library: Any, decoder: int) -> Iterator[int | str]:
    """Decode, and yield each image, or what is damaged."""
    more = ctypes.c_int(1)
    while more.value:
        more.value = 0
        code = library.de265_decode(decoder, ctypes.byref(more))
        if code in _DAMAGE:
            yield _DAMAGE[code]
        if code:
            return
        if image := library.de265_get_next_picture(decoder):
            yield image


def _has_unwritten_blocks(library: Any, image: int, width: int, height: int) -> bool:
    """Whether blocks are zero in all planes, as the decoder allocates them: a colour that does not exist.

    Only what is shown counts, as encoders fill the rest with anything.

    Of grey images, zero is black, and of 4:4:4 it may be, where the planes are green, blue and red.
    """
    across, down = {1: (2, 2), 2: (2, 1)}.get(library.de265_get_chroma_format(image), (0, 0))
    if not across:
        return False
    width = min(width, library.de265_get_image_width(image, 0))
    height = min(height, library.de265_get_image_height(image, 0))
    size = (library.de265_get_bits_per_pixel(image, 0) + 7) // 8
    stride = ctypes.c_int()
    planes = []
    for plane in range(3):
        begin = library.de265_get_image_plane(image, plane, ctypes.byref(stride))
        planes.append((begin, stride.value))
    for y in range(0, height, _BLOCK):
        begin, step = planes[0]
        luma = ctypes.string_at(begin + y * step, width * size)
        if bytes((width % _BLOCK or _BLOCK) * size) not in luma:
            continue
        chroma = [
            ctypes.string_at(begin + y // down * step, (width + across - 1) // across * size)
            for begin, step in planes[1:]
        ]
        for x in range(0, width, _BLOCK):
            parts = [luma[x * size : (x + _BLOCK) * size]]
            parts += [row[x // across * size : (x + _BLOCK) // across * size] for row in chroma]
            if not any(part.strip(b"\0") for part in parts):
                return True
    return False
