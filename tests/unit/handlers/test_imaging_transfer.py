"""What happened to a file that is no image: text and documents by their bounds, encodings, converted line ends, packing."""

from __future__ import annotations

import base64
import codecs

import pytest

from handlers.imaging import foreign
from tests.unit.handlers.sample_images import drawn, encoded

PNG = encoded(drawn(), "PNG")
ENCODED = (
    "It passed through a text encoding such as UTF-8, which replaced bytes for good: upload the original as binary data "
    "(API Gateway needs binary media types, FTP its binary mode)."
)
LINE_ENDS = (
    "Its line ends were converted as if it were text, which changes an image for good: upload the original as binary data "
    "(FTP in binary mode, Git with *.jpg marked binary)."
)
UTF_16 = "It is encoded as UTF-16 text: upload the original as binary data."
SVG = "It is SVG, which is drawn and not decoded."
JSON = "It is JSON: upload the image itself, not the response or document that describes it."
XML = "It is an XML document, as storage services send for an error: download the image again."
MAIL = "It is an e-mail message or a part of one: save the attachment and upload that."
FORM = "It is the body of a multipart form (form-data), with the file inside: store only the part's content."
LFS = "It is a pointer of Git LFS and not the file: run `git lfs pull` and upload what it fetches."
ANNEX = "It is a pointer of git-annex and not the file: run `git annex get` and upload what it fetches."
PEM = "It is text between BEGIN and END lines (PEM or PGP): decode it before uploading."
URI = "It is a data URI: upload the bytes that its base64 part decodes to."
ESCAPES = "It is image data written as a string with escapes: upload the bytes themselves."
DIGITS = "It is image data written as hexadecimal digits: upload the bytes themselves."
BASE64 = "It is image data in base64: decode it before uploading."
UUENCODED = "It is uuencoded: decode it before uploading."
ZEROS = "It has nothing but zero bytes: the upload was not written. Upload it again."


def page(title: str = "") -> str:
    return f"It is an HTML page{title}, as servers send for an error or a login: download the image again."


def begins(data: bytes, text: str = "It is text. ") -> str:
    return f"{text}It begins with {data[:16]!r}."


def found(data: bytes) -> str:
    """What a rejection reports after its first sentence."""
    refused = foreign.rejection(data)
    return str(refused).removeprefix(str(type(refused)(refused.code))).strip()


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<SVG width='1'/>", SVG),
        (MARK + b" \n<svg/>", SVG),
        *((start + b" x -->".ljust(1020 - len(start)) + b"<svg", SVG) for start in (b"<?xml", b"<!--", b"<!DOCTYPE svg")),
        (b"<?xml ".ljust(1021) + b"<svg", XML),
        (b"<!DOCTYPE svg>", begins(b"<!DOCTYPE svg>", "")),
        (b"<div><svg/></div>    ", begins(b"<div><svg/></div>")),
        (b"version https://git-lfs.github.com/spec/v1\n", LFS),
        (b"x" * 186 + b"annex/objects/Xk", ANNEX),
        (b"x" * 187 + b"annex/objects/Xk", begins(b"x" * 16)),
        (b"--X\r\nContent-Disposition: form-data\r\n\r\n", FORM),
        (b"--X\r\nContent-Type: image/jpeg\r\n", begins(b"--X\r\nContent-Typ")),
        (b"Content-Disposition: form-data\r\n", begins(b"Content-Disposition")),
        (b"X: y\nContent-Transfer-Encoding: base64\n", MAIL),
        (b"MIME-Version: 1.0\n", MAIL),
        (b"Received: from a\n", MAIL),
        (b"X: y\nMIME-Version: 1.0\nReceived: z", begins(b"X: y\nMIME-Versio")),
        *((start + b" lang=en>", page()) for start in (b"<!DOCTYPE html", b"<html", b"<HEAD", b"<body")),
        (b"<Error><Code>NoSuchKey</Code>", XML),
        (b"<?xml version='1.0'?><Error/>", XML),
        (b'{"a": 1}', JSON),
        (b"{}", JSON),
        (b"[{}]", JSON),
        (b'[{"a": 1}]', JSON),
        (b'[ {"a": 1}]     ', begins(b'[ {"a": 1}]     ')),
        (b"{" + b" \r\n\t" * 4 + b'  "', JSON),
        (b"{" + b" \r\n\t" * 4 + b'   "', begins(b"{ \r\n\t \r\n\t \r\n\t \r\n\t")),
        (b"{ x: 1 }            ", begins(b"{ x: 1 }        ")),
        (b"[1, 2]              ", begins(b"[1, 2]          ")),
        (b"-----BEGIN PGP MESSAGE-----\n", PEM),
        (b"------BEGIN of a list     ", begins(b"------BEGIN of a")),
        (b"begin 644 a.jpg\nM", UUENCODED),
        (b"begin ".ljust(199) + b"\n", UUENCODED),
        (b"begin ".ljust(200) + b"\n", begins(b"begin ".ljust(16))),
        (b"beginning of text\n", begins(b"beginning of tex")),
        (b"DATA:image/png;base64,", URI),
        (MARK + b"  data:,x", URI),
        (b"dat a: is missing ", begins(b"dat a: is missing")),
        (bytes(1), ZEROS),
        (bytes(70_000), ZEROS),
        (bytes(40) + b"\1", begins(bytes(16), "")),
    ],
)  # fmt: skip
def test_documents_and_text(data: bytes, expected: str) -> None:
    assert found(data) == expected
    assert foreign.rejection(data).code == ("unsupported_format" if expected == SVG else "not_an_image")


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        (b"a line of 16 b.\n", True),
        (b"a line of 15 b\n", False),
        (b"tab\t feed\f line\r\n", True),
        (b"a line with a \x1b..", False),
        (b"a line with a \x7f..", False),
        (b"a line with a \x80..", False),
        (b"x" * 4096 + b"\0", True),
        (b"x" * 4095 + b"\0", False),
    ],
)
def test_what_is_text(data: bytes, is_text: bool) -> None:
    assert found(data) == begins(data, "It is text. " if is_text else "")


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (b"<TITLE lang=en> 404\n Not  Found </title>", ' titled "404 Not Found"'),
        (b"<title></title>", ""),
        (b"<title>  </title>", ""),
        (b"<title>\x1b[2J</title>", ""),
        (b"<title>a\xffb</title>", ' titled "a\ufffdb"'),
        (b"<title>" + b"y" * 99, f' titled "{"y" * 80}"'),
        (b"x" * (8192 - 6 - 8) + b"<title>z", ' titled "z"'),
        (b"x" * (8192 - 6 - 7) + b"<title>z", ""),
        (b"<p>none</p>", ""),
    ],
)
def test_the_title_of_a_page(content: bytes, title: str) -> None:
    assert found(b"<html>" + content) == page(title)


