"""Joins reviewed images with those of an earlier model to one dataset, whose test part stays apart.

The rules, for each reviewed image:

1. The same pixels as another image, with the same label: left out. With another label: left out, and reported.
2. A near-duplicate of an earlier test image: left out, as training on it would make the test easier.
3. A part that an earlier run gave it: that part, so that no test image is ever trained on.
4. One that the caller has for the test, as it was drawn at random, without a near-duplicate in train: test.
5. One that the caller holds back, as it may be drawn later: left out, unless a near-duplicate is in train.
6. Any other: train. Most of these were reviewed because of a low confidence: a test of them would favour any other model.

Near-duplicates are images with a near perceptual hash whose pixels are alike too; of what the earlier model was made from only the
hashes are known, and they suffice. Earlier images keep their parts. Those without one are test if the earlier model was not made
from them, and else train.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dropsort.contract.progress import Progress, no_progress
from dropsort.contract.text import escaped_cell
from training.dataset import near_duplicates
from training.dataset.checks import Finding
from training.dataset.fingerprints import Fingerprints, pixel_digest
from training.dataset.images import MANIFEST, NAMES, LabelledImage
from training.inference import InferenceError, decode

SAME, CONTRADICTION, NEAR_TEST, UNREADABLE = "duplicate", "contradiction", "near test image", "unreadable"
HELD_BACK = "held back"


@dataclass(frozen=True)
class JoinedDataset:
    """Images with their parts, reviewed ones first, and what was left out."""

    reviewed: list[LabelledImage]
    earlier: list[LabelledImage]
    left_out: list[Finding]
    hashes: Mapping[Path, int]  # perceptual ones, by path


def join(
    reviewed: Sequence[LabelledImage],
    earlier: Sequence[LabelledImage] = (),
    *,
    known: Fingerprints = Fingerprints(),  # noqa: B008 (immutable)
    parts: Mapping[str, str] | None = None,
    drawn: Mapping[str, bool] | None = None,
    progress: Progress = no_progress,
) -> JoinedDataset:
    """Join the images by the rules above.

    Parameters
    ----------
    earlier
        The images that the earlier model was made from and tested on.
    known
        The fingerprints of the earlier model.
    parts
        Part by file name, of an earlier run.
    drawn
        By file name, images that are not for training: True for the test part, False held back.
    """
    digests: dict[Path, str] = {}
    left: dict[Path, Finding] = {}
    for done, image in enumerate([*reviewed, *earlier], 1):
        try:
            digests[image.path] = pixel_digest(decode(image.path.read_bytes()))
        except (InferenceError, OSError) as error:
            left[image.path] = Finding(image.path, UNREADABLE, str(error))
        progress(done, len(reviewed) + len(earlier))
    old = [
        image if image.part else replace(image, part=_earlier_part(digests[image.path], known))
        for image in earlier
        if image.path in digests
    ]
    fresh = [image for image in reviewed if image.path in digests]
    for image, out in _duplicates(fresh, old, digests):
        left[image.path] = out
    fresh = [image for image in fresh if image.path not in left]
    images = [*fresh, *old]
    hashes = {image.path: near_duplicates.perceptual_hash(image.path) for image in images}
    pairs = [
        (i, j)
        for i, j in near_duplicates.near_pairs([*(hashes[image.path] for image in images), *known.perceptual])
        if i < len(images)
    ]
    among = ((i, j) for i, j in pairs if j < len(images))
    near_ones = near_duplicates.confirmed([image.path for image in images], among)
    groups = near_duplicates.groups(len(images), near_ones).tolist()
    members: dict[int, list[LabelledImage]] = defaultdict(list)
    for image, group in zip(images, groups, strict=True):
        members[group].append(image)
    trained = {groups[i] for i, j in pairs if j >= len(images)}
    placed = []
    for image, group in zip(fresh, groups, strict=False):
        near = next((other for other in members[group] if other.part == "test"), None)
        if near is not None:
            other = f", which is {near.label!r}" if near.label != image.label else ""
            left[image.path] = Finding(image.path, NEAR_TEST, f"nearly the test image {near.path}{other}")
            continue
        part = _part(image, members[group], group in trained, parts or {}, drawn or {})
        if part:
            placed.append(replace(image, part=part))
        else:
            left[image.path] = Finding(
                image.path, HELD_BACK, "it is for a test, once all before it are reviewed"
            )
    order = [left[image.path] for image in (*reviewed, *earlier) if image.path in left]
    return JoinedDataset(placed, old, order, hashes)


def _earlier_part(digest: str, known: Fingerprints) -> str:
    return "test" if known.pixels and digest not in known.pixels else "train"


def _duplicates(
    fresh: Sequence[LabelledImage], old: Sequence[LabelledImage], digests: Mapping[Path, str]
) -> list[tuple[LabelledImage, Finding]]:
    """Reviewed images with the pixels of another: those after the first, or all if their labels contradict."""
    same: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in (*old, *fresh):
        same[digests[image.path]].append(image)
    mine = {image.path for image in fresh}
    found = []
    for images in same.values():
        contradict = len({image.label for image in images}) > 1
        for image in images if contradict else images[1:]:
            if image.path in mine and contradict:
                other = next(one for one in images if one.label != image.label)
                why = f"{image.label!r}, but the same image {other.path} is {other.label!r}"
                found.append((image, Finding(image.path, CONTRADICTION, why)))
            elif image.path in mine:
                found.append((image, Finding(image.path, SAME, f"the same as {images[0].path}")))
    return found


def _part(
    image: LabelledImage,
    group: Sequence[LabelledImage],
    trained: bool,
    parts: Mapping[str, str],
    drawn: Mapping[str, bool],
) -> str:
    """The part of a reviewed image in a group of near-duplicates; "" if it is held back."""
    if given := parts.get(image.path.name):
        return given
    names = [one.path.name for one in group if not one.part]  # of reviewed images
    given_parts = {one.part for one in group} | {parts.get(name) for name in names}
    if trained or given_parts & {"train", "validation"}:
        return "train"
    if "test" in given_parts:
        return "test"
    if any(name not in drawn for name in names):
        return "train"
    return "test" if drawn[image.path.name] else ""


def read_parts(folder: Path) -> dict[str, str]:
    """The parts of an earlier run, by file name; none without a manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors=NAMES) as stream:
        return {Path(row["file"]).name: row["split"] for row in csv.DictReader(stream) if row.get("key")}


def write_manifest(folder: Path, joined: JoinedDataset, keys: Mapping[Path, str]) -> None:
    """Write what `training.dataset.read` reads: file, label and split; and the key of what was reviewed."""
    temporary = folder / f".{MANIFEST}.part"
    with temporary.open("w", newline="", encoding="utf-8", errors=NAMES) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "label", "split", "key"])
        for image in joined.reviewed:
            row = [image.path.relative_to(folder).as_posix(), image.label, image.part, keys[image.path]]
            writer.writerow(map(escaped_cell, row))
        for image in joined.earlier:
            writer.writerow([str(image.path.resolve()), escaped_cell(image.label), image.part, ""])
    temporary.replace(folder / MANIFEST)
