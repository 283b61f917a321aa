"""Reads labelled images from a folder, a manifest or an index.

`read` takes a folder with one folder per class (with `train`, `validation`, `test` above them or not), a folder with a
`manifest.csv`, such a table, a `.lst` index, or a SageMaker augmented manifest. Files that are not readable images are rejected one by
one with the reason; they are not errors of the whole.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dropsort.contract.progress import Progress, no_progress
from dropsort.contract.text import lines, original_cell
from training.dataset.images import MANIFEST, NAMES, PARTS, Dataset, LabelledImage
from training.errors import TrainingError
from training.inference import InferenceError, decode


def read(source: Path, *, check: bool = True, progress: Progress = no_progress) -> Dataset:
    """The images that `source` names.

    Parameters
    ----------
    source
        A folder, a table (`.csv` with the columns label and file), a `.lst` index (number, class, path; `labels.json`
        next to it names the classes), or an augmented manifest (`.manifest`, `.jsonl`) of local files.
    check
        Decode every file, which finds damaged ones; False only checks that it exists.
    progress
        Called with (done, total) while files are checked.

    Raises
    ------
    TrainingError
        There is nothing at `source`, it is not one of these, or contains no image with a label.
    """
    source = Path(source)
    if not source.exists():
        raise TrainingError(f"{source} does not exist: give a folder with one folder of images per class")
    try:
        found = list(_entries(source))
    except TrainingError:
        raise
    # Lists come from other tools and people: no text in them ends a command in any other way.
    except (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
        csv.Error,
    ) as error:
        raise TrainingError(
            f"{source} cannot be read as a list of labelled images ({error!r:.200})"
        ) from error
    images: list[LabelledImage] = []
    rejected: list[tuple[Path, str]] = []
    for number, image in enumerate(found, 1):
        reason = _fault(image.path, check)
        if reason:
            rejected.append((image.path, reason))
        else:
            images.append(image)
        progress(number, len(found))
    if not images:
        why = (
            f"; the first of {len(rejected)} rejected files: {rejected[0][0]}: {rejected[0][1]}"
            if rejected
            else ""
        )
        raise TrainingError(
            f"{source} contains no image with a label (expected: one folder of images per class){why}"
        )
    return Dataset(sorted({p.label for p in images}), images, rejected)


def _entries(source: Path) -> Iterator[LabelledImage]:
    if source.is_dir() and (source / MANIFEST).is_file():
        return _manifest_csv(source / MANIFEST)
    if source.is_dir():
        return _folders(source)
    if source.suffix == ".csv":
        return _manifest_csv(source)
    if source.suffix == ".lst":
        return _lst(source)
    if source.suffix in (".manifest", ".jsonl"):
        return _augmented(source)
    raise TrainingError(f"{source} is neither a folder nor a .csv, .lst, .manifest or .jsonl file")


def _fault(path: Path, check: bool) -> str:
    if not path.is_file():
        return "does not exist"
    if check:
        try:
            decode(path.read_bytes())
        except InferenceError as error:
            return str(error)
    return ""


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))


def _folders(source: Path) -> Iterator[LabelledImage]:
    parts = [p for p in _visible(source) if p.is_dir() and p.name in PARTS]
    for part in parts or [source]:
        for label in (p for p in _visible(part) if p.is_dir()):
            for path in sorted(p for p in label.rglob("*") if p.is_file() and not p.name.startswith(".")):
                yield LabelledImage(path, label.name, part.name if parts else "")


def _manifest_csv(path: Path) -> Iterator[LabelledImage]:
    with path.open(newline="", encoding="utf-8", errors=NAMES) as stream:
        rows = csv.DictReader(stream)
        file_column = next((c for c in ("path", "file") if c in (rows.fieldnames or [])), "")
        label_column = next((c for c in ("label", "class") if c in (rows.fieldnames or [])), "")
        if not file_column or not label_column:
            raise TrainingError(
                f"{path} needs the columns label and file (and may have split); it has {', '.join(rows.fieldnames or [])}"
            )
        for row in rows:
            part, file = row.get("split") or "", row[file_column] or ""
            label = original_cell(row[label_column] or "")
            if part not in ("", *PARTS):
                raise TrainingError(
                    f"{path}, line {rows.line_num}: split is {part!r}: use {', '.join(PARTS)}"
                )
            locations = [
                path.parent / file,
                *(path.parent / p / label / file for p in (part, "")),
                path.parent / part / file,
            ]
            yield LabelledImage(next((p for p in locations if p.is_file()), locations[0]), label, part)


def _lst(path: Path) -> Iterator[LabelledImage]:
    names_file = path.parent / "labels.json"
    names = json.loads(names_file.read_bytes()) if names_file.is_file() else None
    part = path.stem if path.stem in PARTS else ""
    folder = path.parent / path.stem
    by_name: dict[str, list[Path]] = defaultdict(list)
    for number, line in enumerate(lines(path.read_text(encoding="utf-8")), 1):
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
        location = next((p for p in (path.parent / file, folder / file) if p.is_file()), None)
        if location is None:  # indexes often name bare files of a nested folder
            if not by_name:
                for p in sorted((folder if folder.is_dir() else path.parent).rglob("*")):
                    by_name[p.name].append(p)
            same = by_name.get(Path(file).name, [])
            location = same[0] if len(same) == 1 else path.parent / file
        yield LabelledImage(location, label, part)


def _augmented(path: Path) -> Iterator[LabelledImage]:
    part = path.stem if path.stem in PARTS else ""
    for number, line in enumerate(lines(path.read_text(encoding="utf-8")), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            reference = entry["source-ref"]
            name = next((v["class-name"] for k, v in entry.items() if k.endswith("-metadata")), None)
            label = name if name is not None else str(entry["class"])
            if not isinstance(label, str) or not isinstance(reference, str):
                raise TypeError("source-ref and class-name are texts")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{path}, line {number}: not an augmented manifest entry ({error!r})"
            ) from None
        if reference.startswith("s3://"):
            raise TrainingError(
                f"{path}, line {number}: {reference} is in S3: download it first (aws s3 sync)"
            )
        yield LabelledImage(path.parent / reference, label, part)
