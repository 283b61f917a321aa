"""The gate as an ASGI application: what it passes on, what it rejects, and that a changed payload is never acted on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Key

from dropsort.local import gate
from dropsort.local.credentials import make
from dropsort.local.gate import BODY_LIMIT, Gate, foreign
from dropsort.local.signatures import merged

PORT = 4566
HOST = f"127.0.0.1:{PORT}"
SECRETS = make()


class Behind:
    """What is behind the gate: reads the payload, then acts."""

    def __init__(self) -> None:
        self.acted: list[bytes] = []
        self.other: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            self.other.append(scope["type"])
            return
        parts, more = [], True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message["body"])
            more = message.get("more_body", False)
        self.acted.append(b"".join(parts))
        headers = [
            (b"Access-Control-Allow-Origin", b"*"),
            (b"access-control-expose-headers", b"*"),
            (b"etag", b"1"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


def signed(
    method: str = "PUT",
    path: str = "/bucket/key",
    body: bytes = b"content",
    service: str = "s3",
    host: str = HOST,
    **headers: str,
) -> dict[str, Any]:
    """The scope of a signed request."""
    request = AWSRequest(method, f"http://{host}{path}", {"host": host, **headers}, body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Key(SECRETS.access_key_id, SECRETS.secret_access_key), service, "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    return {
        "type": "http",
        "method": method,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()],
    }


def with_header(scope: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    """The scope with one more header, in place of one of that name."""
    kept = [item for item in scope["headers"] if item[0] != name.encode()]
    return scope | {"headers": [*kept, (name.encode(), value.encode())]}


def served(
    scope: dict[str, Any], parts: Sequence[bytes] = (b"content",), behind: Any = None
) -> tuple[Any, int, dict[bytes, bytes], bytes]:
    """Send a request through the gate; what was behind it, status, headers and body."""
    behind, sent = behind or Behind(), []
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    gate_ = Gate(behind, PORT, SECRETS.secret_of, "/ready", lambda nonce: SECRETS.proof(PORT, nonce))
    asyncio.run(gate_(scope, receive, send))
    if not sent:
        return behind, 0, {}, b""
    if sent[0]["type"] != "http.response.start":
        return behind, sent[0].get("code", 0), {}, b""
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1
    body = b"".join(message["body"] for message in sent if message["type"] == "http.response.body")
    return behind, starts[0]["status"], dict(starts[0]["headers"]), body


@pytest.mark.parametrize("service", ["s3", "lambda"])
@pytest.mark.parametrize("parts", [(b"content",), (b"con", b"", b"tent"), (b"", b"content", b"")])
def test_what_is_signed_passes_whole_and_without_words_for_browsers(
    service: str, parts: tuple[bytes, ...]
) -> None:
    behind, status, headers, body = served(signed(service=service), parts)
    assert (status, body, behind.acted) == (200, b"done", [b"content"])
    assert headers == {b"etag": b"1"}


@pytest.mark.parametrize("service", ["s3", "lambda"])
@pytest.mark.parametrize(
    "parts", [(b"changed",), (b"con", b"tenT"), (b"content", b"more"), (b"",), (b"cont",)]
)
def test_a_changed_payload_is_never_acted_on(service: str, parts: tuple[bytes, ...]) -> None:
    behind, status, headers, body = served(signed(service=service), parts)
    assert behind.acted == []
    assert status == (400 if service == "s3" else 403)
    code = b"XAmzContentSHA256Mismatch" if service == "s3" else b"SignatureDoesNotMatch"
    assert headers[b"x-amzn-errortype"] == code
    assert code in body


def test_a_client_that_leaves_early_is_not_served() -> None:
    behind, _, _, _ = served(signed(service="lambda"), ())
    assert behind.acted == []
    behind, _, _, _ = served(signed(), ())
    assert behind.acted == []


FOREIGN = [
    ("origin", "http://elsewhere"),
    ("origin", "null"),
    ("origin", f"https://{HOST}"),
    ("origin", f"http://{HOST}0"),
    ("origin", "http://127.0.0.1:80"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-site"),
    ("access-control-request-method", "PUT"),
    ("access-control-request-private-network", "true"),
    ("host", "rebound.example:4566"),
    ("host", "127.0.0.1"),
    ("host", "127.0.0.1:4567"),
    ("host", "127.0.0.1.rebound.example:4566"),
    ("host", ""),
]


@pytest.mark.parametrize(("name", "value"), FOREIGN)
@pytest.mark.parametrize("path", ["/bucket/key", "/ready"])
def test_what_comes_from_elsewhere_is_rejected_even_if_it_is_signed(name: str, value: str, path: str) -> None:
    # GIVEN a request of a page that has somehow come by the credentials, or of one that checks whether the service is ready
    method = "GET" if path == "/ready" else "PUT"
    scope = signed(method, path, host=value) if name == "host" and value else signed(method, path)
    behind, status, _, _ = served(with_header(scope, name, value))
    assert (status, behind.acted) == (403, [])


def test_two_hosts_are_one_too_many() -> None:
    scope = signed()
    scope["headers"].append((b"host", b"rebound.example"))
    assert served(scope)[1] == 403
    # Also where no signature covers it.
    for hosts in ([], [HOST, "rebound.example"], ["rebound.example", HOST], [HOST, HOST]):
        assert (
            foreign("GET", merged(("host", one) for one in hosts), {HOST})
            == "Host is not this service's address."
        )
    assert foreign("GET", {"host": HOST}, {HOST}) is None


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_localstack/health", "/health"])
def test_the_administration_of_what_is_behind_is_not_served_even_if_it_is_signed(path: str) -> None:
    behind, status, _, body = served(signed("GET", path, service="lambda", body=b""), (b"",))
    assert (status, behind.acted) == (403, [])
    assert b"is not served" in body
    assert served(signed("GET", f"/bucket{path}", body=b""), (b"",))[1] == 200


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}"])
def test_this_machine_has_two_names(host: str) -> None:
    assert served(signed(host=host))[1] == 200


def test_a_preflight_is_rejected_and_opens_nothing() -> None:
    behind, status, headers, _ = served(signed("OPTIONS"))
    assert (status, behind.acted) == (403, [])
    assert not [name for name in headers if name.lower().startswith(b"access-control")]


def test_readiness_needs_no_signature_and_takes_no_payload() -> None:
    scope = signed("GET", "/ready")
    scope["headers"] = [item for item in scope["headers"] if item[0] == b"host"]
    behind, status, headers, _ = served(scope, (b"payload",))
    assert (status, behind.acted) == (200, [b""])
    assert headers[b"x-dropsort-proof"].decode() == SECRETS.proof(PORT, "")
    # AND the response proves that it is of the service, and of this port
    headers = served(with_header(scope, "x-dropsort-nonce", "one"))[2]
    assert headers[b"x-dropsort-proof"].decode() == SECRETS.proof(PORT, "one")
    others = {SECRETS.proof(PORT, "two"), SECRETS.proof(PORT + 1, "one"), make().proof(PORT, "one")}
    assert len({*others, SECRETS.proof(PORT, "one")}) == 4
    assert served(scope | {"method": "POST"})[1] == 403
    assert served(scope | {"path": "/ready/", "raw_path": b"/ready/"})[1] == 403


def test_websockets_are_closed() -> None:
    behind, code, _, _ = served({"type": "websocket", "path": "/", "headers": []})
    assert (code, behind.other) == (1008, [])


def test_the_lifespan_of_the_application_is_its_own() -> None:
    assert served({"type": "lifespan"})[0].other == ["lifespan"]


def test_a_payload_without_a_digest_is_held_up_to_a_limit() -> None:
    part = bytes(16_000_000)
    behind, status, _, _ = served(
        signed("POST", "/", service="lambda"), [part] * (BODY_LIMIT // len(part) + 1)
    )
    assert (status, behind.acted) == (413, [])


@pytest.mark.parametrize(("limit", "status"), [(7, 200), (6, 413)])
def test_the_limit_of_a_payload_without_a_digest(
    limit: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_LIMIT", limit)
    behind, found, _, _ = served(signed("POST", "/", service="lambda"), (b"con", b"tent"))
    assert (found, behind.acted) == (status, [b"content"] if status == 200 else [])


@pytest.mark.parametrize(
    ("service", "kind", "start"),
    [
        ("s3", "application/octet-stream", b"<Error><Code>"),
        ("sts", "application/x-www-form-urlencoded; charset=utf-8", b"<ErrorResponse><Error><Code>"),
        ("states", "application/x-amz-json-1.0", b'{"__type"'),
        ("lambda", "application/json", b'{"__type"'),
    ],
)
def test_a_rejection_is_in_the_form_of_the_service(service: str, kind: str, start: bytes) -> None:
    scope = signed(service=service, **{"content-type": kind})
    scope["headers"] = [
        (name, value[:-1] + (b"0" if value[-1:] != b"0" else b"1") if name == b"authorization" else value)
        for name, value in scope["headers"]
    ]
    behind, status, _, body = served(scope)
    assert (status, behind.acted) == (403, [])
    assert body.startswith(start)
    assert b"SignatureDoesNotMatch" in body
    assert SECRETS.secret_access_key.encode() not in body


@pytest.mark.parametrize(("kind", "service"), [("", "s3"), ("application/x-www-form-urlencoded", "sqs")])
def test_what_a_client_has_written_is_no_markup_of_an_error(kind: str, service: str) -> None:
    # GIVEN a request whose signature names a header with markup in its name, which the message repeats
    name = "<b>&"
    scope = signed(service=service)
    authorization = dict(scope["headers"])[b"authorization"].decode()
    named = authorization.replace("SignedHeaders=", f"SignedHeaders={name};")
    _, status, headers, body = served(
        with_header(with_header(scope, "authorization", named), "content-type", kind)
    )
    assert status in (400, 403)
    assert headers[b"content-type"].endswith(b"xml")
    assert b"&lt;b&gt;&amp;" in body
    assert b"<b>" not in body


class Hasty:
    """What is behind the gate: responds, also where the payload ended early."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def test_of_a_changed_payload_only_the_rejection_is_sent() -> None:
    _, status, _, body = served(signed(), (b"con", b"tenT"), Hasty())
    assert status == 400
    assert b"XAmzContentSHA256Mismatch" in body
    assert b"done" not in body


def read_after_a_rejection(scope: dict[str, Any]) -> int:
    """Bytes that are read of a payload without end."""
    read = 0

    async def receive() -> Any:
        nonlocal read
        assert read < 10 * gate.DRAIN_LIMIT
        read += 100_000
        return {"type": "http.request", "body": bytes(100_000), "more_body": True}

    async def send(message: Any) -> None:
        pass

    gate_ = Gate(Behind(), PORT, SECRETS.secret_of, "/ready", lambda nonce: SECRETS.proof(PORT, nonce))
    asyncio.run(gate_(with_header(scope, "origin", "http://elsewhere"), receive, send))
    return read


def test_after_a_rejection_little_is_read_and_nothing_of_who_waits_for_permission() -> None:
    assert gate.DRAIN_LIMIT < read_after_a_rejection(signed()) <= gate.DRAIN_LIMIT + 100_000
    assert read_after_a_rejection(with_header(signed(), "expect", "100-continue")) == 0
