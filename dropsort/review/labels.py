"""Labels to and from other tools: CSV, Label Studio tasks, and manifests of SageMaker Ground Truth.

What is exported names each image by its key and inference id, so that a label that comes back is about the upload that was labelled, and
about no newer one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from dropsort.contract import keys, reviews, written_files
from dropsort.contract.text import escaped_cell, lines, original_cell
from dropsort.review.errors import ReviewError

CSV_COLUMNS = ("key", "inference_id", "outcome", "label", "confidence", "familiarity", "reason", "review")
NONE, UNUSABLE = "(none)", "(unusable)"  # what stands for these decisions where others write labels
_ID = "dropsort-inference-id"


@dataclass(frozen=True, slots=True)
class ImportedLabel:
    """A label that somebody gave elsewhere; ``inference_id`` is None if the file does not name the upload."""

    key: str
    inference_id: str | None
    action: reviews.Action
    label: str | None

    def decision_id(self, inference_id: str) -> str:
        """The id of this decision about an upload: the same each time, so that a file that is imported twice counts once."""
        text = "\0".join((inference_id, self.action, self.label or ""))
        return f"import-{sha256(text.encode()).hexdigest()[:32]}"


def export(results: Iterable[Mapping[str, Any]], bucket: str, file: Path) -> int:
    """Write results for another tool, in the format of the file's suffix; return how many.

    Raises
    ------
    ReviewError
        The suffix is none of `FORMATS`, or the file cannot be written.
    """
    form = form_of(file)
    found = list(results)
    try:
        with written_files.writing(file, errors="replace") as output:
            output.write(form.write(found, bucket))
    except OSError as error:
        raise ReviewError(f"{file}: it cannot be written ({error.strerror or error}).") from error
    return len(found)


def _to_csv(results: list[Mapping[str, Any]], _bucket: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in results:
        row = [one["source"]["key"], one.get("inference_id"), one["outcome"], one.get("label")]
        row += [
            one.get("confidence"),
            one.get("familiarity"),
            (one.get("reason") or {}).get("code"),
            _review(one),
        ]
        writer.writerow(map(escaped_cell, row))
    return text.getvalue()


def _to_label_studio(results: list[Mapping[str, Any]], bucket: str) -> str:
    def choice(label: str) -> dict[str, Any]:
        return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}

    tasks = []
    for one in results:
        key = one["source"]["key"]
        data = {"image": f"s3://{bucket}/{key}", "key": key, "inference_id": one.get("inference_id")}
        task: dict[str, Any] = {"data": data}
        if one.get("label") and not one.get("review"):
            model = (one.get("model") or {}).get("version") or "model"
            task["predictions"] = [
                {"model_version": model, "score": one.get("confidence"), "result": [choice(one["label"])]}
            ]
        if reviewed := _review(one):
            task["annotations"] = [{"result": [choice(reviewed)]}]
        tasks.append(task)
    return json.dumps(tasks, indent=1) + "\n"


def _to_manifest(results: list[Mapping[str, Any]], bucket: str) -> str:
    rows = []
    for one in results:
        line = {"source-ref": f"s3://{bucket}/{one['source']['key']}", _ID: one.get("inference_id")}
        if reviewed := _review(one):
            line |= {"review": 0, "review-metadata": {"class-name": reviewed, "human-annotated": "yes"}}
        rows.append(json.dumps(line) + "\n")
    return "".join(rows)


def _review(result: Mapping[str, Any]) -> str:
    """What a reviewer decided, as one text; empty if nobody did."""
    action = (result.get("review") or {}).get("action")
    if action == reviews.LABEL:
        return result.get("label") or ""
    return NONE if action == reviews.NONE else UNUSABLE if action == reviews.UNUSABLE else ""


def read(file: Path, bucket: str) -> list[ImportedLabel]:
    """The labels of a file; images that have none in it are left out.

    Raises
    ------
    ReviewError
        The file cannot be read, or a line is not a label of an image in the bucket; the message names it.
    """
    form = form_of(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(f"{file}: it cannot be read ({error}).") from error
    found = []
    try:
        for where, key, inference_id, label in form.parse(text):
            key = key.removeprefix(f"s3://{bucket}/")
            if not key.startswith(keys.INCOMING) or not _is_text(key):
                raise ReviewError(
                    f"{file}, {where}: {key!r:.100} is not an upload in s3://{bucket}/{keys.INCOMING}."
                )
            if inference_id is not None and not (isinstance(inference_id, str) and _is_text(inference_id)):
                raise ReviewError(f"{file}, {where}: {inference_id!r:.100} is not an inference id.")
            if label in (NONE, UNUSABLE):
                found.append(ImportedLabel(key, inference_id, "none" if label == NONE else "unusable", None))
            elif reviews.is_label(label):
                found.append(ImportedLabel(key, inference_id, "label", label))
            else:
                raise ReviewError(
                    f"{file}, {where}: {label!r:.100} is not a label: 1 to 256 visible characters."
                )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error) as error:
        raise ReviewError(
            f"{file}: {type(error).__name__}: {error}. It is not in the format of its suffix."
        ) from error
    return found


def _is_text(value: str) -> bool:
    """Whether it has an encoding: JSON can name half of a surrogate pair, which no key has."""
    return not any("\ud800" <= sign <= "\udfff" for sign in value)


_Row = tuple[str, str, str | None, str]  # where it is, key or address, inference id, label


def _from_csv(text: str) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or ()
    column = next((name for name in ("review", "label") if name in names), None)
    if "key" not in names or column is None:
        raise ValueError("it has no columns key and review (or label)")
    for row in reader:
        cells = {name: original_cell(cell) for name, cell in row.items() if isinstance(cell, str)}
        if label := cells.get(column, "").strip():
            yield f"line {reader.line_num}", cells["key"], cells.get("inference_id") or None, label


def _from_label_studio(text: str) -> Iterator[_Row]:
    for number, task in enumerate(json.loads(text), 1):
        data = task["data"]
        valid = [
            one for one in task.get("annotations") or () if not one.get("was_cancelled") and one.get("result")
        ]
        choices = [
            item["value"]["choices"]
            for item in (valid[-1]["result"] if valid else ())
            if item["type"] == "choices"
        ]
        if choices:
            if len(choices) > 1 or len(choices[0]) != 1:
                raise ValueError(f"task {number} has several labels")
            yield f"task {number}", data.get("key") or data["image"], data.get("inference_id"), choices[0][0]


def _from_manifest(text: str) -> Iterator[_Row]:
    for number, content in enumerate(lines(text), 1):
        if not content.strip():
            continue
        line = json.loads(content)
        named = [
            value["class-name"]
            for name, value in line.items()
            if name.endswith("-metadata") and isinstance(value, dict) and "class-name" in value
        ]
        if named:
            yield f"line {number}", line["source-ref"], line.get(_ID), named[-1]


class LabelFormat(NamedTuple):
    """How a format is written and read."""

    write: Callable[[list[Mapping[str, Any]], str], str]
    parse: Callable[[str], Iterator[_Row]]


# What to do in a file that has no labels.
WHERE = {
    ".csv": "fill the column review",
    ".json": "annotate its tasks in Label Studio, with choices named label, and export them",
    ".manifest": "take the output manifest of the labelling job",
}
FORMATS = {
    ".csv": LabelFormat(_to_csv, _from_csv),
    ".json": LabelFormat(_to_label_studio, _from_label_studio),
    ".manifest": LabelFormat(_to_manifest, _from_manifest),
}


def form_of(file: Path) -> LabelFormat:
    """The format of a file's suffix; ReviewError if it is none of `FORMATS`."""
    form = FORMATS.get(file.suffix.lower())
    if form is None:
        raise ReviewError(
            f"{file}: the name has to end in .csv, .json (Label Studio) or .manifest (SageMaker Ground Truth), "
            "which says in which format it is."
        )
    return form
