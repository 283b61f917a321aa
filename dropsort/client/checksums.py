"""Whether an object in the bucket has the content of a file: by its ETag, else by the checksum that S3 stores of it.

The ETag is an MD5 digest of the content only without encryption or with that of the bucket (SSE-S3), and depends on how an upload is cut
into parts. With a key of KMS or of the customer it is something else: then the checksum counts, which S3 has of every upload.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 * 1024 * 1024  # of our own uploads; larger files go in parts


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 as `hashlib` has its digests."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        """Add data."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, the highest first."""
        return self._value.to_bytes(4, "big")


class _Reflected:
    """A reflected CRC that the standard library lacks: ten megabytes per second, for objects that other programs uploaded."""

    polynomial, size = 0, 0
    _tables: dict[int, list[int]] = {}  # noqa: RUF012 - shared by all

    def __init__(self) -> None:
        self._ones = (1 << 8 * self.size) - 1
        self._value = self._ones
        if self.polynomial not in self._tables:
            self._tables[self.polynomial] = [self._entry(byte) for byte in range(256)]

    def _entry(self, value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (self.polynomial if value & 1 else 0)
        return value

    def update(self, data: bytes, /) -> None:
        """Add data."""
        value, table = self._value, self._tables[self.polynomial]
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ value >> 8
        self._value = value

    def digest(self) -> bytes:
        """Its bytes, the highest first."""
        return (self._value ^ self._ones).to_bytes(self.size, "big")


class Crc32c(_Reflected):
    """CRC-32C (Castagnoli)."""

    polynomial, size = 0x82F63B78, 4


class Crc64nvme(_Reflected):
    """CRC-64/NVME, which the AWS CLI sends."""

    polynomial, size = 0x9A6C9329AC4BC9B5, 8


# By the name of the member in S3's responses, the fastest first.
ALGORITHMS: dict[str, Callable[[], _Hash]] = {
    "ChecksumCRC32": Crc32,
    "ChecksumSHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumCRC32C": Crc32c,
    "ChecksumCRC64NVME": Crc64nvme,
}


def is_same(s3: S3Client, bucket: str, key: str, etag: str, path: Path, size: int) -> bool:
    """Whether the object at `key`, of this ETag and of the size of the file, has the content of the file.

    One HEAD request if the ETag differs. An object without a checksum that can be compared counts as another one.

    Parameters
    ----------
    size
        Of the file, in bytes; the object has the same.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if etag == _etag(path, size):
        return True
    try:
        head: dict[str, Any] = dict(s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    # It is gone, or encrypted with a key of the customer: the upload shows what is wrong, if anything.
    except s3.exceptions.ClientError:
        return False
    if head["ContentLength"] != size or head["ETag"].strip('"') != etag:
        return False
    for name, algorithm in ALGORITHMS.items():
        if expected := head.get(name):
            return _equals(str(expected), algorithm, path)
    return False


def _equals(expected: str, algorithm: Callable[[], _Hash], path: Path) -> bool:
    """Whether a checksum is that of the file: of all of it, or of the checksums of parts, as many as it names after a hyphen."""
    value, composite, count = expected.partition("-")
    parts = [_digest(algorithm, [block]) for block in _blocks(path, PART_BYTES)] if composite else []
    if composite and count != str(len(parts)):
        return False  # cut into other parts
    found = _digest(algorithm, parts if composite else _blocks(path, 1024 * 1024))
    return value == base64.b64encode(found).decode()


def _digest(algorithm: Callable[[], _Hash], blocks: Any) -> bytes:
    made = algorithm()
    for block in blocks:
        made.update(block)
    return made.digest()


def _etag(path: Path, size: int) -> str:
    """The ETag that S3 gives this content, unless a key of KMS or of the customer encrypts it, when `drop` uploads it."""
    parts = [hashlib.md5(block, usedforsecurity=False).digest() for block in _blocks(path, PART_BYTES)]
    if size < PART_BYTES:
        return (parts[0] if parts else hashlib.md5(b"", usedforsecurity=False).digest()).hex()
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _blocks(path: Path, length: int) -> Iterator[bytes]:
    with path.open("rb") as body:
        while block := body.read(length):
            yield block
