"""AWS Signature Version 4, checked on requests as they were received.

The check has two parts, because the signature covers the payload's digest: :func:`parse` takes what is in headers and
query, :meth:`Signed.check` compares the signature once the digest is known. Where the client sent the digest in a header,
the payload itself is still to be compared with it: :class:`PayloadCheck` does that while the payload passes through.

botocore's signer takes three times as long; tests compare this module with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import parse_qs, quote, unquote

from botocore.utils import normalize_url_path

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 15 * 60
LONGEST_SECONDS = 7 * 24 * 3600  # of a presigned URL
UNSIGNED = "UNSIGNED-PAYLOAD"
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
EMPTY = hashlib.sha256(b"").hexdigest()
CHUNK_HEADER = 512  # bytes, at most

Secret = Callable[[str], "str | None"]
"""Gives the secret of an access key, or None if there is no such key."""

Sign = Callable[[Sequence[str]], str]
"""Gives the signature of lines."""

_FIELDS = frozenset(("Credential", "SignedHeaders", "Signature"))
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class SignatureFault(Exception):
    """Why a request is rejected: AWS's code and status, and a message."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Signed:
    """A request's signature.

    Parameters
    ----------
    access_key_id, service
        What it was made with, and for.
    payload
        Digest of the payload as the client sent it, or the word that replaces it; empty if it sent neither.
    signature
        As it was received.
    sign, start
        What signs with the key of a day, region and service, and the two lines that name them.
    canonical
        The canonical request without the digest of its payload, which is its end.
    """

    __slots__ = ("_canonical", "_sign", "_signature", "_start", "access_key_id", "payload", "service")

    def __init__(
        self,
        access_key_id: str,
        service: str,
        payload: str,
        signature: str,
        sign: Sign,
        start: tuple[str, str],
        canonical: str,
    ) -> None:
        self.access_key_id, self.service, self.payload = access_key_id, service, payload
        self._signature, self._sign, self._start, self._canonical = signature, sign, start, canonical

    def check(self, payload: str) -> None:
        """Compare the signature, for a payload with this digest.

        Raises
        ------
        SignatureFault
            It was made with another secret, or for another request.
        """
        digest = hashlib.sha256((self._canonical + payload).encode()).hexdigest()
        if not _same(self._sign((ALGORITHM, *self._start, digest)), self._signature):
            raise SignatureFault(
                "SignatureDoesNotMatch",
                "The signature does not match: the secret access key is not the one that belongs to the access key, or "
                "the request was changed on its way.",
            )

    def payload_check(self) -> PayloadCheck | None:
        """What compares the payload with the digest in its header; None where there is no digest."""
        if self.payload in SIGNED_CHUNKS:
            return _Chunks(
                self._sign, self._start, self._signature, trailer=self.payload.endswith("-TRAILER")
            )
        return None if self.payload in (UNSIGNED, UNSIGNED_CHUNKS) else _Whole(self.payload)


@lru_cache(64)
def _signer(secret: str, scope: str) -> Sign:
    """What signs lines with the key of a day, region and service, which is the same for all requests of a day.

    HMAC (RFC 2104) begins twice with a block of the key alone. Hashing both once takes a third of the time of `hmac.digest`.
    """
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(lines: Sequence[str]) -> str:
        one, two = inner.copy(), outer.copy()
        one.update("\n".join(lines).encode())
        two.update(one.digest())
        return two.hexdigest()

    return sign


