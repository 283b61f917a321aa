"""Capture files for tests: the shapes that are known, and every way to spoil them."""

from __future__ import annotations

import base64
import json

PICTURE = base64.b64encode(bytes(range(256)) * 3).decode()
LABELS = ("bicycle", "motorcycle")
TREE = "captures/bikes/AllTraffic/2026/11/21/09"


def record(
    output='[0.98, 0.02]', *, encoding="JSON", event="e-1", time="2026-11-21T09:00:01Z", given=PICTURE,
    content="application/json", inference=None, **more,
):  # fmt: skip
    """One capture record as a dict, in the order of fields of the real files."""
    capture = {}
    if given is not None:
        capture["endpointInput"] = {
            "observedContentType": "image/png", "mode": "INPUT", "data": given, "encoding": "BASE64",
        }  # fmt: skip
    if output is not None:
        capture["endpointOutput"] = {
            "observedContentType": content, "mode": "OUTPUT", "data": output, "encoding": encoding,
        }  # fmt: skip
    meta = {"eventId": event, "inferenceId": inference, "inferenceTime": time}
    meta = {name: value for name, value in meta.items() if value is not None}
    return {"captureData": capture, "eventMetadata": meta, "eventVersion": "0", **more}


def line(*args, compact=True, **kwargs):
    """A record as the bytes of its line, without newline."""
    separators = (",", ":") if compact else (", ", ": ")
    return json.dumps(record(*args, **kwargs), separators=separators).encode()


def packed(text):
    """Text as base64."""
    return base64.b64encode(text.encode()).decode()


# Every output that is known, and many that are not: (data, encoding).
OUTPUTS = [
    ("[0.98, 0.02]", "JSON"),
    ("[0.98,0.02]\n", "JSON"),
    ("[0.5, 0.5]", "JSON"),
    ("[1.0, 0.0]", "JSON"),
    ("[1, 0]", "JSON"),
    ("[0.2, 0.3, 0.5]", "JSON"),
    ("[[0.9, 0.1], [0.2, 0.8]]", "JSON"),
    ("[0.0009765625, 0.9990234375]", "JSON"),
    ('{"prediction": [0.7, 0.3]}', "JSON"),
    ('{"predictions": [[0.7, 0.3], [0.1, 0.9]]}', "JSON"),
    (
        '{"predictions": [{"score": 0.06, "predicted_label": 0}, {"score": 0.9, "predicted_label": 1}]}',
        "JSON",
    ),
    ('{"predictions": [{"score": [0.1, 0.9], "predicted_label": 0.0}]}', "JSON"),
    ('{"predicted_label": 1, "score": 0.49}\n{"predicted_label": 1, "score": 0.98}\n', "JSON"),
    ('{"predicted_label": "cat", "score": 0.49}', "JSON"),
    ('{"SageMakerOutput": {"predicted_label": 1, "score": 0.98}, "features": [28, 2]}', "JSON"),
    (
        '{"probabilities":[0.98,0.02],"labels":["bicycle","motorcycle"],"familiarity":0.43,"model":"b-1"}',
        "JSON",
    ),
    ('{"probabilities":[0.02,0.98],"labels":["cat","dog"],"familiarity":null,"model":null}', "JSON"),
    ('{"probabilities":[0.02,0.98],"labels":["cat"],"familiarity":2}', "JSON"),
    ('{"probabilities":[0.02,0.98],"labels":["v\\u00e9lo","\\ud800"]}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "predicted_label": "dog", "labels": ["dog", "cat"], "extra": 1}', "JSON"),
    ('[{"label": "cat", "score": 0.6}, {"label": "dog", "score": 0.4}]', "JSON"),
    ('[{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.2}]', "JSON"),
    ('[{"label": "cat", "score": 0.9}, {"label": "cat", "score": 0.8}]', "JSON"),
    ('[{"label": ["__label__a"], "prob": [0.7]}, {"label": ["__label__b"], "prob": [0.6]}]', "JSON"),
    ('{"predictions": [1], "probabilities": [0.85]}', "JSON"),
    ('{"prediction": "cat", "probabilities": [0.3, 0.7]}', "JSON"),
    ('{"prediction": "cat", "confidence": 0.7}', "JSON"),
    ('{"prediction": "cat"}', "JSON"),
    ('{"prediction": "cat", "confidence": "high"}', "JSON"),
    ('{"class": "cat", "confidence": 0.98}', "JSON"),
    ('{"class": 0, "confidence": 0.98}', "JSON"),
    ('{"label": 0, "confidence": 0.98}', "JSON"),
    ('{"label": 0, "probability": 0.02}', "JSON"),
    ('{"label": "cat", "confidence": 1.5}', "JSON"),
    ('{"confidence": 0.98}', "JSON"),
    ('{"class": "cat", "probabilities": [0.3, 0.7]}', "JSON"),
    ('{"prediction": 1, "probability": 0.85}', "JSON"),
    ('{"predictions": [{"score": 0.85}], "score": 0.1}', "JSON"),
    ("0.036", "CSV"),
    ("0.036\n0.7\n", "CSV"),
    ("0.1,0.9", "CSV"),
    ("0.1,0.9\r\n0.3,0.7\r\n", "CSV"),
    ("cat,0.8", "CSV"),
    ("10.5247\n", "CSV"),
    ("0.2,0.2", "CSV"),
    ("a,b,c", "CSV"),
    (packed("[0.25, 0.75]"), "BASE64"),
    (packed("0.25,0.75"), "BASE64"),
    (packed("\ufeff[0.25, 0.75]"), "BASE64"),
    ("!!!", "BASE64"),
    (packed("[0.25, 0.75]").rstrip("="), "BASE64"),
    ("/w==", "BASE64"),
    ("[NaN, 1.0]", "JSON"),
    ("[Infinity, 0.5]", "JSON"),
    ("[1e999, 0.5]", "JSON"),
    ("[true, false]", "JSON"),
    ("[0.9, null]", "JSON"),
    ('["0.9", "0.1"]', "JSON"),
    ("[" + "9" * 400 + ", 0]", "JSON"),
    ("[" + "9" * 5000 + ", 0]", "JSON"),
    ("[1.0009, -0.0009]", "JSON"),
    ("[0.9, 0.1009]", "JSON"),
    ("[0.9, 0.1011]", "JSON"),
    ("[0.333, 0.333, 0.333]", "JSON"),
    ("[0.517, 0.029, 0.453]", "JSON"),
    ("[0.334, 0.334, 0.333]", "JSON"),
    ("[0.5004, 0.5004]", "JSON"),
    ("[-0.5, 1.5]", "JSON"),
    ("[2.1, -3.4]", "JSON"),
    ("[1.0]", "JSON"),
    ("[]", "JSON"),
    ("[[]]", "JSON"),
    ("{}", "JSON"),
    ("", "JSON"),
    (" ", "JSON"),
    ("null", "JSON"),
    ('"text"', "JSON"),
    ("[0.9, 0.1", "JSON"),
    ("[" * 2000, "JSON"),
    ("[0.98, 0.02]", None),
    ("[0.98, 0.02]", "json"),
    (None, "JSON"),
    (17, "JSON"),
    ([0.9, 0.1], "JSON"),
    ({"a": 1}, "JSON"),
]

