"""The slow, obvious reader of capture files that the fast one is held against, record by record.

Written from docs/reference/captures.md alone: one line, one ``json.loads``, one dict at a time; it shares no code with
`monitoring`.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from fractions import Fraction

TOLERANCE = 1e-3 + 1e-9


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
    found = answers(answer.get("data"), answer.get("encoding"), labels)
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
    label, confidence, vector, familiarity = one
    cell = out["cells"][(*series, label)]
    units = billionths(confidence)
    cell["count"] += 1
    cell["confidence"] += units
    cell["histogram"][min(units // 10**6, 999)] += 1
    if vector is not None:
        ranked = sorted(vector)
        margin = billionths(ranked[-1] - ranked[-2])
        cell["scored"] += 1
        cell["margin"] += margin
        entropy = -sum(p * math.log(p) for p in vector if p > 0) / math.log(len(vector))
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


def answers(data, encoding, labels):
    """Predictions of one output as (label, confidence, vector or None, familiarity or None)."""
    if not isinstance(data, str):
        return []
    if isinstance(encoding, str) and encoding.upper() == "BASE64":
        try:
            packed = "".join(data.split())
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
        except ValueError:
            return []
    try:
        rows = [json.loads(data)]
    except (ValueError, RecursionError):
        lines = [row for row in data.splitlines() if row.strip()]
        try:
            rows = [json.loads(row) for row in lines]
        except RecursionError:
            return []
        except ValueError:
            rows = [_csv(row) for row in lines]
    return [one for row in rows for one in _answer(row, labels, 8)]


def _csv(row):
    if row.lstrip()[:1] in ("[", "{"):
        return []
    fields = [f.strip().strip('"') for f in row.split(",")]
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except ValueError:
            values.append(None)
    if len(fields) == 2 and values[0] is None and fields[0]:
        return {"label": fields[0], "score": values[1]}
    return values


def _number(value):
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and value == value
    )


def _answer(value, labels, depth):
    if depth == 0:
        return []
    if _number(value):
        return _vector([value], None, None, None, labels)
    if isinstance(value, list):
        if any(not isinstance(v, (list, dict)) for v in value):
            return _vector(value, None, None, None, labels)
        ranking = _ranking(value)
        if ranking is not None:
            return ranking
        return [one for item in value for one in _answer(item, labels, depth - 1)]
    if not isinstance(value, dict):
        return []
    score = next((value[n] for n in ("score", "probability", "prob") if _number(value.get(n))), None)
    confidence = value.get("confidence") if score is None else None
    for name in ("SageMakerOutput", "predictions", "prediction", "outputs"):
        if name in value and not any(
            isinstance(value.get(n), list) for n in ("probabilities", "score", "scores")
        ):
            if isinstance(value[name], str):
                return _confident(value[name], score if confidence is None else confidence, labels)
            if (score is not None or confidence is not None) and not isinstance(value[name], (list, dict)):
                return []
            return _answer(value[name], labels, depth - 1)
    chosen = value.get("predicted_label")
    chosen = value.get("label") if chosen is None else chosen
    chosen = value.get("class") if chosen is None else chosen
    for name in ("probabilities", "score", "scores"):
        if isinstance(value.get(name), list):
            vectors = value[name]
            nested = vectors and all(isinstance(v, list) for v in vectors)
            familiarity = value.get("familiarity")
            if not _number(familiarity) or not 0 <= familiarity <= 1:
                familiarity = None
            rows = vectors if nested else [vectors]
            return [o for row in rows for o in _vector(row, value.get("labels"), chosen, familiarity, labels)]
    if isinstance(chosen, list) and isinstance(value.get("prob"), list):
        score = value["prob"][0] if value["prob"] else None
        return _named(chosen[0] if chosen else None, score, labels)
    if chosen is not None and confidence is not None:
        return _confident(chosen, confidence, labels)
    if chosen is not None:
        return _named(chosen, score, labels)
    return [] if score is None else _vector([score], None, None, None, labels)


def _vector(values, own, chosen, familiarity, labels):
    if not values or not all(_number(v) for v in values):
        return []
    values = [float(v) for v in values]
    if len(values) == 1:
        values = [1.0 - values[0], values[0]]
    total = 0.0
    for value in values:
        total += value
    if min(values) < -TOLERANCE or max(values) > 1 + TOLERANCE or abs(total - 1) > TOLERANCE:
        return []
    values = [min(max(v, 0.0), 1.0) for v in values]
    names = _fitting(own, len(values)) or _fitting(labels, len(values))
    shown = names or [str(i) for i in range(len(values))]
    at = values.index(max(values))
    if isinstance(chosen, str) and chosen in names:
        at = names.index(chosen)
    elif _index(chosen) is not None and 0 <= _index(chosen) < len(values):
        at = _index(chosen)
    return [(shown[at], values[at], values, familiarity)]


def _fitting(names, count):
    if not isinstance(names, (list, tuple)) or len(names) != count or len(set(map(str, names))) != count:
        return []
    return (
        [n.encode("utf-8", "replace").decode() for n in names]
        if all(isinstance(n, str) and n for n in names)
        else []
    )


def _index(value):
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    if isinstance(value, (int, float)) and abs(value) < 1e9 and value == int(value):
        return int(value)
    return None


def _named(name, score, labels):
    if _index(name) in (0, 1) and len(labels) in (0, 2):
        if not _number(score) or not 0 <= score <= 1:
            return []
        return _vector([score], None, _index(name), None, labels)
    return _confident(name, score, labels)


def _confident(name, confidence, labels):
    index = _index(name)
    if index is not None:
        label = labels[index] if 0 <= index < len(labels) else str(index)
    elif isinstance(name, str) and name:
        label = name.encode("utf-8", "replace").decode()
    else:
        return []
    if not _number(confidence) or not 0 <= confidence <= 1:
        return []
    return [(label, float(confidence), None, None)]


def _ranking(items):
    if len(items) < 2 or any(not isinstance(i, dict) or set(i) != {"label", "score"} for i in items):
        return None
    names, scores = [i["label"] for i in items], [i["score"] for i in items]
    if any(not isinstance(n, str) or not n for n in names) or len(set(names)) != len(names):
        return None
    if (
        any(not _number(s) or not 0 <= s <= 1 for s in scores)
        or sum(Fraction(s) for s in scores) > 1 + TOLERANCE
    ):
        return None
    whole = _vector(scores, names, None, None, ())
    if whole:
        return whole
    best = scores.index(max(scores))
    return [(names[best].encode("utf-8", "replace").decode(), float(scores[best]), None, None)]
