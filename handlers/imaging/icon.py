"""ICO and CUR: a bitmap inside, in the form from which Pillow reads it."""

from __future__ import annotations

from PIL import Image

from handlers.imaging import pixel_values
from handlers.rejections import Rejection

_PLAIN, _BIT_FIELDS = 0, 3  # kinds of compression


def largest(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The largest image: its content, that and what follows it up to the next image, and its entry in the directory.

    Raises
    ------
    Rejection
        ``truncated_image``.
    """
    count = int.from_bytes(data[4:6], "little")
    entries = [data[at : at + 16] for at in range(6, min(6 + 16 * count, len(data) - 15), 16)]
    if not entries:
        raise Rejection("truncated_image", "ICO: it ends within its directory.")
    best = max(entries, key=lambda entry: ((entry[0] or 256) * (entry[1] or 256), entry[6]))
    size, offset = (int.from_bytes(best[at : at + 4], "little") for at in (8, 12))
    others = (int.from_bytes(entry[12:16], "little") for entry in entries)
    rest = data[offset : min((other for other in others if other > offset), default=len(data))]
    # Some encoders give the size of its header alone.
    content = rest if size <= 40 else data[offset : offset + size]
    return content, rest, best


def check_size(entry: bytes, width: int, height: int) -> None:
    """Hold an image's own size against that in its entry in the directory, where 0 is 256 or more.

    The height there may include the mask, as it does in a bitmap's header.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    heights = (rows & 255 for rows in (0, height, 2 * height))
    if entry[0] not in (0, width & 255) or entry[1] not in heights:
        raise Rejection(
            "corrupt_image",
            f"ICO: its image has {width} x {height} pixels, {entry[0]} x {entry[1]} in its directory.",
        )


def alone(content: bytes, rest: bytes, entry: bytes, width: int, height: int) -> bytes:
    """An icon of one bitmap.

    Parameters
    ----------
    content, rest
        The bitmap as long as the directory says, and up to the next image: a directory may say less than there is.
    entry
        What the directory says of it. The bitmap's own depth counts: the directory's is often 0, or of a cursor where it points, and
        Pillow leaves out the alpha channel then.
    width, height
        As in the bitmap's header, in pixels.

    Raises
    ------
    Rejection
        ``truncated_image``: the pixels or the mask end early; ``corrupt_image``: a colour is not in the palette, or the pixels are
        compressed, which those of icons are not.
    """
    content = _bitmap(content, rest, width, height)
    place = len(content).to_bytes(4, "little") + (22).to_bytes(4, "little")
    return b"\0\0\1\0\1\0" + entry[:6] + content[14:16] + place + content


def plain_rows(content: bytes, width: int, height: int) -> tuple[int, int, int]:
    """Of what `alone` returns: first byte of the pixels, bytes of a row, and number of rows."""
    header, bits, colours = (
        int.from_bytes(content[at : at + size], "little") for at, size in ((22, 4), (36, 2), (54, 4))
    )
    begin = 22 + header + (4 * (colours or 1 << bits) if bits <= 8 else 0)
    return begin, (width * bits + 31) // 32 * 4, height


def _bitmap(content: bytes, rest: bytes, width: int, height: int) -> bytes:
    """A bitmap up to the end of its mask, from where Pillow reads that; Pillow writes masks without filling their rows."""
    header, bits, compression, colours = (
        int.from_bytes(content[at : at + size], "little") for at, size in ((0, 4), (14, 2), (16, 4), (32, 4))
    )
    if compression not in (_PLAIN, _BIT_FIELDS):
        raise Rejection("corrupt_image", f"ICO: its bitmap has compression {compression}.")
    pixels = (width * bits + 31) // 32 * 4 * height
    filled, short = (width + 31) // 32 * 4, (width + 7) // 8
    if bits <= 8:
        begin = header + 4 * (colours or 1 << bits) + pixels
    else:
        begin, palette = header + pixels, 4 * colours
        spare = len(content) - begin
        if compression == _PLAIN and palette <= spare - short * height and spare != filled * height:
            # Colours for displays that have few stand before the pixels, and Pillow does not leave them out.
            content, rest = (
                some[:32] + bytes(4) + some[36:header] + some[header + palette :] for some in (content, rest)
            )
    if len(content) < begin + short * height:
        content = rest[: begin + filled * height]
    if len(content) < begin:
        raise Rejection("truncated_image", "ICO: its pixels end early.")
    if bits in (1, 4, 8) and colours:
        indices = content[begin - pixels : begin]
        form = ("raw", "P" if bits == 8 else f"P;{bits}", pixels // height)
        pixel_values.check_highest(Image.frombytes("P", (width, height), indices, *form), colours)
    if len(content) == begin:  # without a mask
        return content + bytes(filled * height)
    mask = content[begin : begin + filled * height]
    if bits < 32 and len(mask) < short * height:
        raise Rejection("truncated_image", "ICO: its mask ends early.")
    if len(mask) == short * height:
        mask = b"".join(mask[at : at + short].ljust(filled, b"\0") for at in range(0, len(mask), short))
    return content[:begin] + mask.ljust(filled * height, b"\0")
