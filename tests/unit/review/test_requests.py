"""What the requests of the page's script do, one by one, without a port or a process that decodes (moto's S3)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dropsort.review import server
from dropsort.review.claims import Claims
from dropsort.review.decoding import DisplayImage
from dropsort.review.server import application
from dropsort.review.session import Session
from dropsort.review.similar import SimilarImages
from tests.unit.review.conftest import BUCKET, Upload
from tests.unit.review.test_server import eventually, wanted
from tests.unit.review.test_similar import Counting


@pytest.fixture
def session(s3: Any) -> Iterator[Session]:
    """A session that reads nothing by itself."""
    made = Session(s3, BUCKET, "Ada")
    yield made
    made.stop()


@pytest.fixture
def ids(upload: Upload, session: Session) -> list[str]:
    """The inference ids of three images, of which the second is the least certain and the first the most."""
    made = [
        upload(f"{number}.png", confidence=confidence) for number, confidence in enumerate((0.9, 0.5, 0.7))
    ]
    session.listing.load()
    return made


def request(
    session: Session,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    order: str = "uncertain",
    kind: str = "application/json",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of one response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", kind.encode())],
    }
    asyncio.run(application(session, order)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def get(session: Session, path: str, order: str = "uncertain") -> Any:
    """The JSON of a path."""
    status, headers, content = request(session, "GET", path, order=order)
    assert (status, headers["cache-control"]) == (200, "no-store"), content
    return json.loads(content)


def shown(session: Session, view: Any) -> list[str]:
    """The images of a view."""
    return [item["id"] for item in get(session, f"/api/items?view={view['view']}")["items"]]


def test_the_page_begins_in_the_order_of_the_command(
    session: Session, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(server, "SCREEN_ITEMS", 2)
    monkeypatch.setattr(
        session.thumbnails, "prepare", lambda items: prepared.extend(item.inference_id for item in items)
    )

    def first(order: str) -> Any:
        prepared.clear()
        status, headers, content = request(session, "GET", "/", order=order)
        assert (status, headers["cache-control"]) == (200, "no-store")
        found = re.search(r'<script type="application/json" id="first">(.*?)</script>', content.decode())
        assert found
        return json.loads(found[1])

    for order, expected in (("uncertain", [ids[1], ids[2], ids[0]]), ("audit", sorted(ids))):
        page = first(order)
        assert (page["order"], page["length"]) == (order, 3)
        assert [item["id"] for item in page["items"]] == expected
        assert prepared == expected[:2]
    # AND one whose images are to be compared first waits for the script's request
    page = first("similar")
    assert (page["view"], page["length"], page["items"], prepared) == (0, 0, [], [])


def test_a_view_has_its_order_and_the_position_of_an_image(session: Session, ids: list[str]) -> None:
    view = get(session, f"/api/view?group=low-confidence&image={ids[0]}")
    assert (view["length"], view["comparing"], view["at"]) == (3, 0, 2)
    assert shown(session, view) == [ids[1], ids[2], ids[0]]
    # AND without an order that of the command
    for view in (
        get(session, "/api/view?group=low-confidence&order=audit"),
        get(session, "/api/view?group=low-confidence", "audit"),
    ):
        assert shown(session, view) == sorted(ids)
        assert view["at"] is None
    assert get(session, "/api/view")["length"] == 0
    status, _, content = request(session, "GET", "/api/view?group=low-confidence&order=best")
    assert (status, "There is no order 'best'" in content.decode()) == (400, True)


def test_similar_images_are_grouped_once_they_are_compared(session: Session, ids: list[str]) -> None:
    thumbnails = Counting()
    session.similar = SimilarImages(thumbnails)  # type: ignore[arg-type]
    path = "/api/view?group=low-confidence&order=similar"
    assert get(session, path)["comparing"] == get(session, "/api/state")["comparing"] == 3
    assert get(session, "/api/view?group=low-confidence")["comparing"] == 0  # in another order
    thumbnails.go_on.set()
    eventually(lambda: get(session, path)["comparing"] == 0)
    items = get(session, f"/api/items?view={get(session, path)['view']}")["items"]
    assert [(item["begin"], item["size"]) for item in items] == [(0, 3)] * 3


def test_a_response_has_no_more_images_than_are_permitted(
    session: Session, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = get(session, "/api/view?group=low-confidence")["view"]
    monkeypatch.setattr(server, "MOST_ITEMS", 2)
    assert len(get(session, f"/api/items?view={view}&limit=3")["items"]) == 2
    assert len(get(session, f"/api/items?view={view}&offset=2&limit=3")["items"]) == 1


def test_a_claim_is_stored_and_names_who_has_claimed_the_same_images(
    s3: Any, session: Session, ids: list[str]
) -> None:
    bob = Claims(s3, BUCKET, "Bob")
    bob.hold(["1.png", "2.png", "elsewhere.png"])
    body = json.dumps({"images": [ids[0], ids[1], "nothing", 5, ["x"]]}).encode()
    status, _, content = request(session, "POST", "/api/claim", body)
    assert (status, json.loads(content)) == (200, {"others": {ids[1]: "Bob"}})
    assert bob.others() == {"0.png": "Ada", "1.png": "Ada"}


def test_what_cannot_be_read_is_counted_and_a_reason_of_other_versions_has_its_own_words(
    s3: Any, session: Session, upload: Upload
) -> None:
    reason = {"code": "of_the_future", "message": "Too blue.", "retryable": False}
    of = upload("a.png", reason=reason)
    s3.put_object(Bucket=BUCKET, Key="low-confidence/b.png.json", Body=b"{")
    session.listing.load()
    assert get(session, "/api/state")["unreadable"] == 1
    assert get(session, f"/api/details/{of}")["why"] == "Too blue."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"decisions": []}', "list of 1 to 2000"),
        (json.dumps({"decisions": [wanted("x", "delete", None, key="incoming/x")]}).encode(), "no action"),
    ],
    ids=["cut", "nested", "a list", "nothing", "no action"],
)
def test_what_is_no_request_is_rejected_with_a_reason(session: Session, body: bytes, message: str) -> None:
    status, _, content = request(session, "POST", "/api/decide", body)
    assert (status, message in content.decode()) == (400, True), content
    assert request(session, "POST", "/api/decide", body, kind="text/plain")[0] == 415


def test_an_image_is_for_the_cache_of_this_browser_alone(
    session: Session, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = iter([DisplayImage(b"x", "image/png", None), DisplayImage(b"", "", "It is damaged.")])
    monkeypatch.setattr(session.thumbnails, "get", lambda *_: next(images))
    status, headers, content = request(session, "GET", f"/thumbnail/{ids[0]}")
    assert (status, headers["content-type"], content) == (200, "image/png", b"x")
    assert headers["cache-control"] == "private, max-age=86400, immutable"
    status, headers, content = request(session, "GET", f"/thumbnail/{ids[0]}")
    assert (status, headers["content-type"], content) == (422, "text/plain; charset=utf-8", b"It is damaged.")
    assert "cache-control" not in headers
