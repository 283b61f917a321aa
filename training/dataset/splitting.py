"""Splits a dataset into train, validation and test: stratified by label, the same at every run, near-duplicates together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.progress import Progress, no_progress
from training.dataset import near_duplicates
from training.dataset.images import Dataset, LabelledImage

FEWEST = 5  # images of a label in a part, below which figures of it mean little


def split(
    dataset: Dataset,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Dataset:
    """Put every image into a part.

    Images that already have a part keep it; the rest is divided. If there is a test part but no validation part, validation
    is taken out of train. Near-duplicates stay in one part, and each label is divided in the same proportion. If both are not
    possible, because images of several labels are near-duplicates, only images of the same label count as near-duplicates.
    """
    hashes = []
    for done, image in enumerate(dataset.images, 1):
        hashes.append(near_duplicates.perceptual_hash(image.path))
        progress(done, len(dataset.images))
    given = {p.part for p in dataset.images}
    shares = {"validation": validation if "validation" not in given else 0.0}
    # A given train part is never test.
    shares["test"] = test if "" in given and "test" not in given else 0.0
    free = [
        i
        for i, p in enumerate(dataset.images)
        if p.part == "" or (p.part == "train" and shares["validation"])
    ]
    labels = [p.label for p in dataset.images]
    near = list(
        near_duplicates.confirmed([p.path for p in dataset.images], near_duplicates.near_pairs(hashes))
    )
    images: list[LabelledImage] = []
    for across in (True, False):
        pairs = ((i, j) for i, j in near if across or labels[i] == labels[j])
        group = near_duplicates.groups(len(hashes), pairs)
        images = [replace(p, group=int(g)) for p, g in zip(dataset.images, group, strict=True)]
        for i, part in _assign(images, free, shares, seed):
            images[i] = replace(images[i], part=part)
        if _in_proportion([images[i] for i in free], shares):
            break
    return replace(dataset, images=images)


def scarce(dataset: Dataset) -> list[str]:
    """A sentence for each label with fewer than `FEWEST` images in a part that figures are measured on."""
    found = []
    for part, counts in dataset.counts().items():
        for label, count in counts.items() if part in ("validation", "test") else ():
            if count < FEWEST:
                groups = Counter(p.group for p in dataset.images if p.label == label and p.group >= 0)
                large = [size for size in groups.values() if size > FEWEST]
                why = f", as {max(large)} of its images are near-duplicates of each other" if large else ""
                found.append(
                    f"The part {part} has only {count} of {label!r}{why}: figures of it mean little; add more, and more varied, images"
                )
    return found


def _in_proportion(images: list[LabelledImage], shares: dict[str, float]) -> bool:
    """Whether each label has at least half of its share in each part."""
    total, found = Counter(p.label for p in images), Counter((p.part, p.label) for p in images)
    return all(
        2 * found[part, label] >= round(share * count)
        for part, share in shares.items()
        for label, count in total.items()
    )


def _assign(
    images: list[LabelledImage], free: Iterable[int], shares: dict[str, float], seed: int
) -> Iterator[tuple[int, str]]:
    random = np.random.default_rng(seed)
    by_label: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    leader: dict[int, str] = {}  # a group is one unit: its label is that of its first image
    for i in free:
        label = leader.setdefault(images[i].group, images[i].label)
        by_label[label][images[i].group].append(i)
    for label in sorted(by_label):
        units = list(by_label[label].values())
        total = sum(map(len, units))
        wanted = {part: round(share * total) for part, share in shares.items()}
        for unit in (units[k] for k in random.permutation(len(units))):
            part = next((p for p, left in wanted.items() if left >= len(unit)), "train")
            if part != "train":
                wanted[part] -= len(unit)
            for i in unit:
                yield i, part


def folds(
    truth: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int
) -> list[NDArray[np.bool_]]:
    """Which images each fold leaves out, `count` flags [N]: every image once, labels in proportion, near-duplicates together."""
    random = np.random.default_rng(seed)
    assigned = np.zeros(len(truth))
    for label in np.unique(truth):
        sizes = np.zeros(count)
        members = groups[truth == label]
        units = np.unique(members)
        for unit in units[random.permutation(len(units))]:
            fold = int(sizes.argmin())
            sizes[fold] += (members == unit).sum()
            assigned[(truth == label) & (groups == unit)] = fold
    for unit, first in zip(*np.unique(groups, return_index=True), strict=True):
        assigned[groups == unit] = assigned[first]  # groups of several labels too
    return [assigned == fold for fold in range(count)]
