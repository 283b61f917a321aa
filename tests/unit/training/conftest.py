"""Images to train on and a small model, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import needs

COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (200, 40, 40)}


@pytest.fixture
def image_tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a tree of coloured noise, one folder a label: `image_tree(count, labels=..., side=..., below=...)`."""

    def make(
        count: int = 12, labels: tuple[str, ...] = ("blue", "red"), side: int = 24, below: str = "tree"
    ) -> Path:
        for label in labels:
            folder = tmp_path / below / label
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                random = np.random.default_rng([i, *map(ord, label + below)])
                coarse = random.normal(COLOURS.get(label, 127), 45, (6, 6, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(
                    folder / f"{i}.png"
                )
        return tmp_path / below

    return make


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A model folder whose network separates blue from red by their means, with familiarity; no torch needed."""
    needs.module("training", "onnx")
    from training.model import familiarity, graph
    from training.model.layers import Conv, ConvBlock

    random = np.random.default_rng(0)
    mix = np.concatenate([np.eye(3), random.normal(0, 0.5, (29, 3))]).astype(np.float32)[:, :, None, None]
    block = ConvBlock((Conv(mix, np.full(32, 2.0, np.float32), 1, (0, 0, 0, 0), 1, 6.0),))
    weight = np.zeros((2, 32), np.float32)
    weight[0, 2] = weight[1, 0] = 6.0
    means = np.concatenate([random.normal(COLOURS[c], 12, (60, 3)) for c in ("blue", "red")])
    inputs = ((means - 127) / 128).astype(np.float32)
    features = np.clip(inputs @ mix[:, :, 0, 0].T + 2, 0, 6).astype(np.float32)
    folder = tmp_path / "model"
    folder.mkdir()
    graph.write(
        folder / "model.onnx",
        blocks=[block],
        head=(weight, np.zeros(2, np.float32)),
        temperature=1.0,
        side=16,
        mean=127.0,
        scale=128.0,
        known=familiarity.build(features, references=100, rank=16),
        metadata={"model": "colours-1"},
    )
    (folder / "labels.json").write_text('["blue", "red"]')
    figures = {"threshold": 0.8, "familiarity_threshold": 0.02, "wanted_precision": 0.99}
    (folder / "metrics.json").write_text(json.dumps(figures))
    return folder
