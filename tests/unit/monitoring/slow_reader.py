"""The slow, obvious reader of capture files that the fast one is held against, record by record.

Written from docs/reference/captures.md alone: one line, one ``json.loads``, one dict at a time. It shares no code with `monitoring`, and
reads each output by the normaliser of the workflow: so all that is held against it holds monitoring to the workflow's predictions.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime

from dropsort.contract.predictions import Prediction, read


def read_files(files, labels=(), root=""):
    """Read ``{path below root: bytes}`` in order; returns a dict of everything that an aggregate holds."""
    out = {
        "health": Counter(files=len(files)),
        "bad": [],
        "cells": defaultdict(lambda: Counter(histogram=Counter(), familiarity_histogram=Counter())),
        "volumes": defaultdict(Counter),
        "uncertain": defaultdict(list),
    }
    seen = set()
    for path, data in files.items():
        out["health"]["bytes"] += len(data)
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
        for number, line in enumerate(data.split(b"\n"), 1):
            _line(out, seen, root, path, number, line.strip(b" \t\r\n"), labels)
    return out


def _line(out, seen, root, path, number, line, labels):
    health = out["health"]
    if not line:
        return
    health["lines"] += 1
    try:
        value = json.loads(line.decode("utf-8"))
        if not isinstance(value, dict):
            raise ValueError("no object")
        capture, truth = value.get("captureData"), value.get("groundTruthData")
        if not isinstance(capture, dict) and not isinstance(truth, dict):
            raise ValueError("no captureData")
    except (ValueError, RecursionError):
        health["bad_lines"] += 1
        out["bad"].append((path, number))
        return
    if not isinstance(capture, dict):
        health["ground_truth"] += 1
        return
    meta = _dict(value, "eventMetadata")
    path_hour, endpoint, variant = _place(f"{root}/{path}")
    hour = _hour(meta.get("inferenceTime"))
    event = meta.get("eventId") if isinstance(meta.get("eventId"), str) else ""
    identity = (hour, event) if event else (hour, path, number)
    if identity in seen:
        health["duplicates"] += 1
        return
    seen.add(identity)
    series = (hour or path_hour, endpoint, variant)
    given = _dict(capture, "endpointInput").get("data")
    batch = not isinstance(capture.get("endpointOutput"), dict) and isinstance(
        capture.get("batchTransformOutput"), dict
    )
    answer = _dict(capture, "batchTransformOutput" if batch else "endpointOutput")
    found = predictions_of(answer.get("data"), answer.get("encoding"), labels)
    volume = out["volumes"][series]
    for counter in (health, volume):
        counter["records"] += 1
        counter["predictions"] += len(found)
        counter["without_prediction"] += not found
        counter["without_input"] += not (isinstance(given, str) and given)
    health["merged"] += isinstance(truth, dict)
    health["batch_transform"] += batch
    health["without_event_id"] += not event
    health["without_time"] += hour is None
    for index, one in enumerate(found):
        _cell(out, series, one, event, path, number, index)


def _cell(out, series, one, event, path, number, index):
    label, confidence, vector, familiarity, model = one
    cell = out["cells"][(*series, label, model)]
    units = billionths(confidence)
    cell["count"] += 1
    cell["confidence"] += units
    cell["histogram"][min(units // 10**6, 999)] += 1
    if vector is not None:
        ranked = sorted(vector) if len(vector) > 1 else [0.0, *vector]
        margin = billionths(ranked[-1] - ranked[-2])
        cell["scored"] += 1
        cell["margin"] += margin
        entropy = -sum(p * math.log(p) for p in vector if p > 0) / math.log(max(2, len(vector)))
        cell["entropy"] += billionths(min(entropy, 1.0))  # a vector may add up to a little more than 1
        event = event.encode("utf-8", "replace").decode()
        out["uncertain"][series].append((margin, event, path, number, index, label, units))
    if familiarity is not None:
        cell["familiar"] += 1
        cell["familiarity"] += billionths(familiarity)
        cell["familiarity_histogram"][min(billionths(familiarity) // 10**7, 99)] += 1


def billionths(value):
    return math.floor(value * 1e9 + 0.5)


def _dict(value, name):
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _hour(text):
    if not isinstance(text, str):
        return None
    if len(text) < 19 or not text.isascii() or text[4] != "-" or text[7] != "-" or text[10] != "T":
        return None
    seconds, rest = text[:19], text[19:]
    if rest.startswith("."):  # a fraction of a second, of any length, changes no hour
        digits = len(rest) - 1 - len(rest[1:].lstrip("0123456789"))
        if not digits:
            return None
        rest = rest[1 + digits :]
    if " " in seconds:  # strptime takes one for a digit
        return None
    zone = "+0000" if rest in ("", "Z") else rest
    if zone[0] not in "+-" or len(zone) not in (5, 6):
        return None
    try:
        moment = datetime.strptime(seconds + zone, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:00:00Z"


def _place(path):
    parts = path.split("/")
    if len(parts) >= 7:
        endpoint, variant, *date = parts[-7:-1]
        if [len(p) for p in date] == [4, 2, 2, 2] and endpoint and variant:
            hour = _hour("{}-{}-{}T{}:00:00Z".format(*date))
            if hour:
                return hour, endpoint, variant
    return "unknown", "unknown", "unknown"


def predictions_of(data, encoding, labels):
    """Predictions of one output as (label, confidence, vector or None, familiarity or None, model)."""
    if not isinstance(data, str):
        return []
    if isinstance(encoding, str) and encoding.upper() == "BASE64":
        try:
            packed = "".join(data.split())
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
        except ValueError:
            return []
    found = [item for item in read(data, labels) if isinstance(item, Prediction)]
    return [_answer(prediction) for prediction in found]


def _answer(prediction):
    at = prediction.choice
    if at is None:
        at = prediction.probabilities.index(max(prediction.probabilities))
    vector = prediction.probabilities if prediction.complete else None
    familiarity = prediction.familiarity if prediction.complete else None
    model = (prediction.model or "").encode("utf-8", "replace").decode()
    return prediction.labels[at], prediction.probabilities[at], vector, familiarity, model
