"""A dataset of reviewed images: its random part ends at its share, and what is known of the model is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training import reviewed_dataset
from training.dataset import LabelledImage, checks, fingerprints, joining
from training.reviewed_dataset import CurrentModel


def test_the_random_part_is_the_beginning_of_the_order_below_its_share() -> None:
    files = [Path(f"{id_}.jpg") for id_ in ("7fffffff00", "8000000000", "0000000000", "ffffffff00")]
    found = reviewed_dataset.random_part(files, 0.5, lambda: {"7fffffff00"})
    assert found == {"7fffffff00.jpg": True, "0000000000.jpg": False}
    assert reviewed_dataset.random_part(files, 0.0, lambda: pytest.fail("nothing to look up")) == {}
    assert len(reviewed_dataset.random_part(files, 1.0, lambda: ())) == 4


def test_images_are_joined_with_what_is_known_of_the_model_and_checked_with_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # GIVEN a model that knows one image, with an earlier image next to it
    known = fingerprints.Fingerprints(frozenset({"a"}), (1,))
    reviewed, earlier = (LabelledImage(tmp_path / name, "x", "train") for name in ("new.png", "old.png"))
    given: dict[str, Any] = {}

    def join(images: Any, old: Any, **options: Any) -> Any:
        given.update(options, images=images, old=old)
        return joining.JoinedDataset([reviewed], [earlier], [], {reviewed.path: 0, earlier.path: 0})

    def contradictions(images: Any, hashes: Any) -> list[Any]:
        given["compared"] = images
        return []

    def predict(model: Any, images: Any, progress: Any, *, known: Any) -> Any:
        given["predicted"], given["without"] = images, known
        return type("Predictions", (), {"images": images, "probabilities": []})

    monkeypatch.setattr(fingerprints, "read", lambda folder: known)
    monkeypatch.setattr(joining, "join", join)
    monkeypatch.setattr(joining, "write_manifest", lambda *_: None)
    monkeypatch.setattr(checks, "contradictions", contradictions)
    monkeypatch.setattr(checks, "legibility", lambda image: None)
    monkeypatch.setattr(checks, "label_errors", lambda *_: [])
    monkeypatch.setattr(reviewed_dataset, "predict", predict)
    model: Any = type("Model", (), {"labels": ["x"]})
    drawn = {"new.png": True}
    reviewed_dataset.build(tmp_path, [reviewed], {}, CurrentModel(tmp_path, model, [earlier]), drawn)
    assert (given["images"], given["old"], given["known"], given["drawn"]) == (
        [reviewed],
        [earlier],
        known,
        drawn,
    )
    assert given["compared"] == [reviewed, earlier]
    assert (given["predicted"], given["without"]) == ([reviewed], known.pixels)
