"""Writes the ONNX graph of a trained network: decoded images in, calibrated probabilities and familiarity out.

Everything that belongs to the model is in the graph: resizing, normalisation, the network, the temperature of the
softmax and the comparison with familiar images. It needs ONNX Runtime and no code of ours.

Large weights are stored as 8-bit integers with one scale per output channel and converted back by plain Cast and Mul
nodes, which ONNX Runtime folds away when it loads the file: a quarter of the size, and arithmetic stays 32-bit.
Written node by node rather than by torch's exporter: the same file comes out of every torch version.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.model.familiarity import Familiarity
from training.model.layers import Conv, ConvBlock, same

OPSET = 18  # the first with Resize over chosen axes, with antialiasing
INPUT, PROBABILITIES, FAMILIARITY = "images", "probabilities", "familiarity"
_QUANTISE_FROM = 4096  # weights of fewer values stay 32-bit
_FEW = 32  # so few weights a channel (depthwise convolutions) need more than 8 bits: they get 16


def rounded(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """8-bit integers [rows, n] and a scale [rows] for weights [rows, n]: the scale of least squared error, row by row."""
    largest = np.maximum(np.abs(weight).max(1), 1e-12)
    best = np.full(len(weight), np.inf)
    integers, scale = np.zeros(weight.shape, np.int8), largest / 127
    for share in np.linspace(0.7, 1.0, 16):
        trial = largest * share / 127
        values = np.clip(np.rint(weight / trial[:, None]), -127, 127)
        error = ((values * trial[:, None] - weight) ** 2).sum(1)
        better = error < best
        best[better], scale[better], integers[better] = error[better], trial[better], values[better]
    return integers, scale.astype(np.float32)


class GraphWriter:
    """Collects nodes and constants; every method returns the name of the value it made."""

    def __init__(self, quantise: bool = True) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.quantise = quantise

    def node(self, kind: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Adds a node of the given kind; returns the name of its first output."""
        names = list(outputs) or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def constant(self, value: NDArray[Any]) -> str:
        """A value stored as it is."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        """A 32-bit scalar."""
        return self.constant(np.array(value, np.float32))

    def weight(self, value: NDArray[Any]) -> str:
        """A weight whose first axis is the output channel, in 8 bits if it is large."""
        if not self.quantise or value.size < _QUANTISE_FROM:
            return self.constant(value.astype(np.float32))
        if value[0].size < _FEW:
            return self.node("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)
        integers, scale = rounded(value.reshape(len(value), -1))
        scales = self.constant(scale.reshape(-1, *[1] * (value.ndim - 1)))
        cast = self.node("Cast", self.constant(integers.reshape(value.shape)), to=TensorProto.FLOAT)
        return self.node("Mul", cast, scales)

    def convolve(self, x: str, conv: Conv) -> str:
        """A convolution with bias, and its activation."""
        size = conv.weight.shape[2]
        y = self.node(
            "Conv",
            x,
            self.weight(conv.weight),
            self.constant(conv.bias),
            kernel_shape=[size, size],
            strides=[conv.stride, conv.stride],
            pads=list(conv.pads),
            group=conv.groups,
        )
        return self.activate(y, conv.ceiling)

    def activate(self, x: str, ceiling: float | None) -> str:
        """Nothing, ReLU, or ReLU clipped at `ceiling`."""
        if ceiling is None:
            return x
        if ceiling == float("inf"):
            return self.node("Relu", x)
        return self.node("Clip", x, self.number(0), self.number(ceiling))

    def block(self, x: str, block: ConvBlock) -> str:
        """The convolutions of a block and the addition around them."""
        y = x
        for conv in block.convs:
            y = self.convolve(y, conv)
        if block.skip:
            y = self.node("Add", y, x if block.shortcut is None else self.convolve(x, block.shortcut))
        return self.activate(y, block.ceiling)

    def features(self, x: str, blocks: Sequence[ConvBlock]) -> str:
        """Blocks one after another, then the mean over the image: [N, width]."""
        for block in blocks:
            x = self.block(x, block)
        return self.node("ReduceMean", x, self.constant(np.array([2, 3], np.int64)), keepdims=0)

    def with_mirrored(self, x: str) -> str:
        """[N, C, H, W] and after them their mirror images: [2 N, C, H, W]."""
        start, end = self.constant(np.array([-1], np.int64)), self.constant(np.array([-(2**31)], np.int64))
        axis, step = self.constant(np.array([3], np.int64)), self.constant(np.array([-1], np.int64))
        return self.node("Concat", x, self.node("Slice", x, start, end, axis, step), axis=0)

    def halves(self, x: str) -> tuple[str, str]:
        """The first and the second half of a batch."""
        names = (f"h{len(self.nodes)}", f"m{len(self.nodes)}")
        self.node("Split", x, outputs=names, axis=0, num_outputs=2)
        return names

    def linear(self, x: str, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        """`x @ weight.T + bias`."""
        constants = [self.constant(array.astype(np.float32)) for array in (weight, bias)]
        return self.node("Gemm", x, *constants, transB=1)

    def images(self, side: int, mean: float, scale: float) -> str:
        """From the input, uint8 [N, height, width, 3] RGB of any size, to [N, 3, side, side], normalised."""
        x = self.node("Transpose", self.node("Cast", INPUT, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        x = self.node(
            "Resize",
            x,
            "",
            "",
            self.constant(np.array([side, side], np.int64)),
            axes=[2, 3],
            mode="cubic",
            cubic_coeff_a=-0.5,
            exclude_outside=1,  # as Pillow does at the edges
            antialias=1,
            coordinate_transformation_mode="half_pixel",
        )
        # As in training, bit by bit
        x = self.node("Round", self.node("Clip", x, self.number(0), self.number(255)))
        return self.node("Mul", self.node("Sub", x, self.number(mean)), self.number(1 / scale))

    def familiarity(self, features: str, known: Familiarity) -> str:
        """Share of held-out genuine images that are less familiar than each image: [N], within 0 to 1."""
        features = self.node("Mul", features, self.constant(known.weight))
        squares = self.node("ReduceSumSquare", features, self.constant(np.array([1], np.int64)), keepdims=1)
        length = self.node("Sqrt", self.node("Add", squares, self.number(1e-12)))
        inner = self.node("MatMul", features, self.node("Transpose", self.weight(known.basis), perm=[1, 0]))
        cosines = self.node(
            "Div",
            self.node("MatMul", inner, self.node("Transpose", self.weight(known.references), perm=[1, 0])),
            length,
        )
        nearest = self.node(
            "TopK",
            cosines,
            self.constant(np.array([known.neighbours], np.int64)),
            outputs=["nearest", "nearest_index"],
            axis=1,
        )
        score = self.node("ReduceMean", nearest, self.constant(np.array([1], np.int64)), keepdims=1)
        below = self.node("GreaterOrEqual", score, self.constant(known.held_out[None].astype(np.float32)))
        count = self.node(
            "ReduceSum",
            self.node("Cast", below, to=TensorProto.FLOAT),
            self.constant(np.array([1], np.int64)),
            keepdims=0,
        )
        share = self.node("Div", count, self.number(len(known.held_out)))
        return self.node("Identity", share, outputs=[FAMILIARITY])


def write(
    path: Path,
    *,
    blocks: Sequence[ConvBlock],
    head: tuple[NDArray[Any], NDArray[Any]],
    temperature: float,
    side: int,
    mean: float,
    scale: float,
    known: Familiarity | None = None,
    mirror: bool = False,
    reference_blocks: Sequence[ConvBlock] = (),
    metadata: dict[str, str] | None = None,
    quantise: bool = True,
) -> None:
    """Writes the graph to `path`.

    Parameters
    ----------
    head
        Weight [K, width] and bias [K] of the classifier on the features of `blocks`.
    temperature
        Logits are divided by it before the softmax.
    mirror
        Return the mean over each image and its mirror image.
    known, reference_blocks
        The familiar images, and the feature extractor of their features; without blocks of its own it is
        the classifier's. Leading blocks that are the same in both are computed once.
    quantise
        False keeps every weight 32-bit: to compare with.
    """
    writer = GraphWriter(quantise)
    x = writer.images(side, mean, scale)
    if mirror:
        x = writer.with_mirrored(x)
    shared = 0
    while shared < min(len(blocks), len(reference_blocks)) and same(blocks[shared], reference_blocks[shared]):
        x = writer.block(x, blocks[shared])
        shared += 1
    features = writer.features(x, blocks[shared:])
    if mirror:
        features = writer.node("Mul", writer.node("Add", *writer.halves(features)), writer.number(0.5))
    logits = writer.linear(features, head[0] / temperature, head[1] / temperature)
    writer.node("Softmax", logits, outputs=[PROBABILITIES], axis=1)
    outputs = [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", len(head[1])])]
    if known is not None:
        familiar = features
        if reference_blocks:  # familiarity is that of the image as it is
            familiar = writer.features(writer.halves(x)[0] if mirror else x, reference_blocks[shared:])
        writer.familiarity(familiar, known)
        outputs.append(helper.make_tensor_value_info(FAMILIARITY, TensorProto.FLOAT, ["N"]))
    path.write_bytes(_model(writer, outputs, metadata or {}))


def extractor(blocks: Sequence[ConvBlock], *, side: int, mean: float, scale: float) -> bytes:
    """A graph of images to `features` [N, width] alone, with the weights rounded as `write` rounds them.

    Familiarity is built from these features, so that rounding does not lower the familiarity of any image.
    """
    writer = GraphWriter()
    value = writer.features(writer.images(side, mean, scale), blocks)
    writer.node("Identity", value, outputs=["features"])
    return _model(writer, [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", None])], {})


def _model(writer: GraphWriter, outputs: list[Any], metadata: dict[str, str]) -> bytes:
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", "height", "width", 3])]
    graph = helper.make_graph(writer.nodes, "dropsort", inputs, outputs, writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dropsort")
    model.ir_version = 8  # what ONNX Runtime 1.14 and later read
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
