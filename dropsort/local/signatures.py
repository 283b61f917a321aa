"""AWS Signature Version 4, checked on requests as they were received, with botocore's own signer.

The check has two parts, because the signature covers the payload's digest: :func:`parse` takes what is in headers and
query, :meth:`Signed.check` compares the signature once the digest is known. Where the client sent the digest in a header,
the payload itself is still to be compared with it: :class:`PayloadCheck` does that while the payload passes through.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import parse_qs

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.credentials import Credentials

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

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{8}T\d{6}Z")


class SignatureFault(Exception):
    """Why a request is rejected: AWS's code and status, and a message."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Headers:
    """The signed headers, as the signer wants them."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get_all(self, name: str) -> list[str]:
        return self._values[name]


class _Received:
    """Signs what the request says it has signed, and not what botocore would have."""

    def headers_to_sign(self, request: Any) -> Any:
        return request.signed

    def signature(self, text: str, request: Any) -> str:
        scope = self.credential_scope(request)  # type: ignore[attr-defined]
        key = _signing_key(self.credentials.secret_key, scope)  # type: ignore[attr-defined]
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@lru_cache(64)
def _signing_key(secret: str, scope: str) -> bytes:
    """The key of a day, region and service: the same for all requests of a day."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


class _Signer(_Received, SigV4Auth):
    pass


class _S3Signer(_Received, S3SigV4Auth):
    pass


@dataclass(frozen=True)
class Signed:
    """A request's signature.

    Parameters
    ----------
    access_key_id, service
        What it was made with, and for.
    payload
        Digest of the payload as the client sent it, or one of the words that stand for it; empty if only the payload
        itself can say.
    """

    access_key_id: str
    service: str
    payload: str
    _signature: str
    _signer: Any
    _request: Any

    def check(self, payload: str) -> None:
        """Compare the signature, for a payload with this digest.

        Raises
        ------
        SignatureFault
            It was made with another secret, or for another request.
        """
        self._request.headers = {"X-Amz-Content-SHA256": payload}
        canonical = self._signer.canonical_request(self._request)
        text = self._signer.string_to_sign(self._request, canonical)
        if not _same(self._signer.signature(text, self._request), self._signature):
            raise SignatureFault(
                "SignatureDoesNotMatch",
                "The signature does not match: the secret access key is not the one that belongs to the access key, or "
                "the request was changed on its way.",
            )

    def payload_check(self) -> PayloadCheck | None:
        """What compares the payload with the digest in its header; None where nothing was promised."""
        if self.payload in SIGNED_CHUNKS:
            scope = self._signer.credential_scope(self._request)
            start = (self._request.context["timestamp"], scope)

            def sign(lines: Sequence[str]) -> str:
                return str(self._signer.signature("\n".join(lines), self._request))

            return _Chunks(sign, start, self._signature, trailer=self.payload.endswith("-TRAILER"))
        return _Whole(self.payload) if _DIGEST.fullmatch(self.payload) else None


