"""Near-duplicates: by hash, by pixels, by a published list."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import dataset
from training.dataset import LabelledImage, near_duplicates
from training.errors import TrainingError


def test_images_with_one_hash_and_different_pixels_are_no_near_duplicates(
    image_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN images of noise for which the hash is the same, and two copies of one of them
    tree = image_tree(10, side=64)
    copy = tree / "red" / "copy.jpg"
    Image.open(tree / "red" / "3.png").save(copy, quality=90)
    monkeypatch.setattr(near_duplicates, "perceptual_hash", lambda path: 0)

    data = dataset.split(dataset.read(tree))

    # THEN only the copies are in one group, and only the copy nearly equals an image
    groups = {image.path: image.group for image in data.images}
    assert groups.pop(copy) == groups[tree / "red" / "3.png"]
    assert len(set(groups.values())) == len(groups) == 20
    test = [image for image in data.images if image.path.stem in ("copy", "4")]
    train = [image for image in data.images if image.path.stem not in ("copy", "4")]
    assert near_duplicates.near_images(test, train) == {copy}


def test_test_images_that_nearly_equal_one_another_are_not_near_the_training(
    image_tree: Callable[..., Path],
) -> None:
    tree = image_tree(2, side=64)
    copy = tree / "red" / "copy.jpg"
    Image.open(tree / "red" / "0.png").save(copy, quality=90)
    test = [LabelledImage(path, "red") for path in (copy, tree / "red" / "0.png")]
    train = [LabelledImage(tree / "blue" / "0.png", "blue")]
    assert near_duplicates.near_images(test, train) == set()
    assert near_duplicates.near_images(test[:1], [*train, test[1]]) == {copy}
    assert near_duplicates.near_images(test[:1], test[1:]) == {copy}
    assert near_duplicates.near_images(train, test) == set(), "nor are those of the training"


def test_pixels_are_compared_as_the_means_of_16_by_16_areas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 32), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    means = pixels.reshape(16, 3, 16, 2).mean((1, 3)).ravel()
    expected = (means - means.mean()) / np.linalg.norm(means - means.mean())
    found = near_duplicates._small(tmp_path / "a.png")
    assert found.shape == (256,)
    assert np.abs(found - expected).max() < 0.002, "rounded to whole luminance"
    # AND a correlation of exactly as much as counts does
    Image.fromarray(pixels[::-1]).save(tmp_path / "b.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    value = float(found @ near_duplicates._small(paths[1]))
    for least, pairs in ((value, [(0, 1)]), (np.nextafter(value, 2), [])):
        monkeypatch.setattr(near_duplicates, "CORRELATION", least)
        assert list(near_duplicates.confirmed(paths, [(0, 1)])) == pairs
    # AND a blank image is like no other
    Image.new("L", (20, 20), 90).save(tmp_path / "blank.png")
    assert near_duplicates._small(tmp_path / "blank.png").tolist() == [0.0] * 256


def test_ten_of_64_bits_make_a_near_duplicate_and_eleven_do_not() -> None:
    ten, eleven = (1 << 10) - 1, ((1 << 11) - 1) << 40
    assert list(near_duplicates.near_pairs([0, ten, eleven])) == [(0, 1)]


def test_pairs_are_found_in_every_block_of_a_large_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK", 2)
    far = [0xFFFF << 16, 0xFFFF << 32, 0xFFFF << 48]
    assert list(near_duplicates.near_pairs([0, far[0], 1, far[1], far[2], 3, 7])) == [
        (0, 2), (0, 5), (0, 6), (2, 5), (2, 6), (5, 6),
    ]  # fmt: skip


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    assert near_duplicates.groups(6, [(3, 4), (1, 3), (0, 2)]).tolist() == [0, 1, 0, 1, 1, 5]


def test_near_are_test_images_like_one_that_was_trained_on_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN two test images like each other alone, one exactly as far from a training image as counts, one a bit farther
    hashes = {"a": 0, "b": 1, "c": (1 << 64) - 1, "d": (1 << 32) - 1 << 16}
    monkeypatch.setattr(near_duplicates, "perceptual_hash", lambda path: hashes[path.name])
    test = [LabelledImage(Path(name), "x") for name in hashes]
    trained = [(1 << 64) - 1 - 0x3FF, hashes["d"] ^ (0x7FF << 16), (1 << 64) - 1 - 0x3FF]
    assert near_duplicates.near(test, trained) == {Path("c")}
    assert near_duplicates.near(test, trained[:1]) == {Path("c")}
    assert near_duplicates.near(test, []) == set()


def test_the_hash_of_an_image_is_of_64_bits_and_0_for_what_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert near_duplicates.available()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    found = near_duplicates.perceptual_hash(tmp_path / "a.png")
    assert (1 << 32) < found < (1 << 64)
    (tmp_path / "b.png").write_text("no image")
    Image.linear_gradient("L").save(tmp_path / "c.tga")  # a format that the service does not take
    for name in ("b.png", "c.tga", "missing"):
        assert near_duplicates.perceptual_hash(tmp_path / name) == 0
        assert not near_duplicates._small(tmp_path / name).any()
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(TrainingError, match="imagehash is not installed: it is in the extra train"):
        near_duplicates.perceptual_hash(tmp_path / "a.png")


@pytest.mark.parametrize("at", [".", "..", "../.."])
def test_a_published_list_names_test_images_that_are_in_training_too(tmp_path: Path, at: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    location = folder / at
    duplicates, manifest = location / "x_duplicates.csv", location / "manifest.csv"
    assert near_duplicates.published(folder) == set()
    duplicates.write_text("TestID,TrainID\n5,7\n6.0,9.0\n,\n,7\n8,7\n7,5\n")
    assert near_duplicates.published(folder) == set(), "a list alone"
    manifest.write_text(
        "file,cifar_row,split\nt5.png,5,test\nt6.png,6,test\nn7.png,7,train\nn5.png,5,train\nu8.png,8,other\n"
    )
    # Row 9 is not in the manifest, row 8 in no part.
    assert near_duplicates.published(folder) == {"t5.png"}
    for without in ("file,split\nt5.png,test\n", ""):
        manifest.write_text(without)
        assert near_duplicates.published(folder) == set(), "no numbers of rows"


def test_a_published_list_farther_above_counts_if_the_nearer_one_has_no_rows(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    name = os.fsdecode(b"t\r\n\xe9.png")
    for location, manifest in (
        (folder, "file,split\n"),
        (tmp_path, f'file,x_row,split\n"{name}",5,test\nb,7,train\n'),
    ):
        (location / "duplicates.csv").write_text("TestID,TrainID\n5,7\n")
        (location / "manifest.csv").write_bytes(os.fsencode(manifest))
    assert near_duplicates.published(folder) == {name}, "whatever is in a name"
