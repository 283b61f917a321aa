"""Figures that commands show of models and images: every name, value, unit and sentence, and what is written next to them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dropsort.cli import dataset as making
from dropsort.cli.compare import compare
from dropsort.cli.dataset import dataset
from dropsort.cli.evaluate import evaluate, figures_in_words, note_unfamiliar
from dropsort.client import deployed_service
from dropsort.client import reviewed as reading
from dropsort.contract import reviews
from dropsort.contract.resources import DEFAULT_MODEL
from monitoring.quality import audit as auditing
from tests.unit.cli.test_training_command import Bars
from tests.unit.contract.test_reviews import PREDICTION
from training import dataset as data
from training import reviewed_dataset
from training.dataset.checks import Finding
from training.evaluation import compare as comparing
from training.evaluation import held_out, reference_file
from training.evaluation.compare import PairedShare

MARK = "\N{REPLACEMENT CHARACTER}"


def run(command: Any, *arguments: str | Path) -> Result:
    result = CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)
    assert result.exception is None, result.output
    return result


def rows(shown: str) -> list[tuple[str, ...]]:
    """The lines of a table: names and values."""
    return [tuple(re.split(r"\s{2,}", line.strip())) for line in shown.splitlines()]


FIGURES: dict[str, Any] = {
    "model": "m\n1", "accuracy": 0.91234, "images": 200, "accuracy_interval": [0.87, 0.94], "overlap": 1234, "near_duplicates": 2,
    "accuracy_without_near_duplicates": 0.9, "near_duplicates_from": ["a list", "hashes"], "ece": 0.0314, "threshold": 0.85,
    "coverage": 0.7, "precision": 0.99, "coverage_with_guard": 0.65, "familiarity_threshold": 0.01, "guard_cost": 0.05,
    "others": {"classified": 3, "images": 50},
}  # fmt: skip
WORDS = [
    ("model", f"m{MARK}1"),
    ("accuracy", "0.912 on 200 images (95 % interval 0.870 to 0.940)"),
    ("", "1,234 images that the model was made from are left out"),
    ("", "0.900 without 2 near-duplicates of training images, found by a list, hashes"),
    ("calibration", "expected calibration error 0.031"),
    ("threshold", "0.850 classifies 70.0%, 99.0% of them correct"),
    ("", "65.0% are classified and familiar (10 confident but unfamiliar)"),
    ("others", "3 of 50 images of something else are classified"),
]


def test_every_figure_has_its_words() -> None:
    assert figures_in_words(FIGURES) == WORDS


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (["accuracy"], [WORDS[0], *WORDS[2:]]), (["overlap"], [*WORDS[:2], *WORDS[3:]]), (["near_duplicates"], [*WORDS[:3], *WORDS[4:]]),
        (["ece"], [*WORDS[:4], *WORDS[5:]]), (["threshold"], [*WORDS[:5], *WORDS[6:]]), (["coverage_with_guard"], [*WORDS[:6], WORDS[7]]),
        (["familiarity_threshold"], [*WORDS[:6], WORDS[7]]), (["others"], WORDS[:7]), (list(FIGURES), [("model", "")]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)  # fmt: skip
def test_what_is_missing_is_left_out(missing: list[str], words: list[tuple[str, str]]) -> None:
    assert figures_in_words({name: value for name, value in FIGURES.items() if name not in missing}) == words


def test_parts_of_a_line_that_are_missing_are_left_out() -> None:
    assert figures_in_words({"accuracy": 0.5}) == [("model", ""), ("accuracy", "0.500 on ? images")]
    found = figures_in_words({"threshold": 0.5, "coverage": None, "precision": None})
    assert found == [("model", ""), ("threshold", "0.500")]
    assert figures_in_words({"threshold": 0.5, "coverage": 0.0})[1][1] == "0.500 classifies 0.0%"
    assert figures_in_words({"near_duplicates_from": []})[1] == (
        "", "near-duplicates of training images were not searched for"
    )  # fmt: skip


def test_the_warning_of_a_threshold_names_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    note_unfamiliar(FIGURES)
    assert capsys.readouterr().err.startswith(
        "Warning: the service would not classify 5.0% of these images, as unfamiliar; the threshold of 0.01 is meant for about 1%."
    )


def test_an_evaluation_is_shown_and_written_wherever_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def evaluated(model: Path, images: Path, *, progress: Any, **options: Any) -> Any:
        seen.update(options, model=model, images=images)
        progress(1, 2)
        return SimpleNamespace(
            rejected=[(Path("b\n.jpg"), "no image")], overlap=[Path("c\n.jpg")], summary=lambda: FIGURES, predictions="p", labels="l"
        )  # fmt: skip

    monkeypatch.setattr(held_out, "evaluate_path", evaluated)
    monkeypatch.setattr("dropsort.pages.evaluation.write", lambda result, page: f"{page} of {result.labels}")
    monkeypatch.setattr(reference_file, "write", lambda *given: seen.update(reference=given))
    shown = run(
        evaluate,
        "--images",
        tmp_path,
        "--html",
        "page.html",
        "--reference",
        "r.json",
        "--json",
        tmp_path / "f.json",
    )
    assert seen == {
        "model": DEFAULT_MODEL, "images": tmp_path, "others": None, "choose_on": None, "threshold": None, "precision": None,
        "reference": (Path("r.json"), "p", "l"),
    }  # fmt: skip
    assert rows(shown.stdout) == [row if row[0] else row[1:] for row in WORDS]
    lines = shown.stderr.splitlines()
    assert lines[:2] == [
        f"skipped: b{MARK}.jpg: no image",
        f"left out, as the model was made from it: c{MARK}.jpg",
    ]
    assert lines[3:] == [
        "Page: page.html of l",
        "Reference: r.json, 200 predictions",
        f"Next: dropsort up --model {DEFAULT_MODEL} (on AWS: deploy or register)",
    ]
    assert json.loads((tmp_path / "f.json").read_text()) == FIGURES


@pytest.mark.parametrize(("verdict", "next_step"), [("roll out", True), ("undecided", False)])
def test_a_comparison_is_shown_and_written_wherever_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, next_step: bool
) -> None:
    paired = PairedShare.of(
        np.array([True] * 5 + [False] * 5), np.array([True] * 4 + [False] * 3 + [True] * 3)
    )
    seen: dict[str, Any] = {}
    sides = (
        {"unfamiliar": 3, "ece": 0.12345, "milliseconds": 2.0},
        {"unfamiliar": 0, "ece": 0.1, "milliseconds": 12.345},
    )
    summary = {"current": sides[0], "candidate": sides[1], "sentence": "Roll [it]\nout.", "verdict": verdict}
    found = SimpleNamespace(
        rejected=[(Path("b.jpg"), "no image")], overlap=[], truth=range(1234), precision=0.9, accuracy=lambda: paired,
        decisive=lambda: SimpleNamespace(accuracy=lambda: paired), coverage=lambda: paired, coverage_at_precision=lambda: paired,
        summary=lambda: summary,
    )  # fmt: skip

    def compared(*given: Any, progress: Any, **options: Any) -> Any:
        seen.update(options, given=given)
        progress(1, 2)
        return found

    bars = Bars()
    monkeypatch.setattr("dropsort.cli.compare.bars", bars)
    monkeypatch.setattr(comparing, "compare", compared)
    monkeypatch.setattr(data, "read", lambda images: f"images of {images}")
    monkeypatch.setattr(
        "dropsort.pages.comparison.write", lambda result, page: page if result is found else None
    )
    shown = run(
        compare, DEFAULT_MODEL, "--images", tmp_path, "--html", "p.html", "--json", tmp_path / "c.json"
    )
    assert (bars.tasks, bars.updates) == (
        [("images", None)],
        [("images", {"completed": 1, "total": 2})],
    )
    assert seen == {"given": (DEFAULT_MODEL, DEFAULT_MODEL, f"images of {tmp_path}"), "precision": None}
    change = f"50.0% → 70.0%, +20.0 points ({paired.interval.points()}; p {paired.p:.2g})"
    assert rows(shown.stdout) == [
        ("images", "1,234"), ("accuracy", change), ("classified at its own thresholds", change),
        ("classified where 90.0% of these are right", change), ("newly right, wrong", "3, 1"), ("unfamiliar images", "3 → 0"),
        ("calibration error (ECE)", "0.123 → 0.1"), ("ms per image", "2 → 12.3"), (f"Roll [it]{MARK}out.",),
    ]  # fmt: skip
    lines = shown.stderr.splitlines()
    assert lines[:2] == ["skipped: b.jpg: no image", "Page: p.html"]
    assert (
        lines[2:]
        == [f"Next: dropsort up --model {DEFAULT_MODEL} (on AWS: register, then rollout)"] * next_step
    )
    assert json.loads((tmp_path / "c.json").read_text()) == summary


def review_of(number: int, *actions: tuple[str, str | None]) -> reviews.Review:
    source = PREDICTION["source"] | {"key": f"incoming/{number}.png"}
    found = reviews.begin(PREDICTION | {"source": source, "inference_id": f"{number:064x}"}, {})
    for at, (action, label) in enumerate(actions):
        found = reviews.append_decision(
            found, id=str(at), by="Ada", at="2026-11-26T10:00:00.000Z", action=action, label=label  # type: ignore[arg-type]
        )  # fmt: skip
    return found


def test_a_dataset_is_of_the_decisions_in_force_and_names_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN two labels, of which one upload is gone, a decision that none fits, one that is undone, and one that it is unusable
    found = [
        review_of(1, ("label", "a")), review_of(2, ("label", "b")), review_of(3, ("none", None)),
        review_of(4, ("label", "a"), ("undo", None)), review_of(5, ("unusable", None)),
    ]  # fmt: skip
    seen: dict[str, Any] = {"downloaded": []}

    def stages(_: Any) -> Any:
        return lambda name: lambda done, total: seen.setdefault(name, []).append((done, total))

    monkeypatch.setattr(making, "stages", stages)
    monkeypatch.setattr(deployed_service, "find", lambda *_: SimpleNamespace(bucket="images", model="m-1"))

    def iterate(_s3: Any, bucket: str, *, prefix: str, unreadable: Any) -> Any:
        unreadable("a review is damaged")
        assert (bucket, prefix) == ("images", "cam/")
        return iter([one for one in found if reviews.in_force(one)])

    def download(_s3: Any, chosen: list[reviews.Review], folder: Path) -> Any:
        seen["downloaded"].append((folder.name, [one.source.key for one in chosen]))
        for one in chosen:
            fault = "deleted" if one.source.key == "incoming/2.png" else ""
            yield SimpleNamespace(path=folder / Path(one.source.key).name, fault=fault, review=one)

    def build(folder: Path, labelled: Any, keys: Any, current: Any, drawn: Any, _progress: Any) -> Any:
        seen["labelled"] = [(image.path, image.label) for image in labelled]
        seen["made"] = (folder, keys, current, drawn)
        check = [
            Finding(tmp_path / "images" / "1.png", "similar", "like 3"),
            Finding(Path("e"), "similar", "like 3"),
        ]
        return SimpleNamespace(
            reviewed=[1], earlier=[1, 2], parts=lambda: {"train": {"a": 1000, "b": 2}}, left_out=[Finding(Path("x"), "same", "as y")],
            to_check=check,
        )  # fmt: skip

    def random_part(paths: Any, share: float, reviewed_at_random: Any) -> Any:
        return list(paths), share, reviewed_at_random()

    monkeypatch.setattr(reading, "iterate", iterate)
    monkeypatch.setattr(reading, "download", download)
    monkeypatch.setattr(
        reading, "with_results", lambda _s3, bucket, prefix, found: (bucket, prefix, len(found))
    )
    monkeypatch.setattr(auditing, "audited_results", lambda *given: given)
    monkeypatch.setattr(auditing, "sampled", lambda given: given)
    monkeypatch.setattr(reviewed_dataset, "read_current", lambda *given: given[:4])
    monkeypatch.setattr(reviewed_dataset, "random_part", random_part)
    monkeypatch.setattr(reviewed_dataset, "build", build)
    shown = run(
        dataset,
        tmp_path,
        "--prefix",
        "cam/",
        "--test",
        "0.5",
        "--region",
        "eu-west-1",
        "--json",
        tmp_path / "d.json",
    )
    one, two, three = tmp_path / "images/1.png", tmp_path / "images/2.png", tmp_path / "others/3.png"
    assert seen["downloaded"] == [
        ("images", ["incoming/1.png", "incoming/2.png"]),
        ("others", ["incoming/3.png"]),
    ]
    assert seen["images"] == [(1, 3), (2, 3), (3, 3)]
    assert seen["labelled"] == [(one, "a")]
    assert seen["made"] == (
        tmp_path,
        {one: "incoming/1.png", two: "incoming/2.png", three: "incoming/3.png"},
        (DEFAULT_MODEL, None, {"a", "b"}, "m-1"),
        ([one], 0.5, ("images", "cam/", 4)),
    )
    assert json.loads((tmp_path / "d.json").read_text()) == {
        "folder": str(tmp_path), "reviews": 4, "actions": {"label": 2, "none": 1, "unusable": 1}, "reviewed": 1, "earlier": 2,
        "parts": {"train": {"a": 1000, "b": 2}},
        "left_out": [{"file": str(two), "key": "incoming/2.png", "kind": "gone", "why": "deleted"},
                     {"file": "x", "key": "", "kind": "same", "why": "as y"}],
        "to_check": [{"file": str(one), "key": "incoming/1.png", "kind": "similar", "why": "like 3"},
                     {"file": "e", "key": "", "kind": "similar", "why": "like 3"}],
    }  # fmt: skip
    assert rows(shown.stdout) == [("reviews", "4: 2 label, 1 none, 1 unusable"), ("train", "1,000 a, 2 b")]
    assert shown.stderr.splitlines() == [
        "a review is damaged",
        f"left out (gone): {two} (incoming/2.png): deleted",
        "left out (same): x: as y",
        f"check (similar): {one} (incoming/1.png): like 3",
        "check (similar): e: like 3",
        f"Next: dropsort train --images {tmp_path} --model models/next",
    ]
