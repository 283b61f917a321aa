"""Near-duplicates are grouped, and what differs is not, however long the chain of small differences."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from PIL import Image, ImageDraw

from dropsort.review import similar
from dropsort.review.decoding import DisplayImage, difference_hash
from dropsort.review.listing import ListedImage, item_of
from dropsort.review.similar import DISTANCE, SimilarImages, grouped
from dropsort.review.thumbnails import FAILED
from tests.unit.handlers.sample_images import encoded
from tests.unit.review.test_listing import document, paths
from tests.unit.review.test_server import eventually


def scene(shift: int = 0) -> Image.Image:
    """A bush in front of a wall, or one a few pixels to the right."""
    image = Image.new("RGB", (160, 120), (200, 190, 170))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 80, 160, 120), (90, 80, 60))
    draw.ellipse((30 + shift, 20, 90 + shift, 100), (30, 90, 40))
    return image


def test_the_same_scene_has_nearly_the_same_hash() -> None:
    still = difference_hash(encoded(scene(), "PNG"))
    lossy = difference_hash(encoded(scene().resize((80, 60)), "JPEG"))
    other = difference_hash(encoded(scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"))
    assert (still ^ lossy).bit_count() <= DISTANCE
    assert (still ^ other).bit_count() > DISTANCE


def test_what_may_have_failed_due_to_another_image_is_compared_again() -> None:
    # GIVEN images of which one fails at first, and one each time
    items = [item_of(document(number)) for number in range(3)]

    failures = {"000": [], "001": [1], "002": range(1000)}  # by the number of the attempt, from 1
    attempts: Counter[str] = Counter()

    class Thumbnails:
        def get(self, item: ListedImage, _size: str) -> DisplayImage:
            name = item.path[:3]
            attempts[name] += 1
            if attempts[name] not in failures[name]:
                return DisplayImage(b"x", "image/png", None, 0)
            if attempts[name] == 2:
                raise ConnectionError("S3 is away")
            return DisplayImage(b"", "", FAILED)

    made = SimilarImages(Thumbnails())  # type: ignore[arg-type]
    try:
        # WHEN they are grouped again and again THEN the one is in the group of its like, and the other is given up
        eventually(lambda: [paths(one) for one in made.groups(items)] == [["000", "001"], ["002"]])
        eventually(lambda: bool(made.groups(items)) and not made.pending)
        made.groups(items)
        assert (made.pending, attempts["001"], attempts["002"]) == (0, 2, 3)
    finally:
        made.stop()


class Counting:
    """Thumbnails that are the same for all images; `begun` and `go_on` hold up the first."""

    def __init__(self) -> None:
        self.made, self.begun, self.go_on = list[str](), threading.Event(), threading.Event()

    def get(self, item: ListedImage, _size: str) -> DisplayImage:
        self.made.append(item.path[:3])
        self.begun.set()
        assert self.go_on.wait(60)
        return DisplayImage(b"x", "image/png", None, 0)


def test_the_end_waits_for_one_image_at_most() -> None:
    items, thumbnails = [item_of(document(number)) for number in range(3)], Counting()
    made = SimilarImages(thumbnails)  # type: ignore[arg-type]
    made.groups(items)
    assert thumbnails.begun.wait(60)
    thread = made._thread
    assert thread
    made.groups(items)
    assert made._thread is thread
    made.stop()
    thumbnails.go_on.set()
    thread.join(60)
    assert (thread.is_alive(), thumbnails.made) == (False, ["000"])


def test_without_images_to_compare_there_is_no_thread() -> None:
    made = SimilarImages(Counting())  # type: ignore[arg-type]
    assert (made.groups([]), made._thread) == ([], None)


def test_of_too_many_hashes_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "MOST_HASHES", 2)
    items, thumbnails = [item_of(document(number)) for number in range(3)], Counting()
    thumbnails.go_on.set()
    made = SimilarImages(thumbnails)  # type: ignore[arg-type]
    try:
        made.groups(items)
        eventually(lambda: not made.pending)
        assert [paths(one) for one in made.groups(items[1:])] == [["001", "002"]]
        assert made.pending == 0
    finally:
        made.stop()


def test_groups_have_a_leader_and_the_largest_comes_first() -> None:
    items = [item_of(document(number)) for number in range(7)]
    chain = [0, 0b11111, 0b1111111111, None, 0, 0xFF00FF00FF00FF00, None]
    found = [paths(group) for group in grouped(items, chain)]
    # 0 and 1 are near, 1 and 2 are, 0 and 2 are not: what is in a group is near its first image.
    assert found == [["000", "001", "004"], ["002"], ["005"], ["003"], ["006"]]
    # AND one that is found later may be the largest; six bits are too many
    found = [paths(group) for group in grouped(items[:3], [0b111111, 0, 0b11111 << 10])]
    assert found == [["001", "002"], ["000"]]
