"""The settings of a training: the script and the dataclass agree, and the script takes SageMaker's variables and hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training import train
from training.errors import TrainingError
from training.settings import EFFICIENTNET, MODEL_FOLDER, OPTIONS, TrainingSettings, parser

CHANNELS = ("SM_CHANNEL_TRAIN", "SM_CHANNEL_VALIDATION", "SM_MODEL_DIR")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine of SageMaker."""
    for name in CHANNELS:
        monkeypatch.delenv(name, raising=False)


def test_the_script_has_the_defaults_of_the_settings_and_trains_all_epochs() -> None:
    found = vars(parser().parse_args([]))
    assert {name: found[name] for name in OPTIONS} == {
        "arch": EFFICIENTNET, "epochs": 0, "batch": 32, "seed": 0, "folds": 0, "validation": 0.1, "test": 0.15,
        "patience": 0, "mirror": True, "precision": 0.99, "name": "", "threads": 0,
    }  # fmt: skip
    settings = TrainingSettings()
    assert {name: found[name] for name in (*OPTIONS, "checkpoints")} == vars(settings)
    assert (found["images"], found["validation_images"], str(found["model"]), found["replace"]) == (
        None,
        None,
        MODEL_FOLDER,
        False,
    )


def test_folders_are_sagemakers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHANNELS:
        monkeypatch.setenv(name, f"/{name}")
    found = parser().parse_args([])
    assert [str(path) for path in (found.images, found.validation_images, found.model)] == [
        f"/{name}" for name in CHANNELS
    ]


@pytest.mark.parametrize(
    ("arguments", "mirror"),
    [([], True), (["--no-mirror"], False), (["--mirror", "False"], False), (["--mirror", "false"], False), (["--mirror", "True"], True)],
)  # fmt: skip
def test_mirroring_is_a_flag_and_a_hyperparameter(arguments: list[str], mirror: bool) -> None:
    assert parser().parse_args(arguments).mirror is mirror


def test_a_channel_that_is_not_there_is_none_and_what_is_rejected_is_shown_without_control_characters(
    image_tree: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = image_tree(12)
    (tree / "red" / "a\x1b[31m.png").write_text("no image")

    def stop(*_: object, **__: object) -> None:
        raise TrainingError("no training in this test")

    monkeypatch.setattr(train, "train", stop)
    arguments = [
        "--images",
        str(tree),
        "--validation-images",
        str(tmp_path / "gone"),
        "--model",
        str(tmp_path / "model"),
    ]
    assert train.main(arguments) == 1
    shown = capsys.readouterr()
    rejected, error = shown.err.splitlines()
    assert rejected.startswith(f"rejected: {tree / 'red'}/a\N{REPLACEMENT CHARACTER}[31m.png: not an image")
    assert error == "train: no training in this test"
    assert '"train"' in shown.out
