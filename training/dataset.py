"""Pictures and their labels, from whatever somebody has, split once and for all.

`read` takes a folder with one folder a class (with `train`, `validation`, `test` above them or not), a folder with a
`manifest.csv`, such a table, a `.lst` index, or a SageMaker augmented manifest. Files that are no readable picture are set aside with
the reason, never an error of the whole. `split` adds the missing parts, stratified by label, the same at every run, with
near-duplicates on one side. `training.channels` writes and uploads what SageMaker wants.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from training.errors import TrainingError
from training.inference import InferenceError, decode
from training.pictures import duplicates

PARTS = ("train", "validation", "test")
Progress = Callable[[int, int], None]  # done, total


@dataclass(frozen=True)
class Picture:
    """A picture on disk; `part` is "" as long as it is in no part, `group` is shared by near-duplicates."""

    path: Path
    label: str
    part: str = ""
    group: int = -1


@dataclass(frozen=True)
class Dataset:
    """Pictures, the labels in their fixed order (sorted by name), and the files set aside with the reason."""

    labels: list[str]
    pictures: list[Picture]
    bad: list[tuple[Path, str]] = field(default_factory=list)

    def part(self, name: str) -> list[Picture]:
        """The pictures of one part."""
        return [picture for picture in self.pictures if picture.part == name]

    def number(self, picture: Picture) -> int:
        """The class number of a picture's label."""
        return self.labels.index(picture.label)

    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures by part and label."""
        found = Counter((p.part or "unassigned", p.label) for p in self.pictures)
        return {
            part: {label: found[part, label] for label in self.labels}
            for part in (*PARTS, "unassigned")
            if any(found[part, label] for label in self.labels)
        }


def read(source: Path, *, check: bool = True, progress: Progress = lambda done, total: None) -> Dataset:
    """Every picture that `source` names.

    Parameters
    ----------
    source
        A folder, a table (`.csv` with the columns label and file), a `.lst` index (number, class, path; `labels.json`
        beside it names the classes), or an augmented manifest (`.manifest`, `.jsonl`) of local files.
    check
        Decode every file, which finds damaged ones; False only looks whether it is there.
    progress
        Called with (done, total) while files are checked.
    """
    source = Path(source)
    if not source.exists():
        raise TrainingError(f"{source} does not exist: give a folder with one folder of pictures a class")
    if source.is_dir() and (source / "manifest.csv").is_file():
        found = list(_manifest_csv(source / "manifest.csv"))
    elif source.is_dir():
        found = list(_folders(source))
    elif source.suffix == ".csv":
        found = list(_manifest_csv(source))
    elif source.suffix == ".lst":
        found = list(_lst(source))
    elif source.suffix in (".manifest", ".jsonl"):
        found = list(_augmented(source))
    else:
        raise TrainingError(f"{source} is neither a folder nor a .csv, .lst, .manifest or .jsonl file")
    pictures, bad = [], []
    for number, picture in enumerate(found, 1):
        reason = _fault(picture.path, check)
        if reason:
            bad.append((picture.path, reason))
        else:
            pictures.append(picture)
        progress(number, len(found))
    if not pictures:
        why = f"; the first of {len(bad)} bad files: {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise TrainingError(f"{source} holds no picture with a label (one folder of pictures a class){why}")
    return Dataset(sorted({p.label for p in pictures}), pictures, bad)


def _fault(path: Path, check: bool) -> str:
    if not path.is_file():
        return "is not there"
    if check:
        try:
            decode(path.read_bytes())
        except InferenceError as error:
            return str(error)
    return ""


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))


def _folders(source: Path) -> Iterator[Picture]:
    parts = [p for p in _visible(source) if p.is_dir() and p.name in PARTS]
    for part in parts or [source]:
        for label in (p for p in _visible(part) if p.is_dir()):
            for path in sorted(p for p in label.rglob("*") if p.is_file() and not p.name.startswith(".")):
                yield Picture(path, label.name, part.name if parts else "")


def _manifest_csv(path: Path) -> Iterator[Picture]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        file_column = next((c for c in ("path", "file") if c in (rows.fieldnames or [])), "")
        label_column = next((c for c in ("label", "class") if c in (rows.fieldnames or [])), "")
        if not file_column or not label_column:
            raise TrainingError(
                f"{path} needs the columns label and file (and may have split); it has {', '.join(rows.fieldnames or [])}"
            )
        for row in rows:
            part, label, file = row.get("split") or "", row[label_column] or "", row[file_column] or ""
            if part not in ("", *PARTS):
                raise TrainingError(
                    f"{path}, line {rows.line_num}: split is {part!r}: use {', '.join(PARTS)}"
                )
            places = [
                path.parent / file,
                *(path.parent / p / label / file for p in (part, "")),
                path.parent / part / file,
            ]
            yield Picture(next((p for p in places if p.is_file()), places[0]), label, part)


def _lst(path: Path) -> Iterator[Picture]:
    names_file = path.parent / "labels.json"
    names = json.loads(names_file.read_text()) if names_file.is_file() else None
    part = path.stem if path.stem in PARTS else ""
    folder = path.parent / path.stem
    by_name: dict[str, list[Path]] = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        try:
            _, label, file = fields
            label = names[int(float(label))] if names else str(int(float(label)))
        except (ValueError, IndexError):
            raise TrainingError(
                f"{path}, line {number}: not 'number, class from 0, path' with tabs: {line!r}"
            ) from None
        place = next((p for p in (path.parent / file, folder / file) if p.is_file()), None)
        if place is None:  # indexes often name bare files of a nested folder
            if not by_name:
                for p in sorted((folder if folder.is_dir() else path.parent).rglob("*")):
                    by_name[p.name].append(p)
            same = by_name.get(Path(file).name, [])
            place = same[0] if len(same) == 1 else path.parent / file
        yield Picture(place, label, part)


def _augmented(path: Path) -> Iterator[Picture]:
    part = path.stem if path.stem in PARTS else ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            reference = entry["source-ref"]
            name = next((v["class-name"] for k, v in entry.items() if k.endswith("-metadata")), None)
            label = name if name is not None else str(entry["class"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{path}, line {number}: not an augmented manifest entry ({error!r})"
            ) from None
        if reference.startswith("s3://"):
            raise TrainingError(
                f"{path}, line {number}: {reference} is in S3: download it first (aws s3 sync)"
            )
        yield Picture(path.parent / reference, label, part)


def split(
    dataset: Dataset,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Dataset:
    """Puts every picture into a part.

    Pictures that come with a part keep it; the rest is divided. Where there is a test part but no validation part, the
    latter is taken out of train. Near-duplicates are kept together, and each label is divided in the same proportion. Where
    both cannot be had, as the hash takes pictures of several labels for one, people's labels count more than the hash: only pictures of one
    label are near-duplicates then.
    """
    hashes = []
    for done, picture in enumerate(dataset.pictures, 1):
        hashes.append(duplicates.perceptual_hash(picture.path))
        progress(done, len(dataset.pictures))
    given = {p.part for p in dataset.pictures}
    shares = {"validation": validation if "validation" not in given else 0.0}
    shares["test"] = test if "test" not in given else 0.0
    free = [
        i
        for i, p in enumerate(dataset.pictures)
        if p.part == "" or (p.part == "train" and shares["validation"])
    ]
    if given - {""}:  # a given train part is never test
        shares["test"] = test if "" in given and "test" not in given else 0.0
    labels = [p.label for p in dataset.pictures]
    pictures: list[Picture] = []
    for across in (True, False):
        pairs = ((i, j) for i, j in duplicates.near_pairs(hashes) if across or labels[i] == labels[j])
        group = duplicates.groups(len(hashes), pairs)
        pictures = [replace(p, group=int(g)) for p, g in zip(dataset.pictures, group, strict=True)]
        for i, part in _assign(pictures, free, shares, seed):
            pictures[i] = replace(pictures[i], part=part)
        if _in_proportion([pictures[i] for i in free], shares):
            break
    return replace(dataset, pictures=pictures)


def _in_proportion(pictures: list[Picture], shares: dict[str, float]) -> bool:
    """Whether each label has at least half of its share in each part."""
    total, found = Counter(p.label for p in pictures), Counter((p.part, p.label) for p in pictures)
    return all(
        2 * found[part, label] >= round(share * count)
        for part, share in shares.items()
        for label, count in total.items()
    )


def _assign(
    pictures: list[Picture], free: Iterable[int], shares: dict[str, float], seed: int
) -> Iterator[tuple[int, str]]:
    random = np.random.default_rng(seed)
    by_label: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    leader: dict[
        int, str
    ] = {}  # the label of a group is that of its first picture, so that a group is one unit
    for i in free:
        label = leader.setdefault(pictures[i].group, pictures[i].label)
        by_label[label][pictures[i].group].append(i)
    for label in sorted(by_label):
        units = [by_label[label][g] for g in sorted(by_label[label])]
        total = sum(map(len, units))
        wanted = {part: round(share * total) for part, share in shares.items()}
        for unit in (units[k] for k in random.permutation(len(units))):
            part = next((p for p, left in wanted.items() if left >= len(unit)), "train")
            if part != "train":
                wanted[part] -= len(unit)
            for i in unit:
                yield i, part


def load(pictures: list[Picture], side: int) -> np.ndarray:
    """Pictures as uint8 [N, side, side, 3], resized just as the graph does it."""
    out = np.zeros((len(pictures), side, side, 3), np.uint8)
    for i, picture in enumerate(pictures):
        image = Image.fromarray(decode(picture.path.read_bytes()))
        out[i] = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    return out
