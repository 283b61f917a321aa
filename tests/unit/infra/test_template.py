"""The template: without findings, every parameter described, used and wired, and the resources as safe as they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract import metrics
from dropsort.contract.defaults import BACKLOG_CONCURRENCY
from handlers.settings import LARGE_DECODING_BYTES, SETTINGS, load
from tests.unit.infra.template import (
    FUNCTIONS,
    PARAMETERS,
    PATH,
    RESOURCES,
    ROOT,
    TEMPLATE,
    of_type,
    resolve,
)

TEXT = PATH.read_text()
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import lint_file

    assert [str(match) for match in lint_file(PATH)] == []


# ---- Parameters and outputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_described_constrained_and_used(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter["Description"].endswith((".", "5", "motorcycle")), "a sentence, or an example at its end"
    body = {key: value for key, value in TEMPLATE.items() if key not in ("Parameters", "Metadata", "Rules")}
    used = json.dumps(body)
    assert f'{{"Ref": "{name}"}}' in used or f"${{{name}}}" in used, f"nothing uses {name}"
    if parameter["Type"] == "Number":
        assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= set(parameter)
    elif name not in ("Labels", "ModelImageUri"):  # any text
        assert {"AllowedValues", "AllowedPattern", "MinLength"} & set(parameter)


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("", True), ("bicycle=0.9", True), ("bicycle=0.9,motorcycle=1", True), ("a b=0,c=1.0", True), ("bicycle",
        False), ("bicycle=", False),
        ("=0.9", False), ("bicycle=1.5", False), ("bicycle=0.9,", False), ("bicycle=.9", False),
    ],
)  # fmt: skip
def test_label_thresholds_that_the_template_takes_are_those_that_the_functions_read(
    value: str, right: bool
) -> None:
    assert bool(re.fullmatch(PARAMETERS["LabelThresholds"]["AllowedPattern"], value)) is right
    if right:
        load({"LABEL_THRESHOLDS": value})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameters_default_keeps_its_own_constraints(name: str) -> None:
    parameter = PARAMETERS[name]
    if "Default" not in parameter:
        return
    default = parameter["Default"]
    assert default in parameter.get("AllowedValues", [default])
    assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default))
    assert parameter.get("MinValue", 0) <= (default if parameter["Type"] == "Number" else 0)


def test_every_parameter_is_in_exactly_one_group() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in groups for name in group["Parameters"]]
    assert sorted(listed) == sorted(PARAMETERS)
    assert all(group["Label"]["default"] for group in groups)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_documented_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| ([^|]*) \| .+ \|$", DOCS.read_text(), re.MULTILINE)
    assert row, f"docs/reference/settings.md does not say what {name} is"
    default = PARAMETERS[name].get("Default", "")
    if name == "IgnoredPatterns":  # too long for a table
        block = re.search(r"### Ignored patterns\n.*?```text\n(.*?)```", DOCS.read_text(), re.DOTALL)
        assert block
        assert (row[1], block[1].replace("\n", "")) == ("[below](#ignored-patterns)", default)
        return
    assert row[1] == ("–" if default == "" else f"`{default}`")


def test_no_parameter_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `([A-Z][a-z]\w+)` \|", DOCS.read_text(), re.MULTILINE)) == set(PARAMETERS)


def test_outputs_are_described() -> None:
    needed = {"BucketName", "StateMachineArn", "EndpointName", "DeadLetterQueueUrl"} | {
        f"{name}Function" for name in FUNCTIONS
    }
    assert needed <= set(TEMPLATE["Outputs"])
    for output in TEMPLATE["Outputs"].values():
        assert len(output["Description"]) > 10


def test_every_condition_and_rule_is_used_and_explained() -> None:
    for name in TEMPLATE["Conditions"]:
        assert len(re.findall(rf"\b{name}\b", TEXT)) >= 2, f"nothing asks for {name}"
    for rule in TEMPLATE.get("Rules", {}).values():
        assert all(one["AssertDescription"].endswith(".") for one in rule["Assertions"])


# ---- From a parameter to a setting ----------------------------------------------------------------------------------------

# Of AWS and of Powertools, not ours.
FOREIGN = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "POWERTOOLS_TRACE_DISABLED", "POWERTOOLS_LOG_LEVEL"}


def variables(function: str) -> dict[str, Any]:
    return dict(RESOURCES[f"{function}Function"]["Properties"]["Environment"]["Variables"])


def test_every_setting_is_set_by_the_template_and_every_variable_is_a_setting() -> None:
    given = {name for function in FUNCTIONS for name in variables(function)}
    assert given - FOREIGN == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_exactly_the_settings_that_it_reads(function: str) -> None:
    source = (ROOT / "handlers" / f"{function.lower()}.py").read_text()
    fields = {
        "endpoint": "ENDPOINT_NAME", "accept": "ENDPOINT_ACCEPT", "labels": "LABELS", "threshold": "THRESHOLD",
        "label_thresholds": "LABEL_THRESHOLDS",
        "familiarity_threshold": "FAMILIARITY_THRESHOLD", "image_side": "IMAGE_SIDE",
        "max_bytes": "MAX_OBJECT_MEGABYTES", "max_pixels": "MAX_MEGAPIXELS", "decoding_bytes": "DECODING_MEGABYTES",
        "ignored_patterns": "IGNORED_PATTERNS", "model_version": "MODEL_VERSION",
            "event_bus": "EVENT_BUS_NAME",
    }  # fmt: skip
    read = {fields[field] for field in re.findall(r"_SETTINGS\.(\w+)", source)}
    if "sagemaker_runtime" in source:
        read.add("INVOCATION_TIMEOUT_SECONDS")  # read by the client's maker
    assert set(variables(function)) - FOREIGN == read | {"STACK_NAME"}  # the latter read by telemetry


def test_a_variable_carries_the_parameter_of_its_name_and_the_same_default() -> None:
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for function in FUNCTIONS:
        for name, value in variables(function).items():
            parameter = "".join(word.capitalize() for word in name.split("_"))
            if parameter in PARAMETERS and name != "ENDPOINT_NAME":
                assert value == {"Ref": parameter}
                assert str(PARAMETERS[parameter]["Default"]) == defaults[name]
    assert PARAMETERS["BacklogConcurrency"]["Default"] == BACKLOG_CONCURRENCY


def test_the_limits_of_the_parameters_are_within_those_of_the_functions() -> None:
    for name, parameter in (
        ("IMAGE_SIDE", "ImageSide"),
        ("MAX_OBJECT_MEGABYTES", "MaxObjectMegabytes"),
        ("MAX_MEGAPIXELS", "MaxMegapixels"),
    ):
        for limit in ("MinValue", "MaxValue"):
            load({name: str(PARAMETERS[parameter][limit])})


# ---- The whole template -----------------------------------------------------------------------------------------------


def test_no_arn_names_a_partition() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert "arn:aws:" not in text


def test_throttles_of_every_function_have_an_alarm() -> None:
    watched = {
        alarm["Properties"]["Dimensions"][0]["Value"]["Ref"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("MetricName") == "Throttles"
    }
    assert watched == set(of_type("AWS::Lambda::Function"))


def test_large_images_have_the_same_function_with_the_memory_that_they_take() -> None:
    small, large = (
        resolve(RESOURCES[f"{name}Function"]["Properties"]) for name in ("Serialize", "SerializeLarge")
    )
    assert small["MemorySize"] < large["MemorySize"]
    for name in ("Handler", "Runtime", "Layers", "Code", "Timeout"):
        assert small[name] == large[name]
    given = [one["Environment"]["Variables"] for one in (small, large)]
    megabytes = [int(variables.pop("DECODING_MEGABYTES")) for variables in given]
    assert given[0] == given[1]
    # In addition to decoding, there is an object held twice, and Python with its libraries in a hundred megabytes.
    for available, function in zip(megabytes, (small, large), strict=True):
        load({"DECODING_MEGABYTES": str(available)})
        assert available + 2 * min(200, available / 6) / 1.05 + 100 < function["MemorySize"] * 1.05
    assert megabytes[1] * 1_000_000 == LARGE_DECODING_BYTES


# ---- Events and letters ---------------------------------------------------------------------------------------------------


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as the template uses it: exact values and prefixes."""
    if isinstance(pattern, dict):
        return all(
            isinstance(event, dict) and name in event and matches(one, event[name])
            for name, one in pattern.items()
        )
    return any(event.startswith(one["prefix"]) if isinstance(one, dict) else event == one for one in pattern)


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("object-created", True), ("object-created-unversioned", True), ("object-created-event-version", True), ("folder-marker", True),
        ("object-deleted", False), ("object-tags-added", False),
    ],
)  # fmt: skip
def test_uploads_start_the_workflow_and_nothing_else_does(name: str, starts: bool) -> None:
    fixture = Path(__file__).parents[2] / "fixtures" / "events" / f"{name}.json"
    event = json.loads(fixture.read_text().replace("amzn-s3-demo-bucket1", "pictures"))
    pattern = resolve(RESOURCES["UploadRule"]["Properties"]["EventPattern"])
    assert matches(pattern, event) is starts
    deleted = resolve(RESOURCES["DeletionRule"]["Properties"]["EventPattern"])
    assert matches(deleted, event) is (name == "object-deleted")
    for key in ("classified/cam1/a.jpg.json", "failed/incoming/a.json", "captures/x.jsonl", "Incoming/a.jpg"):
        event["detail"]["object"]["key"] = key
        assert not matches(pattern, event), "a result must not start the workflow again"
    event["detail"] |= {"bucket": {"name": "another"}, "object": {"key": "incoming/a.jpg"}}
    assert not matches(pattern, event)


