"""A network as plain arrays: the form between a trained torch module and its ONNX graph.

Batch normalisation is folded into the convolutions, so a network is nothing but blocks of convolutions with an
activation and, around some blocks, a shortcut. Imports neither torch nor onnx.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class Conv:
    """One convolution: `weight` [out, in / groups, k, k], `bias` [out], then ReLU clipped at `ceiling`.

    `ceiling` None means no activation, infinity an unclipped ReLU, 6 a ReLU6. `pads` are (top, left, bottom, right).
    """

    weight: Float32Array
    bias: Float32Array
    stride: int
    pads: tuple[int, int, int, int]
    groups: int = 1
    ceiling: float | None = None


@dataclass(frozen=True)
class ConvBlock:
    """Convolutions one after another; with `skip`, the input is added to what comes out of them.

    `shortcut` is a convolution of the added input (where the shape changes), `ceiling` as in `Conv`, after
    the addition.
    """

    convs: tuple[Conv, ...]
    skip: bool = False
    shortcut: Conv | None = None
    ceiling: float | None = None


def fold(
    weight: Float32Array,
    gamma: Float32Array,
    beta: Float32Array,
    mean: Float32Array,
    variance: Float32Array,
    eps: float,
) -> tuple[Float32Array, Float32Array]:
    """Weight and bias of a convolution that does what `weight` and a batch normalisation after it did."""
    scale = gamma / np.sqrt(variance + eps)
    return (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)


def same(one: ConvBlock, other: ConvBlock) -> bool:
    """Whether two blocks compute the same."""
    pairs = list(zip(one.convs, other.convs, strict=False))
    if (len(one.convs), one.skip, one.ceiling) != (len(other.convs), other.skip, other.ceiling):
        return False
    if (one.shortcut is None) != (other.shortcut is None):
        return False
    if one.shortcut is not None and other.shortcut is not None:
        pairs.append((one.shortcut, other.shortcut))
    return all(
        (a.stride, a.pads, a.groups, a.ceiling) == (b.stride, b.pads, b.groups, b.ceiling)
        and np.array_equal(a.weight, b.weight)
        and np.array_equal(a.bias, b.bias)
        for a, b in pairs
    )
