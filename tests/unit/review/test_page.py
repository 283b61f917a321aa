"""The page in a real browser: keyboard, undo, reload, two reviewers, a server that is away, a phone, and hostile text (moto's S3)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropsort.cli.review import redirection
from dropsort.contract import reviews
from dropsort.review.decoding import DisplayImage
from dropsort.review.listing import ListedImage
from dropsort.review.thumbnails import Thumbnails
from tests import needs
from tests.unit.handlers.sample_images import encoded
from tests.unit.local.untrusted_clients import FLAGS, browser, pages_served
from tests.unit.review.conftest import Upload, stored
from tests.unit.review.served_page import HOSTILE_LABEL, fill, served
from tests.unit.review.test_server import eventually

sync_api = needs.module("browser", "playwright.sync_api")
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser of this machine."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser(), args=FLAGS[1:])
        yield started
        started.close()


# Images of the bin that is open.
LISTED = "imagesIn(page.state.bins.filter((one) => one[0] === page.bin.group))"


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a browser of its own; errors of scripts and violations of the policy fail the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def opened(address: str, width: int = 1280, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None,
        )
        page.goto(address)
        page.wait_for_selector("#cell-0[aria-selected]")
        page.wait_for_selector("#labels button")
        until(page, f"!page.state.loading && grid.length > 3 && grid.length === {LISTED} && grid.item(0)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true in a page; its policy forbids the waiting of Playwright, which evaluates text."""
    eventually(lambda: bool(page.evaluate(expression)))


def settled(page: Any) -> None:
    """Wait until the page has nothing to send."""
    until(page, "!page.queue.length && ![...page.status.values()].some((one) => one.busy)")


def decisions(s3: Any, path: str) -> list[tuple[str, str | None]]:
    """Actions and labels of an image's review."""
    found = stored(s3, "reviews/").get(reviews.key(path), {"decisions": []})
    return [(one["action"], one["label"]) for one in found["decisions"]]


def test_a_review_by_keyboard_with_undo_and_a_reload_in_the_middle(
    s3: Any, upload: Upload, open_page: Callable[..., Any]
) -> None:
    fill(upload, 12)
    with served(s3) as (session, server):
        page = open_page(server.address)
        # GIVEN a view that would follow new results while somebody begins to work in it: it stays
        view = page.evaluate("page.view")
        page.evaluate("(async () => { const going = open(true); page.touched = true; await going; })()")
        assert page.evaluate("page.view") == view
        # WHEN images are decided by keys: two labels, none, unusable, one skipped, one undone
        for key in ("2", "3", "n", "u", "s", "2", "z"):
            page.keyboard.press(key)
            settled(page)
        labels = page.evaluate("page.labels")
        expected = [
            [("label", labels[1])],
            [("label", labels[2])],
            [("none", None)],
            [("unusable", None)],
            [],
            [("label", labels[1]), ("undo", None)],
        ]
        assert [decisions(s3, f"cam/{number:03}.png") for number in range(6)] == expected
        until(page, "document.getElementById('progress').textContent.includes('4 decided')")
        # AND the page is loaded again while the server does not respond to a decision
        page.route("**/api/decide", lambda route: route.abort())
        page.evaluate("focus(6)")
        page.keyboard.press("2")
        page.wait_for_selector("#trouble:not([hidden])")
        page.unroute("**/api/decide")
        page.on("dialog", lambda dialog: dialog.accept())
        page.reload()
        # THEN it is sent, once
        until(page, "page.state && !page.queue.length && !page.state.loading")
        eventually(lambda: decisions(s3, "cam/006.png") == [("label", labels[1])])
        # AND the button of a label is the same one, with the focus, after the next poll
        page.focus("#labels button:first-child")
        page.evaluate("poll()")
        assert (
            page.evaluate("document.activeElement.parentElement && document.activeElement.parentElement.id")
            == "labels"
        )
        # AND a new label, for several that are selected, decides all of them
        until(page, "grid.item(0)")
        page.locator("#grid").focus()
        page.keyboard.press("Home")
        until(page, "page.at === 0")
        first = page.evaluate("[0, 1].map((index) => grid.item(index).key.slice(9))")
        page.keyboard.press("Shift+ArrowRight")
        page.fill("#new", "tandem")
        page.keyboard.press("Enter")
        settled(page)
        for path in first:
            assert decisions(s3, path)[-1] == ("label", "tandem")
        eventually(lambda: session.waiting == 0)
        # AND a page that has decided nothing shows no rate, which would be that of the page before
        page.reload()
        until(page, "page.state && page.state.per_minute && !page.state.loading")
        until(page, "document.getElementById('progress').textContent.includes('0 decided')")
        assert "a minute" not in page.text_content("#progress")
        assert stored(s3, "classified/")["classified/cam/000.png.json"]["review"]["by"] == "Ada"