def parse(
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    secret: Secret,
    now: float | None = None,
) -> Signed:
    """Find the signature of a request.

    Parameters
    ----------
    method, path, query
        As they were received, percent-encoded.
    headers
        Names in lower case, and values.
    secret
        Gives the secrets of access keys.
    now
        Seconds since 1970; None takes the clock.

    Raises
    ------
    SignatureFault
        There is none, it is incomplete or too old, or its access key is unknown.
    """
    by_name: dict[str, list[str]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(value)
    values = parse_qs(query, keep_blank_values=True)
    presigned = "X-Amz-Signature" in values or "X-Amz-Credential" in values or "X-Amz-Algorithm" in values
    authorization = by_name.get("authorization", [])
    if len(authorization) + presigned != 1:
        if authorization or presigned:
            raise _incomplete("It has more than one signature.")
        raise SignatureFault("MissingAuthenticationToken", "The request is not signed.")
    if presigned:
        fields = {name.removeprefix("X-Amz-"): found[0] for name, found in values.items() if len(found) == 1}
        if fields.get("Algorithm") != ALGORITHM:
            raise _incomplete(f"Only {ALGORITHM} is supported.")
        query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
        date = fields.get("Date", "")
    else:
        algorithm, _, rest = authorization[0].partition(" ")
        if algorithm != ALGORITHM:
            raise _incomplete(f"Only {ALGORITHM} is supported.")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        date = (by_name.get("x-amz-date") or [""])[0]
    scope = fields.get("Credential", "").split("/")
    names = fields.get("SignedHeaders", "").split(";")
    if len(scope) != 5 or scope[4] != "aws4_request" or not fields.get("Signature"):
        raise _incomplete("It needs Credential, SignedHeaders and Signature.")
    access_key_id, day, region, service, _ = scope
    if not _DATE.fullmatch(date) or date[:8] != day:
        raise _incomplete("It needs a date of its credential's day.")
    _check_time(date, fields.get("Expires") if presigned else None, time.time() if now is None else now)
    _check_headers(names, by_name, presigned)
    known = secret(access_key_id)
    if known is None:
        raise SignatureFault(
            "InvalidClientTokenId" if service != "s3" else "InvalidAccessKeyId",
            "The access key does not belong to this service: take the lines that `dropsort up` prints.",
        )
    signer = (_S3Signer if service == "s3" else _Signer)(Credentials(access_key_id, known), service, region)
    query = query.replace("+", "%20")  # both mean a space, and this one is signed
    request = SimpleNamespace(
        method=method,
        url=f"http://host{path}?{query}" if query else f"http://host{path}",
        params=None,
        headers={},
        signed=_Headers({name: by_name[name] for name in names}),
        context={"timestamp": date},
    )
    payload = _payload(service, presigned, by_name, names)
    return Signed(access_key_id, service, payload, fields["Signature"], signer, request)


def _incomplete(message: str) -> SignatureFault:
    return SignatureFault("IncompleteSignature", f"The signature cannot be checked. {message}", 400)


def _check_time(date: str, expires: str | None, now: float) -> None:
    try:  # strptime takes three times as long
        when = timegm(tuple(map(int, (date[:4], date[4:6], date[6:8], date[9:11], date[11:13], date[13:15]))))
    except ValueError:
        raise _incomplete("Its date is none.") from None
    if expires is None:
        if abs(now - when) > SKEW_SECONDS:
            raise SignatureFault("RequestTimeTooSkewed", "The clocks of client and service differ too much.")
        return
    if not expires.isascii() or not expires.isdigit() or int(expires) > LONGEST_SECONDS:
        raise _incomplete(f"X-Amz-Expires is 0 to {LONGEST_SECONDS} seconds.")
    if not when - SKEW_SECONDS <= now <= when + int(expires):
        raise SignatureFault("AccessDenied", "Request has expired")


def _check_headers(names: list[str], by_name: dict[str, list[str]], presigned: bool) -> None:
    """Whatever changes what a request does has to be signed."""
    unknown = [name for name in names if name not in by_name]
    if unknown or "host" not in names:
        raise _incomplete(
            f"SignedHeaders must name host and headers that are there, not {', '.join(unknown)}."
        )
    unsigned = [name for name in by_name if name.startswith("x-amz-") and name not in names]
    if presigned and "x-amz-content-sha256" in unsigned:
        unsigned.remove("x-amz-content-sha256")  # it does not count there
    if unsigned:
        raise SignatureFault("AccessDenied", f"Headers were not signed: {', '.join(unsigned)}.")


def _payload(service: str, presigned: bool, by_name: dict[str, list[str]], names: list[str]) -> str:
    name = "x-amz-content-sha256"
    found = by_name[name][0] if name in by_name and name in names else ""
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

    def __init__(
        self, sign: Callable[[Sequence[str]], str], start: tuple[str, str], seed: str, trailer: bool
    ) -> None:
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