REPLACED = "\ufffd".encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x02" + REPLACED * 3, True),
        (b"\x02" + REPLACED * 2, False),
        (b"\x02" * (65536 - 9) + REPLACED * 3, True),
        (b"\x02" * (65536 - 8) + REPLACED * 3, False),
        *((start.decode(encoding).encode() + b"\x02", True) for encoding in ("latin-1", "cp1252")
          for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")),
        (b"BM" + b"\x02" * 30, False),
        (b"\xff\xd8".decode("latin-1").encode() + b"\x02" * 30, False),
    ],
)  # fmt: skip
def test_a_text_encoding(data: bytes, expected: bool) -> None:
    assert found(data) == (ENCODED if expected else begins(data, ""))


STARTS = (
    b"\xff\xd8\xff\xe0", PNG[:20], b"GIF87a", b"GIF89a", b"RIFF\x1a\2\0\0WEBPVP8 ", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08",
    b"BM\x36\x10\0\0", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\0\0\1\0\1\0\x10\x10", b"qoif\0\0\2\x80",
)  # fmt: skip


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("start", STARTS)
def test_utf_16_without_a_mark(start: bytes, order: str) -> None:
    data = (start + bytes(range(1, 40))).decode("latin-1").encode(order)
    assert found(data) == UTF_16
    assert found(data[1:] + b"\2") in (UTF_16, begins(data[1:], ""))
    other = b"\x02" + data[1:]
    assert found(other) == begins(other, "")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (codecs.BOM_UTF16_LE + bytes(15), UTF_16),
        (codecs.BOM_UTF16_BE + bytes(15), UTF_16),
        (codecs.BOM_UTF16_LE + bytes(14), begins(codecs.BOM_UTF16_LE + bytes(14), "")),
        (b"\0a" * 8, begins(b"\0a" * 8, "")),
        (b"\0a" * 8 + b"\0", UTF_16),
        (b"a\0" * 9, UTF_16),
        (b"a\0" * 32 + b"ab", UTF_16),
        (b"\0a" * 32 + b"ab", UTF_16),
        (b"a\0" * 32 + b"\1\0", UTF_16),
        (b"a\0" * 31 + b"\1\0", begins(b"a\0" * 8, "")),
        (b"a\0" * 31 + b"ab", begins(b"a\0" * 8, "")),
        (b"\0a" * 31 + b"ba", begins(b"\0a" * 8, "")),
        (b"a\0b\1" * 9, begins(b"a\0b\1" * 4, "")),
        (b"a\0\0" * 9, begins(b"a\0\0" * 6, "")),
        (b"aa\0" * 9, begins(b"aa\0" * 6, "")),
    ],
)
def test_utf_16_text_by_its_mark_or_its_first_64_bytes(data: bytes, expected: str) -> None:
    assert found(data) == expected


