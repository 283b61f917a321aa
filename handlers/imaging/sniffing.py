"""The format of an image by its first bytes; what is not an image that is read here is named by `foreign`."""

from __future__ import annotations

_BMP_HEADERS = {bytes((size, 0, 0, 0)) for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_PNM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def sniff(data: bytes) -> str:
    """The name of the format, one of `dropsort.contract.formats.ALL`.

    Raises
    ------
    Rejection
        ``unsupported_format`` for a known format that is not read, ``not_an_image`` for anything else; both say what it is.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    name = _uncompressed(data) or _boxed(data)
    if name:
        # A text encoding leaves the first bytes of these formats as they are, and some have no checksum that would show it.
        if data[:65536].count(b"\xef\xbf\xbd") > 3 or _is_text(data):
            from handlers.imaging import foreign

            raise foreign.of_encoded()
        return name
    from handlers.imaging import foreign

    raise foreign.rejection(data)


def has_converted_line_ends(data: bytes, name: str) -> bool:
    """Whether every line feed follows a carriage return, as in no compressed data of some length; a decoder may not notice."""
    sample = data[:65536]
    feeds = sample.count(b"\n")
    if feeds < 8 or sample.count(b"\r\n") != feeds or name in ("TIFF", "PPM", "ICO"):
        return False
    # Without compression it may be a colour: then the file is as long as it says.
    return name != "BMP" or int.from_bytes(data[2:6], "little") < len(data)


def _uncompressed(data: bytes) -> str | None:
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    # "BM" alone begins many a text; the sizes of BMP's second header are few.
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS:
        return "BMP"
    if data.startswith((b"\0\0\1\0", b"\0\0\2\0")) and len(data) >= 22:
        # No icon has no image, or more than 256.
        return "ICO" if 0 < int.from_bytes(data[4:6], "little") <= 256 else None
    if data.startswith(_PNM) and data[2:3].isspace() and data[3:4] in b"0123456789# \t\r\n":
        return "PPM"
    return None


def _boxed(data: bytes) -> str | None:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")):
        return "JPEG2000"
    if data[4:8] == b"ftyp":
        size = min(int.from_bytes(data[:4]), 256)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand in _HEIF_BRANDS for brand in brands):
            return "HEIF"
    return None


def _is_text(data: bytes) -> bool:
    """Whether all of it is UTF-8 with characters beyond ASCII, as image data of any length never is by chance."""
    sample = data[:4096]
    try:
        text = sample.decode()
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3:  # anything but a character that the sample cuts
            return False
        text = sample[: error.start].decode()
    return len({character for character in text if ord(character) > 127}) > 8
