"""Keys in a listing of versions are encoded, so that any of them can be read."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from dropsort.local.embedded_listing import encode

KEY = "incoming/a\x1b[31m\n\x9b é+%2B &<>/b.jpg"


def test_every_key_survives_xml() -> None:
    root = Element("ListVersionsResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    SubElement(root, "NextKeyMarker").text = KEY
    version = SubElement(root, "Version")
    SubElement(version, "Key").text = KEY
    SubElement(version, "ETag").text = '"a b"'
    encode(root)
    read = fromstring(tostring(root))
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in read.iter()}
    assert (unquote(found["Key"]), unquote(found["NextKeyMarker"])) == (KEY, KEY)
    assert found["Key"].startswith("incoming/a%1B")  # with slashes, as S3 has them
    assert (found["ETag"], found["EncodingType"]) == ('"a b"', "url")
