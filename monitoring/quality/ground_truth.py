"""Ground truth, joined with captures: by inference id, else by event id, as SageMaker does.

A ground truth line's ``eventMetadata.eventId`` holds the inference id if the capture has one.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.predictions import Prediction, index_of, label_of
from monitoring.errors import MissingFileError
from monitoring.ingest.outputs import clean, predictions
from monitoring.ingest.schema import as_dict
from monitoring.quality.measure import LabelledPrediction, Quality, measure
from monitoring.storage import open_store
from monitoring.storage.base import BucketAccess


def join(
    captures: Iterable[Mapping[str, Any]], truths: Mapping[str, str], labels: Sequence[str] = ()
) -> Iterator[tuple[str, LabelledPrediction]]:
    """Join capture records with their ground truth; yields the id and the prediction of those that have one.

    Parameters
    ----------
    captures
        Capture records, decoded; a record may carry its ground truth itself (SageMaker's merged records).
    truths
        Label by inference id or event id.
    labels
        Labels by class index, for endpoints and labellers that use class indexes.
    """
    seen: set[str] = set()
    for record in captures:
        meta = as_dict(record.get("eventMetadata"))
        ids = [str(meta[k]) for k in ("inferenceId", "eventId") if meta.get(k)]
        event = ids[-1] if ids else ""
        found = next((i for i in ids if i in truths), None)
        own = truth_of(record, labels)
        if (found is None and own is None) or (event and event in seen):
            continue
        seen.add(event)
        capture = as_dict(record.get("captureData"))
        out = as_dict(capture.get("endpointOutput")) or as_dict(capture.get("batchTransformOutput"))
        for prediction in predictions(out.get("data"), out.get("encoding"), labels)[:1]:
            truth = truths[found] if found is not None else str(own)
            yield (found or event), _labelled(prediction, truth)


def truth_of(record: Mapping[str, Any], labels: Sequence[str] = ()) -> str | None:
    """The label of a record's ``groundTruthData``: a label, or a class index that `labels` names; None without one.

    It stands there as it is, alone in a list, or as ``{"label": ...}``, and in base64 if ``encoding`` says so.
    """
    given = as_dict(record.get("groundTruthData"))
    data = given.get("data")
    if not isinstance(data, str):
        return None
    if str(given.get("encoding")).upper() == "BASE64":
        try:
            data = base64.b64decode(data, validate=True).decode()
        except ValueError:
            return None
    text = data.strip().strip('"')
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("label")
    label = label_of(value, labels)
    return None if label is None else clean(label)


def read_truth(
    source: str | os.PathLike[str], labels: Sequence[str] = (), access: BucketAccess | None = None
) -> tuple[dict[str, str], int]:
    """Ground truth of a folder or prefix: label by id, and how many ids were labelled differently later.

    Files are read in the order of their names, which is that of labelling; the last label counts. Lines that are not ground
    truth are skipped.

    Raises
    ------
    MonitoringError
        There is no such folder, or it cannot be read.
    """
    truths: dict[str, str] = {}
    changed: set[str] = set()
    for record in read_records(source, access):
        label = truth_of(record, labels)
        key = str(as_dict(record.get("eventMetadata")).get("eventId") or "")
        if label is None or not key:
            continue
        if truths.get(key, label) != label:
            changed.add(key)
        truths[key] = label
    return truths, len(changed)


def read_records(
    source: str | os.PathLike[str], access: BucketAccess | None = None
) -> Iterator[dict[str, Any]]:
    """JSON objects of all ``*.jsonl`` of a folder or ``s3://bucket/prefix``, in the order of names; other lines are skipped."""
    store = open_store(source, access)
    for file in itertools.chain.from_iterable(folder.files for folder in store.folders({})):
        try:
            data = store.read(file.name)
        except MissingFileError:
            continue  # expired since it was listed
        for line in data.split(b"\n"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def assess_sources(
    captures: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    labels: Sequence[str] = (),
    access: BucketAccess | None = None,
    model: str | None = None,
) -> Quality:
    """Measure the captures of one folder or prefix against the ground truth of another.

    Parameters
    ----------
    model
        The model whose predictions are measured; None: those of all.
    """
    truths, conflicting = read_truth(truth, labels, access)
    joined = dict(join(read_records(captures, access), truths, labels))
    mine = [one for one in joined.values() if model is None or one.model == model]
    return measure(
        mine,
        unmatched=len(set(truths) - set(joined)),
        conflicting=conflicting,
        other_models=len(joined) - len(mine),
    )


def _labelled(prediction: Prediction, truth: str) -> LabelledPrediction:
    values: NDArray[np.float64] = np.asarray(prediction.probabilities)
    names, model = prediction.labels, clean(prediction.model or "")
    choice = int(np.argmax(values)) if prediction.choice is None else prediction.choice
    if not prediction.complete:
        return LabelledPrediction(names[choice], float(values[choice]), truth, model=model)
    index = index_of(truth)
    if index is not None and truth not in names and index < len(names):
        truth = names[index]  # the labeller used an index, the response has the labels
    return LabelledPrediction(
        names[choice], float(values[choice]), truth, dict(zip(names, values.tolist(), strict=True)), model
    )
