"""Signatures: what botocore signs passes, whatever is changed afterwards does not; AWS's published examples."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from dropsort.local.signatures import SignatureFault, Signed, parse

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:4566"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
Headers = list[tuple[str, str]]


def secret(key: str) -> str | None:
    """Secret of the only key there is."""
    return SECRET if key == KEY else None


class Call:
    """A request as it arrives, signed by botocore."""

    def __init__(
        self,
        method: str = "PUT",
        path: str = "/bucket/key",
        params: dict[str, str] | None = None,
        body: bytes = b"",
        service: str = "s3",
        headers: dict[str, str] | None = None,
        signer: Any = None,
        **options: Any,
    ) -> None:
        request = AWSRequest(method, f"http://{HOST}{path}", {"host": HOST, **(headers or {})}, body, params)
        signer = signer or (S3SigV4Auth if service == "s3" else SigV4Auth)
        signer(Credentials(KEY, SECRET), service, "us-east-1", **options).add_auth(request)
        sent = request.prepare()
        parts = urlsplit(sent.url)
        self.method, self.path, self.query, self.body = method, parts.path, parts.query, body
        self.headers: Headers = [
            (name.lower(), value.decode() if isinstance(value, bytes) else value)
            for name, value in sent.headers.items()
        ]

    def check(self, now: float | None = None) -> Signed:
        """As the gate does it; returns what was found."""
        signed = parse(self.method, self.path, self.query, self.headers, secret, now)
        if not signed.payload:
            signed.check(hashlib.sha256(self.body).hexdigest())
            return signed
        signed.check(signed.payload)
        if check := signed.payload_check():
            for start in range(0, len(self.body), 3):
                check.add(self.body[start : start + 3])
            check.end()
        return signed


def rejected(call: Call, code: str, now: float | None = None) -> None:
    """Expect a code."""
    with pytest.raises(SignatureFault) as caught:
        call.check(now)
    assert caught.value.code == code


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    st.text(st.sampled_from("abc/._~-+ %&=?äß日'()*!;:@,$"), max_size=20),
    st.dictionaries(st.text("ab-_. ä+=&", min_size=1, max_size=6), TEXT, max_size=4),
    st.binary(max_size=40),
    st.sampled_from(["s3", "lambda", "states", "sagemaker"]),
    st.dictionaries(
        st.sampled_from(["x-amz-meta-a", "x-amz-target", "content-type"]), st.text("ab  ;,=", max_size=9)
    ),
)
def test_whatever_botocore_signs_passes(
    method: str, path: str, params: dict[str, str], body: bytes, service: str, headers: dict[str, str]
) -> None:
    from urllib.parse import quote

    call = Call(method, "/" + quote(path, safe="/~"), params, body, service, headers)
    assert call.check().access_key_id == KEY


@given(st.data())
def test_whatever_is_changed_afterwards_does_not(data: st.DataObject) -> None:
    # GIVEN a signed request
    service = data.draw(st.sampled_from(["s3", "lambda"]))
    call = Call("PUT", "/bucket/key", {"a": "1"}, b"content", service, {"x-amz-meta-a": "b"})
    call.check()
    # WHEN one thing of it is changed
    what = data.draw(st.sampled_from(["method", "path", "query", "body", "header", "host"]))
    if what == "method":
        call.method = "DELETE"
    elif what == "path":
        call.path += data.draw(st.sampled_from(["/", "x", "%20"]))
    elif what == "query":
        call.query = data.draw(st.sampled_from(["", "a=2", "a=1&acl", "a=1&a=1"]))
    elif what == "body":
        call.body = data.draw(st.binary(max_size=9).filter(lambda body: body != b"content"))
    else:
        name = "host" if what == "host" else "x-amz-meta-a"
        call.headers = [(n, v + "x" if n == name else v) for n, v in call.headers]
    # THEN it is rejected
    with pytest.raises(SignatureFault):
        call.check()


def test_a_header_that_was_added_is_rejected() -> None:
    call = Call()
    call.headers.append(("x-amz-copy-source", "/other/key"))
    rejected(call, "AccessDenied")


def test_a_second_value_of_a_signed_header_is_rejected() -> None:
    call = Call(headers={"x-amz-meta-a": "b"})
    call.headers.append(("x-amz-meta-a", "c"))
    rejected(call, "SignatureDoesNotMatch")


@pytest.mark.parametrize("seconds", [-16 * 60, 16 * 60, 86400])
def test_a_clock_that_differs_too_much_is_named(seconds: int) -> None:
    now = datetime.now(UTC).timestamp()
    call = Call()
    call.check(now + 14 * 60 * (1 if seconds > 0 else -1))
    rejected(call, "RequestTimeTooSkewed", now + seconds)


@pytest.mark.parametrize("date", ["20261325T000000Z", "20260025T000000Z", "00000101T000000Z", "2026-11-25"])
def test_a_date_that_is_none_is_rejected(date: str) -> None:
    call = Call()
    day = date[:8]
    call.headers = [
        (n, {"x-amz-date": date}.get(n, v if n != "authorization" else v.replace(v.split("/")[1], day)))
        for n, v in call.headers
    ]
    rejected(call, "IncompleteSignature")


def test_a_date_of_another_day_than_the_credential_is_rejected() -> None:
    call = Call()
    (day,) = {v.split("/")[1] for n, v in call.headers if n == "authorization"}
    other = f"{int(day) - 10000}"
    call.headers = [
        (n, v.replace(f"/{day}/", f"/{other}/") if n == "authorization" else v) for n, v in call.headers
    ]
    rejected(call, "IncompleteSignature")


def test_an_unknown_key_is_rejected_before_the_payload_is_read() -> None:
    call = Call()
    call.headers = [(n, v.replace(KEY, "test") if n == "authorization" else v) for n, v in call.headers]
    rejected(call, "InvalidAccessKeyId")


def test_an_unsigned_request_is_rejected() -> None:
    call = Call()
    call.headers = [item for item in call.headers if item[0] != "authorization"]
    rejected(call, "MissingAuthenticationToken")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic dGVzdDp0ZXN0",
        "AWS4-HMAC-SHA256",
        f"AWS4-HMAC-SHA256 Credential={KEY}, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=, Signature=0",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host",
        f"AWS4-ECDSA-P256-SHA256 Credential={KEY}/20260101/s3/aws4_request, SignedHeaders=host, Signature=0",
        f"AWS {KEY}:c2lnbmF0dXJl",
    ],
)
def test_a_signature_that_is_none_is_incomplete(authorization: str) -> None:
    call = Call()
    call.headers = [(n, authorization if n == "authorization" else v) for n, v in call.headers]
    rejected(call, "IncompleteSignature")


@pytest.mark.parametrize("signer", [HmacV1Auth, HmacV1QueryAuth])
def test_other_ways_to_sign_are_none(signer: Any) -> None:
    # GIVEN S3's signatures of before, in a header and in a query, which cover neither host nor payload
    code = "IncompleteSignature" if signer is HmacV1Auth else "MissingAuthenticationToken"
    rejected(Call(signer=lambda credentials, *_: signer(credentials)), code)
    # AND a form with a policy that somebody has signed, and which any page can post: its signature is in the payload
    call = Call("POST", "/bucket")
    call.headers = [("host", HOST), ("content-type", "multipart/form-data; boundary=x")]
    call.body = b'--x\r\nContent-Disposition: form-data; name="X-Amz-Signature"\r\n\r\n0\r\n--x--\r\n'
    rejected(call, "MissingAuthenticationToken")


def test_a_signature_without_the_host_is_rejected() -> None:
    call = Call()
    call.headers = [(n, v.replace("host;", "") if n == "authorization" else v) for n, v in call.headers]
    rejected(call, "IncompleteSignature")


def test_two_signatures_are_one_too_many() -> None:
    call = Call()
    call.query = Call(signer=S3SigV4QueryAuth, method="GET").query
    rejected(call, "IncompleteSignature")


def test_a_presigned_url_works_until_it_expires() -> None:
    # GIVEN a link for a minute
    now = datetime.now(UTC).timestamp()
    call = Call("GET", "/bucket/a%20b", {"versionId": "1"}, signer=S3SigV4QueryAuth, expires=60)
    # THEN it works so long
    assert call.check(now).payload == "UNSIGNED-PAYLOAD"
    rejected(call, "AccessDenied", now + 62)
    rejected(call, "AccessDenied", now - 16 * 60)
    # AND for this object and call only
    call.path = "/bucket/other"
    rejected(call, "SignatureDoesNotMatch")
    call = Call("GET", "/bucket/a%20b", signer=S3SigV4QueryAuth, expires=60)
    call.query = call.query.replace("Expires=60", "Expires=600")
    rejected(call, "SignatureDoesNotMatch")


def test_a_presigned_url_may_be_for_a_week() -> None:
    call = Call("GET", "/bucket/a", signer=S3SigV4QueryAuth, expires=7 * 24 * 3600)
    assert call.check().payload == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("expires", ["604801", "-1", "", "x", "٣"])
def test_a_presigned_url_for_too_long_is_rejected(expires: str) -> None:
    call = Call("GET", signer=S3SigV4QueryAuth, expires=60)
    call.query = call.query.replace("Expires=60", f"Expires={expires}")
    rejected(call, "IncompleteSignature")


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


def chunked(payload: bytes, size: int = 1000) -> None:
    """Check the payload of AWS's example, in parts of `size` bytes."""
    signed = parse("PUT", "/examplebucket/chunkObject.txt", "", CHUNKED, secret, NOW)
    signed.check(signed.payload)
    check = signed.payload_check()
    assert check
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
        signed = parse("PUT", "/b/k", "", headers, secret, NOW)
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
