"""Formats that are not read, by the first bytes that their specifications give: each of them decides, and none after them."""

from __future__ import annotations

import itertools

import pytest

from handlers.imaging import foreign

RAW = "a camera raw file "
# Bytes that decide, what follows them in a file, and the name.
FORMATS = [
    (b"\xff\x0a", b"\xfa\x1f\x01\x91\x08\x06\x01\x00", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x14ftypjxl \0\0\0\0jxl ", "JPEG XL"),
    (b"%PDF-", b"1.7\n%\xe2\xe3\xcf\xd3\n", "PDF, a document"),
    (b"%!PS", b"-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", b"\x1e\0\0\0\x10\x27\0\0", "EPS"),
    (b"8BPS", b"\0\1\0\0\0\0\0\0\0\3", "a Photoshop document (PSD)"),
    (b"IIRO", b"\x08\0\0\0", RAW + "(Olympus ORF)"),
    (b"IIRS", b"\x08\0\0\0", RAW + "(Olympus ORF)"),
    (b"MMOR", b"\0\0\0\x08", RAW + "(Olympus ORF)"),
    (b"IIU\0", b"\x18\0\0\0\x88\xe7\x74\xd8", RAW + "(Panasonic RW2)"),
    (b"FUJIFILMCCD-RAW", b" 0201FF383501", RAW + "(Fujifilm RAF)"),
    (b"FOVb", b"\0\0\2\0", RAW + "(Sigma X3F)"),
    (b"\0MRM", b"\0\1\x2c\xcc\0PRD", RAW + "(Minolta MRW)"),
    (b"II\x1a\0\0\0HEAPCCDR", b"\2\0\1\0", RAW + "(Canon CRW)"),
    (b"II\xbc\x01", b"\x20\0\0\0", "JPEG XR"),
    (b"v/1\x01", b"\2\0\0\0channels\0", "OpenEXR"),
    (b"qoif", b"\0\0\2\x80\0\0\1\xe0\3\0", "QOI"),
    (b"#?RADIANCE", b"\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR"),
    (b"#?RGBE", b"\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR"),
    (b"SIMPLE  =", b"                    T", "FITS"),
    (b"gimp xcf", b" v011\0", "a GIMP document (XCF)"),
    (b"DDS ", b"\x7c\0\0\0\7\x10\0\0", "DDS"),
    (b"icns", b"\0\0\x1d\x7bTOC ", "an Apple icon (ICNS)"),
    (b"AT&TFORM", b"\0\0\x40\0DJVU", "DjVu"),
    (b"\x01\xda", b"\1\1\0\3\2\0", "an SGI image"),
    (b"\xd7\xcd\xc6\x9a", b"\0\0\0\0\0\0\x10\x27", "WMF"),
    (b"BPG\xfb", b"\x20\0\x8e\0", "BPG"),
    (b"FLIF", b"31\0\x7f", "FLIF"),
    (b"P7\n", b"WIDTH 227\nHEIGHT 149\n", "PAM"),
    (b"P7 332", b"\n#XVVERSION:", "a thumbnail of XV"),
    (b"BLP1", b"\0\0\0\0\x08\0\0\0", "a BLP texture"),
    (b"BLP2", b"\1\0\0\0\2\x08\x08\1", "a BLP texture"),
    (b"FTEX", b"\1\0\0\0\x40\0\0\0", "a FTEX texture"),
    (b"\xb1h\xde:", b"\4\x10\0\0", "DCX"),
    (b"DanM", b"\x40\1\xc8\0", "an MSP image"),
    (b"LinS", b"\x40\1\xc8\0", "an MSP image"),
    (b"Image type: ", b"Greyscale image\r\n", "an IFUNC image (IM)"),
    (b"#define ", b"a_width 8\n", "XBM, or the source of a program"),
    (b"PF\n", b"768 512\n-1.0\n", "PFM"),
    (b"Pf\n", b"768 512\n-1.0\n", "PFM"),
    (b"/* XPM */", b"\nstatic char *x[] = {", "XPM"),
    (b"farbfeld", b"\0\0\0\x40\0\0\0\x40", "farbfeld"),
    (b"SDPX", b"\0\0\x20\0V2.0\0", "DPX"),
    (b"XPDS", b"\0\x20\0\0V2.0\0", "DPX"),
    (b"Y\xa6j\x95", b"\0\0\2\x80\0\0\1\xe0", "a Sun raster image"),
    (b"\xabKTX", b" 11\xbb\r\n\x1a\n", "a KTX texture"),
    (b"\x8aMNG", b"\r\n\x1a\n\0\0\0\x1cMHDR", "MNG, an animation"),
    (b"\x8bJNG", b"\r\n\x1a\n\0\0\0\x10JHDR", "JNG"),
    (b"\x97JB2", b"\r\n\x1a\n\1\0\0\0\1", "JBIG2"),
    (b"\xff\x10\xff\x50", b"\0\x10\0\0", "JPEG XS"),
    (b"PVR\x03", b"\0\0\0\0\7\0\0\0", "a PVR texture"),
    (b"VTF\0", b"\7\0\0\0\2\0\0\0", "a VTF texture"),
    (b"\x13\xab\xa1\x5c", b"\6\6\1\x40\0\0", "an ASTC texture"),
    (b"CWS", b"\x0a\x51\x3c\0\0\x78\xda", "a Flash animation (SWF)"),
    (b"FWS", b"\x0a\x51\x3c\0\0\x78\0", "a Flash animation (SWF)"),
    (b"\x1aE\xdf\xa3", b"\x93\x42\x82\x88matroska", "video (Matroska or WebM)"),
    (b"FLV\x01", b"\5\0\0\0\x09", "video (Flash)"),
    (b"\0\0\1\xba", b"\x44\0\4\0\4\1", "video (MPEG)"),
    (b"\0\0\1\xb3", b"\x14\0\xf0\x13", "video (MPEG)"),
    (b"0&\xb2u\x8ef\xcf\x11", b"\xa6\xd9\0\xaa\0\x62\xce\x6c", "video (Windows Media)"),
    (b"<svg", b" xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is drawn and not decoded"),
]
OTHERS = [
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16) + b"\x3e\0\3\0",
        "an OLE file, such as an old Office document, Thumbs.db or FlashPix",
    ),
    (b"ID3", b"\3\0\0\0\0\x0f\x76", "audio (MP3)"),
    (b"fLaC", b"\0\0\0\x22\x10\0", "audio (FLAC)"),
    (b"OggS", b"\0\2\0\0\0\0", "audio or video (Ogg)"),
    (b"MZ", b"\x90\0\3\0\0\0\4\0", "a program (Windows)"),
    (b"\x7fELF", b"\2\1\1\0\0\0\0\0", "a program (Linux)"),
    (b"SQLite format 3\0", b"\x10\0\1\1\0", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", b"\0\0\0\0\0\x08\x08", "HDF5, an array of values"),
    (b"CDF\1", b"\0\0\0\0\0\0\0\x0a", "NetCDF, an array of values"),
    (b"CDF\2", b"\0\0\0\0\0\0\0\x0a", "NetCDF, an array of values"),
    (b"\x93NUMPY", b"\1\0v\0{'descr': '<f8'", "NumPy, an array of values"),
    (b"GRIB", b"\0\0\0\2\0\0", "GRIB, meteorological values"),
    (b"PAR1", b"\x15\4\x15\x10\x15\x14", "Parquet, a table"),
]
PACKED = [
    (b"\x1f\x8b", b"\x08\0\0\0\0\0\0\3", "compressed with gzip: decompress it before uploading"),
    (b"PK\x03\x04", b"\x14\0\0\0\x08\0", "a ZIP archive, or a document that is one: unpack it and upload the images"),
    (b"PK\x05\x06", bytes(18), "an empty ZIP archive: unpack archives and upload the images"),
    (b"7z\xbc\xaf\x27\x1c", b"\0\4\x7d\x2e", "a 7-Zip archive: unpack it and upload the images"),
    (b"Rar!\x1a\x07", b"\1\0\x33\x92", "a RAR archive: unpack it and upload the images"),
    (b"BZh", b"91AY&SY", "compressed with bzip2: decompress it before uploading"),
    (b"\xfd7zXZ\0", b"\0\4\xe6\xd6", "compressed with xz: decompress it before uploading"),
    (b"\x28\xb5\x2f\xfd", b"\4\x58\x61\0", "compressed with Zstandard: decompress it before uploading"),
]  # fmt: skip


