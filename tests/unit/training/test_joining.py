"""Reviewed images become a dataset: duplicates, contradictions, the old test set, parts that last, and the checks."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import dataset
from training.dataset import LabelledImage, channels, fingerprints, joining
from training.dataset.fingerprints import Fingerprints


@pytest.fixture
def images(image_tree: Callable[..., Path]) -> Callable[..., list[LabelledImage]]:
    """Images that are not near-duplicates of each other: `images(count, label, folder)`."""

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

    found = joining.join([near, *fresh], earlier, known=known)

    assert [image.part for image in found.earlier] == ["train"] * 4 + ["test"] * 2
    assert [image.path for image in found.reviewed] == [image.path for image in fresh]
    assert [(out.path, out.kind) for out in found.left_out] == [(near.path, "near test image")]
    assert found.left_out[0].why == f"nearly the test image {earlier[5].path}"


def test_a_near_hash_of_other_pixels_leaves_nothing_out(
    images: Callable[..., list[LabelledImage]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN images whose hashes are all the same, as of drawings with little contrast: the hashes of the earlier model too
    monkeypatch.setattr(joining.near_duplicates, "perceptual_hash", lambda path: 0)
    (test,), fresh = images(1, folder="old", part="test"), images(3)
    near = saved_again(test, "near.png", "blue")
    known = Fingerprints(frozenset(), (0, 0))

    found = joining.join([*fresh, near], [test], known=known)

    # THEN only what has the pixels of the test image is left out, and the other label is named
    assert [(image.path, image.part) for image in found.reviewed] == [(one.path, "train") for one in fresh]
    assert [(out.path, out.kind) for out in found.left_out] == [(near.path, "near test image")]
    assert found.left_out[0].why == f"nearly the test image {test.path}, which is 'red'"
    # AND an image that is blank or not there is like no other
    Image.new("RGB", (8, 8)).save(fresh[0].path)
    paths = [fresh[0].path, fresh[0].path, Path("nowhere")]
    assert list(joining.near_duplicates.confirmed(paths, [(0, 1), (0, 2)])) == []


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


def test_what_was_an_earlier_image_is_left_out_and_the_manifest_names_all_others(
    images: Callable[..., list[LabelledImage]], tmp_path: Path
) -> None:
    # GIVEN an earlier image, and copies of it with its label and another; a file that is none; one that is new
    (old,), new = images(1, folder="old"), images(3)
    shutil.copy(old.path, new[0].path)
    new[1].path.write_bytes(b"no image")
    done: list[tuple[int, int]] = []
    found = joining.join(new, [old], progress=lambda n, of: done.append((n, of)))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [(out.path, out.kind) for out in found.left_out] == [
        (new[0].path, "duplicate"),
        (new[1].path, "unreadable"),
    ]
    assert found.left_out[0].why == f"the same as {old.path}"
    assert [(image.path, image.part) for image in (*found.reviewed, *found.earlier)] == [
        (new[2].path, "train"), (old.path, "train")
    ]  # fmt: skip
    assert set(found.hashes) == {new[2].path, old.path}
    joining.write_manifest(tmp_path, found, {new[2].path: "incoming/ü,b.png"})
    name = new[2].path.relative_to(tmp_path).as_posix()
    lines = (tmp_path / "manifest.csv").read_bytes().decode().split("\n")
    assert lines == [
        "file,label,split,key",
        f'{name},red,train,"incoming/ü,b.png"',
        f"{old.path.resolve()},red,train,",
        "",
    ]
    assert [path.name for path in tmp_path.glob(".*")] == []
    # An earlier image has no part of an earlier run.
    assert joining.read_parts(tmp_path) == {new[2].path.name: "train"}
    assert joining.read_parts(tmp_path / "nowhere") == {}
    other = joining.join([LabelledImage(new[0].path, "blue")], [old])
    assert [out.why for out in other.left_out] == [f"'blue', but the same image {old.path} is 'red'"]
    assert [image.part for image in other.earlier] == ["train"], "an earlier image is never left out"


def test_a_label_is_no_formula_in_the_manifest_and_is_read_back_as_it_was(
    images: Callable[..., list[LabelledImage]], tmp_path: Path
) -> None:
    (one,) = images(1)
    found = joining.join([replace(one, label="=1+1")], [])
    joining.write_manifest(tmp_path, found, {one.path: "incoming/a.png"})
    (row,) = csv.DictReader((tmp_path / "manifest.csv").open(encoding="utf-8"))
    assert row["label"] == "'=1+1"
    assert dataset.read(tmp_path).labels == ["=1+1"]


@pytest.mark.parametrize(
    ("given", "drawn", "part"),
    [
        ("train", True, "train"), ("validation", True, "train"), ("test", False, "test"), ("", True, "test"), ("", False, None),
        ("", None, "train"),
    ],
)  # fmt: skip
def test_an_image_follows_its_near_duplicate_of_an_earlier_run(
    images: Callable[..., list[LabelledImage]], given: str, drawn: bool | None, part: str | None
) -> None:
    # GIVEN a near-duplicate that had a part, or that was drawn too
    first = images(1)[0]
    near = saved_again(first, "near.png")
    names = {} if drawn is None else {first.path.name: True, "near.png": drawn}
    found = joining.join([first, near], parts={first.path.name: given} if given else {}, drawn=names)
    parts = {image.path.name: image.part for image in found.reviewed}
    assert parts.get("near.png") == part
    assert [out.why for out in found.left_out] == ["it is for a test, once all before it are reviewed"] * (
        part is None
    )
    if given:
        assert parts[first.path.name] == given


def test_a_name_in_the_manifest_has_its_own_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b'file,label,split,key\n"a\r\n.png",red,test,k\n')
    assert joining.read_parts(tmp_path) == {"a\r\n.png": "test"}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems only take UTF-8")
def test_files_whose_names_are_no_utf8_are_in_the_manifest_and_in_the_channels(
    images: Callable[..., list[LabelledImage]],
) -> None:
    new, old = images(1)[0], images(1, folder="old", part="train")[0]
    moved = [one.path.rename(one.path.with_name(os.fsdecode(b"\xe9.png"))) for one in (new, old)]
    folder = moved[0].parent
    new, old = LabelledImage(moved[0], "red", "test"), LabelledImage(moved[1], "red", "train")
    joining.write_manifest(folder, joining.JoinedDataset([new], [old], [], {}), {new.path: "incoming/a.png"})
    assert joining.read_parts(folder) == {moved[0].name: "test"}
    found = dataset.read(folder)
    assert [image.path for image in found.images] == moved
    assert channels.lst(found, "test").encode() == b"0\t0\tred/\\xe9.png\n"
    assert channels.augmented_manifest(found, "test", "s3://b").encode()