def test_two_reviewers_hostile_text_and_the_large_view(
    s3: Any, upload: Upload, open_page: Callable[..., Any]
) -> None:
    fill(upload, 4)
    with served(s3) as (_, ada), served(s3, "Bob") as (_, bob):
        one, two = open_page(ada.address), open_page(bob.address)
        # WHEN both decide the same image
        one.keyboard.press("n")
        settled(one)
        two.keyboard.press("u")
        # THEN the second sees the decision of the first, and nothing is overwritten
        until(two, "document.getElementById('trouble').textContent.includes('Ada decided')")
        assert decisions(s3, "cam/000.png") == [("none", None)]
        assert "conflict" in two.locator("#cell-0").get_attribute("class")
        # AND who works on what is shown
        two.evaluate("claimed = -1; claim()")
        until(two, "[...page.others.values()].includes('Ada')")
        # AND keys and labels that are markup are shown, and never run
        one.keyboard.press("End")
        one.keyboard.press("Enter")
        one.wait_for_selector("#facts table")
        assert "<img src=x" in one.locator("#facts h2").first.inner_text()
        assert "<script>" in one.locator("#labels").inner_text()
        assert one.title() == "Review pictures"
        assert one.locator("#facts img").count() == 0
        # AND marks of direction, of which the key has one, show no other name than the one that is there
        assert one.locator("#facts h2").first.inner_text().endswith("\ufffdgnp.png")
        assert not re.search(
            "[\u202a-\u202e\u2066-\u2069]", one.locator("body").evaluate("(body) => body.outerHTML")
        )
        until(one, "document.getElementById('big').naturalWidth > 0")
        one.keyboard.press("+")
        assert one.evaluate("page.zoom") == 2
        one.keyboard.press("Escape")
        assert one.locator("#large").is_hidden()


def test_similar_images_are_decided_at_once(s3: Any, upload: Upload, open_page: Callable[..., Any]) -> None:
    fill(upload, 5)  # of one image, with the hostile one the sixth
    other = upload("other.png", encoded(Image.effect_noise((64, 64), 90), "PNG"))
    with served(s3) as (_, server):
        page = open_page(server.address)
        page.select_option("#order", "similar")
        until(page, "page.state.comparing === 0 && grid.item(0) && grid.item(0).size === 6")
        # WHEN the group is larger than what one request takes THEN that much of it is selected, with the image in focus
        for at, selected in ((2, [0, 1, 2, 3]), (5, [5])):
            page.evaluate(f"page.most = 4; focus({at})")
            page.keyboard.press("g")
            assert page.evaluate("[...page.selected]") == selected
            assert page.evaluate("page.at") == at
            if at == 2:
                words = page.locator("#selected").text_content()
                assert words == "4 of 6 similar images are selected: a decision is about all of them."
            page.keyboard.press("Escape")
        page.evaluate("page.most = 2000; focus(0)")
        page.keyboard.press("g")
        page.keyboard.press("n")
        settled(page)
        found = stored(s3, "reviews/").values()
        assert [one["decisions"][0]["action"] for one in found] == ["none"] * 6
        assert other not in {one["inference_id"] for one in found}
        # AND one key takes all of them back
        page.keyboard.press("z")
        settled(page)
        assert {one["decisions"][-1]["action"] for one in stored(s3, "reviews/").values()} == {"undo"}


