"""What each error of InvokeEndpoint means, by its code, its status, and the status and message of the container behind it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from handlers.endpoint_errors import EndpointBusy, EndpointMisconfigured, meaning
from handlers.rejections import Rejection


def error(
    code: str | None = None, status: int = 400, message: str | None = None, **members: Any
) -> ClientError:
    """An error as botocore makes it: without a code or a message if the response has none."""
    details = {"Code": code, "Message": message}
    response = {"Error": {name: value for name, value in details.items() if value is not None}}
    return ClientError(
        response | {"ResponseMetadata": {"HTTPStatusCode": status}} | members, "InvokeEndpoint"
    )  # type: ignore[arg-type]


def of_container(status: Any, **members: Any) -> ClientError:
    return error("ModelError", 424, "Received error", OriginalStatusCode=status, **members)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejection), (413, Rejection), (422, Rejection),
        (429, EndpointBusy), (503, EndpointBusy),
        (401, EndpointMisconfigured), (404, EndpointMisconfigured), (409, EndpointMisconfigured), (414, EndpointMisconfigured),
        (423, EndpointMisconfigured), (430, EndpointMisconfigured), (499, EndpointMisconfigured),
        (399, ClientError), (408, ClientError), (500, ClientError), (501, ClientError), (504, ClientError),
        (None, ClientError), ("400", ClientError),
    ],
)  # fmt: skip
def test_the_status_of_the_container_decides(status: Any, expected: type[Exception]) -> None:
    given = of_container(status, OriginalMessage="why")
    found = meaning(given)
    assert type(found) is expected
    if expected is ClientError:
        assert found is given
    else:
        assert "why" in str(found)


def test_a_container_without_a_message() -> None:
    rejection = meaning(of_container(400))
    assert isinstance(rejection, Rejection)
    assert (rejection.code, str(rejection)) == ("refused_by_model", str(Rejection("refused_by_model", "")))
    assert str(meaning(of_container(429))) == "The container responded 429: "
    assert str(meaning(of_container(404))) == "The container responded 404: "


def test_a_long_message_of_a_container_is_cut() -> None:
    assert (
        len(str(meaning(of_container(503, OriginalMessage="x" * 5000))))
        == len("The container responded ") + 300
    )


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException", "Throttling", "TooManyRequestsException", "ServiceUnavailable", "ServiceUnavailableException",
        "ModelNotReadyException",
    ],
)  # fmt: skip
def test_a_code_that_says_busy_is_one_whatever_the_status(code: str) -> None:
    assert type(meaning(error(code, 400, "text"))) is EndpointBusy


@pytest.mark.parametrize(
    "code", ["ValidationError", "ValidationException", "AccessDeniedException", "AccessDenied"]
)
def test_a_code_that_says_misconfigured_is_one(code: str) -> None:
    found = meaning(error(code, 400, "Endpoint bikes not found."))
    assert type(found) is EndpointMisconfigured
    assert "Endpoint bikes not found." in str(found)


@pytest.mark.parametrize(
    ("code", "status", "message", "busy"),
    [
        ("InternalFailure", 429, "x", True), ("InternalFailure", 503, "x", True), ("InternalFailure", 430, "x", False),
        ("InternalFailure", 500, "x", False), ("InternalFailure", 504, "x", False),
        (None, 400, None, True), ("", 400, "", True), ("400", 400, "Bad Request", True), ("400", 400, None, True),
        ("400", 400, "Something", False), ("400", 401, "", False), ("", 500, "", False), ("Other", 400, "", False),
    ],
)  # fmt: skip
def test_a_status_without_more_is_busy_only_where_it_says_so(
    code: str | None, status: int, message: str | None, busy: bool
) -> None:
    given = error(code, status, message)
    found = meaning(given)
    assert type(found) is (EndpointBusy if busy else ClientError)
    assert busy or found is given


def test_an_error_without_anything_is_itself() -> None:
    for response in ({}, {"Error": {"Code": "Other"}}):
        given = ClientError(response, "InvokeEndpoint")  # type: ignore[arg-type]
        assert meaning(given) is given
