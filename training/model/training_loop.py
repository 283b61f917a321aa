"""The training loop: images and labels in, the weights of the last or the best epoch out; resumes from checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training.dataset.images import ClassNumbers, Pixels
from training.model.augment import augment
from training.model.network import Network
from training.progress import Epoch


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    arch: str,
    classes: int,
    images: Pixels,
    labels: ClassNumbers,
    validation: tuple[Pixels, ClassNumbers] | None = None,
    *,
    seed: int = 0,
    epochs: int | None = None,
    batch: int = 32,
    smoothing: float = 0.02,
    mirror: bool = True,
    patience: int = 0,
    checkpoints: Path | None = None,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Network:
    """Train a network of `classes` classes and return it on the CPU, in evaluation mode.

    AdamW under a one-cycle learning rate. The same seed gives the same network on the same machine.

    Parameters
    ----------
    mirror
        Whether a mirrored image is one of the same class: not so for text.
    patience
        Stop when the validation loss has not improved for so many epochs, and return the best epoch's weights. 0: train
        all epochs and return the last, which the falling learning rate makes the best as a rule.
    checkpoints
        Folder in which every epoch is saved, and from which an interrupted training of the same settings is resumed.
    """
    run = _TrainingRun(arch, classes, images, labels, seed, epochs, batch, smoothing, mirror)
    settings = (arch, classes, len(images), seed, run.epochs, batch, mirror)
    checkpoint = checkpoints / "training.pt" if checkpoints else None
    if checkpoint is not None and checkpoint.is_file():
        run.resume(torch.load(checkpoint, map_location="cpu", weights_only=True), settings)
    while run.epoch < run.epochs and not (patience and run.stale >= patience):
        started = time.perf_counter()
        loss = run.step()
        held_loss = held_accuracy = math.nan
        if validation is not None and len(validation[1]):
            held_loss, held_accuracy = run.validate(*validation)
            run.remember(held_loss, keep=patience > 0)
        if checkpoint is not None:
            _save(checkpoint, {"settings": list(settings), **run.state()})
        progress(Epoch(run.epoch, run.epochs, loss, held_loss, held_accuracy, time.perf_counter() - started))
    return run.result()


def _save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)  # atomic: a crash while writing leaves the older checkpoint


class _TrainingRun:
    """The state of a training: everything that a checkpoint contains."""

    def __init__(
        self,
        arch: str,
        classes: int,
        images: Pixels,
        labels: ClassNumbers,
        seed: int,
        epochs: int | None,
        batch: int,
        smoothing: float,
        mirror: bool,
    ) -> None:
        torch.manual_seed(seed)
        self.random = torch.Generator().manual_seed(seed)
        # channels_last halves the time of an epoch on a CPU
        self.network: Any = Network(arch, classes).to(device()).to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.epochs = epochs or self.network.spec.epochs
        self.data, self.target = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
        self.batch, self.smoothing, self.mirror = batch, smoothing, mirror
        groups = self.network.groups()
        self.optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
        steps = max(10, self.epochs * math.ceil(len(images) / batch))  # the schedule needs a few
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, [group["lr"] for group in groups], total_steps=steps + 1, pct_start=0.2
        )
        self.epoch, self.stale, self.best_loss = 0, 0, math.inf
        self.best: dict[str, Any] | None = None

    def step(self) -> float:
        """One epoch; the mean training loss."""
        self.network.train()
        where, losses = device(), []
        order: Any = torch.randperm(len(self.data), generator=self.random)
        for chosen in order.split(self.batch):
            if len(chosen) < 2 and not self.network.spec.pretrained:
                continue  # batch statistics need two images
            inputs: Any = augment(self.data[chosen].float().to(where), self.random, self.mirror)
            logits = self.network(
                self.network.normalise(inputs.contiguous(memory_format=torch.channels_last))
            )
            loss: Any = functional.cross_entropy(
                logits, self.target[chosen].to(where), label_smoothing=self.smoothing
            )
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            losses.append(loss.item())
        self.epoch += 1
        return float(np.mean(losses))

    def validate(self, images: Pixels, labels: ClassNumbers) -> tuple[float, float]:
        """Loss and accuracy on images without augmentation."""
        logits, truth = logits_of(self.network, images), torch.from_numpy(labels)
        return (
            functional.cross_entropy(logits, truth).item(),
            (logits.argmax(1) == truth).float().mean().item(),
        )

    def remember(self, loss: float, keep: bool) -> None:
        """Record whether this epoch is the best so far, and its weights if `keep`."""
        if loss < self.best_loss:
            self.best_loss, self.stale = loss, 0
            if keep:
                self.best = copy.deepcopy(self.network.state_dict())
        else:
            self.stale += 1

    def state(self) -> dict[str, Any]:
        """The content of a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.get_state(),
            "torch": torch.get_rng_state(),
            "progress": [self.epoch, self.stale, self.best_loss],
            "best": self.best,
        }

    def resume(self, state: dict[str, Any], settings: tuple[Any, ...]) -> None:
        """Resume from a checkpoint; one of other settings is ignored."""
        if tuple(state["settings"]) != settings:
            return
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"])
        torch.set_rng_state(state["torch"])
        self.epoch, self.stale, self.best_loss = state["progress"]
        self.best = state["best"]

    def result(self) -> Network:
        """The network of the best epoch if `patience` is set, else of the last."""
        if self.best is not None:
            self.network.load_state_dict(self.best)
        network: Network = self.network.cpu().eval()
        return network


@torch.no_grad()
def features_of(network: Network, images: Pixels, batch: int = 64) -> torch.Tensor:
    """Feature vectors [N, width] of images without augmentation, on the CPU."""
    network.eval()
    where, parts = next(network.parameters()).device, [torch.zeros(0, network.spec.width)]
    for start in range(0, len(images), batch):
        inputs = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2).float().to(where)
        parts.append(network.features(network.normalise(inputs)).cpu())
    return torch.cat(parts)


@torch.no_grad()
def logits_of(network: Network, images: Pixels) -> torch.Tensor:
    """Logits [N, K] of images without augmentation, on the CPU."""
    where = next(network.parameters()).device
    logits: torch.Tensor = network.head(features_of(network, images).to(where)).cpu()
    return logits
