"""Reading images from whatever somebody has, and splitting them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import dataset
from training.dataset import Dataset, LabelledImage, channels, near_duplicates, splitting
from training.errors import TrainingError


def test_folders_are_labels_and_bad_files_are_set_aside(image_tree: Callable[..., Path]) -> None:
    # GIVEN a tree with a text file, an empty file and a truncated image in it, and what systems leave behind
    tree = image_tree(5, side=64)
    (tree / "red" / "notes.png").write_text("no picture")
    (tree / "red" / "empty.jpg").touch()
    whole = (tree / "blue" / "0.png").read_bytes()
    (tree / "blue" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tree / "blue" / ".DS_Store").write_text("x")
    shutil.copytree(tree / "blue", tree / "__MACOSX")

    data = dataset.read(tree)

    # THEN the good ones are there, the bad ones named with the reason
    assert data.labels == ["blue", "red"]
    assert len(data.images) == 10
    assert {path.name for path, _ in data.rejected} == {"notes.png", "empty.jpg", "cut.png"}
    assert all(why for _, why in data.rejected)


def test_parts_above_the_labels_are_used(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    image_tree(4, below="all/train")
    image_tree(2, below="all/test")

    data = dataset.read(tmp_path / "all")

    assert data.counts() == {"train": {"blue": 4, "red": 4}, "test": {"blue": 2, "red": 2}}


def test_manifest_gives_the_label_whatever_the_name_says(image_tree: Callable[..., Path]) -> None:
    # GIVEN a manifest that calls a file in the folder "red" blue
    tree = image_tree(2)
    (tree / "manifest.csv").write_text(
        "split,label,file\ntrain,blue,red/0.png\ntest,red,red/1.png\ntest,red,gone.png\n"
    )

    data = dataset.read(tree)

    assert [(p.label, p.part) for p in data.images] == [("blue", "train"), ("red", "test")]
    assert data.rejected == [(tree / "gone.png", "does not exist")]


def test_lst_finds_bare_names_below_it(image_tree: Callable[..., Path]) -> None:
    tree = image_tree(2, below="pics")
    shutil.move(tree / "red" / "1.png", tree / "red" / "nested.png")
    (tree / "labels.json").write_text('["blue", "red"]')
    (tree / "train.lst").write_text("0\t0\tblue/0.png\n7\t1\tnested.png\n")

    data = dataset.read(tree / "train.lst")

    assert [(p.label, p.path.name, p.part) for p in data.images] == [
        ("blue", "0.png", "train"),
        ("red", "nested.png", "train"),
    ]


def test_nothing_to_read_is_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="one folder of images per class"):
        dataset.read(tmp_path)
    with pytest.raises(TrainingError, match="does not exist"):
        dataset.read(tmp_path / "gone")


def test_split_is_stratified_and_the_same_every_time(image_tree: Callable[..., Path]) -> None:
    tree = image_tree(40, labels=("blue", "green", "red"))

    one, two = (dataset.split(dataset.read(tree), validation=0.2, test=0.1, seed=3) for _ in range(2))

    assert one == two
    assert one.counts()["test"] == {"blue": 4, "green": 4, "red": 4}
    assert one.counts()["validation"] == {"blue": 8, "green": 8, "red": 8}
    assert dataset.split(dataset.read(tree), seed=4) != one


def test_near_duplicates_stay_on_one_side(image_tree: Callable[..., Path]) -> None:
    # GIVEN every image three times: as it is, brighter, and saved as JPEG
    tree = image_tree(15, side=64)
    for path in list(tree.rglob("*.png")):
        image = Image.open(path)
        image.point(lambda v: min(255, int(v * 1.05))).save(path.with_name(path.stem + "-bright.png"))
        image.save(path.with_suffix(".jpg"), quality=90)

    data = dataset.split(dataset.read(tree), validation=0.2, test=0.2)

    # THEN no image has a copy in another part
    parts: dict[tuple[str, str], set[str]] = {}
    for p in data.images:
        parts.setdefault((p.label, p.path.stem.removesuffix("-bright")), set()).add(p.part)
    assert all(len(found) == 1 for found in parts.values())
    assert {p.part for p in data.images} == {"train", "validation", "test"}


def by_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has a near hash is a near-duplicate: for images that are not there."""
    monkeypatch.setattr(near_duplicates, "confirmed", lambda _, pairs: pairs)


