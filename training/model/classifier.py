"""A trained classifier: the fine-tuned network, and the same network with its ImageNet weights for familiarity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset.images import ClassNumbers, Pixels
from training.inference import open_session
from training.model import graph
from training.model.familiarity import Familiarity
from training.model.network import Network, blocks
from training.model.training_loop import fit, logits_of
from training.progress import Epoch


@dataclass(frozen=True)
class Classifier:
    """The parts of a classifier; `reference` is None where there are no pretrained features."""

    network: Network
    reference: Network | None
    mirror: bool = True  # predictions are the mean over the image and its mirror image

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """Logits [N, K] of images."""
        logits: NDArray[np.float32] = logits_of(self.network, images).numpy()
        if self.mirror:
            mirrored = np.ascontiguousarray(images[:, :, ::-1])
            logits = (logits + logits_of(self.network, mirrored).numpy()) / 2
        return logits

    def familiar_features(self, images: Pixels) -> NDArray[np.float32]:
        """The features [N, width] from which familiarity is computed, as the written graph computes them."""
        network = self.reference or self.network
        spec = network.spec
        content = graph.extractor(blocks(network), side=spec.side, mean=spec.mean, scale=spec.scale)
        session = open_session(content)
        parts = [session.run(None, {graph.INPUT: image[None]})[0] for image in images]
        return np.concatenate(parts)

    def write(self, path: Path, *, temperature: float, known: Familiarity | None, **options: Any) -> None:
        """The ONNX graph; `options` go to `graph.write`."""
        spec, head = self.network.spec, self.network.head
        graph.write(
            path,
            blocks=blocks(self.network),
            reference_blocks=blocks(self.reference) if self.reference else (),
            head=(head.weight.detach().numpy(), head.bias.detach().numpy()),
            temperature=temperature,
            side=spec.side,
            mean=spec.mean,
            scale=spec.scale,
            known=known,
            mirror=self.mirror,
            **options,
        )


def train_classifier(
    arch: str,
    classes: int,
    images: Pixels,
    labels: ClassNumbers,
    validation: tuple[Pixels, ClassNumbers] | None = None,
    *,
    mirror: bool = True,
    progress: Callable[[Epoch], None] = lambda _: None,
    **options: Any,
) -> Classifier:
    """Train a network; `options` go to `training.model.training_loop.fit`."""
    network = fit(arch, classes, images, labels, validation, mirror=mirror, progress=progress, **options)
    return Classifier(network, Network(arch, classes).eval() if network.spec.pretrained else None, mirror)
