"""Checkpoints of a training are data: nothing in them is executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import needs
from tests.deferred import Deferred

needs.installed("training", "torch")

pytestmark = pytest.mark.xdist_group("torch")
torch, fit = Deferred("torch"), Deferred("training.model.training_loop")


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    # GIVEN a file in the place of the checkpoint that, unpickled, would call a function
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "called",)

    torch.save({"settings": Hostile()}, tmp_path / "training.pt")
    images, labels = np.zeros((12, 32, 32, 3), np.uint8), np.array([0, 1] * 6)
    # WHEN training would resume from it THEN it is rejected, and the function is not called
    with pytest.raises(pickle.UnpicklingError):
        fit.fit("resnet8", 2, images, labels, epochs=1, checkpoints=tmp_path)
    assert not (tmp_path / "called").exists()
