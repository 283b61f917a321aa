"""Decodes AV1 without in-loop filters, by the C API of dav1d (dav1d.h, version 7), which is part of Pillow's AVIF extension.

`av1` compares the pixels of single tiles. Without in-loop filters no tile changes the pixels of another one, and decoding takes half the
time; Pillow has no such setting.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

_API = 7
_POINTER = ctypes.c_void_p
Rectangle = tuple[int, int, int, int]  # left, top, right and bottom, in pixels of luma


class _Settings(ctypes.Structure):  # Dav1dSettings
    _fields_ = (
        ("n_threads", ctypes.c_int), ("max_frame_delay", ctypes.c_int), ("apply_grain", ctypes.c_int),
        ("operating_point", ctypes.c_int), ("all_layers", ctypes.c_int), ("frame_size_limit", ctypes.c_uint),
        ("allocator", _POINTER * 3), ("logger_cookie", _POINTER), ("logger", _POINTER),
        ("strict_std_compliance", ctypes.c_int), ("output_invisible_frames", ctypes.c_int),
        ("inloop_filters", ctypes.c_int), ("decode_frame_type", ctypes.c_int), ("reserved", ctypes.c_uint8 * 256),
    )  # fmt: skip


class _Data(ctypes.Structure):  # Dav1dData
    _fields_ = (("data", _POINTER), ("size", ctypes.c_size_t), ("rest", ctypes.c_uint8 * 256))


class _Picture(ctypes.Structure):  # Dav1dPicture
    _fields_ = (
        ("headers", _POINTER * 2), ("data", _POINTER * 3), ("stride", ctypes.c_ssize_t * 2),
        ("width", ctypes.c_int), ("height", ctypes.c_int), ("layout", ctypes.c_int), ("bits", ctypes.c_int),
        ("rest", ctypes.c_uint8 * 512),
    )  # fmt: skip


@cache
def library() -> Any | None:
    """The library in Pillow's extension; None if there is none, or one with another version of its API."""
    try:
        found = ctypes.CDLL(importlib.import_module("PIL._avif").__file__)
        found.dav1d_version_api.restype = ctypes.c_uint
        if found.dav1d_version_api() >> 16 != _API:
            return None
        for name, result, *arguments in (
            ("default_settings", None, _POINTER),
            ("open", ctypes.c_int, _POINTER, _POINTER),
            ("close", None, _POINTER),
            ("data_create", _POINTER, _POINTER, ctypes.c_size_t),
            ("data_unref", None, _POINTER),
            ("send_data", ctypes.c_int, _POINTER, _POINTER),
            ("get_picture", ctypes.c_int, _POINTER, _POINTER),
            ("picture_unref", None, _POINTER),
        ):
            function = getattr(found, f"dav1d_{name}")
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return found


def checksums(dav1d: Any, stream: bytes, rectangles: Sequence[Rectangle]) -> list[int] | None:
    """A CRC-32 for each rectangle, of the samples in all planes of the first image of `stream`; None if it cannot be decoded.

    Raises
    ------
    MemoryError
        No decoder, or no memory for the data.
    """
    settings, context = _Settings(), _POINTER()
    dav1d.dav1d_default_settings(ctypes.byref(settings))
    settings.n_threads = settings.max_frame_delay = 1
    settings.apply_grain = settings.inloop_filters = 0
    settings.logger = None
    if dav1d.dav1d_open(ctypes.byref(context), ctypes.byref(settings)):
        raise MemoryError("no decoder")
    data, picture = _Data(), _Picture()
    try:
        buffer = dav1d.dav1d_data_create(ctypes.byref(data), len(stream))
        if not buffer:
            raise MemoryError("no memory")
        ctypes.memmove(buffer, stream, len(stream))
        while data.size:
            code = dav1d.dav1d_send_data(context, ctypes.byref(data))
            if code not in (0, -errno.EAGAIN):
                return None
            code = dav1d.dav1d_get_picture(context, ctypes.byref(picture))
            if not code:
                return [_checksum(picture, rectangle) for rectangle in rectangles]
            if code != -errno.EAGAIN:
                return None
        return None
    finally:
        dav1d.dav1d_picture_unref(ctypes.byref(picture))
        dav1d.dav1d_data_unref(ctypes.byref(data))
        dav1d.dav1d_close(ctypes.byref(context))


def _checksum(picture: _Picture, rectangle: Rectangle) -> int:
    found, size = 0, 1 if picture.bits == 8 else 2
    for plane in range(3 if picture.layout else 1):
        across = 1 if plane and picture.layout < 3 else 0  # enum Dav1dPixelLayout: grey, 4:2:0, 4:2:2, 4:4:4
        down = 1 if plane and picture.layout == 1 else 0
        left, right = rectangle[0], min(rectangle[2], picture.width)
        begin, end = left >> across, right + across >> across
        stride = picture.stride[plane > 0]
        for y in range(rectangle[1] >> down, min(rectangle[3], picture.height) + down >> down):
            row = ctypes.string_at(picture.data[plane] + y * stride + begin * size, (end - begin) * size)
            found = zlib.crc32(row, found)
    return found
