"""The last function, through an S3 of moto: whatever happened before, exactly one result."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from dropsort.contract import keys, metrics
from dropsort.local import emf_parser
from handlers import filter as last
from handlers import settings
from handlers.uploads import InvalidInput, Upload
from tests.unit.handlers.conftest import BUCKET
from tests.unit.handlers.test_results import VALIDATOR

EXECUTION = "arn:aws:states:us-east-1:111122223333:express:dropsort:a:b"
Document = dict[str, Any]


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        last, "_SETTINGS", settings.load({"THRESHOLD": "0.9", "LABEL_THRESHOLDS": "motorcycle=0.95"})
    )


def payload(started: Document, **members: Any) -> Document:
    """What the workflow passes after Classify."""
    upload = Upload.from_input(started).with_defaults(uploaded="2021-11-12T00:00:00Z")
    state = {
        "s3_bucket": upload.bucket,
        "s3_key": upload.key,
        "upload": upload.to_state(),
        "image": {"format": "JPEG", "width": 40, "height": 30},
        "inferences": [0.98, 0.02],
        "labels": ["bicycle", "motorcycle"],
        "familiarity": 0.4,
        "model": "bikes-1.0.0",
        "endpoint": {"endpoint": "bikes", "variant": "main"},
    }
    return {"state": state | members, "input": started, "execution": EXECUTION}


def results(s3: Any, *prefixes: str) -> dict[str, Document]:
    """Every valid result by its key; `prefixes` leave out other objects."""
    found = {}
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        if prefixes and not item["Key"].startswith(prefixes):
            continue
        found[item["Key"]] = json.loads(s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
        VALIDATOR.validate(found[item["Key"]])
    return found


def only(s3: Any) -> tuple[str, Document]:
    ((key, result),) = results(s3).items()
    assert key.startswith(result["outcome"] + "/")
    return key, result


@pytest.mark.parametrize(
    ("inferences", "familiarity", "outcome", "code"),
    [
        ([0.98, 0.02], 0.4, "classified", None),
        ([0.98, 0.02], None, "classified", None),
        ([0.06, 0.94], 0.4, "low-confidence", "below_threshold"),
        ([0.98, 0.02], 0.001, "low-confidence", "unfamiliar"),
        ([0.5, 0.5], 0.4, "failed", "tied_prediction"),
    ],
)
def test_a_prediction_becomes_a_result(
    s3: Any,
    started: Document,
    context: SimpleNamespace,
    inferences: list[float],
    familiarity: float | None,
    outcome: str,
    code: str | None,
) -> None:
    output = last.handler(payload(started, inferences=inferences, familiarity=familiarity), context)
    key, result = only(s3)
    assert output == {
        "outcome": outcome,
        "result_key": key,
        "s3_key": "incoming/cam1/a.jpg",
        "label": result["label"],
        "confidence": result["confidence"],
    }
    assert key == f"{outcome}/cam1/a.jpg.json"
    assert (result["reason"] or {}).get("code") == code
    assert (result["execution"], result["source"]["sequencer"]) == (EXECUTION, "617f08299329d189")


def test_a_rejection_becomes_a_result(s3: Any, started: Document, context: SimpleNamespace) -> None:
    state = payload(started, rejection={"code": "not_an_image", "message": "The content is … b'text'."})
    for name in ("labels", "image", "endpoint"):
        del state["state"][name]
    assert last.handler(state, context)["outcome"] == "failed"
    _, result = only(s3)
    assert result["reason"] == {
        "code": "not_an_image",
        "message": "The content is … b'text'.",
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("Lambda.TooManyRequestsException", "throttled"),
        ("States.Timeout", "timeout"),
        ("ReadTimeoutError", "timeout"),
        ("Runtime.HandlerError", "service_error"),
    ],
)
def test_what_a_catch_reports_after_classify_becomes_a_retryable_result(
    s3: Any, started: Document, context: SimpleNamespace, error: str, code: str
) -> None:
    event = payload(
        started, image_data="aGVsbG8=", inferences=[], error={"Error": error, "Cause": "x" * 5000}
    )
    last.handler(event, context)
    _, result = only(s3)
    assert (result["reason"]["code"], result["reason"]["retryable"]) == (code, True)
    assert len(result["reason"]["message"]) < 500


def test_what_a_catch_reports_of_serialize_knows_the_upload_from_the_event(
    s3: Any, started: Document, context: SimpleNamespace
) -> None:
    # GIVEN that Serialize failed: the state is the event itself, with the error
    event = {
        "state": started | {"error": {"Error": "States.Timeout", "Cause": ""}},
        "input": started,
        "execution": EXECUTION,
    }
    last.handler(event, context)
    _, result = only(s3)
    assert result["reason"]["code"] == "timeout"
    assert result["times"]["uploaded"] == "2021-11-12T00:00:00Z"
    assert result["inference_id"] == Upload.from_input(started).inference_id


@pytest.mark.parametrize("time", [5, None, "yesterday", "9999-99-99T99:99:99Z", ["2021"]])
def test_an_event_by_hand_with_no_time_is_recorded_without_one(
    s3: Any, started: Document, context: SimpleNamespace, time: Any
) -> None:
    event = payload(started)
    event["input"] = started | {"time": time}
    event["state"]["upload"]["uploaded"] = None
    last.handler(event, context)
    assert only(s3)[1]["times"]["uploaded"] is None


def test_the_time_of_an_event_orders_nothing(s3: Any, started: Document, context: SimpleNamespace) -> None:
    # GIVEN two uploads within a second: the newer one read, the event of the older one stamped a second late
    newer = payload(started)
    newer["state"]["upload"] |= {"sequencer": "617f08299329d190", "version_id": "newer"}
    late = started | {"time": "2021-11-12T00:00:01Z"}
    older = {"state": late | {"error": {"Error": "States.Timeout"}}, "input": late, "execution": EXECUTION}

    # WHEN both are recorded, the older one last
    for event in (newer, older):
        last.handler(event, context)

    # THEN the newer upload's result stands
    assert only(s3)[1]["source"]["version_id"] == "newer"


def test_a_superseded_upload_leaves_no_result(s3: Any, started: Document, context: SimpleNamespace) -> None:
    event = payload(started, superseded=True)
    assert last.handler(event, context) == {"outcome": "superseded", "s3_key": "incoming/cam1/a.jpg"}
    assert results(s3) == {}


def test_an_older_upload_is_superseded_and_says_so(
    s3: Any, started: Document, context: SimpleNamespace, sample_event: Any
) -> None:
    newer = json.loads(json.dumps(started))
    newer["detail"]["object"] |= {"sequencer": "617f08299329d18a", "version-id": "v2"}
    last.handler(payload(newer, inferences=[0.6, 0.4]), context)
    assert last.handler(payload(started), context)["outcome"] == "superseded"
    assert only(s3)[0] == "low-confidence/cam1/a.jpg.json"


def test_uploading_again_replaces_the_result_wherever_it_was(
    s3: Any, started: Document, context: SimpleNamespace
) -> None:
    answers: list[Document] = [
        {"inferences": [0.98, 0.02]},
        {"inferences": [0.6, 0.4]},
        {"rejection": {"code": "empty_object", "message": "Empty."}},
    ]
    for number, answer in enumerate([*answers, *answers]):
        started["detail"]["object"] |= {
            "sequencer": f"{number:04x}",
            "version-id": f"v{number}",
            "etag": f"e{number}",
        }
        last.handler(payload(started, **answer), context)
        assert only(s3)[1]["source"]["version_id"] == f"v{number}"


def test_the_same_event_twice_is_one_result(s3: Any, started: Document, context: SimpleNamespace) -> None:
    last.handler(payload(started), context)
    last.handler(payload(started), context)
    assert only(s3)[0] == "classified/cam1/a.jpg.json"


def test_by_hand_without_anything_known(s3: Any, context: SimpleNamespace) -> None:
    by_hand = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "time": 5}
    event = {
        "state": by_hand | {"error": {"Error": "States.TaskFailed"}},
        "input": by_hand,
        "execution": EXECUTION,
    }
    last.handler(event, context)
    assert only(s3)[1]["source"]["version_id"] is None


def test_an_input_that_names_no_upload_fails_the_execution(s3: Any, context: SimpleNamespace) -> None:
    event = {"state": {"error": {"Error": "InvalidInput", "Cause": ""}}, "input": {}, "execution": EXECUTION}
    with pytest.raises(InvalidInput):
        last.handler(event, context)
    assert results(s3) == {}


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for line in capsys.readouterr().out.splitlines():
        document = json.loads(line)
        for block in document["_aws"]["CloudWatchMetrics"]:
            assert block["Namespace"] == "Dropsort"
            assert block["Dimensions"] in ([["Stack"]], [["Stack", "Label"]], [["Stack", "Model"]])
            for metric in block["Metrics"]:
                assert metric["Unit"] == metrics.WORKFLOW[metric["Name"]]
                value = document[metric["Name"]]
                values[metric["Name"]] = value[0] if isinstance(value, list) else value
    return values


def test_what_is_counted(
    s3: Any, started: Document, context: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    last.handler(payload(started), context)
    counted = emitted(capsys)
    # The sample event is years old.
    milliseconds = (datetime.now(UTC) - datetime.fromisoformat(started["time"])) / timedelta(milliseconds=1)
    assert counted.pop("UploadToResult") == pytest.approx(milliseconds, abs=600_000)
    assert counted == {"Classified": 1, "Confidence": 0.98, "Labelled": 1}
    last.handler(payload(started, error={"Error": "States.Timeout"}), context)
    assert emitted(capsys) == {"Superseded": 1}  # its result is there: the failure does not count
    started["detail"]["object"]["sequencer"] = "717f08299329d189"
    started["detail"]["object"]["version-id"] = "v9"
    last.handler(payload(started, error={"Error": "States.Timeout"}), context)
    counted = emitted(capsys)
    assert set(counted) == {"Failed", "RetryableFailed", "EndpointMisconfigured", "UploadToResult"}
    assert (counted["Failed"], counted["RetryableFailed"], counted["EndpointMisconfigured"]) == (1, 1, 0)
    last.handler(
        payload(started, superseded=True, metrics={"SerializedBytes": 5, "EndpointLatency": 2.5, "Own": 1}),
        context,
    )
    assert emitted(capsys) == {"SerializedBytes": 5, "EndpointLatency": 2.5, "Superseded": 1}
    # The clock of a bucket may be ahead.
    started["detail"]["object"]["sequencer"] = "817f08299329d189"
    last.handler(payload(started | {"time": "2999-01-01T00:00:00Z"}), context)
    assert emitted(capsys)["UploadToResult"] == 0


def test_an_endpoint_that_is_set_up_wrongly_is_counted_apart(
    s3: Any, started: Document, context: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    last.handler(payload(started, error={"Error": "EndpointMisconfigured", "Cause": "415"}), context)
    assert emitted(capsys)["EndpointMisconfigured"] == 1


def test_outcomes_are_counted_by_model_and_the_first_labels_by_name(
    s3: Any, started: Document, context: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [f"label-{number}" for number in range(25)]
    last.handler(payload(started, labels=labels, inferences=[0.0] * 24 + [1.0]), context)
    data = emf_parser.parse(capsys.readouterr().out.strip())
    assert [dict(datum.dimensions) for datum in data if datum.name == "Labelled"] == [
        {"Stack": "dropsort", "Label": "other"}
    ]
    assert [dict(datum.dimensions) for datum in data if datum.name == "Classified"] == [
        {"Stack": "dropsort"},
        {"Stack": "dropsort", "Model": "bikes-1.0.0"},
    ]


@pytest.mark.parametrize("left_out", [(), ("input",)])
def test_a_run_by_hand_says_nothing_of_latency(
    s3: Any, context: SimpleNamespace, capsys: pytest.CaptureFixture[str], left_out: tuple[str, ...]
) -> None:
    event = payload({"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg"})
    last.handler({name: value for name, value in event.items() if name not in left_out}, context)
    assert set(emitted(capsys)) == {"Classified", "Confidence", "Labelled"}


def test_keys_of_a_thousand_bytes_have_a_result(s3: Any, started: Document, context: SimpleNamespace) -> None:
    for path in ("x" * 1015, "写" * 338, "a/../../b", " ", "a+b%2B"):
        started["detail"]["object"]["key"] = f"incoming/{path}"
        output = last.handler(payload(started), context)
        assert output["result_key"] == keys.result_keys(path)["classified"]
    for result in results(s3).values():
        jsonschema.validate(result, VALIDATOR.schema)


def test_an_ignored_upload_has_no_result_even_if_serialize_failed(
    s3: Any, started: Document, context: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    started["detail"]["object"]["key"] = "incoming/cam1/Thumbs.db"
    state = started | {"error": {"Error": "Lambda.TooManyRequestsException", "Cause": "Rate exceeded"}}
    output = last.handler({"state": state, "input": started, "execution": EXECUTION}, context)
    assert output == {"outcome": "ignored", "s3_key": "incoming/cam1/Thumbs.db"}
    assert emitted(capsys) == {"Ignored": 1}
    assert results(s3) == {}


def test_a_renewed_result_has_the_inference_id_of_the_earlier_one_and_the_digest_of_its_key(
    s3: Any, started: Document, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[Any] = []
    record = last.recording.record
    monkeypatch.setattr(
        last.recording, "record", lambda entry, *rest: entries.append(entry) or record(entry, *rest)
    )
    last.handler(payload(started, renewed="a" * 64), context)
    assert only(s3)[1]["inference_id"] == "a" * 64
    assert [entry.key_digest for entry in entries] == [keys.digest("incoming/cam1/a.jpg")]


def test_an_error_without_a_name_is_one_of_the_service(
    s3: Any, started: Document, context: SimpleNamespace
) -> None:
    last.handler(payload(started, error={}), context)
    assert only(s3)[1]["reason"] == {
        "code": "service_error", "message": str(last.Rejection("service_error", "")), "retryable": True
    }  # fmt: skip


def test_the_label_of_each_image_is_in_the_log_for_debugging_alone(
    s3: Any,
    started: Document,
    context: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for level, noted in (("INFO", None), ("DEBUG", ("incoming/cam1/a.jpg", "bicycle"))):
        monkeypatch.setattr(last.telemetry, "_LEVEL", level)
        last.handler(payload(started), context)
        (line,) = (json.loads(one) for one in capsys.readouterr().out.splitlines())
        assert ((line["s3_key"], line["label"]) if "s3_key" in line else None) == noted
