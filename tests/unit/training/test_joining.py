"""Reviewed images become a dataset: duplicates, contradictions, the old test set, parts that last, and the checks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training import dataset
from training.dataset import LabelledImage, checks, fingerprints, joining
from training.dataset.fingerprints import Fingerprints


@pytest.fixture
def images(image_tree: Callable[..., Path]) -> Callable[..., list[LabelledImage]]:
    """Images that are no near-duplicates of each other: `images(count, label, folder)`."""

    def make(count: int, label: str = "red", folder: str = "new", part: str = "") -> list[LabelledImage]:
        tree = image_tree(count, labels=(label,), below=folder)
        return [LabelledImage(path, label, part) for path in sorted((tree / label).iterdir())]

    return make


def saved_again(image: LabelledImage, name: str, label: str = "") -> LabelledImage:
    """The same image, a little brighter: a near-duplicate."""
    path = image.path.with_name(name)
    Image.open(image.path).point(lambda value: min(255, value + 2)).save(path)
    return LabelledImage(path, label or image.label)


def test_the_same_image_counts_once_and_not_with_two_labels(
    images: Callable[..., list[LabelledImage]],
) -> None:
    first, second, third = images(3)
    for source, name in ((first, "a.png"), (second, "b.png")):
        shutil.copy(source.path, source.path.with_name(name))
    twice = LabelledImage(first.path.with_name("a.png"), "red")
    other = LabelledImage(second.path.with_name("b.png"), "blue")

    found = joining.join([first, second, third, twice, other])

    assert [image.path for image in found.reviewed] == [first.path, third.path]
    assert [(out.path, out.kind) for out in found.left_out] == [
        (second.path, "contradiction"),
        (twice.path, "duplicate"),
        (other.path, "contradiction"),
    ]
    assert str(first.path) in found.left_out[1].why


def test_a_contradiction_names_an_image_of_the_other_label(
    images: Callable[..., list[LabelledImage]],
) -> None:
    (first,) = images(1)
    copies = [
        LabelledImage(first.path.with_name(name), label)
        for name, label in (("a.png", "red"), ("b.png", "blue"))
    ]
    for copy in copies:
        shutil.copy(first.path, copy.path)

    found = joining.join([first, *copies])

    assert [out.why for out in found.left_out] == [
        f"'red', but the same image {copies[1].path} is 'blue'",
        f"'red', but the same image {copies[1].path} is 'blue'",
        f"'blue', but the same image {first.path} is 'red'",
    ]


def test_the_old_test_set_stays_as_it_is_and_nothing_near_it_is_trained_on(
    images: Callable[..., list[LabelledImage]],
) -> None:
    # GIVEN earlier images, of which the old model was made from all but the last two
    earlier, fresh = images(6, folder="old"), images(2)
    known = Fingerprints(frozenset(map(digest, earlier[:4])))
    near = saved_again(earlier[5], "near.png")

    found = joining.join([*fresh, near], earlier, known=known)

    assert [image.part for image in found.earlier] == ["train"] * 4 + ["test"] * 2
    assert [image.path for image in found.reviewed] == [image.path for image in fresh]
    assert [(out.path, out.kind) for out in found.left_out] == [(near.path, "near test image")]


def digest(image: LabelledImage) -> str:
    return fingerprints.pixel_digest(np.asarray(Image.open(image.path).convert("RGB")))


def test_near_duplicates_of_what_the_model_was_made_from_are_never_a_test(
    images: Callable[..., list[LabelledImage]], tmp_path: Path
) -> None:
    old = images(1, folder="old")
    fingerprints.write(tmp_path, old)
    near, other = saved_again(old[0], "near.png"), images(1)[0]

    found = joining.join(
        [near, other], known=fingerprints.read(tmp_path), drawn={"near.png": True, "0.png": True}
    )

    assert [image.part for image in found.reviewed] == ["train", "test"]


def test_parts_last_and_new_near_duplicates_follow_them(
    images: Callable[..., list[LabelledImage]], tmp_path: Path
) -> None:
    # GIVEN a first run with a test image, and a second one that has drawn others
    fresh = images(4)
    first = joining.join(fresh, drawn={"1.png": True})
    joining.write_manifest(tmp_path, first, {image.path: f"incoming/{image.path.name}" for image in fresh})
    parts = {image.path.name: image.part for image in first.reviewed}
    assert parts == {"0.png": "train", "1.png": "test", "2.png": "train", "3.png": "train"}
    assert joining.read_parts(tmp_path) == parts
    near = saved_again(fresh[1], "near.png")

    second = joining.join([*fresh, near], parts=joining.read_parts(tmp_path), drawn={"2.png": True})

    assert {image.path.name: image.part for image in second.reviewed} == parts | {"near.png": "test"}
    # What it writes is what training reads.
    read = dataset.read(tmp_path)
    assert {image.path.name: image.part for image in read.images} == parts


def test_what_may_be_drawn_later_is_held_back_unless_it_is_as_good_as_trained_on(
    images: Callable[..., list[LabelledImage]],
) -> None:
    first, second, third = images(3)
    near = saved_again(third, "near.png")

    drawn = {first.path.name: True, second.path.name: False, third.path.name: False}
    found = joining.join([first, second, third, near], drawn=drawn)

    assert {image.path: image.part for image in found.reviewed} == {
        first.path: "test",
        third.path: "train",
        near.path: "train",
    }
    assert [(out.path, out.kind) for out in found.left_out] == [(second.path, "held back")]


def test_an_unreadable_file_is_left_out_and_named(images: Callable[..., list[LabelledImage]]) -> None:
    good, bad = images(2)
    bad.path.write_bytes(b"<html>")
    found = joining.join([good, bad])
    assert [image.path for image in found.reviewed] == [good.path]
    assert found.left_out[0].kind == "unreadable"
    assert "not an image" in found.left_out[0].why


def test_images_that_show_nothing_are_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "sharp.png")
    assert checks.legibility(LabelledImage(tmp_path / "sharp.png", "")) is None
    made = {
        "blank": Image.new("L", (128, 128), 128),
        "dark": Image.fromarray(noise // 8),
        "blurred": Image.fromarray(noise).filter(ImageFilter.GaussianBlur(5)),
    }
    for kind, image in made.items():
        image.save(tmp_path / f"{kind}.png")
        found = checks.legibility(LabelledImage(tmp_path / f"{kind}.png", ""))
        assert found
        assert found.kind == kind, found.why


def test_near_duplicates_with_different_labels_contradict(images: Callable[..., list[LabelledImage]]) -> None:
    first, second = images(2)
    found = checks.contradictions([first, second, saved_again(first, "again.png", "blue")])
    assert [(one.path, one.kind) for one in found] == [(first.path, "contradiction")]


def test_confident_disagreement_is_a_likely_label_error_and_doubt_is_none() -> None:
    # GIVEN 20 images of each label; one confidently of the other label, one doubtful, one of a label that the model does not know
    images = [LabelledImage(Path(f"{i}"), "ab"[i % 2]) for i in range(40)] + [LabelledImage(Path("c"), "c")]
    first = np.array([0.95 if i % 2 == 0 else 0.05 for i in range(40)] + [0.99])
    first[4], first[7] = 0.03, 0.45

    found = checks.label_errors(images, np.stack([first, 1 - first], 1), ["a", "b"])

    assert [one.path.name for one in found] == ["4"]
    assert "the model predicts 'b' (0.97)" in found[0].why
    assert checks.label_errors([], np.zeros((0, 2)), ["a", "b"]) == []
