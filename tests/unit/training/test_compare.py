"""Two models on the same images: what is counted, what decides, what is left out, and the page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dropsort.cli.compare import compare as command
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.contract.statistics import paired_difference
from dropsort.pages import comparison as page
from training import dataset, inference
from training.dataset import LabelledImage, fingerprints
from training.errors import TrainingError
from training.evaluation.compare import Comparison, Paired, Side, compare
from training.evaluation.evaluation import Predictions

LABELS = ["bicycle", "motorcycle"]


def side(name: str, outputs: str) -> Side:
    """A model whose predictions are: B, M sure; b, m unsure."""
    images = [LabelledImage(Path(f"<b>{i}.png"), "bicycle") for i in range(len(outputs))]
    sure = {"B": 0.99, "b": 0.6, "m": 0.4, "M": 0.01}
    first = np.array([sure[one] for one in outputs])
    familiar = np.ones(len(outputs))
    return Side(name, LABELS, Predictions(images, np.stack([first, 1 - first], 1), familiar), 0.9, 0.0, 2.0)


def comparison(current: str, candidate: str, near: str = "", precision: float = 0.9) -> Comparison:
    """All images are bicycles; `near` marks near-duplicates with x."""
    flags = np.array([mark == "x" for mark in near.ljust(len(current))])
    return Comparison(
        side("old", current), side("<i>new", candidate), ["bicycle"] * len(current), flags, precision
    )


@pytest.mark.parametrize(
    ("current", "candidate", "verdict", "words"),
    [
        ("B" * 80 + "M" * 20, "B" * 97 + "M" * 3, "roll out", "the candidate is better, +17.0 points"),
        ("B" * 97 + "m" * 3, "B" * 80 + "m" * 20, "do not roll out", "is worse, -17.0 points"),
        ("B" * 80 + "M" * 20, "B" * 80 + "M" * 20, "do not roll out", "80.0% of what it classifies is right"),
        ("B" * 300 + "b" * 300, "B" * 500 + "b" * 100, "roll out", "it classifies +33.3 points more"),
        ("B" * 97 + "m" * 3, "B" * 99 + "m" * 1, "undecided", "more images would decide"),
        ("B" * 100, "B" * 100, "undecided", "differ in too few images"),
    ],
)
def test_the_advice_and_its_reason(current: str, candidate: str, verdict: str, words: str) -> None:
    found, sentence = comparison(current, candidate).verdict()
    assert found == verdict
    assert words in sentence


def test_near_duplicates_of_training_images_do_not_decide() -> None:
    # GIVEN a candidate that is better on near-duplicates of training images only
    current, candidate = "B" * 60 + "m" * 40, "B" * 100

    assert comparison(current, candidate).verdict()[0] == "roll out"
    found = comparison(current, candidate, near=" " * 60 + "x" * 40)
    assert found.verdict()[0] == "undecided"
    assert found.accuracy().gained == 40  # shown all the same
    assert len(found.decisive().truth) == 60


def test_figures_are_of_pairs() -> None:
    found = comparison("BBMmb", "BMBmB")

    figures = json.loads(json.dumps(found.summary(), allow_nan=False))

    assert (figures["accuracy"]["gained"], figures["accuracy"]["lost"]) == (1, 1)
    assert figures["accuracy"]["difference"] == 0
    assert figures["coverage"] == figures["coverage"] | {"current": 0.6, "candidate": 0.8, "gained": 1}
    assert figures["changes"] == [
        {"from": "bicycle", "to": "motorcycle", "images": 1, "newly_right": 0, "newly_wrong": 1},
        {"from": "motorcycle", "to": "bicycle", "images": 1, "newly_right": 1, "newly_wrong": 0},
    ]
    assert figures["candidate"]["precision"] == 0.75


def test_as_many_more_images_as_it_names_would_decide() -> None:
    flags = [np.array([True] * right + [False] * (200 - right)) for right in (190, 193)]
    before = Paired.of(*flags)
    times = (before.needed() + 200) / 200
    assert before.interval.low < 0
    assert 0 < paired_difference(3 * times, 0, 200 * times).low < 0.001
    assert Paired.of(flags[0], flags[0]).needed() == 0


def test_coverage_at_a_precision_that_no_threshold_reaches_is_none() -> None:
    found = comparison("MMMM", "BBBM", precision=0.99).coverage_at_precision()
    assert found.current == 0


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """The model that is part of Dropsort with its labels exchanged: wrong wherever the other is right."""
    shutil.copytree(DEFAULT_MODEL, tmp_path / "candidate")
    (tmp_path / "candidate" / "labels.json").write_text(json.dumps(LABELS[::-1]))
    return tmp_path / "candidate"


def test_real_models_on_the_same_images_without_those_of_the_training(
    candidate: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN one image that the candidate was trained on
    tree = image_tree(3, labels=("bicycle", "motorcycle"))
    own = fingerprints.pixel_digest(inference.decode((tree / "bicycle" / "0.png").read_bytes()))
    (candidate / fingerprints.FILE).write_text(json.dumps({"pixels": [own], "perceptual": []}))
    out = tmp_path / "page.html"

    options = [str(candidate), "--images", str(tree), "--html", str(out), "--json", "-"]
    shown = CliRunner().invoke(command, options, catch_exceptions=False)

    figures = json.loads(shown.stdout)
    assert figures["images"] == 5
    assert figures["overlap"] == 1
    assert (
        figures["accuracy"]["gained"] + figures["accuracy"]["lost"] == 5
    )  # each is right where the other is not
    assert figures["precision"] == 0.99
    assert figures["candidate"]["milliseconds"] > 0
    assert "0.png" in shown.stderr
    assert figures["sentence"] in shown.stderr.replace("\n", " ")
    assert out.is_file()


def test_images_without_a_label_of_either_or_of_the_training_alone_are_errors(
    candidate: Path, image_tree: Callable[..., Path]
) -> None:
    cars = dataset.read(image_tree(1, labels=("car",), below="cars"))
    with pytest.raises(TrainingError, match="car: neither model has such a label"):
        compare(DEFAULT_MODEL, candidate, cars)
    tree = image_tree(1, labels=("bicycle",), below="own")
    fingerprints.write(candidate, dataset.read(tree).images)
    with pytest.raises(TrainingError, match="each of these 1 images"):
        compare(DEFAULT_MODEL, candidate, dataset.read(tree))


def test_the_page_is_self_contained_and_names_run_nothing() -> None:
    text = page.render(comparison("BBMmb" * 4, "BMBmB" * 4))

    HTMLParser().feed(text)
    assert not re.search(r"(src|href)=['\"](?!data:)", text)
    assert "<b>0.png" not in text
    assert "<i>new" not in text
    assert text.count('role="img"') == 3
    for words in ("Newly right", "Newly wrong", "What changes label", "the file is gone"):
        assert words in text
