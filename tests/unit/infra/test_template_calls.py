"""Roles of the functions: each allows exactly what the calls need that the code makes, recorded from runs of it."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.contract import keys, reviews
from handlers import aws, backlog, classify, deletion, serialize, settings
from handlers import filter as last
from monitoring.prices import ResourceUse
from tests.unit.handlers.sample_images import drawn, encoded
from tests.unit.infra.template import (
    BUCKET,
    FUNCTIONS,
    KEY,
    RESOURCES,
    grants,
    resolve,
)

DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})
TRACES_OF_A_FUNCTION = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every call of botocore that the functions make, by name and parameters."""
    for name, value in {
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "testing",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    made: list[tuple[str, dict[str, Any]]] = []
    clients: tuple[Any, ...] = (
        aws.s3, aws.sagemaker_runtime, aws.lister, aws.stepfunctions, aws.functions, aws.events
    )  # fmt: skip
    for client in clients:
        client.cache_clear()
    with mock_aws():
        owner = boto3.client("s3")
        owner.create_bucket(Bucket=BUCKET)
        owner.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for client in clients:
            client().meta.events.register(
                "provide-client-params", lambda params, model, **_: made.append((model.name, dict(params)))
            )
        yield made
    for client in clients:
        client.cache_clear()


def needed(call: tuple[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Actions and resources that AWS requires for one call."""
    operation, parameters = call
    item = f"arn:aws:s3:::{parameters.get('Bucket')}/{parameters.get('Key')}"
    match operation:
        case "GetObject" if "VersionId" in parameters:
            return {("s3:GetObjectVersion", item)}
        case "GetObject" | "HeadObject":
            return {("s3:GetObject", item)}
        case "PutObject":  # a condition reads what is there
            return {("s3:PutObject", item)} | ({("s3:GetObject", item)} if "IfMatch" in parameters else set())
        case "DeleteObject":
            found = {("s3:GetObject", item)} if "IfMatch" in parameters else set()
            return {("s3:DeleteObject", item), *found}
        case "ListObjectsV2":
            return {("s3:ListBucket", f"arn:aws:s3:::{parameters['Bucket']}")}
        case "ListObjectVersions":
            return {("s3:ListBucketVersions", f"arn:aws:s3:::{parameters['Bucket']}")}
        case "StartExecution":
            return {("states:StartExecution", parameters["stateMachineArn"])}
        case "DescribeExecution":
            return {("states:DescribeExecution", parameters["executionArn"])}
        case "Invoke":
            return {("lambda:InvokeFunction", f"{parameters['FunctionName']}.Arn")}
        case "PutEvents":
            names = {entry["EventBusName"] for entry in parameters["Entries"]}
            return {
                ("events:PutEvents", f"arn:aws:events:us-east-1:111122223333:event-bus/{name}")
                for name in names
            }
        case "InvokeEndpoint":
            name = parameters["EndpointName"].lower()  # as SageMaker writes ARNs
            return {("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{name}")}
    pytest.fail(f"say here what {operation} needs")


def runtime_needs(function: str) -> set[tuple[str, str]]:
    """What Lambda itself does in the function's name, and what makes S3 return 404 instead of 403 for what is not there."""
    needs = {(action, f"{function}LogGroup.Arn") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    needs |= TRACES_OF_A_FUNCTION
    if function != "Classify":
        needs |= {(action, "KmsKeyArn") for action in KEY[f"{function}Role"]}
    if function in ("Serialize", "Filter", "Deletion"):  # the others list
        needs.add(("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"))
    return needs


def held(function: str, made: list[tuple[str, dict[str, Any]]]) -> None:
    """Every call is allowed, every permission is used."""
    allowed = grants(f"{function}Role") - runtime_needs(function)
    assert runtime_needs(function) <= grants(f"{function}Role")
    asked = {need for call in made for need in needed(call)}
    assert asked
    for action, item in asked:
        assert any(action == a and fnmatchcase(item, pattern) for a, pattern in allowed), (
            f"{function} may not {action} on {item}"
        )
    for action, pattern in allowed:
        assert any(action == a and fnmatchcase(item, pattern) for a, item in asked), (
            f"{function} never uses {action} on {pattern}"
        )


PNG = encoded(drawn(32, 32), "PNG")
CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="1"
)


def event(key: str, **fields: Any) -> dict[str, Any]:
    return {"detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "sequencer": "1f", **fields}}}


def test_serialize_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = boto3.client("s3").put_object(Bucket=BUCKET, Key="incoming/cam1/a.jpg", Body=b"text")
    serialize.handler(event("incoming/cam1/a.jpg", **{"version-id": put["VersionId"]}), CONTEXT)
    serialize.handler(event("incoming/cam1/a.jpg", etag=put["ETag"].strip('"')), CONTEXT)
    serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/gone.jpg"}, CONTEXT)
    monkeypatch.setattr(serialize, "_SETTINGS", settings.load({"MODEL_VERSION": "bikes-1.0.0"}))
    copied = event("incoming/cam1/a.jpg")
    copied["detail"]["reason"] = "CopyObject"
    serialize.handler(copied, CONTEXT)
    held("Serialize", calls)


def test_the_same_for_large_images_may_do_the_same() -> None:
    same = {
        (action, item.replace("SerializeLargeLog", "SerializeLog"))
        for action, item in grants("SerializeLargeRole")
    }
    assert same == grants("SerializeRole")


@pytest.mark.parametrize("creates", [True, False])
def test_classify_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, creates: bool
) -> None:
    # GIVEN the name under which the template gives the endpoint to the function
    variables = resolve(
        RESOURCES["ClassifyFunction"]["Properties"]["Environment"]["Variables"], CreatesEndpoint=creates
    )
    monkeypatch.setattr(classify, "_SETTINGS", settings.load({"ENDPOINT_NAME": "bikes"}))
    state = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "image_data": base64.b64encode(b"x").decode()}
    upload = dict.fromkeys(("version_id", "etag", "size", "sequencer", "uploaded"))
    classify.handler(state | {"upload": upload}, CONTEXT)
    made = [(name, parameters | {"EndpointName": variables["ENDPOINT_NAME"]}) for name, parameters in calls]
    allowed = grants("ClassifyRole", CreatesEndpoint=creates) - runtime_needs("Classify")
    assert allowed == {need for call in made for need in needed(call)}


def test_filter_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a bus under the name that the template gives to the function, and may give to the role alone
    boto3.client("events").create_event_bus(Name="EventBusName")
    variables = resolve(RESOURCES["FilterFunction"]["Properties"]["Environment"]["Variables"])
    monkeypatch.setattr(last, "_SETTINGS", settings.load({"EVENT_BUS_NAME": variables["EVENT_BUS_NAME"]}))
    assert "events:PutEvents" not in {action for action, _ in grants("FilterRole", SendsEvents=False)}
    answers: list[dict[str, Any]] = [
        {"inferences": [0.99, 0.01]},
        {"inferences": [0.6, 0.4]},
        {"inferences": [0.5, 0.5]},
    ]
    common = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "labels": ["a", "b"]}
    # AND uploads whose results replace each other in every place, by events and by hand
    for number, answer in enumerate([*answers, *answers, *[one for one in answers for _ in (0, 1)]]):
        upload = {
            "version_id": f"v{number}",
            "etag": f"e{number}",
            "size": 1,
            "sequencer": f"{number:04x}",
            "uploaded": None,
        }
        last.handler(
            {"state": common | answer | {"upload": upload}, "input": event("incoming/a.jpg")}, CONTEXT
        )
    held("Filter", calls)


def test_the_backlog_function_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an upload without a result, and results of each outcome that have to be read, as the bucket holds older versions of them,
    # and a review
    s3, states = boto3.client("s3"), boto3.client("stepfunctions")
    s3.put_object(Bucket=BUCKET, Key="incoming/lost", Body=b"x")
    for outcome in keys.OUTCOMES:
        for _ in range(2):
            s3.put_object(Bucket=BUCKET, Key=f"incoming/{outcome}", Body=b"x")
            s3.put_object(Bucket=BUCKET, Key=f"{outcome}/{outcome}.json", Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key="reviews/low-confidence.json", Body=b"{}")
    role = "arn:aws:iam::123456789012:role/states"
    machine = states.create_state_machine(name="dropsort-backlog", definition=DEFINITION, roleArn=role)
    variables = resolve(RESOURCES["BacklogFunction"]["Properties"]["Environment"]["Variables"])
    for name, value in (variables | {"BACKLOG_STATE_MACHINE": machine["stateMachineArn"]}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("BACKLOG_CONCURRENCY", "5")
    monkeypatch.setattr(backlog, "MIN_AGE", -timedelta(hours=1))

    def invoke(**request: Any) -> dict[str, Any]:
        calls.append(("Invoke", request))
        body = b'{"image_data": "x"}' if request["FunctionName"].startswith("Serialize") else b"{}"
        return {"Payload": io.BytesIO(body)}

    monkeypatch.setattr(aws.functions(), "invoke", invoke)
    context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 60_000)
    # WHEN it runs twice, the second time while its run is in progress
    assert backlog.handler({"min_age_seconds": -3600}, context)["started"] == 4
    assert backlog.handler({"min_age_seconds": -3600}, context)["started"] == 0
    # THEN it does all that it may do, and nothing else
    names = {
        machine["stateMachineArn"]: "BacklogStateMachine",
        "arn:aws:states:us-east-1:123456789012:execution:dropsort-backlog:": (
            "arn:aws:states:us-east-1:111122223333:execution:BacklogStateMachine.Name:"
        ),
    }
    for _, parameters in calls:
        for member in ("stateMachineArn", "executionArn"):
            for theirs, ours in names.items():
                if str(parameters.get(member, "")).startswith(theirs):
                    parameters[member] = parameters[member].replace(theirs, ours)
    held("Backlog", calls)


def test_one_upload_makes_the_requests_and_the_log_that_its_cost_counts(
    calls: list[tuple[str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each further request to S3 costs 0.40 dollars per million, a PUT or LIST 5: this test says which there are."""
    put = boto3.client("s3").put_object(Bucket=BUCKET, Key="incoming/cam1/a.png", Body=PNG)
    started = event("incoming/cam1/a.png", **{"version-id": put["VersionId"]}) | {
        "time": "2026-11-26T02:00:00Z"
    }
    state = serialize.handler(started, CONTEXT)
    predicted = {"inferences": [0.99, 0.01], "labels": ["bicycle", "motorcycle"], "model": "bikes-1.0.0"}
    predicted["metrics"] = state["metrics"] | {"EndpointLatency": 21.5}
    last.handler({"state": state | predicted, "input": started, "execution": "e" * 160}, CONTEXT)
    use = ResourceUse()
    assert Counter(name for name, _ in calls) == {"GetObject": 1, "PutObject": 1, "HeadObject": 2}
    assert (use.gets, use.puts) == (3, 1)
    printed = capsys.readouterr().out.encode().splitlines()
    assert len(printed) == 1
    assert use.log_bytes - 60 < len(printed[0]) + 26 <= use.log_bytes


def test_the_deletion_function_may_do_exactly_what_it_does(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for outcome in keys.OUTCOMES:
        boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{outcome}/a.json", Body=b"{}")
    boto3.client("s3").put_object(
        Bucket=BUCKET, Key=reviews.key("a"), Body=b"{}", Metadata={"version-id": "v"}
    )
    assert len(deletion.handler(event("incoming/a"), CONTEXT)["deleted"]) == 4
    held("Deletion", calls)


def test_the_functions_are_those_of_the_workflow() -> None:
    for name in FUNCTIONS:
        properties = RESOURCES[f"{name}Function"]["Properties"]
        assert properties["Handler"] == f"handlers.{name.lower()}.handler"
        assert resolve(properties["Role"]) == f"{name}Role.Arn"
