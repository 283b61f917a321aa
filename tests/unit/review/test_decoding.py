"""Images as the page shows them: which version, how long they are stored; the processes that decode end with the page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from dropsort.contract.defaults import MAX_MEGAPIXELS
from dropsort.contract.reasons import REASONS
from dropsort.review import decoding, thumbnails
from dropsort.review.decoding import DisplayImage, difference_hash
from dropsort.review.listing import ImageListing, ListedImage, item_of
from dropsort.review.thumbnails import Thumbnails
from tests.unit.handlers.sample_images import encoded
from tests.unit.review.conftest import BUCKET, Upload
from tests.unit.review.test_listing import document
from tests.unit.review.test_server import eventually

SHOWN = DisplayImage(b"0123456789", "image/png")


def test_the_version_that_was_decided_about_is_shown(s3: Any, upload: Upload) -> None:
    upload("a.png")
    listing = ImageListing(s3, BUCKET)
    listing.load()
    (item,) = listing._items.values()
    s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=b"another")
    made = Thumbnails(s3, BUCKET)
    assert made.get(item, "thumbnail").reason is None
    made.close()


def test_what_took_too_long_is_tried_again(s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    upload("a.png")
    listing = ImageListing(s3, BUCKET)
    listing.load()
    (item,) = listing._items.values()
    made = Thumbnails(s3, BUCKET)
    with monkeypatch.context() as patch:
        patch.setattr(thumbnails, "SECONDS", 0)
        assert made.get(item, "thumbnail").reason == thumbnails.FAILED
    assert made.get(item, "thumbnail").reason is None
    made.close()


def test_what_was_shown_last_stays_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a cache for two
    made: list[str] = []

    def make(_: Thumbnails, item: ListedImage, _side: int) -> DisplayImage:
        made.append(item.path)
        return SHOWN

    monkeypatch.setattr(Thumbnails, "_make", make)
    cache = Thumbnails(None, BUCKET, cache_bytes=20)  # type: ignore[arg-type]
    a, b, c = (item_of(document(number)) for number in range(3))
    for item in (a, b, a, c, a, b):
        cache.get(item, "thumbnail")
    assert made == [item.path for item in (a, b, c, b)]
    assert cache.cached_bytes == 20
    cache.close()


def test_hashes_are_of_brighter_neighbours_to_the_right() -> None:
    flat = Image.new("L", (90, 80), 7)
    rising = Image.new("L", (9, 8))
    rising.putdata([20 * column for _ in range(8) for column in range(9)])
    assert difference_hash(encoded(flat, "PNG")) == 0
    assert difference_hash(encoded(rising, "PNG")) == 2**64 - 1
    # AND only a row is brighter than its left neighbours
    row = Image.new("L", (9, 8))
    row.putdata([20 * column * (line == 7) for line in range(8) for column in range(9)])
    assert difference_hash(encoded(row, "PNG")) == 0xFF


def test_the_limit_of_pixels_is_the_workflows() -> None:
    side = 1000
    much = Image.new("1", (side, decoding.MAX_PIXELS // side + 1))
    assert decoding.make(encoded(much, "PNG"), 16).reason == REASONS["too_many_pixels"].sentence
    assert decoding.MAX_PIXELS == MAX_MEGAPIXELS * 10**6


PROGRAM = """
import time
from dropsort.review.thumbnails import Thumbnails
made = Thumbnails(None, "b")
pool = made.start()
pool.submit(int).result()
print(*pool._processes, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_server_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert pids
        assert all(map(is_running, pids))
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, pids)))


def test_ctrl_c_in_the_terminal_reaches_no_process_that_decodes(s3: Any) -> None:
    thumbnails = Thumbnails(s3, BUCKET)
    pool = thumbnails.start()
    # WHEN a terminal sends Ctrl-C to all, as soon as they run
    processes = set(pool._processes or ())
    for process in processes:
        os.kill(process, signal.SIGINT)
    # THEN they go on, and end with the page
    assert pool.submit(os.getpid).result(60) in processes
    thumbnails.close()
