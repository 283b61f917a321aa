"""What each request of the page may have, and each field of the responses, without S3 and without a port."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dropsort.contract import keys
from dropsort.contract.reasons import REASONS
from dropsort.review import server
from dropsort.review.session import DecisionStatus, Session
from tests.unit.review.conftest import BUCKET
from tests.unit.review.test_listing import document
from tests.unit.review.test_requests import get, request, shown

VALID = {"id": "1", "image": "x", "key": "incoming/x", "action": "label", "label": "a", "seen": None}


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(None, BUCKET, "Ada")  # type: ignore[arg-type]  # nothing is read
    made.listing.loading = False
    yield made
    made.stop()


@pytest.fixture
def ids(session: Session) -> list[str]:
    """The inference ids of three images, of which the second is the least certain and the first the most."""
    documents = [document(number, confidence=confidence) for number, confidence in enumerate((0.9, 0.5, 0.7))]
    for one in documents:
        session.listing.add(one)
    return [one["inference_id"] for one in documents]


def sent(session: Session, path: str, document: Any) -> tuple[int, Any]:
    """Status and JSON of a request with a body."""
    status, headers, content = request(session, "POST", path, json.dumps(document).encode())
    assert headers["content-type"] == "application/json"
    return status, json.loads(content)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("image", None, "A decision names no image."),
        ("image", 5, "A decision names no image."),
        ("id", None, "A decision has no id, or saw none."),
        ("id", 5, "A decision has no id, or saw none."),
        ("seen", 5, "A decision has no id, or saw none."),
        ("label", "", "A label has 1 to 256 visible characters on one line."),
        ("label", "a\nb", "A label has 1 to 256 visible characters on one line."),
        ("label", 5, "A label has 1 to 256 visible characters on one line."),
        ("key", None, "A decision is about an image that is not there."),
        ("key", 5, "A decision is about an image that is not there."),
        ("key", "captures/x", "A decision is about an image that is not there."),
        ("action", "delete", "There is no action 'delete'."),
        ("action", None, "There is no action None."),
    ],
)
def test_each_member_of_a_decision_is_checked(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    member: str,
    value: Any,
    message: str,
) -> None:
    monkeypatch.setattr(session, "submit", lambda _: pytest.fail("it was made"))
    body = {"decisions": [VALID, VALID | {member: value}]}
    assert sent(session, "/api/decide", body) == (400, {"message": message})
    del body["decisions"][1][member]
    status, _ = (
        sent(session, "/api/decide", body) if member in ("image", "id", "key", "action") else (400, None)
    )
    assert status == 400
    assert sent(session, "/api/decide", {"decisions": ["x"]})[0] == 400


def test_a_decision_reaches_the_session_and_its_image_comes_back(
    session: Session,
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []
    item = session.listing.find(ids[0])

    def submit(wanted: Any) -> list[DecisionStatus]:
        given.extend(wanted)
        return [DecisionStatus(ids[0], "conflict", "Bob decided.", item), DecisionStatus("x", "stored")]

    monkeypatch.setattr(session, "submit", submit)
    # The key of an image that is listed is the listing's, whatever is sent
    first = VALID | {"image": ids[0], "key": "captures/x", "seen": "d", "action": "none", "label": None}
    status, found = sent(session, "/api/decide", {"decisions": [first, VALID]})
    assert status == 200
    assert [(one.id, one.action, one.label, one.key, one.inference_id, one.seen) for one in given] == [
        ("1", "none", None, "incoming/000.png", ids[0], "d"),
        ("1", "label", "a", "incoming/x", "x", None),
    ]
    listed = {"id": ids[0], "key": "incoming/000.png", "label": "bicycle", "confidence": 0.9,
              "reason": "below_threshold", "decision": None, "action": None, "by": None}  # fmt: skip
    assert found["decisions"] == [
        {"inference_id": ids[0], "status": "conflict", "message": "Bob decided.", "item": listed},
        {"inference_id": "x", "status": "stored", "message": "", "item": None},
    ]


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (2, 200), (3, 400)])
def test_a_request_has_so_many_decisions(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    status: int,
) -> None:
    monkeypatch.setattr(server, "MOST_DECISIONS", 2)
    monkeypatch.setattr(session, "submit", lambda _: [])
    assert sent(session, "/api/decide", {"decisions": [VALID] * count})[0] == status


@pytest.mark.parametrize(("count", "status"), [(0, 200), (2, 200), (3, 400)])
def test_a_request_claims_so_many_images(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    status: int,
) -> None:
    monkeypatch.setattr(server, "MOST_ITEMS", 2)
    monkeypatch.setattr(session.claims, "hold", lambda _: None)
    monkeypatch.setattr(session.claims, "others", dict)
    assert sent(session, "/api/claim", {"images": ["x"] * count})[0] == status
    assert sent(session, "/api/claim", {"images": {"x": 1}})[0] == 400
    assert sent(session, "/api/claim", {})[0] == 400


def test_limits_of_requests() -> None:
    found = (server.MOST_ITEMS, server.MOST_DECISIONS, server.PAGE_ITEMS, server.SCREEN_ITEMS)
    assert found == (500, 2000, 200, 6)
    assert server.SWITCH_SECONDS == 0.0005


def test_a_view_is_of_a_bin_in_an_order_by_a_seed(session: Session, ids: list[str]) -> None:
    def view(query: str) -> list[str]:
        return shown(session, get(session, f"/api/view?group=low-confidence{query}"))

    assert view("&kind=reason&value=below_threshold") == view("") == [ids[1], ids[2], ids[0]]
    assert view("&kind=reason&value=other") == view("&kind=label&value=below_threshold") == []
    assert {tuple(view(f"&order=random&seed={seed}")) for seed in range(1, 5)} != {
        tuple(view("&order=random"))
    }
    assert view("&order=random") == view("&order=random&seed=0")
    assert get(session, f"/api/view?group=low-confidence&image={ids[1]}")["at"] == 0


def test_a_page_of_a_view_has_a_hundred_images_unless_it_names_another_number(session: Session) -> None:
    for number in range(101):
        session.listing.add(document(number))
    view = get(session, "/api/view?group=low-confidence&order=newest")["view"]
    assert len(get(session, f"/api/items?view={view}")["items"]) == 100
    (last,) = get(session, f"/api/items?view={view}&offset=100")["items"]
    assert (last["begin"], last["size"], last["key"]) == (100, 1, "incoming/100.png")
    session.listing.remove(last["id"])
    assert get(session, f"/api/items?view={view}&offset=100")["items"] == [None]
    status, _, content = request(session, "GET", "/api/items?view=77")
    assert (status, json.loads(content)) == (410, {"message": "The view is not there any more."})
    assert request(session, "GET", "/api/items")[0] == 410


@pytest.mark.parametrize(
    ("number", "status"), [("9" * 12, 200), ("9" * 13, 400), ("-1", 400), ("1.0", 400), ("%D9%A1", 400), ("%C2%B2", 400), ("", 400)]
)  # fmt: skip
def test_a_number_has_twelve_digits_at_most(session: Session, number: str, status: int) -> None:
    found, _, content = request(session, "GET", f"/api/view?seed={number}")
    assert found == status
    if status == 400:
        assert json.loads(content) == {"message": "seed is not a number."}


def test_the_state_of_the_page(session: Session, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "per_minute", lambda: 1.26)
    session.trouble = "S3 is away"
    assert get(session, "/api/state") == {
        "loading": False,
        "bins": [["low-confidence", "reason", "below_threshold", 3]],
        "labels": ["bicycle", "motorcycle"],
        "comparing": 0,
        "trouble": "S3 is away",
        "unreadable": 0,
        "per_minute": 1.3,
    }


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ({"code": "below_threshold", "message": "0.6 < 0.9."}, REASONS["below_threshold"].sentence),
        ({"code": "of_the_future", "message": "Too blue."}, "Too blue."),
        ({"message": "Too blue."}, "Too blue."),
        (None, None),
    ],
)
def test_details_have_the_words_of_the_reason(
    session: Session, ids: list[str], monkeypatch: pytest.MonkeyPatch, reason: Any, why: str | None
) -> None:
    found = {"result": {"reason": reason}, "decisions": []}
    monkeypatch.setattr(session, "details", lambda item: found | {"key": item.key})
    expected = found | {"key": "incoming/000.png", "why": why}
    assert get(session, f"/api/details/{ids[0]}") == expected
    found["result"] = None
    assert get(session, f"/api/details/{ids[0]}")["why"] is None
    status, _, content = request(session, "GET", "/api/details/x")
    assert (status, json.loads(content)) == (404, {"message": "There is no such image any more."})


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("review.css", "text/css"), ("review.js", "text/javascript"), ("grid.js", "text/javascript")],
)  # fmt: skip
def test_files_of_the_page(session: Session, name: str, kind: str) -> None:
    status, headers, content = request(session, "GET", f"/static/{name}")
    assert (status, headers["content-type"], len(content) > 500) == (200, f"{kind}; charset=utf-8", True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/static/server.py", 404), ("GET", "/static/../server.py", 404), ("GET", "/favicon.ico", 204),
        ("GET", "/api/decide", 405), ("GET", "/api/claim", 405), ("POST", "/api/state", 405), ("POST", "/", 405),
        ("DELETE", "/api/items", 405), ("GET", "/thumbnail/x", 404), ("GET", "/large/x", 404), ("GET", "/huge/x", 404),
    ],
)  # fmt: skip
def test_routes_and_their_methods(session: Session, method: str, path: str, status: int) -> None:
    assert request(session, method, path)[0] == status


def test_each_image_has_two_sizes(
    session: Session,
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted: list[Any] = []
    monkeypatch.setattr(session.thumbnails, "get", lambda *given: wanted.append(given) or 1 / 0)
    for size in ("thumbnail", "large"):
        with pytest.raises(ZeroDivisionError):
            request(session, "GET", f"/{size}/{ids[0]}")
    assert wanted == [(session.listing.find(ids[0]), size) for size in ("thumbnail", "large")]


def test_the_page_escapes_names_and_what_it_shows_first(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session.thumbnails, "prepare", list)
    session.reviewer, session.bucket = "<b>Ada</b>", "<i>bucket</i>"
    session.listing.add(document(1, label="</script><script>run()</script>"))
    _, headers, content = request(session, "GET", "/")
    text = content.decode()
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "<b>Ada" not in text
    assert "<i>bucket" not in text
    assert "<title>Review &lt;i&gt;bucket&lt;/i&gt;</title>" in text
    assert "as &lt;b&gt;Ada&lt;/b&gt;" in text
    assert "<script>run()" not in text
    found = re.search(r'<script type="application/json" id="first">(.*?)</script>', text)
    assert found
    first = json.loads(found[1])
    (item,) = first.pop("items")
    assert (item["id"], item["label"]) == (document(1)["inference_id"], "</script><script>run()</script>")
    assert first.pop("view") >= 1
    assert first == {
        "bin": {"group": keys.LOW_CONFIDENCE, "kind": "", "value": ""}, "order": "uncertain", "seed": 1, "length": 1,
    }  # fmt: skip


def test_the_time_of_each_request_is_that_in_which_the_page_waits(session: Session) -> None:
    waiting: list[int] = []
    session.listing.labels = lambda: waiting.append(session._serving) or []  # type: ignore[func-returns-value,method-assign]
    before = session._served
    get(session, "/api/state")
    assert (waiting, session._serving) == ([1], 0)
    assert session._served > before
    assert session.bucket == BUCKET


def test_keys_that_have_no_encoding_are_escaped(session: Session) -> None:
    session.listing.add(document(1) | {"label": "\ud800"})
    view = get(session, "/api/view?group=low-confidence")["view"]
    _, headers, content = request(session, "GET", f"/api/items?view={view}")
    assert b'"label":"\\ud800"' in content
    assert (headers["content-type"], headers["cache-control"]) == ("application/json", "no-store")
