"""Key layout: where uploads arrive, and where each one's single result lies.

The workflow, the monitoring function and the commands all derive a result's key with `result_keys`.
"""

from __future__ import annotations

import hashlib
import re

INCOMING = "incoming/"
CLASSIFIED = "classified"
LOW_CONFIDENCE = "low-confidence"
FAILED = "failed"
OUTCOMES = (CLASSIFIED, LOW_CONFIDENCE, FAILED)
CAPTURES = "captures"  # prefix that the endpoint captures data below
MODELS = "models"  # prefix of model archives in the artifact bucket

RESULT_SCHEMA = "dropsort/result/1"  # the `schema` member of a result: docs/reference/result.schema.json

SUFFIX = ".json"
_CUT = re.compile(r"~[0-9a-f]{32}\Z")
MAX_KEY_BYTES = 1024  # of S3
_MAX_PATH_BYTES = MAX_KEY_BYTES - max(map(len, OUTCOMES)) - len("/") - len(SUFFIX)


def path_of(key: str) -> str:
    """The path of an upload below ``incoming/``; empty for the folder marker ``incoming/`` itself, as the console makes it.

    Raises
    ------
    ValueError
        The key is not below ``incoming/``.
    """
    if not key.startswith(INCOMING):
        raise ValueError(f"{key!r} is not below {INCOMING}: upload it there")
    return key.removeprefix(INCOMING)


def result_keys(path: str) -> dict[str, str]:
    """Where the result of an upload may lie, by outcome; it lies at exactly one of them.

    A path too long for S3's 1,024 bytes with the longest prefix is cut and ends in a digest of the whole, under every
    outcome alike; so is one that has the form of a cut one, so that no two uploads share a result.

    Examples
    --------
    >>> result_keys("cam1/a.jpg")["classified"]
    'classified/cam1/a.jpg.json'
    """
    result = result_path(path)
    return {outcome: f"{outcome}/{result}" for outcome in OUTCOMES}


def result_path(path: str) -> str:
    """The path of an upload's result below each outcome's prefix; see `result_keys`."""
    if not is_whole(path):
        cut = "~" + digest(path)
        path = path.encode()[: _MAX_PATH_BYTES - len(cut)].decode(errors="ignore") + cut
    return path + SUFFIX


def inference_id(bucket: str, key: str, version: str) -> str:
    """SHA-256 hex of bucket, key and version id or ETag: the same for every run of the same upload."""
    return hashlib.sha256("\0".join((bucket, key, version)).encode()).hexdigest()


def digest(text: str) -> str:
    """32 hexadecimal digits for a key or a path."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_whole(path: str) -> bool:
    """Whether the path of an upload's result is that of the upload, not a cut one with a digest."""
    length = len(path.encode())
    return length <= _MAX_PATH_BYTES and not (length > _MAX_PATH_BYTES - 4 and _CUT.search(path))
