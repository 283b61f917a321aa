"""Labelled images: read from a folder or a manifest, split into parts, written as SageMaker's channels.

Modules in the order of the data: `samples` and `cifar` are sources of images, `reading` makes a `Dataset`, `splitting` puts every
image into a part with the groups that `near_duplicates` finds, `channels` writes and uploads what SageMaker reads.
"""

from training.dataset.images import PARTS, Dataset, LabelledImage, load
from training.dataset.reading import read
from training.dataset.splitting import split

__all__ = ["PARTS", "Dataset", "LabelledImage", "load", "read", "split"]
