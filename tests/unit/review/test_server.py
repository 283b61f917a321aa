"""The page's server: who may use it, and what its requests do (moto's S3, a real port)."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

from dropsort.contract import keys, reviews
from dropsort.review.thumbnails import FAILED, Thumbnails
from tests.stack.test_local_access import listening
from tests.unit.handlers.sample_images import drawn, encoded
from tests.unit.review.conftest import BUCKET, Upload, stored
from tests.unit.review.served_page import HOSTILE_LABEL, Browser, fill, served

# Of every response, also of one that rejects; spelled out here, so that none goes by an oversight.
PROTECTING = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for as long as a busy machine may take."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never holds"
        time.sleep(0.02)


def wanted(
    image: str, action: str = "label", label: str | None = "bicycle", **members: Any
) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "image": image, "action": action, "label": label, "seen": None} | members


def test_a_name_with_markup_is_text_of_the_page(s3: Any) -> None:
    with served(s3, reviewer='<img src=x onerror="run()">') as (_, server):
        browser = Browser(server.address)
        browser.sign_in()
        _, _, content = browser.request("GET", "/")
    assert b"as &lt;img src=x onerror=&#34;run()&#34;&gt;" in content
    assert b"<img src=x" not in content


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_this_machine_only(s3: Any) -> None:
    with served(s3) as (_, server):
        port = Browser(server.address).url.port
        found = [(kind, host) for kind, host, number in listening({os.getpid()}) if number == port]
        assert found == [("tcp", "127.0.0.1")]


def test_only_the_browser_that_opened_the_address_first_is_served(s3: Any) -> None:
    with served(s3) as (_, server):
        one, two = Browser(server.address), Browser(server.address)
        for path in ("/", "/?token=wrong", "/api/state", "/static/review.js", f"/api/state?{one.url.query}"):
            assert two.request("GET", path)[0] == 403
        attributes = one.sign_in()
        assert "httponly" in attributes
        assert "samesite=strict" in attributes
        assert f"path={one.url.path.lower()}" in attributes.split("; ")
        status, headers, content = one.request("GET", "/")
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert {name: headers[name] for name in PROTECTING} == PROTECTING
        assert "server" not in headers  # nobody needs to know what it is
        assert {name: one.request("GET", "/", base="")[1][name] for name in PROTECTING} == PROTECTING
        assert b"<script>" not in content
        assert b"style=" not in content
        # AND the address is valid once, but leads the same browser to the page
        assert two.request("GET", f"/?{two.url.query}")[0] == 403
        assert one.request("GET", f"/?{one.url.query}")[0] == 303
        # AND the cookie opens nothing elsewhere, where browsers would send it to other servers of this machine, too
        assert len(one.url.path) > 20
        for path in ("/", "/api/state", "/static/review.js", "/favicon.ico"):
            assert one.request("GET", path, base="")[0] == 403
            assert one.request("GET", path, base=one.url.path[:-2])[0] == 403
        # AND no page elsewhere gets through with the cookie
        port = one.url.port
        for headers_sent in (
            {"Host": "evil.test"},
            {"Host": f"evil.test:{port}"},
            {"Origin": "http://evil.test"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            assert one.request("GET", "/api/state", **headers_sent)[0] == 403, headers_sent
        assert one.request("OPTIONS", "/api/decide")[0] == 403
        assert one.request("POST", "/api/decide", {"decisions": []}, Content_Type="text/plain")[0] == 415
        status, headers, _ = one.request("GET", "/api/state", Origin=f"http://127.0.0.1:{port}")
        assert (status, headers["cache-control"]) == (200, "no-store")
        # AND what is too much or nothing is rejected
        for path, body, message in (
            ("/api/decide", {"decisions": []}, "list of 1 to 2000"),
            ("/api/decide", {"decisions": {"image": "x"}}, "list of 1 to 2000"),
            ("/api/decide", {"decisions": [{}] * 2001}, "list of 1 to 2000"),
            ("/api/decide", {"decisions": [{}] * 2000}, "names no image"),
            ("/api/decide", [], "not a JSON object"),
            ("/api/claim", {"images": ["x"] * 501}, "at most 500"),
            ("/api/decide", {"decisions": [], "": " " * (1_000_000 - 25)}, "list of 1 to 2000"),
        ):
            status, _, content = one.request("POST", path, body)
            assert (status, message in content.decode()) == (400, True), (message, content)
        assert one.request("POST", "/api/claim", {"images": ["x"] * 500})[0] == 200
        assert one.request("POST", "/api/decide", {"decisions": [], "": " " * (1_000_000 - 24)})[0] == 413
        for offset, status in (("9" * 12, 410), ("9" * 13, 400), ("-1", 400), ("%D9%A1", 400), ("", 400)):
            assert one.request("GET", f"/api/items?view=77&offset={offset}")[0] == status, offset


def test_a_file_or_a_link_may_open_the_address_and_nothing_else(s3: Any) -> None:
    with served(s3) as (_, server):
        browser = Browser(server.address)
        opening = f"/?{browser.url.query}"
        # GIVEN what a browser sends when a file or a link leads to it
        assert browser.request("GET", "/?token=wrong", Sec_Fetch_Site="cross-site")[0] == 403
        assert browser.request("GET", "/", Sec_Fetch_Site="cross-site")[0] == 403
        # AND what neither of them sends
        for headers in ({"Host": "evil.test"}, {"Origin": "http://evil.test"}):
            assert browser.request("GET", opening, **headers)[0] == 403
        assert browser.request("POST", opening)[0] == 403
        assert (
            browser.request("GET", f"/api/state?{browser.url.query}", Sec_Fetch_Site="cross-site")[0] == 403
        )
        # THEN it opens the page once, and only the page itself goes on
        assert browser.request("GET", opening, Sec_Fetch_Site="cross-site")[0] == 200
        assert browser.request("GET", opening, Sec_Fetch_Site="cross-site")[0] == 403


def test_decisions_are_stored_become_results_and_are_listed(s3: Any, upload: Upload) -> None:
    ids = fill(upload, 3)
    with served(s3) as (session, server):
        page = Browser(server.address)
        page.sign_in()
        eventually(lambda: not page.get("/api/state")["loading"])
        assert page.get("/api/state")["bins"] == [
            ["failed", "reason", "not_an_image", 1],
            ["low-confidence", "reason", "below_threshold", 4],
        ]
        view = page.get("/api/view?group=low-confidence")
        items = page.get(f"/api/items?view={view['view']}&offset=0&limit=10")["items"]
        assert [item["id"] for item in items] == ids[:4]
        assert page.get(f"/api/details/{ids[3]}")["why"] == "The confidence is below the threshold."
        # WHEN two images are decided in one request, one of them sent twice, and one is not a decision
        first, second = wanted(ids[0], label=HOSTILE_LABEL), wanted(ids[1], "none", None)
        status, _, content = page.request("POST", "/api/decide", {"decisions": [first, second, first]})
        made = json.loads(content)["decisions"]
        assert (status, [one["status"] for one in made]) == (200, ["stored"] * 3)
        assert len(stored(s3, reviews.PREFIX)[reviews.key("cam/000.png")]["decisions"]) == 1
        # THEN they become results
        eventually(lambda: session.waiting == 0)
        assert stored(s3)["classified/cam/000.png.json"]["label"] == HOSTILE_LABEL
        assert page.get(f"/api/details/{ids[0]}")["decisions"][0]["by"] == "Ada"
        # AND a decision on what was seen before that is a conflict
        late = json.loads(page.request("POST", "/api/decide", {"decisions": [wanted(ids[0])]})[2])[
            "decisions"
        ][0]
        assert (late["status"], late["item"]["by"]) == ("conflict", "Ada")
        # AND what was uploaded again in the meantime is listed as it is now
        newer = upload("cam/002.png", b"newer", "2f", confidence=0.7)
        again = json.loads(page.request("POST", "/api/decide", {"decisions": [wanted(ids[2])]})[2])[
            "decisions"
        ][0]
        assert (again["status"], again["item"]["id"]) == ("conflict", newer)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "names no image"),
        ({"image": "x", "id": 5}, "has no id"),
        ({"image": "x", "id": "1", "seen": 5}, "saw none"),
        ({"image": "x", "id": "1", "key": "captures/x"}, "not there"),
        ({"image": "x", "id": "1", "key": "incoming/x", "action": "delete"}, "no action"),
        (
            {"image": "x", "id": "1", "key": "incoming/x", "action": "label", "label": "a\nb"},
            "visible characters",
        ),
    ],
)
def test_what_is_no_decision_is_rejected(s3: Any, sent: dict[str, Any], message: str) -> None:
    from dropsort.review import server as module
    from dropsort.review.session import Session

    session = Session(s3, BUCKET, "Ada")
    try:
        with pytest.raises(Exception) as rejected:
            module._wanted(session, sent)
    finally:
        session.stop()
    assert message in str(getattr(rejected.value, "detail", rejected.value))


def test_a_session_completes_what_a_killed_one_left(s3: Any, upload: Upload) -> None:
    # GIVEN a decision that is stored, and a process that is gone before it became a result
    of = upload("a.png")
    from dropsort.review.claims import Claims
    from dropsort.review.decisions import DecisionRequest, Decisions

    Claims(s3, BUCKET, "Ada").hold(["a.png"], busy=True)
    Decisions(s3, BUCKET, "Ada").store(DecisionRequest("d", "unusable", None, "incoming/a.png", of, None))
    assert keys.result_keys("a.png")["failed"] not in stored(s3)
    # WHEN the reviewer starts again
    with served(s3):
        # THEN it becomes one
        eventually(lambda: keys.result_keys("a.png")["failed"] in stored(s3))


def test_images_are_shown_and_what_is_none_is_explained(s3: Any, upload: Upload) -> None:
    ids = [upload("a.png"), upload("b.png", b"no image"), upload("c.png", encoded(drawn(900, 700), "JPEG"))]
    with served(s3) as (session, server):
        page = Browser(server.address)
        page.sign_in()
        eventually(lambda: not session.listing.loading)
        status, headers, content = page.request("GET", f"/thumbnail/{ids[0]}")
        assert (status, headers["content-type"], content[:4]) == (200, "image/png", b"\x89PNG")
        status, headers, content = page.request("GET", f"/thumbnail/{ids[1]}")
        assert (status, b"no image format" in content) == (422, True)
        sizes = [len(page.request("GET", f"/{size}/{ids[2]}")[2]) for size in ("thumbnail", "large")]
        assert sizes[0] < sizes[1]
        assert page.request("GET", f"/thumbnail/{'0' * 64}")[0] == 404
        # WHEN the processes that decode are killed
        for process in (session.thumbnails._pool._processes or {}).values():
            process.kill()
        # THEN an image may fail, and others are shown
        eventually(lambda: page.request("GET", f"/large/{ids[0]}")[0] == 200)


def test_the_page_comes_with_its_first_images_and_their_thumbnails_are_made_ahead(
    s3: Any, upload: Upload
) -> None:
    label = "</script><script>run()</script>"
    ids = [upload(f"{number}.png", label=label) for number in range(3)]
    with served(s3, order="newest") as (session, server):
        page = Browser(server.address)
        page.sign_in()
        eventually(lambda: not session.listing.loading)
        content = page.request("GET", "/")[2].decode()
        found = re.search(r'<script type="application/json" id="first">(.*?)</script>', content)
        assert found
        first = json.loads(found[1])
        assert first["order"] == "newest"
        assert (first["length"], {item["id"] for item in first["items"]}) == (3, set(ids))
        assert {item["label"] for item in first["items"]} == {label}
        # The same as the requests for them
        again = page.get(f"/api/items?view={first['view']}&offset=0&limit=200")
        assert again["items"] == first["items"]
        eventually(lambda: {(one, "thumbnail") for one in ids} <= set(session.thumbnails._cache))


def test_two_requests_for_one_image_make_it_once(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dropsort.review.listing import ImageListing

    listing, made = ImageListing(s3, BUCKET), Thumbnails(s3, BUCKET)
    image, begun, go_on = upload("a.png"), threading.Event(), threading.Event()
    listing.load()
    item = listing.find(image)
    assert item
    make, calls = made._make, []

    def slowly(item: Any, side: int) -> Any:
        calls.append(side)
        begun.set()
        assert go_on.wait(60)
        if len(calls) == 1:
            raise ConnectionError("S3 is away")
        return make(item, side)

    monkeypatch.setattr(made, "_make", slowly)
    try:
        with ThreadPoolExecutor(2) as threads:
            one = threads.submit(made.get, item, "thumbnail")
            assert begun.wait(60)
            two = threads.submit(made.get, item, "thumbnail")
            time.sleep(0.1)
            assert calls == [192]
            go_on.set()
            # An error is that of both, and the next request tries again.
            assert isinstance(one.exception(60), ConnectionError)
            assert isinstance(two.exception(60), ConnectionError)
        assert made.get(item, "thumbnail").data == made.get(item, "thumbnail").data != b""
        assert calls == [192, 192]
    finally:
        made.close()


def test_images_that_wait_behind_a_decoder_that_is_ended_say_so(s3: Any, upload: Upload) -> None:
    # GIVEN images that wait for a process that does not go on
    from dropsort.review.listing import ImageListing

    ids = [upload(f"{number}.png") for number in range(6)]
    listing, made = ImageListing(s3, BUCKET), Thumbnails(s3, BUCKET)
    listing.load()
    pool = made.start()
    for process in (pool._processes or {}).values():
        os.kill(process.pid or 0, signal.SIGSTOP)
    with ThreadPoolExecutor(len(ids)) as threads:
        images = [item for of in ids if (item := listing.find(of))]
        shown = [threads.submit(made.get, item, "thumbnail") for item in images]
        eventually(lambda: pool._queue_count > len(ids))
        # WHEN it is ended
        made._end(pool)
        # THEN each says that it failed, and is made when it is wanted again
        assert [one.result().reason for one in shown] == [FAILED] * len(ids)
    try:
        assert made.get(images[0], "thumbnail").data
    finally:
        made.close()


def test_the_cache_has_a_bound(s3: Any, upload: Upload) -> None:
    made = Thumbnails(s3, BUCKET, cache_bytes=20_000)
    try:
        from dropsort.review.listing import ImageListing

        listing = ImageListing(s3, BUCKET)
        ids = [
            upload(f"{number}.png", encoded(Image.effect_noise((64, 64), 50 + number), "PNG"))
            for number in range(6)
        ]
        listing.load()
        for of in ids:
            item = listing.find(of)
            assert item
            assert made.get(item, "thumbnail").data
            assert made.cached_bytes <= 20_000
        assert len(made._cache) < len(ids)
    finally:
        made.close()
