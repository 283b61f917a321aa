"""A network as plain arrays: what lies between a trained torch module and the ONNX graph that is written from it.

Batch normalisation is folded into the convolutions, so a network is nothing but blocks of convolutions with an
activation and, around some blocks, a shortcut. Knows neither torch nor onnx.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Conv:
    """One convolution: `weight` [out, in / groups, k, k], `bias` [out], then ReLU clipped at `ceiling`.

    `ceiling` None means no activation, infinity an unclipped ReLU, 6 a ReLU6. `pads` are (top, left, bottom, right).
    """

    weight: Array
    bias: Array
    stride: int
    pads: tuple[int, int, int, int]
    groups: int = 1
    ceiling: float | None = None


@dataclass(frozen=True)
class Block:
    """Convolutions one after another; with `skip`, the input is added to what comes out of them.

    `shortcut` is a convolution on the way of the added input (where the shape changes), `ceiling` as in `Conv`, after
    the addition.
    """

    convs: tuple[Conv, ...]
    skip: bool = False
    shortcut: Conv | None = None
    ceiling: float | None = None


def fold(
    weight: Array, gamma: Array, beta: Array, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array]:
    """Weight and bias of a convolution that does what `weight` and a batch normalisation after it did."""
    scale = gamma / np.sqrt(variance + eps)
    return (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)
