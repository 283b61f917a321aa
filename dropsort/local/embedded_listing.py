"""ListObjectVersions in the embedded AWS with encoded keys; part of its process (`dropsort.local.emulator`).

Clients ask for keys that are percent-encoded, as XML cannot hold every character of a key. The embedded AWS encodes those of
ListObjectsV2 alone: one key with a control character would make every listing of versions unreadable. The version is pinned, and tests
fail where it no longer has what is patched here.
"""

from __future__ import annotations

from contextvars import ContextVar
from importlib import import_module
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

ENCODED = ("Key", "Prefix", "Delimiter", "KeyMarker", "NextKeyMarker")

_wanted: ContextVar[bool] = ContextVar("wanted", default=False)


def encode(root: Element) -> None:
    """Percent-encode the keys of a response, and say so in it."""
    for element in root.iter():
        if element.tag.rpartition("}")[2] in ENCODED and element.text:
            element.text = quote(element.text, safe="/")
    SubElement(root, "EncodingType").text = "url"


def patch() -> None:
    """Patch it, before the embedded AWS serves."""
    s3: Any = import_module("ministack.services.s3")
    listed, written = s3._list_object_versions, s3._xml_body

    def with_encoding(bucket_name: str, query_params: dict[str, Any]) -> Any:
        token = _wanted.set(s3._qp(query_params, "encoding-type", "") == "url")
        try:
            return listed(bucket_name, query_params)
        finally:
            _wanted.reset(token)

    def encoded(root: Element) -> Any:
        if _wanted.get() and root.tag.endswith("ListVersionsResult"):
            encode(root)
        return written(root)

    s3._list_object_versions, s3._xml_body = with_encoding, encoded