def test_selecting_similar_images_keeps_the_one_in_focus_and_waits_for_the_comparison(
    s3: Any, upload: Upload, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN images whose comparison takes long, and a reviewer who is at the third of them in another order
    fill(upload, 4)
    upload("other.png", encoded(Image.effect_noise((64, 64), 90), "PNG"), confidence=0.9)
    compared, thumbnail = threading.Event(), Thumbnails.get

    def slow(self: Thumbnails, item: ListedImage, size: str) -> DisplayImage:
        assert threading.current_thread().name != "similar" or compared.wait(60)
        return thumbnail(self, item, size)

    monkeypatch.setattr(Thumbnails, "get", slow)
    text = "document.getElementById('selected').textContent"
    state = "[page.order, page.at, page.selected.size]"
    with served(s3) as (_, server):
        page = open_page(server.address)
        page.evaluate("focus(2)")
        # WHEN similar images are to be selected, and a key is pressed before they are compared
        page.keyboard.press("g")
        until(page, f"{text}.includes('3 of 6: cam/002.png – comparing images: 6 left')")
        assert page.evaluate(state) == ["uncertain", 2, 0]
        page.keyboard.press("n")
        settled(page)
        # THEN it decides about the image in focus alone, and nothing is selected later
        until(page, "!comparison")
        assert page.evaluate(state) == ["uncertain", 3, 0]
        assert len(stored(s3, "reviews/")) == 1
        assert decisions(s3, "cam/002.png") == [("none", None)]
        # AND nothing is selected after Escape
        page.evaluate("focus(1)")
        page.keyboard.press("g")
        until(page, f"{text}.includes('comparing')")
        page.keyboard.press("Escape")
        until(page, f"!{text}.includes('comparing')")
        # WHEN nobody does anything else until they are compared
        page.keyboard.press("g")
        until(page, f"{text}.includes('comparing')")
        compared.set()
        # THEN the same image is in focus, in the order of similar ones, and all that are like it are selected
        until(page, f"{text} === '4 images are selected: a decision is about all of them.'")
        assert page.evaluate("grid.item(page.at).key") == "incoming/cam/001.png"
        assert page.evaluate("document.getElementById('order').value") == "similar"
        # AND where none is like it, the page says so
        page.keyboard.press("End")
        page.keyboard.press("g")
        until(page, f"{text} === '5 of 5: other.png – no other image of this group is much like it'")


# What is beyond the page's width, and what scrolls sideways or is cut without a sign.
OVERFLOWING = """[...document.querySelectorAll("body *")].filter((one) => one.offsetParent && !one.closest(".hidden")).filter((one) => {
  const box = one.getBoundingClientRect(), style = getComputedStyle(one), screen = document.documentElement.clientWidth;
  const sideways = one.scrollWidth > one.clientWidth + 1 && style.overflowX !== "visible" && style.textOverflow !== "ellipsis";
  return box.width && (box.left < -1 || box.right > screen + 1 || (sideways && one.tagName !== "INPUT"));
}).map((one) => `${one.tagName} ${one.id} ${one.textContent.slice(0, 40)}`)"""


def test_a_hundred_labels_of_up_to_200_characters_fit(
    s3: Any, upload: Upload, open_page: Callable[..., Any]
) -> None:
    # GIVEN a hundred labels and keys, long ones without and with spaces and hostile ones among them
    labels = ["x" * 200, "a long label " * 15, *(f"class {number}" for number in range(97)), HOSTILE_LABEL]
    long = {"label": labels[0], "confidence": 0.01, "probabilities": dict.fromkeys(labels, 0.01)}
    upload(f"{'k' * 200}/{'n' * 240}.png", **long)
    upload("done.png", **long | {"outcome": "classified", "label": labels[1]})
    fill(upload, 4)
    with served(s3) as (_, server):
        page = open_page(server.address)
        assert page.locator("#labels button").count() == 100
        # WHEN they are shown, wide and light, narrow and dark, with the large view and the bins
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("document.getElementById('bins-fold').open = true; focus(0)")
            until(page, "grid.item(0).label.length === 200 && grid.width * grid.columns <= innerWidth")
            for large in (False, True):
                page.evaluate(f"large({str(large).lower()})")
                until(
                    page, f"!{str(large).lower()} || document.querySelectorAll('#facts meter').length === 20"
                )
                # THEN nothing is cut off or scrolls sideways
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate(OVERFLOWING) == []
        # AND what is too long for its place is whole where the pointer rests
        assert page.get_attribute("#cell-0 .name", "title") == labels[0]
        assert page.get_attribute("#cell-0 .note", "title").endswith(f"{'n' * 240}.png")


def test_a_phone(s3: Any, upload: Upload, open_page: Callable[..., Any]) -> None:
    fill(upload, 8)
    with served(s3) as (_, server):
        page = open_page(server.address, 390, has_touch=True, color_scheme="dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.tap("#cell-1")
        page.tap("#none")
        settled(page)
        assert decisions(s3, "cam/001.png") == [("none", None)]
        # Everything that can be done has a name for those who do not see it, and is large enough for a finger.
        shown = "[...document.querySelectorAll('button, .cell')].filter((one) => one.offsetParent)"
        assert page.evaluate(
            f"{shown}.every((one) => (one.getAttribute('aria-label') || one.textContent).trim())"
        )
        heights = "[...document.querySelectorAll('.actions button')].map((one) => one.offsetHeight)"
        assert page.evaluate(f"Math.min(...{heights}.filter(Boolean))") >= 36
        # AND groups, which are folded there, are in sight when a tablet is turned
        assert not page.locator("#bins").is_visible()
        page.set_viewport_size({"width": 1280, "height": 800})
        page.locator("#bins button").first.wait_for(state="visible")


def test_no_other_server_of_this_machine_is_sent_the_cookie(
    s3: Any, upload: Upload, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    # GIVEN a page that somebody has opened from a file, as `--open` does, and a server of another user of the machine
    fill(upload, 4)
    with (
        served(s3) as (_, server),
        pages_served(dict.fromkeys(("/", "/api/state"), b"<!doctype html><title>x")) as (other, port),
    ):
        file = tmp_path / "review.html"
        file.write_text(redirection(server.address), encoding="utf-8")
        page = open_page(file.as_uri())
        assert "token" not in page.url
        # WHEN the same browser is led there, and a page of it requests more
        for path in ("/", "/api/state"):
            page.goto(f"http://127.0.0.1:{port}{path}")
            page.evaluate("fetch('/api/state').then((one) => one.text())")
        # THEN it is sent nothing that opens the review page
        assert other.cookies == []
