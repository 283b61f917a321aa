"""Outputs and lines of captures, value by value: what the fast parts read themselves, and what they leave to the exact ones."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from dropsort.contract.predictions import MAX_MODEL, Prediction
from monitoring.aggregates.cells import Series
from monitoring.ingest import outputs
from monitoring.ingest.schema import CaptureRecord, Malformed, inference_time, read_line, series_of_path


def verbose(**changes: Any) -> str:
    given = {"probabilities": [0.75, 0.25], "labels": ["a", "b"], "familiarity": 0.5, "model": "m-1"}
    return json.dumps(given | changes, separators=(",", ":"))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"probabilities": [0.0, 1.0]}, {"probabilities": [0.5, 0.501]}, {"probabilities": [0.5, 0.499]},
        {"probabilities": [0.25, 0.25, 0.5], "labels": ["a", "b", "c"]}, {"familiarity": None}, {"familiarity": 0},
        {"familiarity": 1}, {"model": None}, {"model": "m" * MAX_MODEL}, {"model": ""},
    ],
)  # fmt: skip
def test_a_usual_output_is_read_at_once(changes: dict[str, Any]) -> None:
    given = json.loads(verbose(**changes))
    expected = Prediction(
        tuple(given["probabilities"]), tuple(given["labels"]), given["familiarity"], given["model"]
    )
    assert outputs._verbose(verbose(**changes)) == expected
    assert outputs.predictions(verbose(**changes), "JSON") == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": [1.0], "labels": ["a"]}, {"probabilities": [], "labels": []}, {"probabilities": [0.5, 0.5021]},
        {"probabilities": [0.5, 0.4979]}, {"probabilities": [-0.0005, 1.0]}, {"probabilities": [1.0005, 0.0]}, {"labels": ["a"]},
        {"labels": ["a", "a"]}, {"labels": ["a", " "]}, {"labels": ["a", "b", "c"]}, {"familiarity": -0.01}, {"familiarity": 1.01},
        {"model": "m" * (MAX_MODEL + 1)}, {"more": 1}, {"probabilities": "x"},
    ],
)  # fmt: skip
def test_what_is_unusual_is_left_to_the_exact_reader(changes: dict[str, Any]) -> None:
    assert outputs._verbose(verbose(**changes)) is None


def test_only_text_is_data_and_base64_is_decoded() -> None:
    packed = b64encode(b"\xef\xbb\xbf[0.75,0.25]").decode()
    expected = [Prediction((0.75, 0.25), ("x", "y"))]
    for data, encoding in (
        ("[0.75,0.25]", "JSON"),
        ("[0.75,0.25]", None),
        (packed, "BASE64"),
        (packed, "base64"),
    ):
        assert outputs.predictions(data, encoding, ("x", "y")) == expected
    for data, encoding in ((b"[0.75,0.25]", "JSON"), (None, "JSON"), ("!!!", "BASE64"), (packed, "JSON")):
        assert outputs.predictions(data, encoding, ("x", "y")) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("YQ==", "a"), ("YQ", "a"), ("YWI", "ab"), ("YWJj", "abc"), (" Y\nQ = =", "a"), ("", ""), ("77u/YQ==", "a"), ("Y!Q=", None),
        ("!YWJj!!!", None),
        ("Y", None), ("/w==", None), ("é", None),
    ],
)  # fmt: skip
def test_base64_may_have_blanks_and_lack_its_padding_and_nothing_else(data: str, text: str | None) -> None:
    assert outputs._base64(data) == text


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert outputs.clean("a\ud800ü") == "a?ü"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-21T09:00:00Z", ("09", 0)), ("2026-11-21T09:59:59.999Z", ("09", 3599)), ("2026-11-21T09:01:02", ("09", 62)),
        ("2026-11-21T09:30:00+02:00", ("07", 1800)), ("2026-11-21T09:30:00-0145", ("11", 900)), ("2026-11-21T19:00:00Z", ("19", 0)),
        ("2026-11-21T20:00:00Z", ("20", 0)), ("2026-11-21T23:00:00Z", ("23", 0)), ("2026-11-21T24:00:00Z", None), ("", None),
        (None, None), ("2026-11-31T09:00:00Z", None), ("2026-11-21T09:00:00ZZ", None), ("9999-12-31T23:00:00-01:00", None),
    ],
)  # fmt: skip
def test_a_time_has_its_hour_and_the_seconds_since_then(
    time: str | None, expected: tuple[str, int] | None
) -> None:
    wanted = expected and (f"2026-11-21T{expected[0]}:00:00Z", expected[1])
    assert inference_time(time) == wanted


@pytest.mark.parametrize(
    ("path", "series"),
    [
        ("x/bikes/v/2026/11/21/09/a.jsonl", ("2026-11-21T09:00:00Z", "bikes", "v")),
        ("bikes/v/2026/11/21/09/a.jsonl", ("2026-11-21T09:00:00Z", "bikes", "v")), ("v/2026/11/21/09/a.jsonl", None),
        ("/v/2026/11/21/09/a.jsonl", None), ("bikes//2026/11/21/09/a.jsonl", None), ("bikes/v/2026/11/21/24/a.jsonl", None),
        ("bikes/v/26/11/21/09/a.jsonl", None), ("bikes/v/2026/1/21/09/a.jsonl", None), ("bikes/v/2026/11/1/09/a.jsonl", None),
        ("bikes/v/2026/11/21/9/a.jsonl", None), ("b\udce9/v/2026/11/21/09/a.jsonl", ("2026-11-21T09:00:00Z", "b?", "v")),
        ("b/v\udce9/2026/11/21/09/a.jsonl", ("2026-11-21T09:00:00Z", "b", "v?")),
    ],
)  # fmt: skip
def test_a_path_names_hour_endpoint_and_variant(path: str, series: tuple[str, str, str] | None) -> None:
    assert series_of_path(path) == Series(*(series or ("unknown",) * 3))


FULL = {
    "captureData": {"endpointInput": {"data": "x"}, "endpointOutput": {"data": "o", "encoding": "JSON"}},
    "eventMetadata": {"eventId": "e", "inferenceId": "i", "inferenceTime": "t"},
}  # fmt: skip


@pytest.mark.parametrize("odd", [{}, {"deep": [[0] * 2] * 401}, {"huge": 10**4299}])
@pytest.mark.parametrize(
    ("changes", "record"),
    [
        ({}, {}),
        ({"groundTruthData": {}}, {"merged": True}),
        ({"groundTruthData": []}, {}),
        ({"captureData": {"batchTransformOutput": {"data": "b"}}},
         {"data": "b", "encoding": None, "has_input": False, "batch_transform": True}),
        ({"captureData": {"endpointOutput": {}, "batchTransformOutput": {"data": "b"}}},
         {"data": None, "encoding": None, "has_input": False}),
        ({"captureData": {"endpointInput": {"data": ""}}}, {"data": None, "encoding": None, "has_input": False}),
        ({"captureData": {"endpointInput": {"data": 7}}}, {"data": None, "encoding": None, "has_input": False}),
        ({"eventMetadata": {}}, {"event_id": "", "inference_id": "", "time": None}),
        ({"eventMetadata": {"eventId": None, "inferenceId": "j"}}, {"event_id": "", "inference_id": "j", "time": None}),
    ],
)  # fmt: skip
def test_both_parsers_read_the_same_fields(odd: dict[str, Any], changes: Any, record: dict[str, Any]) -> None:
    expected = {
        "event_id": "e", "inference_id": "i", "time": "t", "data": "o", "encoding": "JSON", "has_input": True,
        "merged": False, "batch_transform": False, "truth_only": False,
    }  # fmt: skip
    line = json.dumps(FULL | changes | odd).encode()
    assert read_line(b" \t" + line + b"\r\n ") == CaptureRecord(**(expected | record))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\xff", "not UTF-8: byte 0xff at character 1"), (b'{"a":"\xc3("}', "not UTF-8: byte 0xc3 at character 7"),
        (b'{"captureData":{}', "cut off: Expecting ',' delimiter at character 23"),
        (b'{"captureData', "cut off: Unterminated string starting at at character 7"), (b"{} x", "not JSON: Extra data at character 9"),
        (b"[" * 100_000, "not JSON: nested too deeply"), (b'{"a":' + b"9" * 4301 + b"}", "not JSON: a number is too long"),
        (b"7", "not a JSON object"), (b"[]", "not a JSON object"), (b"[1]", "not a JSON object"), (b"[{}]", "not a JSON object"),
        (b'[{"prefix": "s3://b"}]', "a manifest (of batch transform?), not a JSON object"), (b"{}", "no captureData"),
        (b'{"captureData": null, "groundTruthData": []}', "no captureData"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_has_a_reason_and_the_position_in_the_whole_line(
    line: bytes, why: str
) -> None:
    with pytest.raises(Malformed) as error:
        read_line(line, shift=5)
    assert str(error.value) == why


def test_a_blank_line_is_nothing_and_ground_truth_alone_is_a_record_of_its_own() -> None:
    assert read_line(b" \t\r\n") is None
    truth = read_line(b'{"groundTruthData": {}, "eventMetadata": {"eventId": "e", "inferenceId": "i"}}')
    assert truth == CaptureRecord("e", "i", truth_only=True)
