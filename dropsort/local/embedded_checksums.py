"""Checksums in the embedded AWS, checked as S3 checks them; part of its process (`dropsort.local.emulator`).

It compares the checksums of objects and parts with their content, but takes a value that can be none for a wrong one, and does not
compare those of a deletion of several objects. The version is pinned, and tests fail where it no longer has what is patched here.
"""

from __future__ import annotations

import base64
import binascii
from importlib import import_module
from typing import Any

SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}  # bytes
PREFIX = "x-amz-checksum-"


def invalid(headers: dict[str, str]) -> str:
    """The header whose value is not a checksum of its kind; "" if there is none.

    Examples
    --------
    >>> invalid({"x-amz-checksum-crc32": "AAAAAA=="}), invalid({"x-amz-checksum-crc32": "AAAA"})
    ('', 'x-amz-checksum-crc32')
    """
    for kind, size in SIZES.items():
        value = headers.get(PREFIX + kind)
        if value is None:
            continue
        try:
            digest = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return PREFIX + kind
        if len(digest) != size:
            return PREFIX + kind
    return ""


def patch() -> None:
    """Patch both, before the embedded AWS serves."""
    s3: Any = import_module("ministack.services.s3")
    resolve, delete = s3._resolve_object_checksums, s3._delete_objects

    def resolved(body: bytes, headers: dict[str, str]) -> Any:
        if name := invalid(headers):
            return {}, s3._error("InvalidRequest", f"Value for {name} header is invalid.", 400)
        return resolve(body, headers)

    def checked(bucket_name: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        given = headers or {}
        fault = s3._validate_content_md5(given, body) or resolved(body, given)[1]
        return fault or delete(bucket_name, body, headers)

    s3._resolve_object_checksums, s3._delete_objects = resolved, checked