@pytest.mark.parametrize(
    "start",
    [
        PNG.replace(b"\r\n", b"\n"),  # to Unix
        PNG.replace(b"\n", b"\r\n"),  # to Windows, whatever was before
        PNG.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        PNG.replace(b"\n", b"\r"),  # to old Macs
        PNG.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
        bytes(value & 0x7F for value in PNG),  # seven bits
    ],
)
def test_converted_line_ends_of_png(start: bytes) -> None:
    assert found(start[:11]) == LINE_ENDS
    assert found(start[:4] + b"\x02" + start[5:11]) == begins(start[:4] + b"\x02" + start[5:11], "")


@pytest.mark.parametrize("start", [*STARTS, b"\0\0\0\x20ftypavif\0\0\0\0"])
def test_image_data_written_as_text(start: bytes) -> None:
    data = start + bytes(range(20))
    text = base64.b64encode(data)
    for quotes in (b"%b", b'"%b"', b"'%b'", b"b'%b'", b'b"%b"', b" %b\n", MARK + b"%b"):
        assert found(quotes % text) == BASE64
    assert found(text[:20] + b"\r\n" + text[20:]) == BASE64
    assert found(base64.urlsafe_b64encode(data)) == BASE64
    for length in range(16, len(text)):
        assert found(text[:length]) == BASE64 or length < 4 * len(start) / 3 + 4
    assert found(data.hex().encode()) == DIGITS
    assert found(b"0x" + data.hex().upper().encode()) == DIGITS
    assert found(b"'" + data.hex().encode() + b"'") == DIGITS
    assert found((data + bytes(1)).hex().encode()[:-1]) == DIGITS
    assert found(b"\2" + text) == begins(b"\2" + text, "")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (base64.b64encode(b"GIF89a" + bytes(6)), BASE64),
        (base64.b64encode(b"GIF89a" + bytes(6))[:15], begins(base64.b64encode(b"GIF89a" + bytes(6))[:15], "")),
        (base64.b64encode(b"\0\0\0\x0cjP  \r\n\x87\n"), BASE64),
        (base64.b64encode(b"no image at all, really"), begins(base64.b64encode(b"no image at all"))),
        (base64.b64encode(b"GIF89a" + bytes(10)), BASE64),  # with signs of equality at its end
        (base64.b64encode(b"GIF89a" + bytes(10)) + b"=", begins(base64.b64encode(b"GIF89a" + bytes(10)))),
        (b"GIF89a".hex().encode().ljust(31, b"0"), begins(b"GIF89a".hex().encode().ljust(16, b"0"))),
        (b"GIF89a".hex().encode().ljust(32, b"0"), DIGITS),
        (b"no image at all.".hex().encode(), begins(b"no image at all.".hex().encode())),
        (b"x" + b"GIF89a".hex().encode().ljust(32, b"0"), begins(b"x" + b"GIF89a".hex().encode().ljust(32, b"0"))),
        *((quote + rb"\xff\xd8\xff\xe0", ESCAPES) for quote in (b'"', b"'", b"b'", b'b"')),
        (rb'"\u00ff\u00d8\u00ff"', ESCAPES),
        (b'"'.ljust(62, b"~") + rb"\xff\xd8", ESCAPES),
        (b'"'.ljust(63, b"~") + rb"\xff\xd8", begins(b'"'.ljust(63, b"~"))),
        (b'"'.ljust(60, b"~") + rb"\u00ff", ESCAPES),
        (b'"'.ljust(61, b"~") + rb"\u00ff", begins(b'"'.ljust(63, b"~"))),
        (rb"\xff\xd8\xff\xe0 and more", begins(rb"\xff\xd8\xff\xe0 and more")),
        (b"   " + b'"' + rb"\xff", ESCAPES),
    ],
)  # fmt: skip
def test_text_that_may_be_image_data(data: bytes, expected: str) -> None:
    assert found(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (REPLACED * 9, ENCODED),
        (REPLACED * 8, ""),
        (REPLACED * 21 + bytes(4063 - 63 + 136 - 1), ENCODED),  # one of 200 bytes
        (REPLACED * 20 + bytes(4000 - 60), ""),
        (REPLACED * 21 + bytes(4200 - 63), ""),
        (b"\r\n" * 8, LINE_ENDS),
        (b"\r\n" * 7, ""),
        (b"\r\n" * 8 + b"\n", ""),
        (b"\n" * 2500, LINE_ENDS),
        (b"\n" * 2499, ""),
        (b"\n" * 2500 + b"\r\n", ""),
        (b"\n" * 8, ""),
        (b"", ""),
    ],
)
def test_what_may_have_damaged_an_image(data: bytes, expected: str) -> None:
    assert foreign.explain_damage(data) == expected


def test_rejections_of_what_begins_as_an_image() -> None:
    for refused, code, expected in (
        (foreign.of_encoded(), "not_an_image", ENCODED),
        (foreign.of_line_ends(), "corrupt_image", LINE_ENDS),
    ):
        assert refused.code == code
        assert str(refused).endswith(expected)
