"""What a training takes from its two folders: parts of the wanted sizes, and every rejected file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.settings import TrainingSettings
from training.train import gather


def test_each_part_has_its_own_share(image_tree: Callable[..., Path]) -> None:
    data = gather(image_tree(20), None, TrainingSettings(validation=0.3, test=0.1))
    sizes = [len(data.part(part)) for part in ("train", "validation", "test")]
    assert sum(sizes) == 40
    assert sizes[0] > sizes[1] > 2 * sizes[2] > 0


def test_the_images_are_counted_as_they_are_read_and_compared(image_tree: Callable[..., Path]) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}

    def begin(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: steps.setdefault(stage, []).append((done, total))

    gather(image_tree(10), None, TrainingSettings(), progress=begin)
    assert list(steps) == ["images", "hashes"]
    assert all(found == [(done, 20) for done in range(1, 21)] for found in steps.values())


def test_rejected_files_of_both_folders_are_named(image_tree: Callable[..., Path]) -> None:
    folders = [image_tree(12, below=name) for name in ("first", "second")]
    for folder in folders:
        (folder / "red" / "bad.png").write_text("no image")
    data = gather(folders[0], folders[1], TrainingSettings())
    assert [path.parent.parent for path, _ in data.rejected] == folders
    assert {image.path.parent.parent for image in data.part("validation")} == {folders[1]}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems only take UTF-8")
def test_a_label_that_cannot_be_written_is_named_before_the_training(image_tree: Callable[..., Path]) -> None:
    folder = image_tree(12)
    (folder / "red").rename(folder / os.fsdecode(b"r\xe9d"))
    with pytest.raises(TrainingError, match="the label r\N{REPLACEMENT CHARACTER}d cannot be written"):
        gather(folder, None, TrainingSettings())