TIMES = [
    "2026-11-21T09:00:00Z", "2026-11-21T09:59:59Z", "2026-11-21T10:00:00Z", "2026-11-21T09:00:00.123Z",
    "2026-11-21T09:00:00+00:00", "2026-11-21T00:30:00+02:00", "2026-11-21T23:30:00-0100", "2026-11-21T09:00:00",
    "2026-11-21T09:60:00Z", "2026-11-21T25:00:00Z", "2026-02-30T09:00:00Z", "2026-11-21", "now", "", None, 17,
    "0001-01-01T00:00:00+05:00", "2026-11-21T09:59:59.999999999Z", "2026-11-21T09:00:00.5+02:00", "2026-11-21T09:00:00.Z",
    "2026-11-21T09:00:00.25-0530", "2026-11-21T09:00:60Z", "2026-11-21T24:00:00Z", "2026-11-21 09:00:00Z", "2026-11-21t09:00:00z",
    "2026-11-21T09:00:00+02", "9999-12-31T23:59:59-01:00",
]  # fmt: skip

# Whole lines that are odd; the last ones are not records.
LINES = [
    b'{"captureData":{}}',
    b'{"captureData":{"endpointInput":null,"endpointOutput":null},"eventMetadata":null}',
    b'{"captureData":{"endpointInput":[],"endpointOutput":7},"eventMetadata":"x"}',
    b'{"captureData":{"endpointOutput":{"data":"[0.9,0.1]"}},"eventMetadata":{"eventId":17}}',
    b'{"captureData":{"endpointOutput":{"data":"[0.9,0.1]"},"endpointOutput":{}},"eventMetadata":{"eventId":"d1"}}',
    b'{"captureData":{"endpointOutput":{"data":"[0.9,0.1]"}},"captureData":{},"eventMetadata":{"eventId":"d2"}}',
    b'{"captureData":{"endpointInput":{"data":"a\\"b\\\\","encoding":"JSON"}},"eventMetadata":{"eventId":"q"}}',
    b'{"captureData":{"endpointInput":{"data":"","encoding":"JSON"}},"eventMetadata":{"eventId":"q0"}}',
    b'{"captureData":{"endpointInput":{"data":"x","data":null}},"eventMetadata":{"eventId":"q1"}}',
    b'{"captureData":{"batchTransformOutput":{"data":"{\\"label\\":1,\\"score\\":0.4}","encoding":"JSON"}}}',
    b'{"captureData":{"endpointOutput":null,"batchTransformOutput":{"data":"0.4","encoding":"CSV"}},"x":NaN}',
    b'{"groundTruthData":{"data":"1","encoding":"CSV"},"eventMetadata":{"eventId":"g1"},"eventVersion":"0"}',
    b'{"groundTruthData":{"data":"1"},"captureData":{"endpointOutput":{"data":"[0.9,0.1]"}},"eventMetadata":{"eventId":"g2"}}',
    b'{"groundTruthData":7,"captureData":{"endpointOutput":{"data":"[0.9,0.1]"}},"eventMetadata":{"eventId":"g3"}}',
    b'  {"captureData":{}}  ',
    b'{"captureData":{}}\r',
    b'{"captureData":{},"huge":' + b"9" * 400 + b"}",
    b'{"captureData":{},"deep":' + b"[" * 300 + b"]" * 300 + b"}",
    '{"captureData":{},"eventMetadata":{"eventId":"\u00e9\u4e2d"}}'.encode(),
    b'{"captureData":{},"eventMetadata":{"eventId":"\\ud800"}}',
    b"",
    b"   \t",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'{"captureData":null}',
    b'{"captureData":[]}',
    b'{"captureData":{}} x',
    b'{"captureData":{},}',
    b"\xff\xfe",
    b'{"captureData":{},"x":"\xff"}',
    b'{"captureData":{},"x":"a\x00b"}',
    b'{"captureData":{},"x":"a\tb"}',
    b'{"captureData":{},"x":"\\q"}',
    b'{"captureData":{},"huge":' + b"9" * 5000 + b"}",
    b'{"captureData":{},"deep":' + b"[" * 100_000 + b"}",
    b"\xef\xbb\xbf" + b'{"captureData":{}}',
    b"\x00" * 50,
]  # fmt: skip
