"""Thumbnails without a process that decodes: what is read, how it is decoded, what is cached, and what is shown instead."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.reasons import REASONS
from dropsort.review import thumbnails
from dropsort.review.decoding import DisplayImage, end_with_parent, make, warm_up
from dropsort.review.listing import ListedImage, item_of
from dropsort.review.thumbnails import FAILED, Thumbnails
from handlers import reading
from handlers.rejections import Rejection
from handlers.uploads import Upload
from tests.unit.review.conftest import BUCKET
from tests.unit.review.test_listing import document

SHOWN = DisplayImage(b"0123456789", "image/png")
WORKERS = thumbnails.WORKERS  # before the tests take one
ITEM = item_of(document(1))


class Decoding:
    """Instead of processes: returns or raises these, one after another, and records what it was given."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.given, self.killed = list(outcomes), list[Any](), 0
        self._processes = {number: SimpleNamespace(kill=self.kill) for number in range(2)}

    def kill(self) -> None:
        self.killed += 1

    def submit(self, *given: Any) -> Any:
        self.given.append(given)
        outcome = self.outcomes.pop(0)

        def result(seconds: float) -> Any:
            self.given.append(seconds)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return SimpleNamespace(result=result)

    def shutdown(self, **given: Any) -> None:
        self.given.append(given)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Thumbnails:
    """Thumbnails of objects that need no S3."""
    monkeypatch.setattr(reading, "read", lambda _s3, upload, _most: (upload, b"object"))
    return Thumbnails(None, BUCKET)  # type: ignore[arg-type]


def decode_with(made: Thumbnails, *outcomes: Any) -> Decoding:
    found = Decoding(*outcomes)
    made._pool = found  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(("size", "side"), [("thumbnail", 192), ("large", 1024)])
def test_the_version_is_read_and_decoded_for_a_minute_at_its_size(
    monkeypatch: pytest.MonkeyPatch, made: Thumbnails, size: str, side: int
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(reading, "read", lambda *given: read.append(given) or (given[1], b"object"))
    pool = decode_with(made, SHOWN)
    assert made.get(ITEM, size) == made.get(ITEM, size) == SHOWN
    assert read == [(None, Upload(BUCKET, ITEM.key, ITEM.version_id, ITEM.etag), 100_000_000)]
    assert pool.given == [(make, b"object", side), 60]


@pytest.mark.parametrize("error", [CancelledError(), TimeoutError(), RuntimeError()], ids=repr)
def test_an_image_whose_decoder_ends_is_decoded_again_by_another(
    made: Thumbnails, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken = decode_with(made, error)
    assert made.get(ITEM, "thumbnail") == DisplayImage(b"", "", FAILED)
    assert (made._pool, broken.killed, made._cache, made._making) == (None, 2, {}, {})
    assert broken.given[-1] == {"wait": False, "cancel_futures": True}
    # AND the pool that took its place is not ended for it
    other = decode_with(made, SHOWN)
    made._end(broken)  # type: ignore[arg-type]
    assert (made._pool, other.killed) == (other, 0)
    assert made.get(ITEM, "thumbnail") == SHOWN
    made.close()
    assert other.killed == 2


def test_what_is_not_decoded_has_its_reason(monkeypatch: pytest.MonkeyPatch, made: Thumbnails) -> None:
    def overwritten(*_: Any) -> Any:
        raise reading.Overwritten

    pool = decode_with(made)
    monkeypatch.setattr(reading, "read", overwritten)
    assert made.get(ITEM, "large") == DisplayImage(b"", "", "It was uploaded again.")
    monkeypatch.setattr(reading, "read", lambda _s3, upload, _: (upload, Rejection("object_too_large")))
    assert made.get(ITEM, "thumbnail") == DisplayImage(b"", "", REASONS["object_too_large"].sentence)
    assert pool.given == []


def test_an_error_is_no_image(monkeypatch: pytest.MonkeyPatch, made: Thumbnails) -> None:
    waiting: list[Future[DisplayImage]] = []

    def away(*_: Any) -> Any:
        waiting.extend(made._making.values())
        raise ConnectionError

    monkeypatch.setattr(reading, "read", away)
    with pytest.raises(ConnectionError):
        made.get(ITEM, "thumbnail")
    # AND it is that of everybody who waits for the image, too
    assert [type(one.exception(0)) for one in waiting] == [ConnectionError]
    assert (made._cache, made._making) == ({}, {})


def test_who_waits_for_an_image_that_is_being_made_gets_it(made: Thumbnails) -> None:
    other = Future[DisplayImage]()
    other.set_result(SHOWN)
    made._making[ITEM.inference_id, "thumbnail"] = other
    assert made.get(ITEM, "thumbnail") == SHOWN
    assert made._making == {(ITEM.inference_id, "thumbnail"): other}


@pytest.mark.parametrize(("most", "left"), [(30, 3), (29, 2), (10, 1), (9, 0)])
def test_the_cache_is_as_large_as_its_bound(made: Thumbnails, most: int, left: int) -> None:
    made._most = most
    items: list[ListedImage] = [item_of(document(number)) for number in range(3)]
    decode_with(made, SHOWN, SHOWN, SHOWN)
    for item in items:
        made.get(item, "thumbnail")
    assert list(made._cache) == [(item.inference_id, "thumbnail") for item in items[3 - left :]]
    assert made.cached_bytes == 10 * left


def test_the_cache_has_64_megabytes() -> None:
    assert Thumbnails(None, BUCKET)._most == thumbnails.CACHE_BYTES == 64_000_000  # type: ignore[arg-type]


def test_what_the_page_is_about_to_request_is_made_and_an_error_is_left_to_the_request(
    made: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[tuple[str, str]] = []

    def get(item: ListedImage, size: str) -> None:
        wanted.append((item.inference_id, size))
        raise ConnectionError

    monkeypatch.setattr(made, "get", get)
    items = [item_of(document(number)) for number in range(5)]
    made.prepare(items)
    made._ahead.shutdown()
    assert sorted(wanted) == sorted((item.inference_id, "thumbnail") for item in items)


def test_two_processes_of_their_own_decode_and_are_ready_before_the_first_image(
    made: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    class Pool(Decoding):
        def __init__(self, workers: int, context: Any, *, initializer: Any) -> None:
            super().__init__(None, None)
            started.append((self, workers, context.get_start_method(), initializer))

    monkeypatch.setattr(thumbnails, "WORKERS", WORKERS)
    monkeypatch.setattr(thumbnails, "ProcessPoolExecutor", Pool)
    pool: Any = made.start()
    assert made.start() is pool
    # A process that is forked has the threads' locks of the page's, and one whose parent is killed would stay
    assert started == [(pool, 2, "spawn", end_with_parent)]
    assert pool.given == [(warm_up,)] * 2
    assert made._ahead._max_workers == 3


def test_the_end_does_not_wait_for_what_was_to_be_made_ahead(
    made: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(made._ahead, "shutdown", lambda **given: ended.append(given))
    made.close()
    assert ended == [{"wait": False, "cancel_futures": True}]
