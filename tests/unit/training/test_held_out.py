"""Evaluation: which images are evaluated, what is known of those of the training, and lists of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from PIL import Image

from dropsort.contract.defaults import THRESHOLD
from training import dataset
from training.dataset import LabelledImage, channels, fingerprints, images, near_duplicates
from training.errors import TrainingError
from training.evaluation import held_out


def test_near_duplicates_of_images_that_are_here_are_found_by_their_pixels_too(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    # GIVEN a model that knows its training images, which are next to those of the test
    train = image_tree(6, below="all/train", side=64)
    test = image_tree(6, below="all/test", side=64)
    fingerprints.write(model_folder, dataset.read(train).images)
    Image.open(train / "red" / "3.png").save(test / "red" / "copy.jpg", quality=90)
    # THEN no hash is left of which the image is not known
    found = held_out.evaluate_path(model_folder, test)
    assert found.summary()["near_duplicates_from"] == ["perceptual hash and pixels"]


def test_files_of_something_else_may_have_suffixes_in_capitals(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.png", "c.txt"):
        Image.new("RGB", (9, 9)).save(tmp_path / name, "PNG")
    (tmp_path / "d.png").write_bytes(b"no image")
    more = [f"e{suffix}" for suffix in sorted(held_out.SUFFIXES)]
    for name in more:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    assert [image.path.name for image in held_out.unlabelled(tmp_path)] == ["a.PNG", "b.png", *more]
    formats = {Image.registered_extensions()[suffix] for suffix in held_out.SUFFIXES}
    assert formats == {"JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF"}


def test_a_threshold_of_0_is_one_and_a_model_without_figures_takes_everything_as_familiar(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    tree = image_tree(3)
    (model_folder / "metrics.json").unlink()
    found = held_out.evaluate_path(model_folder, tree, threshold=0.0)
    assert (found.threshold, found.threshold_from, found.familiarity_threshold) == (0.0, "given", 0.0)
    assert found.summary()["coverage_with_guard"] == 1.0


def test_a_precision_is_that_of_the_model_or_needs_held_out_images(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    tree = image_tree(3)
    for precision in (None, 0.99):
        found = held_out.evaluate_path(model_folder, tree, precision=precision)
        assert (found.threshold, found.threshold_from) == (0.8, "the model's metrics.json")
    (model_folder / "metrics.json").write_text("{}")
    with pytest.raises(
        TrainingError, match=r"another precision needs held-out images .*: --choose-on FOLDER"
    ):
        held_out.evaluate_path(model_folder, tree, precision=0.99)
    found = held_out.evaluate_path(model_folder, tree)
    assert (found.threshold, found.threshold_from) == (THRESHOLD, "default")
    assert "precision 0.99 on 6 " in held_out.evaluate_path(model_folder, tree, choose_on=tree).threshold_from


def test_progress_counts_the_images_of_something_else_too(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    tree, others = image_tree(2), image_tree(3, labels=("",), below="others")
    seen: list[tuple[int, int]] = []
    found = held_out.evaluate_path(
        model_folder, tree, others=others, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 7) for done in range(1, 8)]
    assert found.others is not None
    assert [image.label for image in found.others.images] == ["", "", ""]
    assert found.truth.tolist() == [0, 0, 1, 1]
    assert found.truth.dtype == np.int64
    (tree.parent / "empty").mkdir()
    with pytest.raises(TrainingError, match="empty contains no readable image"):
        held_out.unlabelled(tree.parent / "empty")


def test_labels_that_the_model_does_not_know_are_named(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    for labels, text in (
        (("blue", "green"), "^green is not a label of this model"), (("a", "b"), "^a, b are not labels of this model"),
    ):  # fmt: skip
        with pytest.raises(TrainingError, match=text + r" \(blue, red\): name the folders"):
            held_out.evaluate_path(model_folder, image_tree(2, labels=labels, below=labels[0]))


def test_every_way_to_find_near_duplicates_adds_to_the_others(
    model_folder: Path, image_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN test images that nearly equal one of the training, one of the validation, and one that is known by its hash alone
    test = image_tree(4, below="test", side=64)
    parts = {name: image_tree(3, below=name, side=64) / "red" for name in ("train", "validation", "gone")}
    for name, folder in parts.items():
        Image.open(folder / "1.png").save(test / "red" / f"{name}.jpg", quality=90)
    fingerprints.write(model_folder, dataset.read(parts["gone"].parent).images)
    data = dataset.read(test)
    every = [
        LabelledImage(image.path, image.label, part)
        for part, folder in (
            ("test", test),
            ("train", parts["train"].parent),
            ("validation", parts["validation"].parent),
        )
        for image in dataset.read(folder, check=False).images
    ]
    # AND one that a published list names
    monkeypatch.setattr(
        near_duplicates, "published", lambda folder: {"2.png"} if folder == test / "blue" else set()
    )
    found = held_out.evaluate(model_folder, replace(data, images=every))
    near = [
        image.path.name
        for image, flag in zip(found.predictions.images, found.near_duplicate, strict=True)
        if flag
    ]
    assert {"train.jpg", "validation.jpg", "gone.jpg", "2.png"} <= set(near)
    assert len(near) < 8
    assert found.near_duplicates_from == [
        "published list",
        "perceptual hash and pixels",
        "perceptual hash alone",
    ]


def test_a_threshold_without_a_mistake_lies_above_a_guess(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    tree = image_tree(6)
    found = held_out.evaluate_path(model_folder, tree, choose_on=tree)
    assert found.predictions.probabilities.argmax(1).tolist() == found.truth.tolist()
    assert 0.5 < found.threshold <= found.predictions.confidence.min()


def test_fingerprints_that_cannot_be_read_are_not_none_and_shape_is_a_part_of_them(tmp_path: Path) -> None:
    assert fingerprints.read(tmp_path) == fingerprints.Fingerprints()
    (tmp_path / fingerprints.FILE).mkdir()
    with pytest.raises(TrainingError, match=r"training-images\.json is damaged"):
        fingerprints.read(tmp_path)
    wide, high = np.zeros((2, 8, 3), np.uint8), np.zeros((8, 2, 3), np.uint8)
    assert fingerprints.pixel_digest(wide) != fingerprints.pixel_digest(high)
    # It is stored in model folders: another one would recognise no image of theirs.
    assert fingerprints.pixel_digest(np.zeros((2, 3, 3), np.uint8)) == "912c1186b206cf99"


def save(path: Path, colour: tuple[int, int, int] = (9, 9, 9)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), colour).save(path, "PNG")
    return path


def test_what_tools_leave_between_images_is_no_label_and_no_image(tmp_path: Path) -> None:
    for name in ("red/a.png", "__MACOSX/red/a.png", ".git/a.png", "red/.a.png", "red/deep/b.png"):
        save(tmp_path / name)
    data = dataset.read(tmp_path)
    assert data.labels == ["red"]
    assert [image.path.name for image in data.images] == ["a.png", "b.png"]
    assert data.counts() == {"unassigned": {"red": 2}}


def test_a_table_gives_labels_as_they_were_and_names_a_part_that_is_none(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("label,file,split\n'=red,a.png,test\n")
    data = dataset.read(tmp_path / "table.csv")
    assert [(image.label, image.part) for image in data.images] == [("=red", "test")]
    (tmp_path / "table.csv").write_text("label,file,split\nred,a.png,holdout\n")
    with pytest.raises(TrainingError, match="line 2: split is 'holdout'"):
        dataset.read(tmp_path / "table.csv")


def test_a_line_separator_in_a_name_ends_no_line_of_a_list(tmp_path: Path) -> None:
    name = save(tmp_path / "a\u2028b.png").name
    (tmp_path / "list.lst").write_text(f"0\t0\t{name}\r\n")
    row = {"source-ref": name, "class": 0}
    (tmp_path / "list.manifest").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    for file in ("list.lst", "list.manifest"):
        assert [image.path.name for image in dataset.read(tmp_path / file).images] == [name]


def test_a_bare_name_that_is_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    for name in ("one/a.png", "other/a.png", "one/b.png"):
        save(tmp_path / name)
    (tmp_path / "list.lst").write_text("0\t0\ta.png\n1\t1\tb.png\n")
    data = dataset.read(tmp_path / "list.lst")
    assert [image.path.name for image in data.images] == ["b.png"]
    assert data.rejected == [(tmp_path / "a.png", "does not exist")]


def test_files_of_a_test_part_that_are_no_images_are_named_next_to_a_training_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        for label in ("blue", "red"):
            save(tmp_path / part / label / "a.png")
    (tmp_path / "test" / "red" / "b.png").write_text("no")
    monkeypatch.setattr(held_out, "evaluate", lambda _folder, data, **_: data)
    found: Any = held_out.evaluate_path(tmp_path, tmp_path / "test")
    assert [path.name for path, _ in found.rejected] == ["b.png"]
    assert {image.part for image in found.images} == {"train", "test"}


def test_images_are_decoded_unless_that_is_not_wanted(tmp_path: Path) -> None:
    save(tmp_path / "red" / "a.png")
    (tmp_path / "red" / "b.png").write_bytes(b"no image")
    assert len(dataset.read(tmp_path).images) == 1
    assert len(dataset.read(tmp_path, check=False).images) == 2


def test_images_are_resized_as_the_graph_does_it(tmp_path: Path) -> None:
    made = Image.effect_noise((33, 21), 60).convert("RGB")
    made.save(tmp_path / "a.png")
    (loaded,) = images.load([dataset.LabelledImage(tmp_path / "a.png", "a")], 16)
    assert np.array_equal(loaded, np.asarray(made.resize((16, 16), Image.Resampling.BICUBIC)))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="images")
        yield client


def test_an_image_that_has_changed_is_uploaded_again_and_lists_name_where_images_are(
    bucket: Any, tmp_path: Path
) -> None:
    for part in ("train", "validation"):
        for label in ("blue", "red"):
            save(tmp_path / part / label / "a.png", (len(part), 0, len(label)))
    assert channels.upload(dataset.read(tmp_path), bucket, "images", "p").skipped == 0
    save(tmp_path / "train" / "red" / "a.png", (1, 2, 3))
    assert channels.upload(dataset.read(tmp_path), bucket, "images", "p").sent == 1

    def lines(key: str) -> list[str]:
        return bucket.get_object(Bucket="images", Key=key)["Body"].read().decode().splitlines()  # type: ignore[no-any-return]

    assert lines("p/train_lst/train.lst") == ["0\t0\tblue/a.png", "1\t1\tred/a.png"]
    assert [json.loads(line)["source-ref"] for line in lines("p/manifests/train.manifest")] == [
        "s3://images/p/train/blue/a.png", "s3://images/p/train/red/a.png",
    ]  # fmt: skip