def test_images_of_another_label_do_not_keep_a_label_out_of_a_part(
    image_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN 40 red images that are as near to one blue image as near-duplicates are, but not to each other
    tree = image_tree(40)
    random = np.random.default_rng(0)

    def near_the_blue_one(path: Path) -> int:
        if path.parent.name == "red":
            return sum(1 << int(bit) for bit in random.permutation(64)[:9])
        return 0 if path.stem == "0" else int(random.integers(1 << 62))

    monkeypatch.setattr(near_duplicates, "perceptual_hash", near_the_blue_one)
    by_hash_alone(monkeypatch)

    data = dataset.split(dataset.read(tree), validation=0.2, test=0.2)

    # THEN they are in every part all the same
    assert data.counts()["validation"] == data.counts()["test"] == {"blue": 8, "red": 8}


def test_given_test_images_are_never_trained_on(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    image_tree(20, below="all/train")
    image_tree(6, below="all/test")

    data = dataset.split(dataset.read(tmp_path / "all"), validation=0.25)

    assert all("/test/" in str(p.path) for p in data.part("test"))
    assert data.counts()["test"] == {"blue": 6, "red": 6}
    assert data.counts()["validation"] == {"blue": 5, "red": 5}


def test_load_gives_images_of_one_size(tmp_path: Path) -> None:
    Image.new("RGBA", (50, 20), (255, 0, 0, 255)).save(tmp_path / "a.png")

    loaded = dataset.load([LabelledImage(tmp_path / "a.png", "a")], 16)

    assert loaded.shape == (1, 16, 16, 3)
    assert np.array_equal(loaded[0, 0, 0], [255, 0, 0])
    # AND fine patterns become their mean, as the graph's resizing makes them
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "b.png")
    loaded = dataset.load([LabelledImage(tmp_path / "b.png", "b")], 16)
    assert np.abs(loaded[0].astype(int) - 127).max() < 10


def test_channels_read_back_as_the_same_dataset(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    data = dataset.split(dataset.read(image_tree(12)), validation=0.25, test=0.25)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "labels.json").write_text(json.dumps(data.labels))

    for part in dataset.PARTS:
        # WHEN a part's images lie where its channel has them, next to its manifest and its index
        for item in channels.channel_images(data, part):
            (folder / part / item.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.image.path, folder / part / item.name)
        (folder / f"{part}.manifest").write_text(channels.augmented_manifest(data, part, str(folder)))
        (folder / f"{part}.lst").write_text(channels.lst(data, part))
        # THEN both name the same images with the same labels
        wanted = {(image.path.read_bytes(), image.label) for image in data.part(part)}
        for index in ("manifest", "lst"):
            again = dataset.read(folder / f"{part}.{index}")
            assert {(image.path.read_bytes(), image.label) for image in again.images} == wanted, index
        rows = [line.split("\t") for line in (folder / f"{part}.lst").read_text().splitlines()]
        assert [int(row[1]) for row in rows] == [data.number(image) for image in data.part(part)]
    entry = json.loads(channels.augmented_manifest(data, "train", "s3://bucket/images").splitlines()[0])
    (first, *_) = channels.channel_images(data, "train")
    assert entry == {
        "source-ref": f"s3://bucket/images/train/{first.name}",
        "class": data.number(first.image),
        "class-metadata": {"class-name": first.image.label},
    }


def test_equal_names_in_one_label_stay_apart(tmp_path: Path) -> None:
    data = Dataset(["a"], [LabelledImage(tmp_path / d / "x.png", "a", "train") for d in ("one", "two")])

    names = [item.name for item in channels.channel_images(data, "train")]

    assert len(set(names)) == 2
    # AND those that are not UTF-8, too
    odd = os.fsdecode(b"\xe9.png")
    data = Dataset(["a"], [LabelledImage(tmp_path / d / odd, "a", "train") for d in ("one", "two")])
    names = [item.name for item in channels.channel_images(data, "train")]
    assert len(set(names)) == 2
    assert all(name.endswith("-\\xe9.png") for name in names)


def test_the_real_images_take_their_labels_from_the_manifest(real_data: Path) -> None:
    data = dataset.split(dataset.read(real_data / "bicycle-motorcycle"))

    assert data.labels == ["bicycle", "motorcycle"]
    assert data.counts()["test"] == {"bicycle": 100, "motorcycle": 100}
    assert len(data.part("train")) + len(data.part("validation")) == 1000
    named_bike = [p for p in data.images if p.path.name.startswith("bike_s_") and p.label == "motorcycle"]
    assert named_bike


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_with_fewer_than_five_of_a_label_is_scarce(part: str) -> None:
    def scarce(count: int, near: int = 0, other: int = 0) -> list[str]:
        """`near` images of the label are near-duplicates in another part, and so are `other` images of another label."""
        images = [LabelledImage(Path(), "a", part)] * count + [LabelledImage(Path(), "b", part)] * 5
        images += [LabelledImage(Path(), "a", "train", group=0)] * near
        images += [LabelledImage(Path(), "b", "train", group=1)] * other
        return splitting.scarce(Dataset(["a", "b"], images))

    assert scarce(5) == scarce(5, near=1) == []
    why = "figures of it mean little; add more, and more varied, images"
    assert scarce(4) == [f"The part {part} has only 4 of 'a': {why}"]
    # AND near-duplicates of each other are the reason if there are more than these
    assert scarce(4, near=5, other=9) == [f"The part {part} has only 4 of 'a': {why}"]
    reason = "as 6 of its images are near-duplicates of each other"
    assert scarce(0, near=6, other=9) == [f"The part {part} has only 0 of 'a', {reason}: {why}"]


def test_folds_leave_every_image_out_once_and_keep_groups_together() -> None:
    truth = np.array([0] * 30 + [1] * 20)
    groups = np.arange(50)
    groups[[0, 7, 40]] = 100  # one group, of both labels

    out = splitting.folds(truth, groups, 5, seed=0)

    assert np.array_equal(np.sum(out, 0), np.ones(50))
    assert any(fold[[0, 7, 40]].all() for fold in out)
    assert all(4 <= (fold & (truth == 0)).sum() <= 8 for fold in out)


def test_images_that_were_given_for_training_are_never_tested_and_the_others_are_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN 40 images of which every other one is given for training, none like another
    random = np.random.default_rng(0)
    monkeypatch.setattr(near_duplicates, "perceptual_hash", lambda path: int(random.integers(1 << 62)))
    by_hash_alone(monkeypatch)
    images = [LabelledImage(Path(str(n)), "ab"[n % 4 // 2], "train" if n % 2 else "") for n in range(40)]
    done: list[tuple[int, int]] = []
    data = dataset.split(
        Dataset(["a", "b"], images), validation=0.0, test=0.4, progress=lambda n, of: done.append((n, of))
    )
    assert data.counts()["test"] == {"a": 4, "b": 4}
    assert all(int(image.path.name) % 2 == 0 for image in data.part("test"))
    assert len(data.part("train")) == 32
    assert done == [(n, 40) for n in range(1, 41)]


def hashed(monkeypatch: pytest.MonkeyPatch, *images: tuple[str, str, int]) -> Dataset:
    """A dataset of images with a label, a part and a hash; -1 for one like no other."""
    random = np.random.default_rng(1)
    hashes = [int(random.integers(1 << 62)) if one < 0 else one for _, _, one in images]
    monkeypatch.setattr(near_duplicates, "perceptual_hash", lambda path: hashes[int(path.name)])
    by_hash_alone(monkeypatch)
    made = [LabelledImage(Path(str(number)), label, part) for number, (label, part, _) in enumerate(images)]
    return Dataset(sorted({label for label, _, _ in images}), made)


def test_near_duplicates_of_two_labels_stay_together_where_each_label_gets_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN ten pairs of an image of each label, and as many that are like no other
    numbers = np.random.default_rng(0).integers(1 << 62, size=10).tolist()
    pairs = [(label, "", number) for number in numbers for label in "ab"]
    data = dataset.split(
        hashed(monkeypatch, *pairs, *[("a", "", -1), ("b", "", -1)] * 10), validation=0.2, test=0.2
    )
    parts = [image.part for image in data.images]
    assert all(parts[at] == parts[at + 1] for at in range(0, 20, 2))
    assert all(data.images[at].group == data.images[at + 1].group for at in range(0, 20, 2))
    assert len({image.group for image in data.images}) == 30


def test_a_part_gets_whole_groups_up_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("a", "", 0x3FFFF << (8 * number)) for number in range(5) for _ in range(2)]
    for share, count in ((0.4, 4), (0.3, 2), (0.2, 2), (0.1, 0)):
        data = dataset.split(hashed(monkeypatch, *pairs), validation=0.0, test=share)
        assert len(data.part("test")) == count, share
        assert len(data.part("train")) == 10 - count


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        (["train"] * 20, {"train": 16, "validation": 4}),
        (["train"] * 10 + ["validation"] * 10, {"train": 10, "validation": 10}),
        (["train"] * 10 + ["test"] * 10, {"train": 8, "validation": 2, "test": 10}),
        ([""] * 10 + ["test"] * 10, {"train": 8, "validation": 2, "test": 10}),
        ([""] * 10 + ["validation"] * 10, {"train": 8, "validation": 10, "test": 2}),
        ([""] * 20, {"train": 12, "validation": 4, "test": 4}),
    ],
)
def test_only_parts_that_were_not_given_are_made(
    monkeypatch: pytest.MonkeyPatch, parts: list[str], counts: dict[str, int]
) -> None:
    data = dataset.split(hashed(monkeypatch, *[("a", part, -1) for part in parts]), validation=0.2, test=0.2)
    assert {part: found["a"] for part, found in data.counts().items() if found["a"]} == counts
    for image, part in zip(data.images, parts, strict=True):
        assert part in ("", "train") or image.part == part


def test_usually_fifteen_of_a_hundred_are_held_out_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    unsplit = hashed(monkeypatch, *[("a", "", -1)] * 100)
    data = dataset.split(unsplit)
    assert data == dataset.split(unsplit, seed=0)
    assert data.counts() == {"train": {"a": 70}, "validation": {"a": 15}, "test": {"a": 15}}


@pytest.mark.parametrize(("found", "enough"), [(3, True), (2, False)])
def test_half_of_its_share_in_each_part_is_enough_for_a_label(found: int, enough: bool) -> None:
    images = [LabelledImage(Path(), "a", "test" if number < found else "train") for number in range(30)]
    assert splitting._in_proportion(images, {"test": 0.2, "validation": 0.0}) is enough


def test_a_large_group_is_a_fold_of_its_own_and_the_others_fill_the_rest() -> None:
    groups = np.array([7] * 10 + list(range(20, 30)))
    out = splitting.folds(np.zeros(20, np.int64), groups, 2, seed=0)
    # Each unit goes to the smaller fold, in a random order.
    sizes = [int(fold.sum()) for fold in out]
    assert sorted(sizes)[1] <= 15
    assert [fold[:10].all() or not fold[:10].any() for fold in out] == [True, True]
    one, two, other = (splitting.folds(np.zeros(20, np.int64), np.arange(20), 4, seed=s) for s in (0, 0, 1))
    assert [fold.sum() for fold in one] == [5] * 4
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    # GIVEN groups of two, three to a fold, WHEN sizes count images THEN each fold has as many
    doubles = splitting.folds(
        np.array([0] * 12 + [1] * 6), np.array([*np.arange(12) // 2, *range(20, 26)]), 3, seed=0
    )
    assert [fold[:12].sum() for fold in doubles] == [4] * 3
    assert [fold[12:].sum() for fold in doubles] == [2] * 3
    # AND a large group that comes first stays alone
    groups = np.array([0] * 8 + [1, 2, 3, 4])
    alone = [splitting.folds(np.zeros(12, np.int64), groups, 2, seed=seed)[0].sum() for seed in range(20)]
    assert 8 in alone
