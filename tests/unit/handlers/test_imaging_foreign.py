"""What is not an image that is read here is named: known formats, and what happened to an image on its way."""

from __future__ import annotations

import base64
import gzip
import io
import re
import struct
import zipfile

import pytest
from PIL import Image, TiffImagePlugin

from tests.unit.handlers.sample_images import drawn, encoded, noise, prepare, rejection

JPEG = encoded(drawn(200, 150), "JPEG")
FILES = {
    "JPEG": JPEG,
    "PNG": encoded(noise(60, 40), "PNG"),
    "GIF": encoded(noise(60, 40), "GIF"),
    "WEBP": encoded(noise(60, 40), "WEBP"),
    "TIFF": encoded(noise(60, 40), "TIFF"),
    "BMP": encoded(noise(60, 40), "BMP"),
    "JPEG2000": encoded(noise(60, 40), "JPEG2000"),
    "AVIF": encoded(noise(60, 40), "AVIF", speed=10),
    "ICO": encoded(noise(60, 40), "ICO"),
}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\x00\x00\x00\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"\x00\x00\x00\x14ftypqt  \0\0\0\0qt  ", "video"),
        (b"\x1aE\xdf\xa3" + bytes(30), "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL"),
        (b"8BPS\0\1" + bytes(30), "Photoshop"),
        (b"\x00\x00\x00\x18ftypcrx \0\0\0\1crx isom", "Canon CR3"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(30), "Canon CR2"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm"),
        (b"IIU\0\x18\0\0\0" + bytes(30), "Panasonic"),
        (b"IIRO\x08\0\0\0" + bytes(30), "Olympus"),
        (b"FOVb\0\0\2\0" + bytes(30), "Sigma"),
        (bytes(128) + b"DICM", "DICOM"),
        (encoded(drawn(), "TGA"), "TGA"),
        (encoded(drawn(), "TGA")[:-26], "TGA"),
        (encoded(drawn(40, 30, "P"), "TGA", compression="tga_rle")[:-26], "TGA"),
        (b"\x0e\x42\0\0\x12\xaf\1\0\x80\0\x80\0\x08\0" + bytes(120), "FLC"),
        (b"BLP2\1\0\0\0", "BLP"),
        (b"#define a_width 8\n", "XBM"),
        (b"\x8aMNG\r\n\x1a\n", "MNG"),
        (b"CWS\n" + bytes(20), "Flash"),
        (b"\1\0\0\0" + bytes(36) + b" EMF", "EMF"),
        (bytes(2048) + b"PCD_IPI", "PCD"),
        (b"FORM\0\0\1\0ILBMBMHD", "Amiga"),
        (encoded(drawn(), "BMP")[14:], "DIB"),
    ],
)
def test_a_known_format_is_named(data: bytes, name: str) -> None:
    refused = rejection(data)
    assert refused.code == "unsupported_format"
    assert name in str(refused)
    assert "convert it" in str(refused)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(30), "Office"),
        (b"ID3\3\0" + bytes(30), "MP3"),
        (b"RIFF\xc6\x82\0\0WAVEfmt ", "WAV"),
        (b"MZP\0" + bytes(30), "program"),
        (b"\x93NUMPY\1\0v\0", "NumPy"),
        (bytes(36) + b"acsp" + bytes(90), "ICC"),
        (b"The MIT License\n\nCopyright", "It is text. It begins with b'The MIT License"),
    ],
)
def test_a_file_that_is_no_image_is_named(data: bytes, name: str) -> None:
    refused = rejection(data)
    assert refused.code == "not_an_image"
    assert name in str(refused)


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [(28, 23, "depth (23)"), (30, 4, "compression (4)"), (30, 6, "compression (6)")],
)
def test_a_kind_of_bmp_that_is_not_read_is_named(field: int, value: int, name: str) -> None:
    data = bytearray(encoded(drawn(), "BMP"))
    data[field] = value
    refused = rejection(bytes(data))
    assert refused.code == "unsupported_format"
    assert re.search(rf"It is BMP: Unsupported BMP .*{re.escape(name)}\.$", str(refused))


@pytest.mark.parametrize(
    ("marker", "name"),
    [(0xC3, "lossless JPEG"), (0xC5, "hierarchical"), (0xC9, "arithmetic"), (0xCB, "arithmetic"), (0xF7, "JPEG-LS")],
)  # fmt: skip
def test_a_kind_of_jpeg_that_is_not_read_is_named(marker: int, name: str) -> None:
    refused = rejection(JPEG.replace(b"\xff\xc0", bytes((0xFF, marker)), 1))
    assert (refused.code, name in str(refused)) == ("unsupported_format", True)


@pytest.mark.parametrize("bits", [12, 16, 2])
def test_a_jpeg_of_other_depth_is_named(bits: int) -> None:
    at = JPEG.index(b"\xff\xc0") + 4
    refused = rejection(JPEG[:at] + bytes((bits,)) + JPEG[at + 1 :])
    assert (refused.code, f"{bits}-bit" in str(refused)) == ("unsupported_format", True)


def tiff(**options: int) -> bytearray:
    return bytearray(encoded(drawn(64, 48), "TIFF", **options))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("number", "name"),
    [(6, "old-style JPEG"), (34712, "JPEG 2000"), (34887, "LERC"), (50001, "WebP"), (12345, "unknown")],
)
def test_a_compression_of_tiff_is_named(number: int, name: str, big: bool) -> None:
    data = tiff(big_tiff=big)
    at = data.index(struct.pack("<HHQ" if big else "<HHI", 259, 3, 1))
    struct.pack_into("<H", data, at + (12 if big else 8), number)
    refused = rejection(bytes(data))
    assert refused.code == "unsupported_format"
    assert f"compression {number} ({name})" in str(refused)


