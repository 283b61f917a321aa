"""Signed payloads in chunks: AWS's published example passes, and nothing that was changed, cut short or put in another order."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from dropsort.local.signatures import PayloadCheck, SignatureFault, merged, parse

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def secret(key: str) -> str | None:
    """Secret of the only key there is."""
    return SECRET if key == KEY else None


# The example of "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
CHUNKED = [
    ("host", "s3.amazonaws.com"),
    ("x-amz-date", "20130524T000000Z"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ("content-encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
    ("content-length", "66824"),
    (
        "authorization",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;"
        "content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    ),
]
PAYLOAD = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + b"a" * 65536
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + b"a" * 1024
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)


def chunks() -> PayloadCheck:
    """The check of the payload of AWS's example."""
    signed = parse("PUT", "/examplebucket/chunkObject.txt", "", merged(CHUNKED), secret, NOW)
    signed.check(signed.payload)
    check = signed.payload_check()
    assert check
    return check


def chunked(payload: bytes, size: int = 1000) -> None:
    """Check the payload of AWS's example, in parts of `size` bytes."""
    check = chunks()
    for start in range(0, len(payload), size):
        check.add(payload[start : start + size])
    check.end()


@pytest.mark.parametrize("size", [1, 7, 89, 4096, 10**6])
def test_aws_example_of_signed_chunks_passes(size: int) -> None:
    chunked(PAYLOAD, size)


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
def test_signed_chunks_that_were_changed_do_not(place: int, by: int) -> None:
    changed = bytearray(PAYLOAD)
    changed[place] ^= by
    # The length of a chunk in capital letters is the same length; the end of the last line is no content.
    if bytes(changed).lower() == PAYLOAD.lower() and place < 5:
        return
    if place >= len(PAYLOAD) - 2:
        return
    with pytest.raises(SignatureFault):
        chunked(bytes(changed))


@pytest.mark.parametrize("end", [0, 10, 65536, len(PAYLOAD) - 100])
def test_signed_chunks_that_end_early_do_not(end: int) -> None:
    with pytest.raises(SignatureFault):
        chunked(PAYLOAD[:end])


def test_signed_chunks_in_another_order_or_with_more_behind_do_not() -> None:
    first = PAYLOAD.index(b"\r\n400")
    last = PAYLOAD.index(b"\r\n0;") + 2
    for payload in (PAYLOAD[first + 2 : last] + PAYLOAD[: first + 2] + PAYLOAD[last:], PAYLOAD + b"more"):
        with pytest.raises(SignatureFault):
            chunked(payload)


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD.replace(b"a\r\n400;", b"axy400;"),  # no line end after a chunk
        b"1" * 513,  # the header of a chunk
        PAYLOAD[:-2] + b"x" * 8193,  # what follows the last one
    ],
    ids=["line end", "header", "trailer"],
)
def test_signed_chunks_are_rejected_as_soon_as_they_are_wrong_or_too_long(payload: bytes) -> None:
    with pytest.raises(SignatureFault):
        chunks().add(payload)


def test_a_trailer_is_checked() -> None:
    # GIVEN chunks whose trailer is signed as the chunks are
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    signer = S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1")
    request = AWSRequest("PUT", "http://h/b/k", {"host": "h", "x-amz-date": "20130524T000000Z"})
    request.headers["X-Amz-Content-SHA256"] = kind
    request.context["timestamp"] = "20130524T000000Z"
    seed = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    scope = signer.credential_scope(request)

    def sign(kind: str, before: str, *digests: str) -> str:
        text = "\n".join([kind, "20130524T000000Z", scope, before, *digests])
        return str(signer.signature(text, request))

    digest = hashlib.sha256
    empty = digest(b"").hexdigest()
    one = sign("AWS4-HMAC-SHA256-PAYLOAD", seed, empty, digest(b"hello").hexdigest())
    last = sign("AWS4-HMAC-SHA256-PAYLOAD", one, empty, empty)
    checksum = "x-amz-checksum-crc32c:sOO8/Q=="
    trailer = sign("AWS4-HMAC-SHA256-TRAILER", last, digest(f"{checksum}\n".encode()).hexdigest())
    payload = (
        f"5;chunk-signature={one}\r\nhello\r\n0;chunk-signature={last}\r\n"
        f"{checksum}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
    ).encode()
    headers = [
        ("host", "h"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", kind),
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request, "
            f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={seed}",
        ),
    ]

    def check(payload: bytes) -> None:
        signed = parse("PUT", "/b/k", "", merged(headers), secret, NOW)
        signed.check(signed.payload)
        found = signed.payload_check()
        assert found
        found.add(payload)
        found.end()

    # THEN it passes, and no other trailer does
    check(payload)
    for changed in (
        payload.replace(b"sOO8", b"sOO9"),
        payload.replace(b"x-amz-trailer-signature", b"x-amz-other"),
        payload[: payload.index(b"x-amz-checksum")],
    ):
        with pytest.raises(SignatureFault):
            check(changed)
