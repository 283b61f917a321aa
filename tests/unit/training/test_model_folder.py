"""What is checked before a training: its folder, which is not overwritten unless requested, and its images; no torch needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from dropsort.cli.train import train as command
from dropsort.contract import model_folder as model_folder_files
from training import train
from training.errors import TrainingError


def test_a_new_and_an_empty_folder_are_taken(tmp_path: Path) -> None:
    train.check_folder(tmp_path)
    train.check_folder(tmp_path / "new")


def test_what_an_interrupted_training_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / f"{model_folder_files.GRAPH}.part").write_bytes(b"half")
    train.check_folder(tmp_path)
    # AND is no reason to take a folder with other files
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(TrainingError, match=r"contains notes\.txt and no model"):
        train.check_folder(tmp_path)


def test_a_model_is_replaced_on_request_only(model_folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"already contains a model.*--replace"):
        train.check_folder(model_folder)
    train.check_folder(model_folder, replace_model=True)


def test_anything_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    for replace in (False, True):
        with pytest.raises(TrainingError, match=r"contains a\.jpg and no model"):
            train.check_folder(tmp_path, replace_model=replace)
    with pytest.raises(TrainingError, match="is a file"):
        train.check_folder(tmp_path / "a.jpg")


def test_command_and_script_leave_the_model_as_it_is(
    model_folder: Path, image_tree: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN a model folder and images to train on
    images = image_tree(10)
    before = {path: path.read_bytes() for path in model_folder.rglob("*") if path.is_file()}
    options = ["--images", str(images), "--model", str(model_folder)]

    # WHEN command and script are run without --replace
    result = CliRunner().invoke(command, options)

    # THEN both fail before the training begins, with what to do, and no file has changed
    assert isinstance(result.exception, TrainingError)
    assert train.main(options) == 1
    assert "--replace" in str(result.exception)
    assert "--replace" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model_folder.rglob("*") if path.is_file()} == before


def test_a_label_with_few_images_in_the_test_is_named_before_the_training(
    image_tree: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a label whose images are all nearly the same, so that they have to stay in one part
    tree = image_tree(40)
    for number in range(1, 40):
        image = Image.open(tree / "red" / "0.png").point(lambda value, n=number: min(255, value + n // 8))
        image.save(tree / "red" / f"{number}.png")

    def stop(*_: object, **__: object) -> None:
        raise TrainingError("no training in this test")

    monkeypatch.setattr(train, "train", stop)
    options = [
        "--images",
        str(tree),
        "--model",
        str(tmp_path / "model"),
        "--test",
        "0.2",
        "--validation",
        "0.2",
    ]
    shown = " ".join(CliRunner().invoke(command, options).stderr.split())

    assert "Warning: The part test has only 0 of 'red', as 40 of its images are near-duplicates" in shown
    assert "of 'blue'" not in shown
