"""HEVC, the data of HEIC: whether the decoder had to invent pixels, which libheif and pillow-heif do not report.

libde265, which decodes it, warns of data that breaks off or contradicts itself, and checks the checksum of the pixels that an encoder
may have written. libheif reads neither. So the data is decoded once more by the same library, which pillow-heif has loaded, through its
C API (de265.h, version 1), and without the filters, which change no more than the pixels that are there. Without a checksum it is
decoded a third time, to see whether it ends where its data does: of changed bits, that leaves those that change single values.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from handlers.imaging import heif, slice_header
from handlers.rejections import NotUnderstood, Rejection

_MOST_SLICE_TYPE = 31
_SLICES = (*range(10), *range(16, 22))  # their types, without those that are reserved
_PICTURE_PARAMETERS = 34
# decoded_picture_hash in a unit of its own: MD5 or checksum. The CRC of chroma that x265 writes is not that of the standard.
_HASH = re.compile(rb"\x50.\x84.[\0\2]", re.DOTALL)
# These bytes never occur in a NAL unit: an encoder puts a 3 between them. Bytes that were lost are often zero.
_NEVER = re.compile(rb"\0\0[\0-\2]")
_NEVER_RAW = re.compile(rb"\0\0(?=[\0-\3])")
_TAIL = 64  # bytes of a slice that are changed as one number
_BEHIND = b"\x55" * 8  # what is put after them
_MOST_SAMPLES = 120_000_000  # 80 megapixels of 4:2:0, 40 of 4:4:4: at most 45 of the function's 55 seconds
_MOST_SLICES = 16  # of an image; each is decoded to the last block
_CHECK_HASH, _NO_DEBLOCKING, _NO_SAO = 0, 7, 8  # enum de265_param
# enum de265_error: warnings and errors of damaged data. Others are about limits, threads, and messages that are not understood.
_DAMAGE = {
    4: "coefficients outside", 5: "the checksum of its pixels is another", 6: "blocks outside", 8: "a value out of range",
    16: "its first slice is missing", 17: "a slice ends early", 18: "undecodable", 1002: "a slice ends early",
    1003: "a row of blocks does not begin where it should", 1004: "blocks outside",
    1005: "sequence header", 1006: "picture header", 1007: "slice header", 1009: "picture header", 1010: "sequence header",
    1017: "a row of blocks does not end where it should", 1020: "slice address", 1021: "slice address", 1027: "bit depth",
    1033: "slice header", 1034: "block sizes", 1035: "a value out of range", 1037: "slice address",
}  # fmt: skip
_ROW_BEGINS = 1003
_GOES_ON = frozenset((1004, 1017))  # of these, a slice whose data does not end after its last block
_IDENTITY = 0  # matrix coefficients of green, blue and red
_FULL = 3  # enum de265_chroma: 4:4:4; 0 is grey
_BLOCK = 16  # pixels; the smallest coding tree block


def check(data: bytes) -> None:
    """Decode what the image is made of, after libheif has.

    Where the library is not found or has another version, or where the boxes are of a form that `heif` does not read, nothing is checked.

    Raises
    ------
    Rejection
        ``corrupt_image``; ``unsupported_format`` for green, blue and red of limited range, whose range libheif converts as that of chroma.
    """
    library = _library()
    if library is None:
        return
    with contextlib.suppress(NotUnderstood):
        work = _Work()
        for coded in heif.coded_images(data):
            if damage := _slices_damaged(coded.units) or _decoding_damaged(library, coded, work):
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
    if any(_NEVER.search(unit) for unit in slices):
        return "bytes that no encoder writes"
    with contextlib.suppress(NotUnderstood):
        if not slice_header.is_aligned(units):
            return "slice header"
    return ""


@dataclass(slots=True)
class _Work:
    """``samples`` are those of all planes that were decoded a third time."""

    samples: int = 0


def _decoding_damaged(library: Any, coded: heif.CodedImage, work: _Work) -> str:
    """What the decoder reports, or that it does not end where the data of a slice ends; "" if nothing.

    After changed bits the arithmetic code gives other blocks, which may look valid, and a slice then ends before its data or after it.
    The decoder does not report that, but its position shows: the last bit that is 1 is the lowest of the number from which it decides
    that the slice ends (ITU-T H.265, 9.3.4.3.5). So whatever follows that bit must change nothing. And with a number that is less by 2,
    it must decode the same blocks, and go on after the last of them, once for each slice.
    """
    hashed = any(_HASH.match(unit) for unit in coded.units)
    slices = [index for index, unit in enumerate(coded.units) if _is_slice(unit)]
    whole = _decode(library, coded, _with_ends(coded.units, slices, 0), check_hash=hashed)
    if whole.codes:
        return _DAMAGE[whole.codes[0]]
    if whole.unwritten or not whole.samples:
        return "blocks are missing"
    if whole.images > 1:
        return "several images are in the place of one"
    if coded.colour and coded.colour[0] == _IDENTITY and whole.chroma:
        if whole.chroma != _FULL:
            return "colours that cannot be sampled down"  # ITU-T H.273, 8.3
        if not coded.colour[1]:
            raise Rejection("unsupported_format", "It is HEIF with green, blue and red of limited range.")
    if hashed or not slices:
        return ""
    if len(slices) > _MOST_SLICES or any(map(_has_dependent_slices, coded.units)):
        # A slice that goes on is decoded to the last block, and what depends on it cannot be decoded.
        slices = slices[-1:]
    work.samples += whole.samples * (len(slices) + 1) // 2
    if work.samples > _MOST_SAMPLES:
        return ""
    longer = _decode(library, coded, _with_ends(coded.units, slices, 2), check_hash=False)
    codes = [code for code in longer.codes if code != _ROW_BEGINS]  # is lost with the end of a slice
    if len(codes) != len(slices) or not _GOES_ON.issuperset(codes) or longer.pixels != whole.pixels:
        return "a slice does not end where its data does"
    return ""


def _type(unit: bytes) -> int:
    return unit[0] >> 1 & 63 if unit else -1


def _is_slice(unit: bytes) -> bool:
    """Whether it is a slice that the decoder decodes: of a type that is not reserved, and of the lowest layer."""
    return len(unit) > 2 and _type(unit) in _SLICES and not (unit[0] & 1 or unit[1] >> 3)


def _has_dependent_slices(unit: bytes) -> bool:
    """Whether it is a ``pic_parameter_set_rbsp`` that allows them."""
    return _type(unit) == _PICTURE_PARAMETERS and slice_header.allows_dependent_slices(unit)


def _with_ends(units: list[bytes], slices: list[int], less: int) -> list[bytes]:
    """The units, with another end of these slices: a number less by `less`, and other bits after it."""
    return [_with_end(unit, less) if index in slices else unit for index, unit in enumerate(units)]


def _with_end(unit: bytes, less: int) -> bytes:
    raw = unit.replace(b"\0\0\3", b"\0\0").rstrip(b"\0")  # without what keeps start codes out
    head, tail = raw[:-_TAIL], raw[-_TAIL:]
    number = int.from_bytes(tail)
    last = number & -number or 1
    number = max(number - less * last, 0) | last - 1
    raw = head + number.to_bytes(len(tail)) + _BEHIND
    return _NEVER_RAW.sub(b"\0\0\3", raw)


@dataclass(slots=True)
class _Decoding:
    """``codes`` are those of `_DAMAGE`, ``pixels`` is a checksum, ``unwritten`` whether blocks that are shown were never written.

    ``samples`` counts the values of all planes. ``chroma`` is of the enum de265_chroma.
    """

    codes: list[int] = field(default_factory=list)
    pixels: int = 0
    unwritten: bool = False
    samples: int = 0
    chroma: int = 0
    images: int = 0


def _decode(library: Any, coded: heif.CodedImage, units: list[bytes], check_hash: bool) -> _Decoding:
    """Decode `units`; without filters if the checksum in the data, which is that of filtered pixels, is not checked."""
    found = _Decoding()
    decoder = library.de265_new_decoder()
    if not decoder:
        raise MemoryError("no decoder")
    try:
        library.de265_set_parameter_bool(decoder, _CHECK_HASH, check_hash)
        for parameter in (_NO_DEBLOCKING, _NO_SAO):
            library.de265_set_parameter_bool(decoder, parameter, not check_hash)
        for unit in units:
            library.de265_push_NAL(decoder, unit, len(unit), 0, None)
        library.de265_flush_data(decoder)
        more, code = ctypes.c_int(1), 0
        while more.value and not code:
            more.value = 0
            code = library.de265_decode(decoder, ctypes.byref(more))
            found.codes += [code] * (code in _DAMAGE)
            while warning := library.de265_get_warning(decoder):  # it keeps 20 of them
                found.codes += [warning] * (warning in _DAMAGE)
            while image := library.de265_get_next_picture(decoder):
                found.images += 1
                found.chroma = library.de265_get_chroma_format(image)
                found.unwritten |= _has_unwritten_blocks(library, image, coded.width, coded.height)
                for begin, stride, length, height, size in _planes(library, image):
                    found.samples += length * height // size
                    for y in range(height):
                        row = (ctypes.c_char * length).from_address(begin + y * stride)
                        found.pixels = zlib.crc32(row, found.pixels)
        return found
    finally:
        library.de265_free_decoder(decoder)


def _planes(library: Any, image: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Address, bytes from row to row, bytes of a row, rows, and bytes of a value, of each plane."""
    stride = ctypes.c_int()
    for plane in range(3 if library.de265_get_chroma_format(image) else 1):
        begin = library.de265_get_image_plane(image, plane, ctypes.byref(stride))
        size = (library.de265_get_bits_per_pixel(image, plane) + 7) // 8
        length = library.de265_get_image_width(image, plane) * size
        yield begin, stride.value, length, library.de265_get_image_height(image, plane), size


def _has_unwritten_blocks(library: Any, image: int, width: int, height: int) -> bool:
    """Whether blocks are zero in all planes, as the decoder allocates them: a colour that does not exist.

    Only what is shown counts, as encoders fill the rest with anything.

    Of grey images, zero is black, and of 4:4:4 it may be, where the planes are green, blue and red.
    """
    across, down = {1: (2, 2), 2: (2, 1)}.get(library.de265_get_chroma_format(image), (0, 0))
    if not across:
        return False
    (luma, stride, length, rows, size), *chroma = _planes(library, image)
    width, height = min(width, length // size), min(height, rows)
    for y in range(0, height, _BLOCK):
        row = ctypes.string_at(luma + y * stride, width * size)
        if bytes((width % _BLOCK or _BLOCK) * size) not in row:
            continue
        others = [
            (ctypes.string_at(begin + y // down * step, (width + across - 1) // across * depth), depth)
            for begin, step, _, _, depth in chroma
        ]
        for x in range(0, width, _BLOCK):
            parts = [row[x * size : (x + _BLOCK) * size]]
            parts += [one[x // across * depth : (x + _BLOCK) // across * depth] for one, depth in others]
            if not any(part.strip(b"\0") for part in parts):
                return True
    return False
