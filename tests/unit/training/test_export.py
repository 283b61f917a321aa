"""The written model: its temperature, its familiar images, its labels, and what the rounding of its weights costs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import needs
from tests.deferred import Deferred

needs.installed("training", "torch")
needs.module("training", "onnx")

from training import inference  # noqa: E402
from training.evaluation import scores  # noqa: E402
from training.model import familiarity  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
torch, export = Deferred("torch"), Deferred("training.stages.export")
Classifier = Deferred("training.model.classifier", "Classifier")
Network = Deferred("training.model.network", "Network")


def test_the_written_graph_has_the_temperature_and_the_seed_decides_what_is_familiar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an untrained network, 40 images, and a temperature that was fitted elsewhere
    torch.manual_seed(0)
    classifier = Classifier(Network("resnet8", 2).eval(), None, mirror=False)
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    groups, logits = np.arange(40) // 2, classifier.logits(images) * 20
    classifier.network.head.weight.data *= 20
    classifier.network.head.bias.data *= 20
    fitted: Any = SimpleNamespace(classifier=classifier, images=images, groups=groups)
    seeds: list[int] = []
    original, rounding = familiarity.build, export.weight_rounding

    def build(features: Any, given: Any, *, seed: int) -> Any:
        seeds.append(seed)
        assert np.array_equal(given, groups)
        return original(features, given, seed=seed, references=10, rank=4)

    def measured(*given: Any) -> Any:
        assert not (tmp_path / "new" / "model.onnx").exists(), "a graph that is not complete"
        return rounding(*given)

    monkeypatch.setattr(familiarity, "build", build)
    monkeypatch.setattr(export.get(), "weight_rounding", measured)
    calibrated: Any = SimpleNamespace(temperature=2.5)
    figures = export.export(tmp_path / "new", ["a", "ü"], fitted, calibrated, name="m-1", seed=7)
    # THEN its probabilities are those at the temperature, to the rounding of its weights
    model = inference.model_fn(str(tmp_path / "new"))
    found = np.array([model.run(image)["probabilities"] for image in images])
    expected = scores.softmax(logits, 2.5)
    assert abs(found - expected).max() == pytest.approx(figures["largest_difference"], abs=1e-3)
    assert figures["largest_difference"] < 0.1 < abs(scores.softmax(logits) - expected).max()
    assert (seeds, model.labels, model.name) == ([7], ["a", "ü"], "m-1")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["labels.json", "model.onnx"]


def test_rounding_is_the_largest_difference_to_either_side_and_the_share_of_other_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # GIVEN a network that finds three classes alike, and a graph that finds one of them impossible
    found = iter([[[0.0, 0.5, 0.5]], [[0.34, 0.33, 0.33]], [[0.36, 0.32, 0.32]]])
    session = SimpleNamespace(run=lambda *_: [np.array(next(found), np.float32)])
    monkeypatch.setattr(export.get(), "open_session", lambda _: session)
    classifier: Any = SimpleNamespace(logits=lambda images: np.zeros((len(images), 3), np.float32))
    (tmp_path / "graph").touch()

    figures = export.weight_rounding(
        classifier, tmp_path / "graph", np.zeros((3, 8, 8, 3), np.uint8), temperature=1.0
    )

    assert figures == {"images": 3, "other_class": 0.3333, "largest_difference": 0.3333}


@pytest.mark.parametrize(
    ("images", "compared"), [(1, 1), (199, 199), (399, 399), (400, 200), (600, 200), (601, 201)]
)
def test_two_hundred_images_or_more_are_compared_if_there_are_as_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, images: int, compared: int
) -> None:
    classifier: Any = SimpleNamespace(
        familiar_features=lambda given: given, write=lambda path, **_: path.write_bytes(b"graph")
    )
    fitted: Any = SimpleNamespace(classifier=classifier, images=np.arange(images), groups=None)
    monkeypatch.setattr(familiarity, "build", lambda *_, seed: None)
    monkeypatch.setattr(export.get(), "weight_rounding", lambda *given: {"images": len(given[2])})
    calibrated: Any = SimpleNamespace(temperature=1.0)
    (tmp_path / "here").mkdir()
    for folder in (tmp_path / "here", tmp_path / "below" / "here"):
        assert export.export(folder, ["ü"], fitted, calibrated, name="m", seed=0) == {"images": compared}
        assert (folder / "model.onnx").read_bytes() == b"graph"
        assert (folder / "labels.json").read_bytes() == b'["\xc3\xbc"]\n'
