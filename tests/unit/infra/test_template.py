"""The template: without findings, every parameter described, used and wired, and the resources as safe as they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file

from dropsort.contract import metrics
from handlers.settings import LARGE_DECODING_BYTES, SETTINGS, load
from tests.unit.infra.template import (
    FUNCTIONS,
    PARAMETERS,
    PATH,
    RESOURCES,
    TEMPLATE,
    of_type,
    resolve,
    statements,
)

TEXT = PATH.read_text()
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_cfn_lint_finds_nothing() -> None:
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
    source = (PATH.parents[1] / "handlers" / f"{function.lower()}.py").read_text()
    fields = {
        "endpoint": "ENDPOINT_NAME", "accept": "ENDPOINT_ACCEPT", "labels": "LABELS", "threshold": "THRESHOLD",
        "label_thresholds": "LABEL_THRESHOLDS",
        "familiarity_threshold": "FAMILIARITY_THRESHOLD", "image_side": "IMAGE_SIDE",
        "max_bytes": "MAX_OBJECT_MEGABYTES", "max_pixels": "MAX_MEGAPIXELS", "decoding_bytes": "DECODING_MEGABYTES",
        "ignored_patterns": "IGNORED_PATTERNS",
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


def test_the_limits_of_the_parameters_are_within_those_of_the_functions() -> None:
    for name, parameter in (
        ("IMAGE_SIDE", "ImageSide"),
        ("MAX_OBJECT_MEGABYTES", "MaxObjectMegabytes"),
        ("MAX_MEGAPIXELS", "MaxMegapixels"),
    ):
        for limit in ("MinValue", "MaxValue"):
            load({name: str(PARAMETERS[parameter][limit])})


# ---- The bucket -----------------------------------------------------------------------------------------------------------


def test_the_bucket_keeps_what_it_is_given() -> None:
    bucket = RESOURCES["Bucket"]
    properties = resolve(bucket["Properties"], NamesKey=False)
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    (rule,) = resolve(bucket["Properties"])["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "KmsKeyArn",
    }
    assert rule["BucketKeyEnabled"] is True, "otherwise each request to S3 is one to KMS"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert properties["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    for rule in properties["LifecycleConfiguration"]["Rules"]:
        assert "ExpirationInDays" not in rule or rule["Prefix"] not in (
            "",
            "incoming/",
            "classified/",
            "low-confidence/",
            "failed/",
        )


def test_what_expires_is_gone_soon_although_the_bucket_keeps_versions() -> None:
    rules = {
        rule["Id"]: rule for rule in RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    # An expired capture is a noncurrent version below a delete marker.
    assert rules["captures"]["NoncurrentVersionExpiration"]["NoncurrentDays"] <= 1
    # A marker below which nothing is left goes too; S3 takes that in no rule with ExpirationInDays.
    assert rules["old-versions"]["ExpiredObjectDeleteMarker"] is True
    assert not {"Prefix", "ExpirationInDays"} & rules["old-versions"].keys()


def test_the_endpoints_arn_is_never_put_together_from_a_name_in_any_case() -> None:
    """SageMaker writes it in lower case, whatever the stack's name is, and IAM compares case."""
    (statement,) = [
        item for item in statements("ClassifyRole") if "sagemaker:InvokeEndpoint" in item["Action"]
    ]
    assert statement["Resource"] == [resolve({"Ref": "Endpoint"})]
    policy = RESOURCES["ClassifyRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    assert policy["Resource"]["Fn::If"][:2] == ["CreatesEndpoint", {"Ref": "Endpoint"}]


def test_a_workgroup_that_was_used_can_be_deleted() -> None:
    for group in of_type("AWS::Athena::WorkGroup").values():
        assert group["Properties"]["RecursiveDeleteOption"] is True


def test_no_arn_names_a_partition() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert "arn:aws:" not in text


def test_the_endpoint_grows_and_shrinks_between_its_parameters() -> None:
    target = RESOURCES["EndpointScalingTarget"]["Properties"]
    assert target["MinCapacity"] == {"Ref": "EndpointInstanceCount"}
    assert target["MaxCapacity"] == {"Ref": "EndpointMaxInstanceCount"}
    assert resolve(target["ResourceId"]) == "endpoint/EndpointName/variant/main"
    policy = RESOURCES["EndpointScalingPolicy"]["Properties"]
    assert policy["ScalingTargetId"] == {"Ref": "EndpointScalingTarget"}
    assert PARAMETERS["EndpointMaxInstanceCount"]["Default"] == 0


def test_concurrency_is_reserved_only_if_wanted() -> None:
    function = RESOURCES["ClassifyFunction"]["Properties"]
    assert resolve(function, LimitsConcurrency=True)["ReservedConcurrentExecutions"] == "ClassifyConcurrency"
    assert "ReservedConcurrentExecutions" not in resolve(function, LimitsConcurrency=False)
    assert PARAMETERS["ClassifyConcurrency"]["Default"] == 0


def test_throttles_of_every_function_have_an_alarm() -> None:
    watched = {
        alarm["Properties"]["Dimensions"][0]["Value"]["Ref"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("MetricName") == "Throttles"
    }
    assert watched == set(of_type("AWS::Lambda::Function"))


def test_a_workflow_function_logs_one_line_an_invocation_and_what_went_wrong() -> None:
    for name in FUNCTIONS:
        logging = RESOURCES[f"{name}Function"]["Properties"]["LoggingConfig"]
        # Lambda's own lines at INFO, START, END and REPORT, are more bytes than ours; time-outs and crashes are errors.
        assert (logging["LogFormat"], logging["SystemLogLevel"]) == ("JSON", "WARN")
        # CloudWatch takes our line, which has no level, for INFO.
        assert logging["ApplicationLogLevel"] == {"Ref": "LogLevel"}
        assert variables(name)["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}
    assert PARAMETERS["LogLevel"]["Default"] == "INFO"


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


def test_the_bucket_is_reached_by_tls_alone() -> None:
    (statement,) = [
        one
        for one in resolve(RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"])
        if one["Effect"] == "Deny"
    ]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (statement["Principal"], statement["Action"]) == ("*", "s3:*")
    assert set(statement["Resource"]) == {"arn:aws:s3:::pictures", "arn:aws:s3:::pictures/*"}
    assert PARAMETERS["RequireTls"]["Default"] == "true"


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


def test_an_event_that_starts_nothing_is_tried_for_a_day_and_then_kept() -> None:
    (target,) = resolve(RESOURCES["UploadRule"]["Properties"]["Targets"])
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
    assert target["DeadLetterConfig"] == {"Arn": "DeadLetterQueue.Arn"}
    queue = resolve(RESOURCES["DeadLetterQueue"]["Properties"])
    assert queue["MessageRetentionPeriod"] == 14 * 86400
    assert queue["SqsManagedSseEnabled"] is True


def test_the_rule_and_nobody_else_may_put_letters_into_the_queue() -> None:
    properties = resolve(RESOURCES["DeadLetterQueuePolicy"]["Properties"])
    assert properties["Queues"] == ["DeadLetterQueue"]
    (statement,) = properties["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == (
        "Allow",
        "sqs:SendMessage",
        "DeadLetterQueue.Arn",
    )
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "UploadRule.Arn"}}


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


def test_every_log_ends() -> None:
    for name, group in of_type("AWS::Logs::LogGroup").items():
        assert resolve(group["Properties"]["RetentionInDays"]) == "LogRetentionDays", name
    # Otherwise the group's resource policy outgrows its limit after a few state machines.
    assert resolve(RESOURCES["StateMachineLogGroup"]["Properties"]["LogGroupName"]).startswith(
        "/aws/vendedlogs/states/"
    )
    logging = RESOURCES["StateMachine"]["Properties"]["LoggingConfiguration"]
    assert logging["Level"] == "ERROR", "logging ALL can cost more than the workflow"


def test_the_workflow_is_an_express_one_by_default() -> None:
    assert PARAMETERS["WorkflowType"]["Default"] == "EXPRESS"
    assert PARAMETERS["WorkflowType"]["AllowedValues"] == ["EXPRESS", "STANDARD"]
    assert RESOURCES["StateMachine"]["Properties"]["StateMachineType"] == {"Ref": "WorkflowType"}


def test_metrics_have_one_namespace_and_two_dimensions_at_most() -> None:
    assert metrics.NAMESPACE == "Dropsort"
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        if properties.get("Namespace") == metrics.NAMESPACE:
            assert {one["Name"] for one in properties["Dimensions"]} == {metrics.STACK}
