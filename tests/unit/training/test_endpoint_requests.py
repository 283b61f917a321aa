"""The endpoint in the template: what CloudFormation will ask of SageMaker for it is valid for the service's own model.

CloudFormation takes the template's properties over into CreateModel, CreateEndpointConfig and UpdateEndpoint under the
same names, so they can be held against the service without an account.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training.aws import endpoint_requests
from training.aws.container_images import REGIONS, image_uri
from training.aws.requests import check
from training.aws.template import Template
from training.errors import TrainingError
from training.registry import rollout_plan
from training.registry.model_packages import ModelPackage

MODEL = "s3://dropsort-artifacts/models/bikes/0123456789abcdef/model.tar.gz"


def template(region: str = "us-east-1", **parameters: str) -> Template:
    return endpoint_requests.read(
        {"CreateEndpoint": "true", "ModelDataUrl": MODEL, "ArtifactBucket": "artifacts", **parameters},
        "dropsort",
        region,
    )


def requests(region: str = "us-east-1", **parameters: str) -> dict[str, Any]:
    """Parameters of what CloudFormation sends, by operation."""
    found = endpoint_requests.requests(
        {"CreateEndpoint": "true", "ModelDataUrl": MODEL, **parameters}, "dropsort", region
    )
    for request in found:
        check(request)
        json.dumps(request.document())
    return {request.operation: request.parameters for request in found}


def regions_with_an_image() -> Iterator[str]:
    for region in REGIONS:
        with contextlib.suppress(TrainingError):  # the built-in algorithm alone is there
            image_uri("pytorch-inference", region)
            yield region


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_arns_have_the_partition_of_the_region(region: str, partition: str) -> None:
    role = template(region).properties("Model")["ExecutionRoleArn"]
    assert role == f"arn:{partition}:iam::123456789012:role/dropsort-EndpointRole"


@pytest.mark.parametrize("region", list(regions_with_an_image()))
def test_the_model_has_the_image_of_its_region(region: str) -> None:
    expected = image_uri("pytorch-inference", region)
    assert requests(region)["CreateModel"]["PrimaryContainer"]["Image"] == expected


def test_the_model_has_the_image_that_a_roll_out_names() -> None:
    image = image_uri("image-classification", "us-east-1")
    container = requests(ModelImageUri=image)["CreateModel"]["PrimaryContainer"]
    assert (container["Image"], container["ModelDataUrl"]) == (image, MODEL)


def test_the_configuration_captures_both_sides() -> None:
    config = requests(EndpointInstanceCount="2", CaptureSamplingPercentage="50")["CreateEndpointConfig"]
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 2
    capture = config["DataCaptureConfig"]
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}
    assert capture["InitialSamplingPercentage"] == 50
    # The image must stay BASE64: its content type is not declared.
    assert capture["CaptureContentTypeHeader"] == {"JsonContentTypes": ["application/json"]}


def test_no_capture_when_nothing_is_sampled() -> None:
    config = requests(CaptureSamplingPercentage="0")["CreateEndpointConfig"]
    assert config["DataCaptureConfig"]["EnableCapture"] is False


@pytest.mark.parametrize(("count", "routing"), [("1", "ALL_AT_ONCE"), ("2", "CANARY"), ("10", "CANARY")])
def test_an_update_shifts_traffic_and_rolls_back_on_alarms(count: str, routing: str) -> None:
    deployment = requests(EndpointInstanceCount=count)["UpdateEndpoint"]["DeploymentConfig"]
    policy = deployment["BlueGreenUpdatePolicy"]
    traffic = policy["TrafficRoutingConfiguration"]
    assert traffic["Type"] == routing
    if routing == "CANARY":  # at most half of the instances, says the service
        assert traffic["CanarySize"] == {"Type": "INSTANCE_COUNT", "Value": 1}
    else:
        assert "CanarySize" not in traffic
    # The service wants the limit to be longer than all waiting together.
    waits = traffic["WaitIntervalInSeconds"] + policy["TerminationWaitInSeconds"]
    assert policy["MaximumExecutionTimeoutInSeconds"] > waits
    assert len(deployment["AutoRollbackConfiguration"]["Alarms"]) >= 1


def _seconds_to_alarm(alarm: dict[str, Any]) -> int:
    periods = [
        metric["MetricStat"]["Period"] for metric in alarm.get("Metrics", ()) if "MetricStat" in metric
    ]
    return int(alarm["EvaluationPeriods"]) * int(alarm.get("Period") or max(periods))


def test_alarms_go_off_within_the_time_that_the_canary_is_watched_and_never_without_traffic() -> None:
    found = template(EndpointInstanceCount="2")
    deployment = found.document["Resources"]["Endpoint"]["Properties"]["DeploymentConfig"]
    alarms = [alarm["AlarmName"]["Ref"] for alarm in deployment["AutoRollbackConfiguration"]["Alarms"]]
    assert set(alarms) == set(endpoint_requests.ALARMS)
    watched = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
    for name in alarms:
        alarm = found.properties(name)
        assert _seconds_to_alarm(alarm) < watched, name
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_alarms_watch_the_endpoint_and_the_variant_that_there_are() -> None:
    found = template()
    variant = found.properties("EndpointConfig")["ProductionVariants"][0]["VariantName"]
    name = found.properties("Endpoint")["EndpointName"]
    config = found.values["EndpointConfig.EndpointConfigName"]
    wanted = [
        {"Name": "EndpointName", "Value": name},
        {"Name": "VariantName", "Value": variant},
        {"Name": "EndpointConfigName", "Value": config},
    ]
    errors = found.properties("EndpointErrorsAlarm")["Metrics"]
    assert [m["MetricStat"]["Metric"]["Dimensions"] for m in errors if "MetricStat" in m] == [wanted] * 2
    assert found.properties("EndpointLatencyAlarm")["Dimensions"] == wanted


def test_the_role_may_ask_for_the_alarms_that_there_are() -> None:
    found = template()
    [policy] = found.properties("EndpointRole")["Policies"]
    [watch] = [
        statement
        for statement in policy["PolicyDocument"]["Statement"]
        if "cloudwatch:DescribeAlarms" in statement["Action"]
    ]
    prefix = watch["Resource"].rsplit(":", 1)[1].removesuffix("*")
    for name in endpoint_requests.ALARMS:
        assert found.properties(name)["AlarmName"].startswith(prefix)


def test_one_instance_is_reported_to_get_no_canary() -> None:
    parameters = {"CreateEndpoint": "true", "ModelDataUrl": MODEL}
    one = endpoint_requests.requests(parameters, "dropsort", "us-east-1")[-1]
    two = endpoint_requests.requests({**parameters, "EndpointInstanceCount": "2"}, "dropsort", "us-east-1")[
        -1
    ]
    assert two.note == "sent by CloudFormation, which generates the names of model and configuration"
    assert one.note == f"{two.note}; a canary needs two instances, with one all traffic moves at once"


def test_the_requests_are_those_of_the_given_template_stack_and_account(tmp_path: Path) -> None:
    alarms = "".join(f"  {name}: {{Properties: {{AlarmName: x}}}}\n" for name in endpoint_requests.ALARMS)
    (tmp_path / "template.yaml").write_text(
        f"""