def reported(data: bytes) -> tuple[str, str]:
    """The code of a rejection, and what follows its first sentence."""
    found = foreign.rejection(data)
    empty = str(type(found)(found.code))
    return found.code, str(found).removeprefix(empty).strip()


@pytest.mark.parametrize(
    ("code", "start", "rest", "name"),
    [
        *(("unsupported_format", *one) for one in FORMATS),
        *(("not_an_image", *one) for one in OTHERS + PACKED),
    ],
)
def test_a_format_is_named_by_its_first_bytes(code: str, start: bytes, rest: bytes, name: str) -> None:
    expected = (code, f"It is {name}.")
    assert reported(start + rest) == expected
    assert reported(b"\x02" + start + rest) != expected
    for at in range(len(start)):
        assert reported(start[:at] + bytes((start[at] ^ 0x81,)) + start[at + 1 :] + rest) != expected, at
        assert reported(start[:at]) != expected
    for at in range(len(rest)):
        other = rest[:at] + bytes((rest[at] ^ 0x81,)) + rest[at + 1 :]
        assert reported(start + other) == expected, at


BRANDS = [
    "isom",
    "iso2",
    "iso4",
    "iso5",
    "iso6",
    "mp41",
    "mp42",
    "avc1",
    "qt  ",
    "M4V ",
    "3gp5",
    "3g2a",
    "dash",
    "MSNV",
    "mmp4",
    "f4v ",
    "XAVC",
]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        *((b"\0\0\0\x18ftyp" + brand.encode() + b"\0\0\2\0", "video (MP4 or QuickTime)") for brand in BRANDS),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a camera raw file (Canon CR3)"),
        (b"\0\0\0\x14ftypjxl \0\0\0\0", "JPEG XL"),
        (b"\0\0\0\x14ftypqt\0\0\0\0\0\0", "a file of ISO media boxes with the brand b'qt\\x00\\x00'"),
        (b"\0\0\0\x14ftypM4A \0\0\0\0", "a file of ISO media boxes with the brand b'M4A '"),
        *((size + kind + bytes(20), "video (QuickTime)") for kind in (b"moov", b"mdat", b"wide") for size in (b"\0\0\0\x08", b"\1\0\0\0")),
    ],
)  # fmt: skip
def test_files_of_boxes(data: bytes, name: str) -> None:
    assert reported(data) == ("unsupported_format", f"It is {name}.")
    assert reported(data[:4] + b"\x80" + data[5:])[0] == "not_an_image"


