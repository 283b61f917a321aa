"""A trained classifier: the fine-tuned network, helped by a linear probe on features that were never fine-tuned.

The features as ImageNet left them are computed for the familiarity anyway. A logistic regression on them costs nothing
more, errs on other pictures than the fine-tuned network, and the sum of both is better, and better calibrated, than
either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from training import graph
from training.familiarity import Familiarity
from training.fit import Epoch, Labels, Pictures, features_of, fit, logits_of
from training.network import Network, blocks

PROBE_WEIGHT = 0.5  # of the probe's logits, beside 1 for the network's
_PENALTY = 0.1  # on the probe's squared weights, for standardised features


@dataclass(frozen=True)
class Linear:
    """Logits are `features @ weight.T + bias`: weight [K, width], bias [K]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, K] of features [N, width]."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Trained:
    """The parts of a classifier; `reference` and `probe` are None where there are no pretrained features."""

    network: Network
    reference: Network | None
    probe: Linear | None

    def logits(
        self, pictures: Pictures, reference_features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Logits [N, K] of pictures; `reference_features` spares computing them again."""
        own: NDArray[np.float32] = logits_of(self.network, pictures).numpy()
        if self.probe is None:
            return own
        features = self.familiar_features(pictures) if reference_features is None else reference_features
        return own + PROBE_WEIGHT * self.probe.logits(features)

    def familiar_features(self, pictures: Pictures) -> NDArray[np.float32]:
        """The features [N, width] that familiarity is judged by."""
        features: NDArray[np.float32] = features_of(self.reference or self.network, pictures).numpy()
        return features

    def write(self, path: Path, *, temperature: float, known: Familiarity | None, **options: Any) -> None:
        """The ONNX graph; `options` go to `graph.write`."""
        spec = self.network.spec
        heads = [(_array(self.network.head.weight), _array(self.network.head.bias))]
        if self.probe is not None:
            heads.append((PROBE_WEIGHT * self.probe.weight, PROBE_WEIGHT * self.probe.bias))
        graph.write(
            path,
            blocks=blocks(self.network),
            reference_blocks=blocks(self.reference) if self.reference else (),
            heads=heads,
            temperature=temperature,
            side=spec.side,
            mean=spec.mean,
            scale=spec.scale,
            known=known,
            **options,
        )


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy()
    return array


def fit_probe(features: NDArray[np.float32], labels: Labels, classes: int) -> Linear:
    """Logistic regression on standardised features, ridge penalty, solved by L-BFGS; no randomness."""
    mean, spread = features.mean(0), features.std(0) + 1e-3
    inputs, truth = torch.from_numpy((features - mean) / spread), torch.from_numpy(labels)
    layer = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser: Any = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimiser.zero_grad()
        loss: Any = functional.cross_entropy(layer(inputs), truth) + _PENALTY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    weight = _array(layer.weight) / spread
    return Linear(weight.astype(np.float32), (_array(layer.bias) - weight @ mean).astype(np.float32))


def train(
    arch: str,
    labels: Sequence[str],
    pictures: Pictures,
    truth: Labels,
    validation: tuple[Pictures, Labels] | None = None,
    *,
    progress: Callable[[Epoch], None] = lambda _: None,
    reference_features: NDArray[np.float32] | None = None,
    **options: Any,
) -> Trained:
    """Trains network and probe; `options` go to `fit`. `reference_features` spares computing the pictures' again."""
    classes = len(labels)
    network = fit(arch, classes, pictures, truth, validation, progress=progress, **options)
    if not network.spec.pretrained:
        return Trained(network, None, None)
    reference = Network(arch, classes).eval()
    features = features_of(reference, pictures).numpy() if reference_features is None else reference_features
    return Trained(network, reference, fit_probe(features, truth, classes))