Resources:
{alarms}
  Model: {{Properties: {{ExecutionRoleArn: !GetAtt EndpointRole.Arn, Tags: [{{Key: bucket, Value: !Ref Bucket}}]}}}}
  EndpointConfig:
    Properties:
      ProductionVariants: [{{VariantName: "1", ModelName: m, InitialInstanceCount: "2", InitialVariantWeight: "0.5"}}]
      Tags: [{{Key: bucket, Value: !GetAtt Bucket.Arn}}]
  Endpoint: {{Properties: {{EndpointName: !Sub "${{AWS::StackName}}-${{AWS::AccountId}}-${{AWS::Region}}", EndpointConfigName: c}}}}
"""
    )
    found = endpoint_requests.requests(
        {}, "st", "cn-north-1", account="210987654321", template=tmp_path / "template.yaml"
    )
    bucket = "arn:aws-cn:s3:::st-bucket"
    assert [(one.service, one.operation, one.parameters) for one in found] == [
        ("sagemaker", "CreateModel", {
            "ModelName": "st-Model", "ExecutionRoleArn": "arn:aws-cn:iam::210987654321:role/st-EndpointRole",
            "Tags": [{"Key": "bucket", "Value": "st-bucket"}],
        }),
        ("sagemaker", "CreateEndpointConfig", {
            "EndpointConfigName": "st-EndpointConfig",
            "ProductionVariants": [
                {"VariantName": "1", "ModelName": "m", "InitialInstanceCount": 2, "InitialVariantWeight": 0.5}
            ],
            "Tags": [{"Key": "bucket", "Value": bucket}],
        }),
        ("sagemaker", "UpdateEndpoint", {"EndpointName": "st-210987654321-cn-north-1", "EndpointConfigName": "c"}),
    ]  # fmt: skip
    values = endpoint_requests.read({}, "st", "us-east-1").values
    logs = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/st:*"
    assert values["EndpointLogs.Arn"] == logs
    assert [values[f"AWS::{name}"] for name in ("Partition", "URLSuffix", "AccountId")] == [
        "aws", "amazonaws.com", "123456789012"
    ]  # fmt: skip
    assert endpoint_requests.read({}, "st", "cn-north-1").values["AWS::URLSuffix"] == "amazonaws.com.cn"


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("integer", "2", 2), ("long", "2", 2), ("float", "2", 2.0), ("double", "2", 2.0), ("string", "2", "2"), ("integer", 2, 2),
        ("float", 2, 2), ("timestamp", "2", "2"),
    ],
)  # fmt: skip
def test_a_parameter_gets_the_type_of_the_service(kind: str, value: Any, typed: Any) -> None:
    found = endpoint_requests._typed(value, SimpleNamespace(type_name=kind))
    assert (type(found), found) == (type(typed), typed)


def test_what_an_endpoint_may_still_run_on_remains_when_it_is_replaced() -> None:
    resources = template().document["Resources"]
    assert {resources[name]["UpdateReplacePolicy"] for name in ("Model", "EndpointConfig")} == {"Retain"}


def test_the_template_has_everything_that_a_roll_out_sets_and_reads() -> None:
    document = template().document
    package = ModelPackage(
        "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1",
        1,
        "Approved",
        image_uri("pytorch-inference", "us-east-1"),
        MODEL,
        ("bicycle", "motorcycle"),
        {"threshold": 0.9, "familiarity_threshold": 0.02},
    )
    for name, value in rollout_plan.parameters(package).items():
        parameter = document["Parameters"][name]
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value), name
        assert value in parameter.get("AllowedValues", [value]), name
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", 1), name
    assert {"EndpointName", "EndpointAlarmArns"} <= set(document["Outputs"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Resources: [", "cannot be read as a template"),
        ("Resources: {Model: {Properties: {A: !Ref Nothing}}}", "'Nothing' is needed for Model"),
        ("Resources: {Model: {Properties: {A: !Base64 text}}}", "Fn::Base64 cannot be worked out"),
        ("Resources: {}", "'Model' is needed"),
    ],
)
def test_a_template_that_cannot_be_worked_out(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words):
        Template(path, {}).properties("Model")


def test_every_function_that_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        """
Parameters: {Name: {Default: a}, Count: {Default: 1}}
Mappings: {Map: {a: {Key: found}}}
Conditions:
  One: !Equals [!Ref Count, "1"]
  Not: !Not [!Condition One]
  Both: !And [!Condition One, !Condition Not]
  Either: !Or [!Condition One, !Condition Not]
Resources:
  It:
    Properties:
      Ref: !Ref Name
      Sub: !Sub "${Name}-${!Kept}-${Own}"
      Sub2: !Sub ["${Own}", {Own: !Ref Name}]
      If: !If [Both, yes, no]
      If2: !If [Either, [1, !Ref "AWS::NoValue"], no]
      Gone: !Ref AWS::NoValue
      Map: !FindInMap [Map, !Ref Name, Key]
      Get: !GetAtt Other.Arn
      Part: !Select [1, !Split ["//", "s3://b"]]
      Join: !Join [",", [!Ref Name, b]]
      Deep: !If [Either, [[!Ref Name], {A: [!Ref Name]}], no]
"""
    )
    assert Template(path, {"Own": "mine", "Other.Arn": "arn"}).properties("It") == {
        "Ref": "a",
        "Sub": "a-${Kept}-mine",
        "Sub2": "a",
        "If": False,
        "If2": [1],
        "Map": "found",
        "Get": "arn",
        "Part": "b",
        "Join": "a,b",
        "Deep": [["a"], {"A": ["a"]}],
    }
