"""Thresholds of a model become parameters of the template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dropsort.cli.evaluate import evaluate, figures_in_words, note_unfamiliar
from dropsort.cli.models import DEFAULT_MODEL, model_option, thresholds
from tests.unit.handlers.sample_images import noise
from training.dataset import Dataset
from training.model.card import card


def test_near_duplicates_that_were_not_searched_for_are_named_as_that() -> None:
    words = "near-duplicates of training images were not searched for"
    assert ("", words) in figures_in_words({"near_duplicates": 0, "near_duplicates_from": []})
    assert words not in str(figures_in_words({"near_duplicates": 0, "near_duplicates_from": ["a list"]}))
    assert words not in str(figures_in_words({}))


def test_what_the_service_would_not_classify_as_unfamiliar_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN a model to which no image is familiar enough
    model = shutil.copytree(DEFAULT_MODEL, tmp_path / "model")
    figures = json.loads((model / "metrics.json").read_text()) | {
        "threshold": 0.0,
        "familiarity_threshold": 1.0,
    }
    (model / "metrics.json").write_text(json.dumps(figures))
    (tmp_path / "images" / "bicycle").mkdir(parents=True)
    for number in range(2):
        noise(40, 40, seed=number).save(tmp_path / "images" / "bicycle" / f"{number}.png")

    options = ["--images", str(tmp_path / "images"), "--model", str(model)]
    shown = CliRunner().invoke(evaluate, options, catch_exceptions=False)

    assert "0.0% are classified and familiar (2 confident but unfamiliar)" in shown.stdout
    assert "Warning: the service would not classify 100.0% of these images" in " ".join(shown.stderr.split())
    # AND nothing is shown where it is as intended
    usual = {"familiarity_threshold": 0.01, "coverage_with_guard": 0.9, "guard_cost": 0.005, "images": 200}
    note_unfamiliar(usual)
    assert capsys.readouterr() == ("", "")
    assert ("", "90.0% are classified and familiar (1 confident but unfamiliar)") in figures_in_words(usual)


def test_the_card_names_how_many_images_familiarity_needs() -> None:
    figures = json.loads((DEFAULT_MODEL / "metrics.json").read_text())
    data = Dataset(["bicycle", "motorcycle"], [])
    assert "it rejects about that share of genuine images.\n" in card(figures, data)
    figures["training"]["images"] = 113
    assert "if there are 200 to train on; with 113 it may reject" in card(figures, data)


def test_the_default_model_has_a_threshold() -> None:
    assert 0.5 < float(thresholds(DEFAULT_MODEL)["Threshold"]) < 1


def test_what_is_missing_stays_as_the_template_has_it(tmp_path: Path) -> None:
    assert thresholds(tmp_path) == {}
    (tmp_path / "metrics.json").write_text('{"threshold": 0.8, "accuracy": 0.9}')
    assert thresholds(tmp_path) == {"Threshold": "0.8"}
    (tmp_path / "metrics.json").write_text("[0.8]")
    assert thresholds(tmp_path) == {}


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(click.ClickException, match=r"metrics\.json is not JSON .*: train the model again\.$"):
        thresholds(tmp_path)


def test_a_folder_that_is_no_model_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    @click.command()
    @model_option
    def show(model: Path) -> None:
        click.echo(model)

    (tmp_path / "labels.json").write_text("[]")
    result = CliRunner().invoke(show, ["--model", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not a model folder: it has no model.onnx." in " ".join(result.output.split())
    assert CliRunner().invoke(show).output == f"{DEFAULT_MODEL}\n"
