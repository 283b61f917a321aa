"""Decisions from a file: what each label becomes, and that claims end (moto's S3)."""

from __future__ import annotations

from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review import imports
from dropsort.review.claims import Claims
from dropsort.review.decisions import Decisions
from dropsort.review.labels import ImportedLabel
from tests.unit.review.conftest import BUCKET, Upload, stored


def label(
    path: str, inference_id: str | None = None, action: Any = "label", name: str | None = "a"
) -> ImportedLabel:
    return ImportedLabel(keys.INCOMING + path, inference_id, action, name)


def take_over(s3: Any, *given: ImportedLabel) -> tuple[dict[str, int], list[str]]:
    notes: list[str] = []
    return dict(imports.take_over(s3, BUCKET, "Ada", iter(given), notes.append)), notes


def test_states_are_named_in_the_order_of_the_summary() -> None:
    assert imports.STATES == ("decided", "unchanged", "conflict", "missing")


def test_what_a_label_becomes(s3: Any, upload: Upload) -> None:
    of = upload("a.png")
    conflict = ({"conflict": 1}, ["incoming/a.png: it was uploaded again since it was exported."])
    missing = "there is no such image, or it has no result that can be read."
    assert take_over(s3, label("b.png")) == ({"missing": 1}, [f"incoming/b.png: {missing}"])
    assert take_over(s3, label("a.png", "f" * 64)) == conflict
    # A label that the model has predicted is a decision all the same
    assert take_over(s3, label("a.png", of, name="bicycle")) == ({"decided": 1}, [])
    (decision,) = stored(s3)[reviews.key("a.png")]["decisions"]
    assert decision["id"] == label("a.png", name="bicycle").decision_id(of)
    assert (decision["by"], decision["action"], decision["label"]) == ("Ada", "label", "bicycle")
    result = stored(s3)[keys.result_keys("a.png")["classified"]]
    assert (result["label"], result["review"]["by"]) == ("bicycle", "Ada")
    assert take_over(s3, label("a.png", None, name="bicycle")) == ({"unchanged": 1}, [])
    # AND of the same label and another action, or of the same action and another label, the first decision stays
    for other in (label("a.png", name="b"), label("a.png", action="none", name=None)):
        assert take_over(s3, other) == (
            {"conflict": 1}, ["incoming/a.png: Ada decided in the meantime: bicycle."]
        )  # fmt: skip
    assert len(stored(s3)[reviews.key("a.png")]["decisions"]) == 1


def test_images_are_claimed_together_and_released_one_by_one(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[list[str], bool]] = []
    released: list[str] = []
    monkeypatch.setattr(imports, "BATCH", 2)
    monkeypatch.setattr(Claims, "hold", lambda _, paths, *, busy: held.append((list(paths), busy)))
    monkeypatch.setattr(Claims, "release", lambda _, path: released.append(path))
    for name in ("a.png", "b.png"):
        upload(name)
    assert take_over(s3, label("a.png"), label("x.png"), label("b.png"))[0] == {"decided": 2, "missing": 1}
    assert held == [(["a.png", "x.png"], True), (["b.png"], True)]
    assert sorted(released) == ["a.png", "b.png", "x.png"]


def test_what_a_killed_process_left_is_completed_before_claims_are_written(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Any] = []
    monkeypatch.setattr(Claims, "left_over", lambda _: ["z.png"])
    monkeypatch.setattr(Claims, "hold", lambda _, paths, *, busy: steps.append("hold"))
    monkeypatch.setattr(
        Decisions, "complete", lambda _, paths, failed: (steps.append(paths), failed("z.png is damaged."))
    )
    assert take_over(s3, label("a.png"))[1][0] == "z.png is damaged."
    assert steps == [["z.png"], "hold"]
    assert imports.BATCH == 200
