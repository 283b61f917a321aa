"""What bytes are that do not begin as an image that is read here: a known format, or an image that was damaged in transfer.

Imported only when there is something to name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from handlers.rejections import Rejection

_IMAGE_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
    b"BM",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
    b"\0\0\1\0",
    b"qoif",
)

# Formats that are known by their first bytes and not read.
_KNOWN = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"%PDF-", "PDF, a document"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"IIRO", "a camera raw file (Olympus ORF)"),
    (b"IIRS", "a camera raw file (Olympus ORF)"),
    (b"MMOR", "a camera raw file (Olympus ORF)"),
    (b"IIU\0", "a camera raw file (Panasonic RW2)"),
    (b"FUJIFILMCCD-RAW", "a camera raw file (Fujifilm RAF)"),
    (b"FOVb", "a camera raw file (Sigma X3F)"),
    (b"\0MRM", "a camera raw file (Minolta MRW)"),
    (b"II\x1a\0\0\0HEAPCCDR", "a camera raw file (Canon CRW)"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"v/1\x01", "OpenEXR"),
    (b"qoif", "QOI"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"DDS ", "DDS"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"AT&TFORM", "DjVu"),
    (b"\x01\xda", "an SGI image"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"P7\n", "PAM"),
    (b"P7 332", "a thumbnail of XV"),
    (b"BLP1", "a BLP texture"),
    (b"BLP2", "a BLP texture"),
    (b"FTEX", "a FTEX texture"),
    (b"\xb1h\xde:", "DCX"),
    (b"DanM", "an MSP image"),
    (b"LinS", "an MSP image"),
    (b"Image type: ", "an IFUNC image (IM)"),
    (b"#define ", "XBM, or the source of a program"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
    (b"/* XPM */", "XPM"),
    (b"farbfeld", "farbfeld"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
    (b"Y\xa6j\x95", "a Sun raster image"),
    (b"\xabKTX", "a KTX texture"),
    (b"\x8aMNG", "MNG, an animation"),
    (b"\x8bJNG", "JNG"),
    (b"\x97JB2", "JBIG2"),
    (b"\xff\x10\xff\x50", "JPEG XS"),
    (b"PVR\x03", "a PVR texture"),
    (b"VTF\0", "a VTF texture"),
    (b"\x13\xab\xa1\x5c", "an ASTC texture"),
    (b"CWS", "a Flash animation (SWF)"),
    (b"FWS", "a Flash animation (SWF)"),
    (b"\x1aE\xdf\xa3", "video (Matroska or WebM)"),
    (b"FLV\x01", "video (Flash)"),
    (b"\0\0\1\xba", "video (MPEG)"),
    (b"\0\0\1\xb3", "video (MPEG)"),
    (b"0&\xb2u\x8ef\xcf\x11", "video (Windows Media)"),
)

_VIDEO_BRANDS = (
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"qt  ",
    b"M4V ",
    b"3gp",
    b"3g2",
    b"dash",
    b"MSNV",
    b"mmp4",
    b"f4v ",
    b"XAVC",
)

_PACKED = (
    (b"\x1f\x8b", "It is compressed with gzip: decompress it before uploading."),
    (b"PK\x03\x04", "It is a ZIP archive, or a document that is one: unpack it and upload the images."),
    (b"PK\x05\x06", "It is an empty ZIP archive: unpack archives and upload the images."),
    (b"7z\xbc\xaf\x27\x1c", "It is a 7-Zip archive: unpack it and upload the images."),
    (b"Rar!\x1a\x07", "It is a RAR archive: unpack it and upload the images."),
    (b"BZh", "It is compressed with bzip2: decompress it before uploading."),
    (b"\xfd7zXZ\0", "It is compressed with xz: decompress it before uploading."),
    (b"\x28\xb5\x2f\xfd", "It is compressed with Zstandard: decompress it before uploading."),
)

# Files of other kinds.
_NO_IMAGES = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an OLE file, such as an old Office document, Thumbs.db or FlashPix",
    ),
    (b"ID3", "audio (MP3)"),
    (b"fLaC", "audio (FLAC)"),
    (b"OggS", "audio or video (Ogg)"),
    (b"MZ", "a program (Windows)"),
    (b"\x7fELF", "a program (Linux)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "HDF5, an array of values"),
    (b"CDF\1", "NetCDF, an array of values"),
    (b"CDF\2", "NetCDF, an array of values"),
    (b"\x93NUMPY", "NumPy, an array of values"),
    (b"GRIB", "GRIB, meteorological values"),
    (b"PAR1", "Parquet, a table"),
)

_ENCODED = (
    "It passed through a text encoding such as UTF-8, which replaced bytes for good: upload the original as binary data "
    "(API Gateway needs binary media types, FTP its binary mode)."
)
_NOT_TEXT = re.compile(rb"[^\t\n\f\r -~]")
_UTF_16 = "It is encoded as UTF-16 text: upload the original as binary data."
_CONVERTED_PNG = (
    b"\x89PNG\n\x1a\n",
    b"\x89PNG\r\r\n\x1a\r\n",
    b"\x89PNG\r\x1a\r",
    b"\x89PNG\r\n\x1a\r\n",
    b"\x89PNG\r\r\x1a\r",
    b"\x09PNG\r\n\x1a\n",
)
_LINE_ENDS = (
    "Its line ends were converted as if it were text, which changes an image for good: upload the original as binary data "
    "(FTP in binary mode, Git with *.jpg marked binary)."
)


def rejection(data: bytes) -> Rejection:
    """The rejection that says what `data` is: ``unsupported_format`` or ``not_an_image``."""
    for name in (_known, _boxes, _markup):
        if found := name(data):
            return Rejection("unsupported_format", f"It is {found}.")
    happened: tuple[Callable[[bytes], str | None], ...] = (
        _packed, _document, _encoded, _line_ends, _as_text, _other_file,
    )  # fmt: skip
    for tell in happened:
        if found := tell(data):
            return Rejection("not_an_image", found)
    if not data.strip(b"\0"):
        return Rejection(
            "not_an_image", "It has nothing but zero bytes: the upload was not written. Upload it again."
        )
    text = "It is text. " if len(data) >= 16 and not _NOT_TEXT.search(data[:4096]) else ""
    return Rejection("not_an_image", f"{text}It begins with {data[:16]!r}.")


def of_encoded() -> Rejection:
    """The rejection of image data that was decoded and encoded as text."""
    return Rejection("not_an_image", _ENCODED)


def explain_damage(data: bytes) -> str:
    """What may have damaged a file whose beginning is an image's, as a sentence; empty if nothing shows it."""
    if data.count(b"\xef\xbf\xbd") > max(8, len(data) // 200):
        return _ENCODED
    feeds, pairs = data.count(b"\n"), data.count(b"\r\n")
    # Of random bytes, every 256th line feed follows a carriage return.
    return _LINE_ENDS if (feeds >= 8 and pairs == feeds) or (feeds >= 2500 and not pairs) else ""


def of_line_ends() -> Rejection:
    """The rejection of image data whose line feeds became pairs with a carriage return."""
    return Rejection("corrupt_image", _LINE_ENDS)


def _known(data: bytes) -> str | None:
    for start, name in _KNOWN:
        if data.startswith(start):
            return name
    if data[40:44] == b" EMF" and data.startswith(b"\1\0\0\0"):
        return "EMF"
    if data[2048:2055] == b"PCD_IPI":
        return "PCD, of a Kodak disc"
    if data.startswith(b"FORM") and data[8:12] in (b"ILBM", b"PBM "):
        return "an Amiga image (ILBM)"
    if data[:4] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0") and data[12:14] == b"\1\0":
        return "a bitmap without the header of its file (DIB)"
    if data[128:132] == b"DICM":
        return "a DICOM image"
    if data[4:6] in (b"\x11\xaf", b"\x12\xaf") and data[12:14] == b"\x08\0":
        return "a FLI or FLC animation"
    if _is_tga(data):
        return "TGA"
    if data.startswith(b"RIFF") and data[8:12] == b"AVI ":
        return "video (AVI)"
    if (
        data.startswith(b"\x0a")
        and data[1:2] in b"\0\2\3\4\5"
        and data[2:3] == b"\1"
        and data[3:4] in b"\1\2\4\x08"
    ):
        return "PCX"
    return None


def _is_tga(data: bytes) -> bool:
    """By its footer; older files have none, and a header of few values that text does not have."""
    if data[-18:] == b"TRUEVISION-XFILE.\0":
        return True
    colours, kind, depth = data[1:2], data[2:3], data[16:17]
    sized = len(data) > 18 and data[12:14] != b"\0\0" and data[14:16] != b"\0\0"
    plain = data[3:7] + data[8:12] == bytes(8) if colours == b"\0" else data[7:8] in b"\x0f\x10\x18\x20"
    known = kind in b"\1\2\3\x09\x0a\x0b" and depth in b"\x08\x0f\x10\x18\x20" and colours in b"\0\1"
    return sized and plain and known


def _boxes(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand == b"crx ":
            return "a camera raw file (Canon CR3)"
        if brand.startswith(_VIDEO_BRANDS):
            return "video (MP4 or QuickTime)"
        if brand == b"jxl ":
            return "JPEG XL"
        return f"a file of ISO media boxes with the brand {brand!r}"
    if data[4:8] in (b"moov", b"mdat", b"wide") and data[:4] != b"\0\0\0\0":
        return "video (QuickTime)"
    return None


def _beginning(data: bytes) -> bytes:
    """The first bytes without white space and byte order mark, in lower case."""
    return data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def _markup(data: bytes) -> str | None:
    start = _beginning(data)
    is_svg = start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in start
    )
    return "SVG, which is drawn and not decoded" if is_svg else None


def _other_file(data: bytes) -> str | None:
    for start, name in _NO_IMAGES:
        if data.startswith(start):
            return f"It is {name}."
    if data.startswith((b"RIFF", b"FORM")) and data[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
        return "It is audio (WAV or AIFF)."
    return "It is a colour profile (ICC)." if data[36:40] == b"acsp" else None


def _packed(data: bytes) -> str | None:
    for start, sentence in _PACKED:
        if data.startswith(start):
            return sentence
    if data[257:262] == b"ustar":
        return "It is a tar archive: unpack it and upload the images."
    return None


def _document(data: bytes) -> str | None:
    start = _beginning(data)
    if start.startswith(b"version https://git-lfs.github.com/"):
        return "It is a pointer of Git LFS and not the file: run `git lfs pull` and upload what it fetches."
    if b"annex/objects/" in start[:200]:
        return (
            "It is a pointer of git-annex and not the file: run `git annex get` and upload what it fetches."
        )
    if start.startswith(b"--") and b"content-disposition:" in start:
        return "It is the body of a multipart form (form-data), with the file inside: store only the part's content."
    if b"content-transfer-encoding:" in start or start.startswith((b"mime-version:", b"received:")):
        return "It is an e-mail message or a part of one: save the attachment and upload that."
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return f"It is an HTML page{_title(data)}, as servers send for an error or a login: download the image again."
    if start.startswith((b"<?xml", b"<error")):
        return "It is an XML document, as storage services send for an error: download the image again."
    if start.startswith((b"{", b"[{")) and start[1:20].lstrip(b" \r\n\t{")[:1] in (b'"', b"}"):
        return "It is JSON: upload the image itself, not the response or document that describes it."
    if start.startswith(b"-----begin "):
        return "It is text between BEGIN and END lines (PEM or PGP): decode it before uploading."
    return None


def _title(data: bytes) -> str:
    found = re.search(rb"<title[^>]*>([^<]{1,80})", data[:8192], re.IGNORECASE)
    title = " ".join(found[1].decode(errors="replace").split()) if found else ""
    return f' titled "{title}"' if title.isprintable() and title else ""


def _encoded(data: bytes) -> str | None:
    sample = data[:65536]
    if sample.count(b"\xef\xbf\xbd") > 2:
        return _ENCODED
    # Bytes read as Latin-1 or Windows-1252 and written as UTF-8.
    for start in _IMAGE_STARTS:
        for encoding in ("latin-1", "cp1252"):
            mangled = start.decode(encoding).encode()
            if mangled != start and data.startswith(mangled):
                return _ENCODED
    return _UTF_16 if len(data) > 16 and _is_utf_16(data[:64]) else None


def _is_utf_16(start: bytes) -> bool:
    """By its mark, or as every other byte is zero and the rest is text or an image."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    first, second = start[::2], start[1::2]
    return any(
        not zeros.strip(b"\0") and (rest.startswith(_IMAGE_STARTS) or rest.decode("latin-1").isprintable())
        for rest, zeros in ((first, second), (second, first))
    )


def _begins_image(data: bytes) -> bool:
    return data.startswith(_IMAGE_STARTS) or data[4:8] == b"ftyp"


def _line_ends(data: bytes) -> str | None:
    return _LINE_ENDS if data.startswith(_CONVERTED_PNG) else None


def _as_text(data: bytes) -> str | None:
    """Image data written as text: data URI, base64, hexadecimal digits, a Python or JSON string."""
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").strip()
    if start[:5].lower() == b"data:":
        return "It is a data URI: upload the bytes that its base64 part decodes to."
    quoted = start.startswith((b'"', b"'", b"b'", b'b"'))
    if quoted and (b"\\x" in start[:64] or b"\\u00" in start[:64]):
        return "It is image data written as a string with escapes: upload the bytes themselves."
    packed = b"".join((start.strip(b"b\"'") if quoted else start).split())
    digits = packed.removeprefix(b"0x")
    if re.fullmatch(rb"[0-9a-fA-F]{32,}", digits) and _begins_image(binascii.unhexlify(digits[:32])):
        return "It is image data written as hexadecimal digits: upload the bytes themselves."
    if len(packed) >= 16 and re.fullmatch(rb"[A-Za-z0-9+/_-]+={0,2}", packed):
        usable = packed.translate(bytes.maketrans(b"-_", b"+/"))
        decoded = base64.b64decode(usable[: len(usable) // 4 * 4])
        if _begins_image(decoded):
            return "It is image data in base64: decode it before uploading."
    if data.startswith(b"begin ") and b"\n" in data[:200]:
        return "It is uuencoded: decode it before uploading."
    return None
