"""Each part of a signature, in a header and in a URL: missing, cut short, of another kind, and at its bounds in time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from dropsort.local import signatures
from dropsort.local.signatures import SignatureFault, parse

KEY, NOW = "AKIAIOSFODNN7EXAMPLE", 1_795_251_600  # 2026-11-21T09:00:00Z
DATE, SCOPE = "20261121T090000Z", "20261121/us-east-1/s3/aws4_request"
FIELDS = {"Credential": f"{KEY}/{SCOPE}", "SignedHeaders": "host;x-amz-date", "Signature": "f" * 64}


def parsed(
    fields: dict[str, str], *, presigned: bool, algorithm: str | None = "AWS4-HMAC-SHA256", date: str | None = DATE,
    now: float = NOW, expires: str = "60", **headers: str,
) -> Any:  # fmt: skip
    """A request that is signed with these fields, as the gate reads it."""
    found = {"host": "127.0.0.1:4566"} | {name.replace("_", "-"): value for name, value in headers.items()}
    query = ""
    if presigned:
        given = fields | {"SignedHeaders": fields.get("SignedHeaders", "").replace(";x-amz-date", "")}
        given |= {"Expires": expires} | ({"Algorithm": algorithm} if algorithm is not None else {})
        given |= {"Date": date} if date is not None else {}
        query = urlencode({f"X-Amz-{name}": value for name, value in given.items() if value})
    else:
        found |= {"x-amz-date": date} if date is not None else {}
        words = ", ".join(f"{name}={value}" for name, value in fields.items())
        found["authorization"] = words if algorithm is None else f"{algorithm} {words}"
    return parse("GET", "/b/k", query, found, lambda key: "secret" if key == KEY else None, now)


def fault(fields: dict[str, str], **given: Any) -> tuple[str, int, str]:
    with pytest.raises(SignatureFault) as caught:
        parsed(fields, **given)
    assert str(caught.value) == caught.value.message
    return caught.value.code, caught.value.status, caught.value.message


both = pytest.mark.parametrize("presigned", [False, True])
CANNOT = "The signature cannot be checked. "


@both
def test_a_whole_one_is_read(presigned: bool) -> None:
    found = parsed(FIELDS, presigned=presigned)
    assert (found.access_key_id, found.service) == (KEY, "s3")
    assert found.payload == ("UNSIGNED-PAYLOAD" if presigned else "")


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Credential": None}, "It needs Credential, SignedHeaders and Signature."),
        ({"Signature": None}, "It needs Credential, SignedHeaders and Signature."),
        ({"Signature": ""}, "It needs Credential, SignedHeaders and Signature."),
        ({"Credential": KEY}, "It needs Credential, SignedHeaders and Signature."),
        ({"Credential": f"{KEY}/20261121/us-east-1/s3"}, "It needs Credential, SignedHeaders and Signature."),
        ({"Credential": f"{KEY}/{SCOPE}/more"}, "It needs Credential, SignedHeaders and Signature."),
        ({"Credential": f"{KEY}/20261121/us-east-1/s3/aws4_other"}, "It needs Credential, SignedHeaders and Signature."),
        ({"Credential": f"{KEY}/20261120/us-east-1/s3/aws4_request"}, "It needs a date of its credential's day."),
        ({"SignedHeaders": None}, "SignedHeaders must name host and headers that are there, not ."),
        ({"SignedHeaders": "x-amz-date"}, "SignedHeaders must name host and headers that are there, not"),
        ({"SignedHeaders": "host;x-other"}, "SignedHeaders must name host and headers that are there, not x-other."),
    ],
    ids=str,
)  # fmt: skip
def test_a_part_that_is_missing_is_an_error_of_the_request(
    presigned: bool, change: dict[str, str | None], message: str
) -> None:
    fields = {name: value for name, value in (FIELDS | change).items() if value is not None}
    code, status, words = fault(fields, presigned=presigned)
    assert (code, status) == ("IncompleteSignature", 400)
    assert words.startswith(CANNOT + message.removesuffix(" .").removesuffix("."))


@both
@pytest.mark.parametrize("algorithm", [None, "", "AWS4-ECDSA-P256-SHA256", "aws4-hmac-sha256"])
def test_one_algorithm_is_supported(presigned: bool, algorithm: str | None) -> None:
    found = fault(FIELDS, presigned=presigned, algorithm=algorithm)
    if presigned or algorithm:
        assert found == ("IncompleteSignature", 400, f"{CANNOT}Only AWS4-HMAC-SHA256 is supported.")
    else:
        assert found[:2] == ("IncompleteSignature", 400)


@both
@pytest.mark.parametrize(
    "date", [None, "", "20261121T0900Z", "20261121T090000", "20261121 090000Z", "20261121T090000Z "]
)
def test_a_date_is_of_basic_iso_8601(presigned: bool, date: str | None) -> None:
    assert fault(FIELDS, presigned=presigned, date=date) == (
        "IncompleteSignature",
        400,
        f"{CANNOT}Its date is none.",
    )


@pytest.mark.parametrize(("seconds", "valid"), [(900, True), (-900, True), (901, False), (-901, False)])
def test_clocks_differ_by_a_quarter_of_an_hour_at_most(seconds: int, valid: bool) -> None:
    if valid:
        parsed(FIELDS, presigned=False, now=NOW + seconds)
    else:
        assert fault(FIELDS, presigned=False, now=NOW + seconds)[:2] == ("RequestTimeTooSkewed", 403)


@pytest.mark.parametrize(
    ("expires", "seconds", "code"),
    [
        ("60", 60, ""), ("60", 61, "AccessDenied"), ("60", -900, ""), ("60", -901, "AccessDenied"), ("0", 0, ""), ("0", 1, "AccessDenied"),
        ("604800", 604_800, ""), ("604801", 0, "IncompleteSignature"), ("-1", 0, "IncompleteSignature"), ("x", 0, "IncompleteSignature"),
        ("\N{ARABIC-INDIC DIGIT ONE}", 0, "IncompleteSignature"),
    ],
)  # fmt: skip
def test_a_presigned_url_has_its_time(expires: str, seconds: int, code: str) -> None:
    if code:
        assert fault(FIELDS, presigned=True, expires=expires, now=NOW + seconds)[0] == code
    else:
        parsed(FIELDS, presigned=True, expires=expires, now=NOW + seconds)


@both
def test_an_unknown_key_is_that_of_its_service(presigned: bool) -> None:
    for service, code in (("s3", "InvalidAccessKeyId"), ("states", "InvalidClientTokenId")):
        credential = f"AKIAOTHER/{SCOPE.replace('s3', service)}"
        assert fault(FIELDS | {"Credential": credential}, presigned=presigned)[:2] == (code, 403)


@both
def test_what_changes_a_request_is_signed(presigned: bool) -> None:
    code, status, message = fault(FIELDS, presigned=presigned, x_amz_target="a", x_amz_meta="b")
    assert (code, status) == ("AccessDenied", 403)
    assert message == "Headers were not signed: x-amz-target, x-amz-meta."
    parsed(FIELDS, presigned=presigned, accept="a")


def test_a_header_with_more_fields_than_there_are_is_two_signatures() -> None:
    for more in ({"Signature2": "x"}, {"Algorithm": "x"}):
        assert fault(FIELDS | more, presigned=False)[:2] == ("IncompleteSignature", 400)
    assert signatures.SKEW_SECONDS == 900
    assert signatures.LONGEST_SECONDS == 604_800
