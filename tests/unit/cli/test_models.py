"""Thresholds of a model become parameters of the template."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dropsort.cli.evaluate import figures_in_words
from dropsort.cli.models import DEFAULT_MODEL, model_option, thresholds


def test_near_duplicates_that_were_not_searched_for_are_named_as_that() -> None:
    words = "near-duplicates of training images were not searched for"
    assert ("", words) in figures_in_words({"near_duplicates": 0, "near_duplicates_from": []})
    assert words not in str(figures_in_words({"near_duplicates": 0, "near_duplicates_from": ["a list"]}))
    assert words not in str(figures_in_words({}))


def test_the_default_model_has_a_threshold() -> None:
    assert 0.5 < float(thresholds(DEFAULT_MODEL)["Threshold"]) < 1


def test_what_is_missing_stays_as_the_template_has_it(tmp_path: Path) -> None:
    assert thresholds(tmp_path) == {}
    (tmp_path / "metrics.json").write_text('{"threshold": 0.8, "accuracy": 0.9}')
    assert thresholds(tmp_path) == {"Threshold": "0.8"}


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(click.ClickException, match=r"metrics\.json is not JSON"):
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
