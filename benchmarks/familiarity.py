"""How many training images the familiarity threshold needs.

    python -m benchmarks.familiarity DIR [--draws 30]

DIR has labelled images in `train` and `test`. Familiarity is built from random draws of the training images, of several sizes, and
the test images, all of them genuine, are compared with each. Printed is the share that the default threshold rejects: it should be
one in a hundred. Needs `dropsort[train]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from training import dataset
from training.dataset.images import load
from training.model import familiarity
from training.model.classifier import Classifier
from training.model.network import Network

# 113 too: the share of a training image is then not a multiple of 0.01.
SIZES = (60, 113, 200, 400, 800)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, metavar="DIR")
    parser.add_argument("--draws", type=int, default=30)
    arguments = parser.parse_args()
    data = dataset.read(arguments.images)
    network = Network("efficientnet-lite0", len(data.labels)).eval()
    extractor = Classifier(network, None)
    known, new = (
        extractor.familiar_features(load(data.part(part), network.spec.side)) for part in ("train", "test")
    )
    print("| training images | rejected, mean | worst draw | draws |")
    print("|---|---|---|---|")
    for size in (size for size in SIZES if size <= len(known)):
        shares = [rejected(known, new, size, seed) for seed in range(arguments.draws)]
        print(f"| {size} | {np.mean(shares):.1%} | {max(shares):.1%} | {len(shares)} |", flush=True)


def rejected(known: NDArray[np.float32], new: NDArray[np.float32], size: int, seed: int) -> float:
    """The share of `new` [M, width] below the threshold, from a draw of `size` of the features `known` [N, width]."""
    drawn = np.random.default_rng(seed).permutation(len(known))[:size]
    return float((familiarity.build(known[drawn]).p_values(new) < FAMILIARITY_THRESHOLD).mean())


if __name__ == "__main__":
    main()