def test_a_box_without_a_size_is_no_video() -> None:
    for kind in (b"moov", b"mdat", b"wide"):
        assert reported(bytes(4) + kind + bytes(20))[0] == "not_an_image"
    assert reported(b"\0\0\0\x08free" + bytes(20))[0] == "not_an_image"


def parts(size: int, *places: tuple[int, bytes]) -> bytes:
    """Bytes of which some decide."""
    data = bytearray(b"\x02" * size)
    for at, value in places:
        data[at : at + len(value)] = value
    return bytes(data)


# Several places decide, by the first bytes or further within.
PLACES = [
    ("unsupported_format", "EMF", 44, [(0, b"\1\0\0\0"), (40, b" EMF")]),
    ("unsupported_format", "PCD, of a Kodak disc", 2055, [(2048, b"PCD_IPI")]),
    ("unsupported_format", "an Amiga image (ILBM)", 12, [(0, b"FORM"), (8, b"ILBM")]),
    ("unsupported_format", "an Amiga image (ILBM)", 12, [(0, b"FORM"), (8, b"PBM ")]),
    *(("unsupported_format", "a bitmap without the header of its file (DIB)", 20, [(0, bytes((size, 0, 0, 0))), (12, b"\1\0")])
      for size in (40, 108, 124)),
    ("unsupported_format", "a DICOM image", 132, [(128, b"DICM")]),
    ("unsupported_format", "a FLI or FLC animation", 14, [(4, b"\x11\xaf"), (12, b"\x08\0")]),
    ("unsupported_format", "a FLI or FLC animation", 14, [(4, b"\x12\xaf"), (12, b"\x08\0")]),
    ("unsupported_format", "video (AVI)", 12, [(0, b"RIFF"), (8, b"AVI ")]),
    ("unsupported_format", "TGA", 60, [(42, b"TRUEVISION-XFILE.\0")]),
    *(("unsupported_format", "PCX", 8, [(0, bytes((10, version, 1, bits)))]) for version in (0, 2, 3, 4, 5) for bits in (1, 2, 4, 8)),
    *(("not_an_image", "audio (WAV or AIFF)", 12, [(0, box), (8, kind)])
      for box in (b"RIFF", b"FORM") for kind in (b"WAVE", b"AIFF", b"AIFC")),
    ("not_an_image", "a colour profile (ICC)", 40, [(36, b"acsp")]),
    ("not_an_image", "a tar archive: unpack it and upload the images", 262, [(257, b"ustar")]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "name", "size", "places"), PLACES)
