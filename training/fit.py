"""The training loop: pictures and labels in, the weights of the best epoch out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.augment import augment
from training.network import Network

Pictures = NDArray[np.uint8]  # [N, side, side, 3]
Labels = NDArray[np.int64]  # [N]


@dataclass(frozen=True)
class Epoch:
    """What a progress callback is told after each epoch; validation figures are NaN without validation pictures."""

    number: int
    of: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def normalise(network: Network, pictures: Tensor) -> Tensor:
    """Pixel values 0 to 255 as the network wants them."""
    return (pictures - network.spec.mean) / network.spec.scale


def fit(
    arch: str,
    classes: int,
    pictures: Pictures,
    labels: Labels,
    validation: tuple[Pictures, Labels] | None = None,
    *,
    seed: int = 0,
    epochs: int | None = None,
    batch: int = 32,
    smoothing: float = 0.02,
    patience: int = 0,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Network:
    """Trains a network of `classes` classes and returns it in evaluation mode.

    AdamW under a one-cycle learning rate. With validation pictures and a `patience` above 0, training stops when the
    validation loss has not improved for so many epochs, and the best epoch's weights are the result.
    """
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = Network(arch, classes).to(device(), memory_format=torch.channels_last)  # half the time on a CPU
    epochs = epochs or network.spec.epochs
    data = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    target = torch.from_numpy(labels)
    steps = max(1, math_ceil(len(data), batch))
    optimiser = torch.optim.AdamW(network.groups(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in network.groups()], total_steps=epochs * steps + 1, pct_start=0.2
    )
    best, best_loss, stale = None, float("inf"), 0
    for number in range(1, epochs + 1):
        started, losses = time.perf_counter(), []
        network.train()
        for chosen in torch.randperm(len(data), generator=random).split(batch):
            if network.spec.pretrained is False and len(chosen) < 2:
                continue  # batch statistics of one picture say nothing
            inputs = augment(data[chosen].float().to(device()), random)
            inputs = inputs.to(memory_format=torch.channels_last)
            logits = network(normalise(network, inputs))
            loss = functional.cross_entropy(logits, target[chosen].to(device()), label_smoothing=smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        held_loss = held_accuracy = float("nan")
        if validation is not None and len(validation[1]):
            held = logits_of(network, validation[0])
            truth = torch.from_numpy(validation[1])
            held_loss = functional.cross_entropy(held, truth).item()
            held_accuracy = (held.argmax(1) == truth).float().mean().item()
        progress(
            Epoch(
                number,
                epochs,
                float(np.mean(losses)),
                held_loss,
                held_accuracy,
                time.perf_counter() - started,
            )
        )
        if patience and held_loss == held_loss:
            if held_loss < best_loss:
                best, best_loss, stale = copy.deepcopy(network.state_dict()), held_loss, 0
            elif (stale := stale + 1) >= patience:
                break
    if best is not None:
        network.load_state_dict(best)
    return network.cpu().eval()


def math_ceil(count: int, batch: int) -> int:
    """Batches of at most `batch` that hold `count`."""
    return -(-count // batch)


@torch.no_grad()
def features_of(network: Network, pictures: Pictures, batch: int = 64) -> Tensor:
    """Feature vectors [N, width] of pictures as they are, on the CPU."""
    network = network.eval()
    where = next(network.parameters()).device
    parts = [
        network.features(normalise(network, part.permute(0, 3, 1, 2).float().to(where))).cpu()
        for part in torch.from_numpy(pictures).split(batch)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, network.spec.width)


@torch.no_grad()
def logits_of(network: Network, pictures: Pictures) -> Tensor:
    """Logits [N, K] of pictures as they are, on the CPU."""
    where = next(network.parameters()).device
    return network.head(features_of(network, pictures).to(where)).cpu()