def merged(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; values of one name are joined as signatures join them, so a second value never goes unnoticed.

    Parameters
    ----------
    headers
        Names in lower case, and values.

    Examples
    --------
    >>> merged([("host", "one"), ("accept", " a  b "), ("host", "two ")])
    {'host': 'one,two', 'accept': ' a  b '}
    """
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{_trimmed(found[name])},{_trimmed(value)}" if name in found else value
    return found


def parse(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    secret: Secret,
    now: float | None = None,
) -> Signed:
    """Find the signature of a request.

    Parameters
    ----------
    method, path, query
        As they were received, percent-encoded.
    headers
        By name in lower case, of `merged`.
    secret
        Gives the secrets of access keys.
    now
        Seconds since 1970; None takes the clock.

    Raises
    ------
    SignatureFault
        There is none, it is incomplete or too old, or its access key is unknown.
    """
    presigned, algorithm, date, fields, query = _fields(query, headers)
    if algorithm != ALGORITHM:
        raise _incomplete(f"Only {ALGORITHM} is supported.")
    access_key_id, _, scope = fields.get("Credential", "").partition("/")
    parts = scope.split("/")
    if len(parts) != 4 or parts[3] != "aws4_request" or not fields.get("Signature"):
        raise _incomplete("It needs Credential, SignedHeaders and Signature.")
    day, _, service, _ = parts
    when = _seconds(date)
    if date[:8] != day:
        raise _incomplete("It needs a date of its credential's day.")
    _check_time(when, fields.get("Expires") if presigned else None, time.time() if now is None else now)
    names = sorted(set(fields.get("SignedHeaders", "").split(";")))
    _check_headers(names, headers, presigned)
    known = secret(access_key_id)
    if known is None:
        raise SignatureFault(
            "InvalidClientTokenId" if service != "s3" else "InvalidAccessKeyId",
            "The access key does not belong to this service: take the lines that `dropsort up` prints.",
        )
    values_signed = "".join([f"{name}:{_trimmed(headers[name])}\n" for name in names])
    canonical = (
        f"{method.upper()}\n{path if service == 's3' else _canonical_path(path)}\n{_canonical_query(query)}\n"
        f"{values_signed}\n{';'.join(names)}\n"
    )
    payload = _payload(service, presigned, headers, names)
    sign = _signer(known, scope)
    return Signed(access_key_id, service, payload, fields["Signature"], sign, (date, scope), canonical)


def _fields(query: str, headers: Mapping[str, str]) -> tuple[bool, str, str, dict[str, str], str]:
    """Whether the signature is in the query; its algorithm, date and fields; and the query without it."""
    # Decoding all fields takes longer than anything else here, and few requests have one of these.
    values = parse_qs(query, keep_blank_values=True) if "X-Amz-" in unquote(query) else {}
    authorization = headers.get("authorization")
    if "X-Amz-Signature" in values or "X-Amz-Credential" in values or "X-Amz-Algorithm" in values:
        if authorization is not None:
            raise _incomplete("It has more than one signature.")
        fields = {name.removeprefix("X-Amz-"): found[0] for name, found in values.items() if len(found) == 1}
        query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
        return True, fields.get("Algorithm", ""), fields.get("Date", ""), fields, query
    if authorization is None:
        raise SignatureFault("MissingAuthenticationToken", "The request is not signed.")
    algorithm, _, rest = authorization.partition(" ")
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in pairs}
    if len(pairs) > len(_FIELDS) or not fields.keys() <= _FIELDS:  # two such headers are joined by a comma
        raise _incomplete("It has more than one signature, or a field that none has.")
    return False, algorithm, headers.get("x-amz-date", ""), fields, query


def _incomplete(message: str) -> SignatureFault:
    return SignatureFault("IncompleteSignature", f"The signature cannot be checked. {message}", 400)


def _trimmed(value: str) -> str:
    return " ".join(value.split())


@lru_cache(256)
def _canonical_path(path: str) -> str:
    """Path as services other than S3 sign it: normalised, and encoded once more."""
    return quote(normalize_url_path(path), safe="/~")


def _canonical_query(query: str) -> str:
    """Fields in order of their encoded names, then values."""
    query = query.replace("+", "%20")  # both mean a space, and this one is signed
    if "&" not in query:
        return query if "=" in query or not query else f"{query}="
    fields = sorted([(name, value) for name, _, value in [part.partition("=") for part in query.split("&")]])
    return "&".join([f"{name}={value}" for name, value in fields])


@lru_cache(64)
def _seconds(date: str) -> int:
    """Seconds since 1970 of a date, which requests of one second share."""
    try:  # strptime takes three times as long
        if not _DATE.fullmatch(date):
            raise ValueError
        return timegm(tuple(map(int, (date[:4], date[4:6], date[6:8], date[9:11], date[11:13], date[13:15]))))
    except ValueError:
        raise _incomplete("Its date is none.") from None


def _check_time(when: int, expires: str | None, now: float) -> None:
    if expires is None:
        if abs(now - when) > SKEW_SECONDS:
            raise SignatureFault("RequestTimeTooSkewed", "The clocks of client and service differ too much.")
        return
    if not expires.isascii() or not expires.isdigit() or int(expires) > LONGEST_SECONDS:
        raise _incomplete(f"X-Amz-Expires is 0 to {LONGEST_SECONDS} seconds.")
    if not when - SKEW_SECONDS <= now <= when + int(expires):
        raise SignatureFault("AccessDenied", "Request has expired")


def _check_headers(names: Sequence[str], headers: Mapping[str, str], presigned: bool) -> None:
    """Whatever changes what a request does has to be signed."""
    unknown = [name for name in names if name not in headers]
    if unknown or "host" not in names:
        raise _incomplete(
            f"SignedHeaders must name host and headers that are there, not {', '.join(unknown)}."
        )
    unsigned = [name for name in headers if name[:6] == "x-amz-" and name not in names]
    if presigned and "x-amz-content-sha256" in unsigned:
        unsigned.remove("x-amz-content-sha256")  # it does not count there
    if unsigned:
        raise SignatureFault("AccessDenied", f"Headers were not signed: {', '.join(unsigned)}.")


def _payload(service: str, presigned: bool, headers: Mapping[str, str], names: Sequence[str]) -> str:
    name = "x-amz-content-sha256"
    found = headers.get(name, "") if name in names else ""
    if not found:
        return UNSIGNED if presigned and service == "s3" else ""
    if _DIGEST.fullmatch(found):
        return found
    if service == "s3" and found in (UNSIGNED, UNSIGNED_CHUNKS, *SIGNED_CHUNKS):
        return found
    raise _incomplete(f"{name} is none that is supported.")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


class PayloadCheck(Protocol):
    """Compares a payload with what was signed, part by part."""

    def add(self, part: bytes) -> None:
        """Take the next part; raises SignatureFault if it cannot be right."""

    def end(self) -> None:
        """There is no more; raises SignatureFault if something is missing or wrong."""


class _Whole:
    """One digest of the whole payload."""

    def __init__(self, digest: str) -> None:
        self._expected, self._digest = digest, hashlib.sha256()

    def add(self, part: bytes) -> None:
        self._digest.update(part)

    def end(self) -> None:
        if not _same(self._digest.hexdigest(), self._expected):
            raise SignatureFault(
                "XAmzContentSHA256Mismatch", "The payload is not the one that was signed.", 400
            )


class _Chunks:
    """A payload in chunks, each signed and each signature made with the one before; with a signed trailer or without."""

    def __init__(self, sign: Sign, start: tuple[str, str], seed: str, trailer: bool) -> None:
        self._sign, self._start, self._before, self._trailer = sign, start, seed, trailer
        self._pending = b""  # less than a whole header, or the line end after a chunk
        self._left = 0  # bytes of the chunk that are still to come
        self._digest, self._claimed = hashlib.sha256(), ""
        self._closing = self._last = False

    def add(self, part: bytes) -> None:
        data = self._pending + part
        while data:
            if self._last:
                break  # the trailer is checked at the end
            if self._left:
                taken, data = data[: self._left], data[self._left :]
                self._digest.update(taken)
                self._left -= len(taken)
                if not self._left:
                    self._finish_chunk()
            elif self._closing:
                if len(data) < 2:
                    break
                if data[:2] != b"\r\n":
                    raise _chunk_fault()
                data, self._closing = data[2:], False
            else:
                line, found, rest = data.partition(b"\r\n")
                if len(line) > CHUNK_HEADER:
                    raise _chunk_fault()
                if not found:
                    break
                data = rest
                self._open_chunk(line)
        self._pending = data
        if self._last and len(self._pending) > 16 * CHUNK_HEADER:
            raise _chunk_fault()

    def end(self) -> None:
        if not self._last:
            raise _chunk_fault()
        if not self._trailer:
            if self._pending not in (b"", b"\r\n"):
                raise _chunk_fault()
            return
        lines = [line for line in self._pending.decode("latin-1").split("\r\n") if line]
        claimed = [line for line in lines if line.lower().startswith("x-amz-trailer-signature:")]
        values = "".join(f"{line.strip()}\n" for line in lines if line not in claimed)
        digest = hashlib.sha256(values.encode("latin-1")).hexdigest()
        expected = self._sign(("AWS4-HMAC-SHA256-TRAILER", *self._start, self._before, digest))
        if len(claimed) != 1 or not _same(expected, claimed[0].partition(":")[2].strip()):
            raise _chunk_fault()

    def _open_chunk(self, line: bytes) -> None:
        found = re.fullmatch(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})", line)
        if not found:
            raise _chunk_fault()
        self._left, self._claimed = int(found[1], 16), found[2].decode()
        if not self._left:
            self._last = True
            self._finish_chunk()

    def _finish_chunk(self) -> None:
        lines = ("AWS4-HMAC-SHA256-PAYLOAD", *self._start, self._before, EMPTY, self._digest.hexdigest())
        self._before = self._sign(lines)
        if not _same(self._before, self._claimed):
            raise _chunk_fault()
        self._digest, self._closing = hashlib.sha256(), not self._last


def _chunk_fault() -> SignatureFault:
    return SignatureFault("SignatureDoesNotMatch", "A chunk of the payload is not the one that was signed.")