def test_a_format_is_named_by_bytes_in_several_places(
    code: str, name: str, size: int, places: list[tuple[int, bytes]]
) -> None:
    data = parts(size, *places)
    expected = (code, f"It is {name}.")
    assert reported(data) == expected
    if name != "TGA":  # its footer is at the end
        assert reported(data + b"\x02" * 40) == expected
    deciding = set(itertools.chain(*(range(at, at + len(value)) for at, value in places)))
    for at in range(size):
        other = data[:at] + bytes((data[at] ^ 0x80,)) + data[at + 1 :]
        assert (reported(other) == expected) == (at not in deciding), at


@pytest.mark.parametrize(
    "start",
    [
        b"\x0a\x01\x01\x08",
        b"\x0a\x06\x01\x08",
        b"\x0a\x05\x00\x08",
        b"\x0a\x05\x02\x08",
        b"\x0a\x05\x01\x03",
        b"\x0a\x05\x01\x07",
        b"\x0a\x05\x01X",
    ],
)
def test_what_is_no_pcx(start: bytes) -> None:
    assert "PCX" not in reported(start + b"\x02" * 40)[1]


def tga(kind: int = 2, *, colours: int = 0, depth: int = 24, more: bytes = b"\x02", **bytes_at: int) -> bytes:
    """A header of 18 bytes as older files have it: 3 x 5 pixels."""
    data = bytearray(18)
    data[1], data[2], data[12], data[14], data[16] = colours, kind, 3, 5, depth
    for name, value in bytes_at.items():
        data[int(name.removeprefix("at"))] = value
    return bytes(data) + more


GOOD = [
    *(tga(kind) for kind in (1, 2, 3, 9, 10, 11)),
    *(tga(depth=depth) for depth in (8, 15, 16, 24, 32)),
    *(tga(1, colours=1, depth=8, at7=depth, at5=16, at8=7, at3=1) for depth in (15, 16, 24, 32)),
    tga(at7=9), tga(at12=0, at13=1), tga(at14=0, at15=1), tga(at17=0x20), tga(at0=7),
]  # fmt: skip
BAD = [
    *(tga(kind) for kind in (0, 4, 8, 12, 32)),
    *(tga(depth=depth) for depth in (0, 1, 7, 9, 14, 17, 23, 25, 31, 33, ord("X"))),
    *(tga(1, colours=1, depth=8, at7=depth) for depth in (0, 8, 14, 17, 23, 25, 31, 33, ord("X"))),
    *(tga(1, colours=colours, depth=8, at7=24) for colours in (2, 3, ord("X"))),
    *(tga(**{f"at{at}": 1}) for at in (3, 4, 5, 6, 8, 9, 10, 11)),
    tga(at12=0), tga(at14=0), tga(more=b""),
]  # fmt: skip


def test_a_tga_without_its_footer_is_known_by_the_values_of_its_header() -> None:
    assert [data for data in GOOD if reported(data) != ("unsupported_format", "It is TGA.")] == []
    assert [data for data in BAD if "TGA" in reported(data)[1]] == []
