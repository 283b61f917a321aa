"""Which model a service runs: changes since the previous run are named, and what somebody set in the stack stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropsort.local.model_version import ModelVersion, changes, identify, record, to_deploy

FIRST = ModelVersion("signs-1", "aa")
THRESHOLDS = {"Threshold": "0.9", "FamiliarityThreshold": "0.01"}


def test_a_first_run_and_an_unchanged_one_have_no_changes() -> None:
    assert changes({}, FIRST, THRESHOLDS) == []
    before = json.loads(json.dumps(record(FIRST, THRESHOLDS)))
    assert changes(before, FIRST, THRESHOLDS) == []


def test_another_model_and_its_threshold_are_named() -> None:
    found = changes(
        record(FIRST, THRESHOLDS), ModelVersion("signs-2", "bb"), {**THRESHOLDS, "Threshold": "0.8"}
    )
    assert found == [
        "The model has changed from signs-1 to signs-2.",
        "Threshold has changed from 0.9 to 0.8.",
    ]


def test_another_model_of_the_same_version_is_a_warning() -> None:
    (found,) = changes(record(FIRST, {}), ModelVersion("signs-1", "bb"), {})
    assert "but not its version signs-1" in found


@pytest.mark.parametrize(
    "damaged", [{"model": "x", "requested": 3}, {"model": [1]}, {"key": "older version"}]
)
def test_a_record_of_another_version_is_none(damaged: dict[str, object]) -> None:
    assert changes(damaged, FIRST, THRESHOLDS) == []
    assert to_deploy(damaged, THRESHOLDS) == THRESHOLDS


def test_only_what_the_model_changed_is_deployed_again() -> None:
    # GIVEN a stack whose Threshold somebody has set since, with `dropsort deploy -p`
    before = record(FIRST, THRESHOLDS)
    # THEN it is not set back, unless the model brings another one
    assert to_deploy(before, THRESHOLDS) == {}
    assert to_deploy(before, {**THRESHOLDS, "Threshold": "0.8"}) == {"Threshold": "0.8"}


def test_the_version_is_that_of_the_metrics_or_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    assert identify(folder).name == "mine"
    (folder / "metrics.json").write_text('{"model": "mine-1"}')
    first = identify(folder)
    assert first.name == "mine-1"
    (folder / "model.onnx").write_bytes(b"another graph")
    assert identify(folder).digest != first.digest


def test_a_folder_is_named_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "signs"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    monkeypatch.chdir(folder)
    found = identify(Path())
    assert (found.name, len(found.digest)) == ("signs", 16)
    assert found == identify(folder)