@pytest.mark.parametrize(
    ("photometric", "compression"), [(32803, 1), (34892, 1), (2, 34713), (2, 32767), (2, 65535)]
)
def test_a_camera_raw_file_is_named_by_its_tags(photometric: int, compression: int) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[271] = "NIKON CORPORATION"
    data = bytearray(encoded(drawn(64, 48), "TIFF", tiffinfo=tags))
    for tag, value in ((262, photometric), (259, compression)):
        struct.pack_into("<H", data, data.index(struct.pack("<HHI", tag, 3, 1)) + 8, value)
    refused = rejection(bytes(data))
    assert refused.code == "unsupported_format"
    assert re.search("camera raw file of a NIKON", str(refused))


def test_a_camera_raw_file_is_named_by_what_lies_below_its_preview() -> None:
    # GIVEN a file whose first directory is a small preview, and another below it that holds the raw values
    raw = bytearray(encoded(drawn(64, 48), "TIFF"))
    struct.pack_into("<H", raw, raw.index(struct.pack("<HHI", 262, 3, 1)) + 8, 32803)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[330] = 4
    tags[330] = 0x7FFFFFF0
    preview = bytearray(encoded(drawn(32, 24), "TIFF", tiffinfo=tags))
    begin = len(preview)
    (first,) = struct.unpack_from("<I", raw, 4)
    at = preview.index(struct.pack("<HHI", 330, 4, 1)) + 8
    struct.pack_into("<I", preview, at, begin + first)
    # Only tags that fit into their entries are read of it, so that no offset has to be moved.
    assert "camera raw" in str(rejection(bytes(preview + raw)))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
def test_bytes_that_passed_through_a_text_encoding(kind: str, encoding: str) -> None:
    refused = rejection(FILES[kind].decode(encoding, "replace").encode())
    assert "text encoding" in str(refused), refused


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_a_png_whose_line_ends_were_converted(line_end: bytes) -> None:
    refused = rejection(FILES["PNG"].replace(b"\r\n", b"\n").replace(b"\n", line_end))
    assert refused.code == "not_an_image"
    assert "line ends" in str(refused)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_bytes_that_became_more_by_line_ends(kind: str) -> None:
    options = {"speed": 10} if kind == "AVIF" else {}
    refused = rejection(encoded(noise(200, 150), kind, **options).replace(b"\n", b"\r\n"))
    assert refused.code in ("corrupt_image", "truncated_image", "unsupported_format")
    assert "line ends" in str(refused) or refused.code == "unsupported_format", refused


@pytest.mark.parametrize("order", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(order: str) -> None:
    assert "UTF-16" in str(rejection(JPEG.decode("latin-1").encode(order)))


@pytest.mark.parametrize("kind", FILES)
def test_bytes_written_as_text(kind: str) -> None:
    data = FILES[kind]
    text = base64.b64encode(data)
    for packed in (
        text,
        base64.encodebytes(data),
        base64.urlsafe_b64encode(data),
        b'"' + text + b'"',
        text[:-3],
    ):
        refused = rejection(packed)
        assert refused.code == "not_an_image"
        assert "base64" in str(refused)
    assert "data URI" in str(rejection(b"data:image/x;base64," + text))
    assert "hexadecimal" in str(rejection(data.hex().encode()))
    assert "escapes" in str(rejection(repr(data).encode()))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", JPEG)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(JPEG), "gzip"),
        (zipped(), "ZIP"),
        (b"--X\r\nContent-Disposition: form-data; name=f\r\n\r\n" + JPEG + b"\r\n--X--", "multipart"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"../.git/annex/objects/Xk/2f/SHA256E-s1--00", "git-annex"),
        (b"<!DOCTYPE html>\n<html><head><title>404 Not\nFound</title>", '"404 Not Found"'),
        (b"\n <HTML>", "HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"message": "Forbidden"}', "JSON"),
        (bytes(5000), "zero bytes"),
    ],
)
def test_what_lies_in_place_of_an_image_is_named(data: bytes, what: str) -> None:
    refused = rejection(data)
    assert refused.code == "not_an_image"
    assert what in str(refused)


def test_a_title_cannot_carry_control_characters() -> None:
    assert "\x1b" not in str(rejection(b"<html><title>\x1b[2Jx</title>"))


def test_what_pillow_reports_without_a_reason_is_reported_with_one() -> None:
    data = tiff()
    struct.pack_into("<H", data, data.index(struct.pack("<HHI", 262, 3, 1)) + 8, 9)
    refused = rejection(bytes(data))
    assert refused.code == "unsupported_format"
    assert "photometric interpretation 9" in str(refused)
    assert "0x" not in str(refused)


@pytest.mark.parametrize("fmt", ["ICO", "PPM", "JPEG2000"])
def test_formats_that_used_to_be_rejected_are_read(fmt: str) -> None:
    picture = prepare(encoded(drawn(48, 36), fmt, **({"sizes": [(48, 36)]} if fmt == "ICO" else {})))
    assert (picture.format, picture.width, picture.height) == (fmt, 48, 36)


def test_of_an_icon_the_largest_image_counts() -> None:
    data = encoded(drawn(128, 128), "ICO", sizes=[(16, 16), (128, 128), (32, 32)])
    assert (prepare(data).width, prepare(data).height) == (128, 128)
    plain = encoded(drawn(48, 48), "ICO", sizes=[(48, 48)], bitmap_format="bmp")
    assert prepare(plain).width == 48
    assert Image.open(io.BytesIO(plain)).size == (48, 48)
