"""Contents are compared by checksums where the ETag is not an MD5 digest of ours."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from dropsort.client import files
from dropsort.client.checksums import ALGORITHMS, PART_BYTES, is_same
from dropsort.client.drop import drop
from tests.unit.client.conftest import BUCKET

KEY = "incoming/large.jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ChecksumCRC32", "cbf43926"),
        ("ChecksumCRC32C", "e3069283"),
        ("ChecksumCRC64NVME", "ae8b14860a799888"),
        ("ChecksumSHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    ],
)
def test_published_check_values(name: str, expected: str) -> None:
    made = ALGORITHMS[name]()
    for part in (b"1234", b"", b"56789"):
        made.update(part)
    assert made.digest().hex() == expected


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_an_object_whose_etag_is_another_is_recognised_by_its_checksum(
    s3: Any, tmp_path: Path, algorithm: str
) -> None:
    # GIVEN a file that another program uploaded in one piece, where drop makes two parts: the ETag says nothing
    path = tmp_path / "large.jpg"
    path.write_bytes(b"\x01" * (PART_BYTES + 7))
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=path.read_bytes(), ChecksumAlgorithm=algorithm)
    found = files.walk([tmp_path]).files
    # THEN it is not uploaded again
    assert not any(item.fresh for item in drop(s3, BUCKET, found))
    # WHEN the file has changed, at the same size THEN it is
    path.write_bytes(b"\x01" * (PART_BYTES + 6) + b"\x02")
    assert all(item.fresh for item in drop(s3, BUCKET, found))


class Encrypted:
    """S3 as it responds about an object that a key of KMS encrypts: an ETag that is not an MD5, and the checksum of the upload."""

    def __init__(self, **members: str) -> None:
        self.members = members

    def head_object(self, **_: Any) -> dict[str, Any]:
        return {"ContentLength": 9, "ETag": '"0123456789abcdef0123456789abcdef"', **self.members}


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("parts", ["", "-1"])
def test_every_checksum_that_s3_stores_is_compared(tmp_path: Path, name: str, parts: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"123456789")
    whole = ALGORITHMS[name]()
    whole.update(b"123456789")
    digest = whole.digest()
    if parts:
        of_parts = ALGORITHMS[name]()
        of_parts.update(digest)
        digest = of_parts.digest()
    right: Any = Encrypted(**{name: base64.b64encode(digest).decode() + parts})
    etag = "0123456789abcdef0123456789abcdef"
    assert is_same(right, BUCKET, KEY, etag, path, 9)
    path.write_bytes(b"123456780")
    assert not is_same(right, BUCKET, KEY, etag, path, 9)
    # AND an object without one, or cut into other parts, may be another
    path.write_bytes(b"123456789")
    nearly = digest[:-1] + bytes([digest[-1] ^ 1])
    for other in (
        Encrypted(),
        Encrypted(**{name: base64.b64encode(digest).decode() + "-2"}),
        Encrypted(**{name: base64.b64encode(nearly).decode() + parts}),
    ):
        client: Any = other
        assert not is_same(client, BUCKET, KEY, etag, path, 9)


@pytest.mark.parametrize("changed", [{"ContentLength": 10}, {"ETag": '"another"'}])
def test_an_object_that_was_replaced_since_it_was_listed_is_another(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    path, whole = tmp_path / "a", ALGORITHMS["ChecksumCRC32"]()
    path.write_bytes(b"123456789")
    whole.update(b"123456789")
    checksum = {"ChecksumCRC32": base64.b64encode(whole.digest()).decode()}
    now: Any = Encrypted(**checksum, **changed)
    assert not is_same(now, BUCKET, KEY, "0123456789abcdef0123456789abcdef", path, 9)


def test_an_object_that_cannot_be_read_is_another(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert not is_same(s3, BUCKET, KEY, "e", tmp_path / "a", 1)


def test_what_earlier_versions_uploaded_in_parts_is_recognised() -> None:
    assert PART_BYTES == 8 * 1024 * 1024, "with other parts every large upload would have another ETag"


def test_an_upload_of_ours_is_recognised_by_its_etag_alone(tmp_path: Path) -> None:
    never: Any = None  # nothing is requested
    path = tmp_path / "a"
    path.write_bytes(b"123456789")
    assert is_same(never, BUCKET, KEY, "25f9e794323b453885f5181f1b624d0b", path, 9)
    # AND one that is as large as a part is uploaded in parts, if only in one
    path.write_bytes(bytes(PART_BYTES))
    part = hashlib.md5(bytes(PART_BYTES), usedforsecurity=False).digest()
    etag = f"{hashlib.md5(part, usedforsecurity=False).hexdigest()}-1"
    assert is_same(never, BUCKET, KEY, etag, path, PART_BYTES)


def test_an_empty_object_is_that_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    never: Any = None  # nothing is requested
    assert is_same(never, BUCKET, KEY, "d41d8cd98f00b204e9800998ecf8427e", tmp_path / "a", 0)
