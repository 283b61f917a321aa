"""Signatures: what botocore signs passes, whatever is changed afterwards does not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import (
    HmacV1Auth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4QueryAuth,
    SigV4Auth,
    SigV4QueryAuth,
)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.local.signatures import SignatureFault, Signed, merged, parse

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
        headers: dict[str, str] | Headers | None = None,
        signer: Any = None,
        **options: Any,
    ) -> None:
        request = AWSRequest(method, f"http://{HOST}{path}", {"host": HOST}, body, params)
        for name, value in headers.items() if isinstance(headers, dict) else headers or []:
            request.headers[name] = value  # one more, if there is one of that name
        signer = signer or (S3SigV4Auth if service == "s3" else SigV4Auth)
        signer(Credentials(KEY, SECRET), service, "us-east-1", **options).add_auth(request)
        sent = request.prepare()
        parts = urlsplit(sent.url)
        self.method, self.path, self.query, self.body = method, parts.path, parts.query, body
        self.headers: Headers = [
            (name.lower(), value.decode() if isinstance(value, bytes) else value)
            for name, value in request.headers.items()
        ]

    def check(self, now: float | None = None) -> Signed:
        """As the gate does it; returns what was found."""
        signed = parse(self.method, self.path, self.query, merged(self.headers), secret, now)
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
    call = Call(method, "/" + quote(path, safe="/~"), params, body, service, headers)
    assert call.check().access_key_id == KEY


@given(
    st.lists(
        st.tuples(st.sampled_from(["x-amz-meta-a", "x-amz-meta-b"]), st.text("aä \t\x1f,", max_size=5)),
        max_size=5,
    ),
    st.lists(
        st.tuples(st.sampled_from(["a", "a-b", "A", "prefix"]), st.sampled_from(["", "1", "/ä", "a=b", "~"])),
        max_size=4,
    ),
    st.sampled_from(["s3", "states"]),
)
@settings(max_examples=60)
def test_repeated_headers_and_fields_are_signed_as_botocore_does(
    headers: Headers, fields: Headers, service: str
) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields)
    call = Call(
        "PUT", "/bucket//a/../b/%C3%A4" + (f"?{query}" if query else ""), None, b"x", service, headers
    )
    assert call.query == query
    assert [value for name, value in call.headers if name[:11] == "x-amz-meta-"] == [
        value for _, value in headers
    ]
    call.check()
    # One value that is moved into another header, and one that is dropped, are changes.
    for changed in ([(n.replace("meta-a", "meta-b"), v) for n, v in call.headers], call.headers[1:]):
        if sorted(merged(changed).items()) != sorted(merged(call.headers).items()):
            call.headers = changed
            with pytest.raises(SignatureFault):
                call.check()


@pytest.mark.parametrize(
    "hidden", ["X-Amz-Credential", "X%2DAmz-Credential", "%58-Amz-Credential", "X-Amz-Signature"]
)
def test_a_second_identity_that_is_hidden_in_a_query_is_rejected(hidden: str) -> None:
    # GIVEN a request signed in its header, query included, which names another key in the query
    rejected(
        Call("GET", f"/bucket/key?{hidden}=AKIAOTHER%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"),
        "IncompleteSignature",
    )
    # AND one that names it in a value only is nothing special
    Call("GET", f"/bucket/key?prefix={quote(hidden)}").check()


@pytest.mark.parametrize("second", ["Basic dGVzdDp0ZXN0", "", "AWS4-HMAC-SHA256 Credential=AKIAOTHER"])
@pytest.mark.parametrize("first", [True, False])
def test_a_second_header_with_a_signature_is_rejected(second: str, first: bool) -> None:
    call = Call()
    call.headers.insert(0 if first else len(call.headers), ("authorization", second))
    rejected(call, "IncompleteSignature")


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


def test_a_digest_of_the_payload_that_was_not_signed_is_rejected() -> None:
    call = Call(service="lambda", body=b"content")
    call.headers.append(("x-amz-content-sha256", hashlib.sha256(b"content").hexdigest()))
    rejected(call, "AccessDenied")


def test_without_a_digest_in_a_header_the_payload_itself_is_what_was_signed() -> None:
    # GIVEN requests to S3 and to another service whose digest is in the signature alone
    call = Call(body=b"content", signer=SigV4Auth)
    presigned = Call("GET", "/", service="lambda", signer=SigV4QueryAuth, expires=60)
    # THEN it is compared with the payload
    assert [call.check().payload, presigned.check().payload] == ["", ""]
    call.body = presigned.body = b"changed"
    rejected(call, "SignatureDoesNotMatch")
    rejected(presigned, "SignatureDoesNotMatch")


def test_only_a_payload_for_s3_may_be_left_out_of_the_signature() -> None:
    rejected(
        Call(service="lambda", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}), "IncompleteSignature"
    )


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA1 ", "IncompleteSignature"),
        ("/aws4_request", "/aws4_other", "IncompleteSignature"),
    ],
)
def test_another_algorithm_or_scope_of_an_otherwise_valid_signature_is_rejected(
    before: str, after: str, code: str
) -> None:
    call = Call()
    call.headers = [(n, v.replace(before, after) if n == "authorization" else v) for n, v in call.headers]
    rejected(call, code)


def test_the_beginning_of_a_signature_is_none() -> None:
    call = Call()
    call.headers = [(n, v[:-1] if n == "authorization" else v) for n, v in call.headers]
    rejected(call, "SignatureDoesNotMatch")


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
    # AND to the second, from the time when clocks may differ on
    when = datetime.strptime(parse_qs(call.query)["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z").timestamp()
    for second in (-15 * 60, 60):
        call.check(when + second)
        rejected(call, "AccessDenied", when + second + (1 if second > 0 else -1))
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