# ---- Functions and logs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", of_type("AWS::Lambda::Function"))
def test_a_function_is_slim_traced_and_logs_where_it_may(name: str) -> None:
    function = resolve(RESOURCES[name]["Properties"])
    assert function["Architectures"] == ["arm64"]
    assert re.fullmatch(r"python3\.1\d", function["Runtime"])
    assert function["TracingConfig"] == {"Mode": "Tracing"}
    # A recorded trace costs as much as an upload.
    assert PARAMETERS["Tracing"]["Default"] == "PassThrough"
    group = RESOURCES[function["LoggingConfig"]["LogGroup"]]
    assert resolve(group["Properties"]["LogGroupName"]) == f"/aws/lambda/{function['FunctionName']}"
    assert len(function["Layers"]) == (2 if name.startswith("Serialize") else 1)
    for layer in function["Layers"]:
        libraries = RESOURCES[layer]["Properties"]
        assert libraries["CompatibleArchitectures"] == function["Architectures"]
        assert libraries["CompatibleRuntimes"] == [function["Runtime"]]


def test_metrics_have_one_namespace_and_two_dimensions_at_most() -> None:
    assert metrics.NAMESPACE == "Dropsort"
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        if properties.get("Namespace") == metrics.NAMESPACE:
            assert {one["Name"] for one in properties["Dimensions"]} == {metrics.STACK}
