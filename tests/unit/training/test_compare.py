"""Two models on the same images: what is counted, what decides, what is left out, and the page."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from dropsort.cli.compare import compare as command
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.contract.statistics import calibration_error, paired_difference, wilson
from dropsort.pages import comparison as page
from training import dataset, inference
from training.dataset import LabelledImage, fingerprints, near_duplicates
from training.errors import TrainingError
from training.evaluation.compare import MARGIN, ComparedModel, Comparison, PairedShare, _near, compare
from training.evaluation.figures import Predictions

LABELS = ["bicycle", "motorcycle"]


def side(name: str, outputs: str) -> ComparedModel:
    """A model whose predictions are: B, M sure; b, m unsure."""
    images = [LabelledImage(Path(f"<b>{i}.png"), "bicycle") for i in range(len(outputs))]
    sure = {"B": 0.99, "b": 0.6, "m": 0.4, "M": 0.01}
    first = np.array([sure[one] for one in outputs])
    familiar = np.ones(len(outputs))
    return ComparedModel(
        name, LABELS, Predictions(images, np.stack([first, 1 - first], 1), familiar), 0.9, 0.0, 2.0
    )


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
    assert found.verdict()[1].startswith(
        f"Undecided: +0.0 points of accuracy ({paired_difference(0, 0, 60).points()})"
        " on the 60 images without a near-duplicate in training,"
    )
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
    before = PairedShare.of(*flags)
    times = (before.needed() + 200) / 200
    assert before.interval.low < 0
    assert 0 < paired_difference(3 * times, 0, 200 * times).low < 0.001
    assert PairedShare.of(flags[0], flags[0]).needed() == 0


def test_more_coverage_alone_gets_a_number_of_further_images() -> None:
    # GIVEN a candidate with the same labels that classifies three more of thirty, too few to exclude a loss of a point
    found = comparison("B" * 27 + "b" * 3, "B" * 30)
    verdict, sentence = found.verdict()
    assert verdict == "undecided"
    needed = int(re.search(r"about ([\d,]+) more images would decide", sentence)[1].replace(",", ""))  # type: ignore[index]

    # THEN as many more would, and one image fewer would not
    times = (30 + needed) / 30
    accuracy, coverage = found.accuracy(), found.coverage()
    assert accuracy.expected(30 + needed).low > -MARGIN >= accuracy.expected(29 + needed).low
    assert paired_difference(3 * times, 0, 30 + needed).low > 0
    assert coverage.needed() <= needed


def test_the_command_shows_what_the_service_would_classify(
    candidate: Path, image_tree: Callable[..., Path]
) -> None:
    # GIVEN a current model to which no image is familiar
    figures = json.loads((candidate / "metrics.json").read_text()) | {"threshold": 0.0}
    (candidate / "metrics.json").write_text(json.dumps(figures | {"familiarity_threshold": 1.0}))
    new = shutil.copytree(candidate, candidate.with_name("new"))
    (new / "metrics.json").write_text(json.dumps(figures | {"familiarity_threshold": 0.0}))
    options = [str(new), "--model", str(candidate), "--images", str(image_tree(1, labels=LABELS))]
    rows = CliRunner().invoke(command, options, catch_exceptions=False).stdout
    assert re.search(r"classified at its own thresholds +0.0% → 100.0%", rows)
    assert re.search(r"unfamiliar images +2 → 0", rows)
    assert re.search(r"ms per image +[\d.]+ → [\d.]+", rows)


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
    # Each model is right where the other is wrong.
    assert figures["accuracy"]["gained"] + figures["accuracy"]["lost"] == 5
    assert figures["precision"] == 0.99
    assert figures["candidate"]["milliseconds"] > 0
    assert "0.png" in shown.stderr
    assert figures["sentence"] in shown.stderr.replace("\n", " ")
    assert out.is_file()


def test_the_target_precision_is_that_of_the_current_model(
    candidate: Path, image_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a current model whose threshold was chosen for another precision, and a file that is not an image
    figures = json.loads((candidate / "metrics.json").read_text()) | {"wanted_precision": 0.75}
    (candidate / "metrics.json").write_text(json.dumps(figures))
    tree = image_tree(1, labels=LABELS)
    (tree / "bicycle" / "bad.png").write_text("no image")
    done: list[tuple[int, int]] = []
    data = dataset.read(tree)
    clock = SimpleNamespace(perf_counter=iter([0.0, 0.25, 1.0, 1.5, 2.0, 2.75, 3.0, 4.0]).__next__)
    with monkeypatch.context() as patched:
        patched.setattr("training.evaluation.compare.time", clock)
        found = compare(candidate, DEFAULT_MODEL, data, progress=lambda n, of: done.append((n, of)))
    assert (found.precision, done, found.truth) == (0.75, [(1, 2), (2, 2)], LABELS)
    assert [path.name for path, _ in found.rejected] == ["bad.png"]
    assert [one.milliseconds for one in found.sides] == [500.0, 750.0], "the medians"
    assert compare(candidate, DEFAULT_MODEL, data, precision=0.5).precision == 0.5


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


def test_models_without_a_common_label_are_not_compared(
    candidate: Path, image_tree: Callable[..., Path]
) -> None:
    # GIVEN a candidate for other things, compared without --model
    (candidate / "labels.json").write_text(json.dumps(["circle", "square"]))
    data = dataset.read(image_tree(1, labels=("circle", "square"), below="shapes"))
    with pytest.raises(TrainingError, match=r"\(circle, square\) has no label of the current model.*--model"):
        compare(DEFAULT_MODEL, candidate, data)


def test_the_page_is_self_contained_and_names_run_nothing() -> None:
    text = page.render(comparison("BBMmb" * 4, "BMBmB" * 4))

    HTMLParser().feed(text)
    assert not re.search(r"(src|href)=['\"](?!data:)", text)
    assert "<b>0.png" not in text
    assert "<i>new" not in text
    assert text.count('role="img"') == 3
    for words in ("Newly right", "Newly wrong", "What changes label", "the file is gone"):
        assert words in text


def test_every_figure_of_a_comparison() -> None:
    found = comparison("BBMmb", "BMBmB", near="x")
    found = replace(found, overlap=[Path("o")], rejected=[(Path("r"), "why"), (Path("s"), "why")])
    familiar = np.array([0.2, 0.05, 0.04, 0.9, 1.0])
    old = replace(found.current.predictions, familiarity=familiar)
    found = replace(
        found,
        current=replace(found.current, predictions=old, familiarity_threshold=0.05, milliseconds=1.23456),
    )
    figures = found.summary()
    assert {name: figures[name] for name in ("images", "labels", "overlap", "near_duplicates", "bad_files", "precision")} == {
        "images": 5, "labels": {"bicycle": 5}, "overlap": 1, "near_duplicates": 1, "bad_files": 2, "precision": 0.9
    }  # fmt: skip
    assert (figures["verdict"], figures["sentence"]) == found.verdict()
    # Classified are the first two: the third is sure, but not familiar enough, the others are not sure.
    assert figures["current"] == {
        "model": "old", "labels": LABELS, "accuracy": 0.6, "accuracy_interval": list(wilson(3, 5)), "threshold": 0.9,
        "familiarity_threshold": 0.05, "classified": 2, "coverage": 0.4, "precision": 1.0, "precision_interval": list(wilson(2, 2)),
        "ece": calibration_error([0.99, 0.99, 0.99, 0.6, 0.6], [True, True, False, False, True]), "unfamiliar": 1,
        "median_familiarity": 0.2, "milliseconds": 1.235,
    }  # fmt: skip
    one = figures["accuracy"]
    assert one == {
        "current": 0.6, "candidate": 0.6, "difference": 0.0, "difference_interval": list(paired_difference(1, 1, 5)), "gained": 1,
        "lost": 1, "p": 1.0,
    }  # fmt: skip
    assert figures["accuracy_without_near_duplicates"]["current"] == 0.5
    assert (
        figures["coverage"]["current"],
        figures["coverage"]["candidate"],
        figures["coverage"]["gained"],
    ) == (0.4, 0.8, 2)
    nothing = comparison("mb", "bm").summary()["candidate"]
    assert (nothing["classified"], nothing["precision"]) == (0, None)
    plain = replace(found.current.predictions, has_familiarity=False)
    without = replace(found, current=replace(found.current, predictions=plain)).summary()["current"]
    assert without["median_familiarity"] is None


def test_what_changes_most_is_first_and_a_third_label_makes_nothing_right() -> None:
    found = comparison("BMBMMb", "MBMBMB")
    assert found.changes() == [("bicycle", "motorcycle", 2, 0, 2), ("motorcycle", "bicycle", 2, 2, 0)]
    wrong = replace(found, truth=["car"] * 6)
    assert wrong.changes() == [("bicycle", "motorcycle", 2, 0, 0), ("motorcycle", "bicycle", 2, 0, 0)]
    assert comparison("MMB", "BBM").changes()[0] == ("motorcycle", "bicycle", 2, 2, 0)


def test_coverage_at_a_precision_counts_from_each_models_own_threshold() -> None:
    # GIVEN unsure predictions, which are right: the threshold falls below them
    found = comparison("BBbbM", "BBbbm", precision=0.8).coverage_at_precision()
    assert (found.current, found.candidate, found.images) == (5, 5, 5)


def test_an_image_at_the_threshold_is_classified() -> None:
    found = comparison("BB", "BB")
    # GIVEN confidences without a number between them: the threshold is the upper one
    first = np.array([math.nextafter(0.75, 0), 0.75])
    outputs = Predictions(found.current.predictions.images, np.stack([first, 1 - first], 1), np.ones(2))
    close = replace(
        found, current=replace(found.current, predictions=outputs), truth=["motorcycle", "bicycle"]
    )
    assert close.coverage_at_precision().current == 1


def test_images_are_near_those_of_either_model(
    candidate: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    tree = image_tree(3, labels=("bicycle", "motorcycle"), side=64)
    current = Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "current"))
    for folder, name in ((current, "bicycle/0.png"), (candidate, "motorcycle/1.png")):
        known = {"pixels": [], "perceptual": [f"{near_duplicates.perceptual_hash(tree / name):016x}"]}
        (folder / fingerprints.FILE).write_text(json.dumps(known))
    found = compare(current, candidate, dataset.read(tree))
    near = zip(found.current.predictions.images, found.near_duplicate, strict=True)
    names = {f"{image.label}/{image.path.name}" for image, flag in near if flag}
    assert {"bicycle/0.png", "motorcycle/1.png"} <= names
    assert len(names) < 6


def test_the_target_precision_is_met_up_to_the_end_of_the_interval() -> None:
    outputs = "B" * 80 + "M" * 20
    high = wilson(80, 100).high
    assert comparison(outputs, outputs, precision=high).verdict()[0] == "undecided"
    above = comparison(outputs, outputs, precision=math.nextafter(high, 1)).verdict()
    assert above == (
        "do not roll out",
        f"Do not roll out: 80.0% of what it classifies is right ({wilson(80, 100).shares()}), and the target is {high:.1%}.",
    )
    assert comparison("m" * 10, "b" * 10, precision=0.99).verdict()[0] != "do not roll out", (
        "it classifies nothing"
    )


def test_one_that_classifies_more_may_lose_a_hundredth_of_accuracy() -> None:
    assert MARGIN == 0.01
    verdicts = {}
    for lost in (3, 10, 14, 20):
        # GIVEN a candidate that is sure of 300 images more, and wrong in a few that it gains elsewhere
        current = "B" * 600 + "b" * (400 - lost) + "m" * lost
        candidate = "B" * 900 + "b" * (100 - 2 * lost) + "m" * lost + "b" * lost
        found = comparison(current, candidate)
        assert (found.accuracy().gained, found.accuracy().lost) == (lost, lost)
        verdicts[found.accuracy().interval.low > -0.01] = found.verdict()[0]
    assert verdicts == {True: "roll out", False: "undecided"}


def test_nothing_is_left_out_where_all_or_none_nearly_equal_training_images() -> None:
    for near in ("", "xxx"):
        found = comparison("BBM", "BMM", near=near)
        assert found.decisive() is found
    some = comparison("BBM", "BMM", near="x").decisive()
    assert (some.truth, some.near_duplicate.tolist()) == (["bicycle"] * 2, [False, False])
    assert [len(side.predictions.images) for side in some.sides] == [2, 2]


def test_no_image_is_near_models_of_unknown_training_images() -> None:
    images = comparison("BBM", "BMM").current.predictions.images
    assert _near(list(images), ()).tolist() == [False] * 3


def test_how_many_more_images_would_decide_is_exact() -> None:
    found = PairedShare(190, 193, 5, 2, 200)
    times = (found.needed() + 200) / 200
    fewer = (found.needed() + 199) / 200
    assert paired_difference(5 * times, 2 * times, 200 * times).low > 0
    assert paired_difference(5 * fewer, 2 * fewer, 200 * fewer).low <= 0
    worse = PairedShare(193, 190, 2, 5, 200)
    assert worse.needed() == found.needed()
    assert (worse.shares, worse.difference) == ((0.965, 0.95), -0.015)
    assert worse.p == pytest.approx(0.453125)
