"""A trained classifier: the fine-tuned network, and beside it the same network as ImageNet left it, to judge familiarity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.inference import session_options
from training.measures import metrics
from training.model import graph
from training.model.familiarity import Familiarity
from training.model.fit import Epoch, Labels, Pictures, fit, logits_of
from training.model.network import Network, blocks


@dataclass(frozen=True)
class Trained:
    """The parts of a classifier; `reference` is None where there are no pretrained features."""

    network: Network
    reference: Network | None
    mirror: bool = True  # answers are the mean over the picture and its mirror image

    def logits(self, pictures: Pictures) -> NDArray[np.float32]:
        """Logits [N, K] of pictures."""
        logits: NDArray[np.float32] = logits_of(self.network, pictures).numpy()
        if self.mirror:
            mirrored = np.ascontiguousarray(pictures[:, :, ::-1])
            logits = (logits + logits_of(self.network, mirrored).numpy()) / 2
        return logits

    def familiar_features(self, pictures: Pictures) -> NDArray[np.float32]:
        """The features [N, width] that familiarity is judged by, as the written graph will compute them."""
        network = self.reference or self.network
        spec = network.spec
        content = graph.extractor(blocks(network), side=spec.side, mean=spec.mean, scale=spec.scale)
        session = onnxruntime.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])
        parts = [session.run(None, {graph.INPUT: picture[None]})[0] for picture in pictures]
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


def rounding(model: Trained, path: Path, pictures: Pictures, temperature: float) -> dict[str, float]:
    """What 8-bit weights cost: the graph at `path` against torch's 32-bit network, on the same pictures.

    Share of pictures whose most probable class is another, and the largest difference of any probability.
    """
    session = onnxruntime.InferenceSession(
        path.read_bytes(), session_options(), providers=["CPUExecutionProvider"]
    )
    found = np.concatenate([session.run([graph.PROBABILITIES], {graph.INPUT: p[None]})[0] for p in pictures])
    exact = metrics.softmax(model.logits(pictures), temperature)
    return {
        "images": len(pictures),
        "other_class": round(float((found.argmax(1) != exact.argmax(1)).mean()), 4),
        "largest_difference": round(float(np.abs(found - exact).max()), 4),
    }


def train(
    arch: str,
    classes: int,
    pictures: Pictures,
    labels: Labels,
    validation: tuple[Pictures, Labels] | None = None,
    *,
    mirror: bool = True,
    progress: Callable[[Epoch], None] = lambda _: None,
    **options: Any,
) -> Trained:
    """Trains a network; `options` go to `fit`."""
    network = fit(arch, classes, pictures, labels, validation, mirror=mirror, progress=progress, **options)
    return Trained(network, Network(arch, classes).eval() if network.spec.pretrained else None, mirror)
