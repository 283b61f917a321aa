"""How much memory and time decoding may take: checked on headers, before anything is decoded.

The function for large images has 1,769 MiB and 55 s on one core. `DECODING_BYTES` leaves memory for Python, the libraries and the largest
object, held twice while it is read. Bytes per pixel are measured at each format's peak, decoder, conversions and all; a test decodes the
largest allowed image of each under a hard limit of the function's memory. Where the coded data can contradict the headers,
`bounded_memory` makes the decoder's allocations fail rather than the function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from handlers import settings
from handlers.rejections import Rejection

_THREADS_BYTES = 100_000_000  # stacks and arenas of the decoders' threads
DECODING_BYTES = settings.load().decoding_bytes
MAX_SEGMENTS = 20_000  # marker segments of JPEG, blocks before the first frame of GIF
MAX_CHUNKS = 200_000  # chunks of PNG: a hundred megabytes in the smallest that encoders write
MAX_STRIPS = 100_000  # strips or tiles of TIFF, tiles of JPEG 2000
# Bytes that Pillow reads in Python, one at a time: run lengths of BMP, text and values other than 8 bits of PPM, bytes between
# segments of JPEG.
MAX_SLOW_BYTES = 16_000_000
MAX_REPEATS = 1_000  # scans of JPEG
MAX_WORK = 2_500_000_000  # repeats times pixels: 25 scans of 100 megapixels

# Peak bytes per pixel by format and Pillow's mode; "" for any other mode of the format.
_BYTES_PER_PIXEL = {
    ("JPEG", ""): 9.0, ("PNG", ""): 12.9, ("WEBP", "RGB"): 16.5, ("WEBP", ""): 20.5, ("AVIF", "RGB"): 13.5, ("AVIF", ""): 18.5,
    ("GIF", ""): 13.0, ("BMP", ""): 12.5, ("TIFF", ""): 13.0, ("TIFF", "RGB"): 12.0, ("JPEG2000", ""): 25.0, ("ICO", ""): 17.0,
    ("PPM", ""): 13.0, ("HEIF", ""): 18.0,
}  # fmt: skip


def bytes_per_pixel(name: str, mode: str) -> float:
    """Peak memory of decoding one pixel, in bytes."""
    return _BYTES_PER_PIXEL.get((name, mode)) or _BYTES_PER_PIXEL[name, ""]


def check_pixels(name: str, mode: str, width: int, height: int, max_pixels: int, *, decoded: int = 0) -> None:
    """Reject what has too many pixels, or needs too much memory.

    Parameters
    ----------
    decoded
        Pixels that the decoder makes, where it decodes at a fraction of the size; 0 for all.

    Raises
    ------
    Rejection
        ``too_many_pixels``.
    """
    pixels = width * height
    if pixels > max_pixels:
        raise Rejection("too_many_pixels", f"It has {width} x {height}; {max_pixels} are allowed.")
    most = int(DECODING_BYTES / bytes_per_pixel(name, mode))
    if (decoded or pixels) > most:
        kind = f"{name} ({mode})" if mode else name
        raise Rejection(
            "too_many_pixels",
            f"It has {width} x {height}; of {kind}, which takes more memory to decode, {most} are allowed.",
        )


def check_count(name: str, what: str, count: int, most: int) -> None:
    """Reject a file with more than `most` of something; ``too_complex``."""
    if count > most:
        raise Rejection("too_complex", f"{name}: it has more than {most} {what}.")


def check_work(name: str, what: str, count: int, pixels: int) -> None:
    """Reject a file that makes the decoder go over `pixels` too often; ``too_complex``."""
    if count > MAX_REPEATS or (count * pixels > MAX_WORK and count > 20):
        raise Rejection("too_complex", f"{name}: it has {count} or more {what} of {pixels} pixels.")


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Within it, this process cannot allocate much more than `DECODING_BYTES`; Linux only, elsewhere without effect."""
    import resource

    try:
        with open("/proc/self/statm", "rb") as file:
            data_pages = int(file.read().split()[5])
    except (OSError, IndexError):
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data_pages * resource.getpagesize() + DECODING_BYTES + _THREADS_BYTES
    least = min(value for value in (wanted, before, hard) if value != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))
