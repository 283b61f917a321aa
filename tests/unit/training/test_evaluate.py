"""Evaluation without torch: figures, near-duplicates, images of something else, and the page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dropsort.cli.evaluate import evaluate as command
from dropsort.cli.evaluate import figures_in_words
from dropsort.contract.statistics import auroc, calibration_error, wilson
from dropsort.pages import evaluation as report
from training import dataset
from training.dataset import LabelledImage, fingerprints, near_duplicates
from training.errors import TrainingError
from training.evaluation import held_out, reference_file
from training.evaluation.figures import Evaluation, Predictions
from training.model import familiarity


def test_figures_of_a_folder(model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path) -> None:
    tree = image_tree(20)

    found = held_out.evaluate_path(model_folder, tree)

    figures = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert figures["images"] == 40
    assert figures["accuracy"] > 0.9
    assert {"accuracy", "ece", "threshold", "coverage", "brier", "auroc", "confusion"} <= figures.keys()
    assert figures["threshold"] == 0.8
    low, high = figures["accuracy_interval"]
    assert low <= figures["accuracy"] <= high
    assert sum(map(sum, figures["confusion"])) == 40
    reference_file.write(tmp_path / "new" / "r.json", found.predictions, found.labels)
    reference_file.write(Path("/dev/null"), found.predictions, found.labels)
    assert Path("/dev/null").is_char_device()
    rows = json.loads((tmp_path / "new" / "r.json").read_text())
    assert len(rows) == 40
    assert sum(row["confidence"] >= 0.8 for row in rows) / 40 == figures["coverage"]


def test_the_command_writes_a_page(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "e.html"
    options = ["--model", str(model_folder), "--images", str(image_tree(20)), "--html", str(out)]

    assert command.main(options, standalone_mode=False) == 0

    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_page_is_self_contained_and_shows_mistakes(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    # GIVEN a tree in which two images are in the wrong folder, and one file is bad
    tree = image_tree(10)
    shutil.move(tree / "red" / "0.png", tree / "blue" / "x.png")
    (tree / "red" / "<b>bad.png").write_text("no")
    found = held_out.evaluate_path(model_folder, tree, others=tree)

    page = report.render(found)

    HTMLParser().feed(page)
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert "Mistakes" in page
    assert "<b>bad" not in page
    assert page.count('role="img"') == 3
    assert len(found.rejected) == 1


def test_the_threshold_is_chosen_on_other_images_than_it_is_judged_on(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    held, test = image_tree(20, below="held"), image_tree(20, below="judged")

    found = held_out.evaluate_path(model_folder, test, choose_on=held, precision=0.9)

    assert "40 held-out images" in found.threshold_from
    answers = held_out.predict(held_out.load_model(model_folder)[0], dataset.read(held).images)
    assert (answers.confidence >= found.threshold).any()
    # Without one that is named, the model's.
    other = Path(shutil.copytree(model_folder, tmp_path / "other"))
    figures = json.loads((other / "metrics.json").read_text()) | {"wanted_precision": 0.75}
    (other / "metrics.json").write_text(json.dumps(figures))
    assert "precision 0.75 " in held_out.evaluate_path(other, test, choose_on=held).threshold_from
    with pytest.raises(TrainingError, match="choose-on"):
        held_out.evaluate_path(model_folder, test, precision=0.9)


def test_images_of_something_else_are_counted(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "others" / "deep"
    folder.mkdir(parents=True)
    for i in range(5):
        Image.new("RGB", (20, 20), (0, 255, 250 - i)).save(folder / f"{i}.png")
    (folder / "broken.png").write_text("x")

    found = held_out.evaluate_path(model_folder, image_tree(10), others=tmp_path / "others").summary()[
        "others"
    ]

    assert found["images"] == 5
    assert found["classified"] == 0
    assert found["familiarity_auroc"] > 0.9


def test_near_duplicates_of_training_images_are_found(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN a test image that is a training image saved again
    image_tree(6, below="all/train", side=64)
    test = image_tree(6, below="all/test", side=64)
    Image.open(tmp_path / "all" / "train" / "red" / "3.png").save(test / "red" / "copy.jpg", quality=90)

    found = held_out.evaluate_path(model_folder, test)

    near = zip(found.predictions.images, found.near_duplicate, strict=True)
    names = [image.path.name for image, is_near in near if is_near]
    assert "copy.jpg" in names
    assert len(names) < 6
    assert found.summary()["near_duplicates_from"] == ["perceptual hash and pixels"]


def test_images_that_the_model_was_made_from_are_left_out_and_named(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN a model that knows its images, and two of them, under other names and in another format, among new ones
    training_images = image_tree(6, below="used", side=64)
    fingerprints.write(model_folder, dataset.read(training_images).images)
    test = image_tree(6, below="new", side=64)
    shutil.copy(training_images / "red" / "3.png", test / "red" / "renamed.png")
    Image.open(training_images / "blue" / "2.png").save(test / "blue" / "renamed.bmp")

    steps: list[tuple[int, int]] = []
    found = held_out.evaluate_path(
        model_folder, test, others=test / "red", progress=lambda *step: steps.append(step)
    )

    # THEN the progress counts every image once
    assert steps == [(done, 21) for done in range(1, 22)]
    # AND every figure is of the new images, and both are named, by the command and on the page
    assert {path.name for path in found.overlap} == {"renamed.png", "renamed.bmp"}
    figures = found.summary()
    assert (figures["images"], figures["overlap"]) == (12, 2)
    assert sum(map(sum, figures["confusion"])) == 12
    assert "renamed.bmp" in report.render(found)
    assert command.main(["--model", str(model_folder), "--images", str(test)], standalone_mode=False) == 0
    assert "renamed.png" in capsys.readouterr().err

    # AND where all of them were used, there is no accuracy of 1 but an error
    with pytest.raises(TrainingError, match="made from all of these 12 images"):
        held_out.evaluate_path(model_folder, training_images)


def test_near_duplicates_are_found_by_the_model_folder_alone(
    model_folder: Path, image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN no folder of training images, but their perceptual hashes in the model folder
    training_images = image_tree(6, below="used", side=64)
    fingerprints.write(model_folder, dataset.read(training_images).images)
    test = image_tree(6, below="new", side=64)
    Image.open(training_images / "red" / "3.png").save(test / "red" / "copy.jpg", quality=90)

    found = held_out.evaluate_path(model_folder, test)

    near = zip(found.predictions.images, found.near_duplicate, strict=True)
    assert "copy.jpg" in [image.path.name for image, is_near in near if is_near]
    assert found.overlap == []
    # AND the page and the command say by what they are found
    assert "found by perceptual hash alone" in report.render(found)
    assert any(
        words.endswith("found by perceptual hash alone") for _, words in figures_in_words(found.summary())
    )


def test_damaged_fingerprints_are_an_error_that_names_the_file(
    model_folder: Path, image_tree: Callable[..., Path]
) -> None:
    (model_folder / fingerprints.FILE).write_text('{"pixels": 3}')
    with pytest.raises(TrainingError, match=r"training-images\.json is damaged"):
        held_out.evaluate_path(model_folder, image_tree(2))


def test_published_duplicates_are_known(real_data: Path) -> None:
    assert len(near_duplicates.published(real_data / "bicycle-motorcycle" / "test")) == 23


def test_folders_that_are_no_label_are_named(model_folder: Path, image_tree: Callable[..., Path]) -> None:
    with pytest.raises(TrainingError, match="green is not a label of this model"):
        held_out.evaluate_path(model_folder, image_tree(2, labels=("green", "red")))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"labels\.json is missing: a model folder has"):
        held_out.evaluate(tmp_path, dataset.Dataset(["a"], []))


def test_genuine_images_are_uniform_in_familiarity() -> None:
    # GIVEN features of one kind; some build it, others are judged
    random = np.random.default_rng(0)
    features = np.abs(random.normal(1, 0.3, (600, 64))).astype(np.float32)
    known = familiarity.build(features[:300])

    p = known.p_values(features[300:])

    assert abs((p < 0.1).mean() - 0.1) < 0.06
    assert abs(p.mean() - 0.5) < 0.06
    assert known.p_values(np.abs(random.normal(0, 1, (50, 64))).astype(np.float32)).max() < 0.05


def test_near_duplicates_do_not_flatter_the_held_out_scores() -> None:
    # GIVEN every image twice: left-one-out scores would be those of its copy
    random = np.random.default_rng(0)
    features = np.abs(random.normal(1, 0.3, (100, 64))).astype(np.float32)
    twice, groups = np.concatenate([features, features]), np.tile(np.arange(100), 2)

    flattered, honest = familiarity.build(twice), familiarity.build(twice, groups)

    assert honest.held_out.mean() < flattered.held_out.mean()
    with pytest.raises(TrainingError, match="at least 20"):
        familiarity.build(features[:5])


def predictions(*rows: tuple[float, float], has_familiarity: bool = True) -> Predictions:
    """Of each image the probability of the first of two labels, and the familiarity."""
    images = [LabelledImage(Path(str(number)), "a") for number in range(len(rows))]
    first = np.array([one for one, _ in rows])
    familiar = np.array([one for _, one in rows])
    return Predictions(images, np.stack([first, 1 - first], 1), familiar, has_familiarity)


def test_every_figure_of_an_evaluation() -> None:
    # GIVEN a right image and a wrong one at the threshold, of which one is familiar enough, and two that are not sure
    made = predictions((0.95, 0.05), (0.9, 0.04), (0.2, 1.0), (0.6, 1.0))
    found = Evaluation(
        "m", ["a", "b"], made, np.array([0, 1, 1, 1]), np.array([False, True, False, False]), 0.9, 0.05, "given", ["list"],
        predictions((0.9, 0.05), (0.95, 0.01), (0.5, 1.0)), [(Path("bad"), "why")], [Path("o"), Path("p")],
    )  # fmt: skip
    assert found.correct.tolist() == [True, False, True, False]
    assert found.classified.tolist() == [True, False, False, False]
    figures = found.summary()
    confidence, correct = [0.95, 0.9, 0.8, 0.6], [True, False, True, False]
    assert figures == {
        "model": "m", "labels": ["a", "b"], "images": 4, "overlap": 2, "accuracy": 0.5,
        "accuracy_interval": [round(end, 6) for end in wilson(2, 4)], "near_duplicates": 1, "near_duplicates_from": ["list"],
        "accuracy_without_near_duplicates": 0.666667,
        "accuracy_without_near_duplicates_interval": [round(end, 6) for end in wilson(2, 3)], "confusion": [[1, 0], [2, 1]],
        "ece": round(calibration_error(confidence, correct), 6),
        "brier": round((2 * 0.05**2 + 2 * 0.9**2 + 2 * 0.2**2 + 2 * 0.6**2) / 4, 6),
        "log_loss": round(-float(np.log([0.95, 0.1, 0.8, 0.4]).mean()), 6), "auroc": 0.75, "threshold": 0.9,
        "threshold_from": "given", "familiarity_threshold": 0.05, "coverage": 0.5, "precision": 0.5, "coverage_with_guard": 0.25,
        "precision_with_guard": 1.0, "guard_cost": 0.25, "bad_files": 1,
        "others": {
            "images": 3, "classified": 1, "classified_share": figures["others"]["classified_share"], "confident_share": 0.666667,
            "familiarity_auroc": round(auroc([0.05, 0.04, 1, 1], [0.05, 0.01, 1]), 6),
        },
    }  # fmt: skip
    share = figures["others"]["classified_share"]
    assert share == {
        "value": 0.333333,
        "low": round(wilson(1, 3).low, 6),
        "high": round(wilson(1, 3).high, 6),
        "of": 3,
    }


@pytest.mark.filterwarnings("error")
def test_figures_of_nothing_are_null_and_settings_are_never_rounded() -> None:
    found = Evaluation(
        "m",
        ["a", "b"],
        predictions((0.6, 0.0)),
        np.array([0]),
        np.array([True]),
        0.91234567891,
        0.0123456789,
        "given",
    )
    figures = found.summary()
    assert (
        figures["accuracy_without_near_duplicates"],
        figures["precision"],
        figures["precision_with_guard"],
    ) == (None, None, None)
    assert (figures["threshold"], figures["familiarity_threshold"]) == (0.91234567891, 0.0123456789)
    assert (figures["auroc"], figures["accuracy"]) == (None, 1.0)
    assert "others" not in figures
    assert (figures["overlap"], figures["bad_files"], figures["near_duplicates_from"]) == (0, 0, [])


def test_predictions_of_a_model_without_familiarity_are_all_familiar() -> None:
    images = [LabelledImage(Path("0"), "a"), LabelledImage(Path("1"), "b")]
    for outputs, familiar in (
        (["probabilities"], [1.0, 1.0]),
        (["probabilities", "familiarity"], [0.25, 1.0]),
    ):
        model: Any = SimpleNamespace(labels=["a", "b"], outputs=outputs)
        given: list[Any] = [{"probabilities": [0.75, 0.25]}, {"probabilities": [0.5, 0.5]}]
        if len(outputs) > 1:
            given[0]["familiarity"] = 0.25
        found = Predictions.of(model, images, given)
        assert (found.familiarity.tolist(), found.has_familiarity) == (familiar, len(outputs) > 1)
        assert found.probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    second = found.only(np.array([False, True]))
    assert (second.images, second.confidence.tolist(), second.familiarity.tolist()) == (
        images[1:],
        [0.5],
        [1.0],
    )
    nothing = Predictions.of(model, [], [])
    assert nothing.probabilities.shape == (0, 2)
