"""Which test pictures have a near-duplicate among the training pictures: known from a list, or seen by their hashes.

Accuracy on them says little about pictures never seen, so evaluation reports with and without them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from training.dataset import Picture
from training.pictures import duplicates

_COLUMNS = ("TestID", "TrainID")  # as in the published list of CIFAR's duplicates


def listed(folder: Path) -> set[str]:
    """Names of test pictures in a published list of duplicates that lies in `folder` or above it.

    The list (`*duplicates*.csv`) gives row numbers; `manifest.csv` beside it says which picture is which row of which
    split. Empty if there is no such pair of files. A pair of rows counts if both rows are in the manifest.
    """
    for place in (folder, folder.parent, folder.parent.parent):
        lists, manifest = sorted(place.glob("*duplicates*.csv")), place / "manifest.csv"
        if not lists or not manifest.is_file():
            continue
        with manifest.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        column = next((name for name in (rows[0] if rows else ()) if name.endswith("_row")), None)
        if column is None:
            continue
        split_rows = {
            part: {r[column]: r["file"] for r in rows if r.get("split") == part} for part in ("train", "test")
        }
        with lists[0].open(newline="", encoding="utf-8") as stream:
            pairs = [
                [str(int(float(row[c]))) for c in _COLUMNS]
                for row in csv.DictReader(stream)
                if row.get(_COLUMNS[0])
            ]
        return {
            split_rows["test"][a] for a, b in pairs if a in split_rows["test"] and b in split_rows["train"]
        }
    return set()


def alike(test: Sequence[Picture], train: Sequence[Picture]) -> set[Path]:
    """Test pictures whose perceptual hash is near that of a training picture."""
    hashes = [duplicates.perceptual_hash(picture.path) for picture in (*test, *train)]
    pairs = duplicates.near_pairs(hashes)
    return {test[i].path for i, j in pairs if i < len(test) <= j}
