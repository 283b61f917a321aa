"""The endpoint in the template: what CloudFormation will ask of SageMaker for it is valid for the service's own model.

CloudFormation takes the template's properties over into CreateModel, CreateEndpointConfig, CreateEndpoint and
UpdateEndpoint under the same names, so they can be held against the service without an account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from training import rollout
from training.aws import Request, check
from training.errors import TrainingError
from training.images import REGIONS, image_uri
from training.modelpackage import Package

TEMPLATE = Path(__file__).parents[3] / "infra" / "cloudformation.yaml"
MODEL = "s3://dropsort-artifacts/models/bikes/0123456789abcdef/model.tar.gz"
ATTRIBUTES = {
    "Model.ModelName": "model-abc",
    "EndpointConfig.EndpointConfigName": "endpointconfig-abc",
    "EndpointRole.Arn": "arn:aws:iam::123456789012:role/dropsort-EndpointRole",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Sub becomes {"Fn::Sub": ...}."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


class Resolver:
    """Evaluates the functions that the endpoint's resources use, for given parameters."""

    def __init__(self, region: str = "us-east-1", **parameters: str) -> None:
        self.document = yaml.load(TEMPLATE.read_bytes(), _Loader)
        self.values: dict[str, Any] = {
            name: parameter.get("Default", f"a-{name.lower()}")
            for name, parameter in self.document["Parameters"].items()
        }
        self.values |= {
            "CreateEndpoint": "true",
            "ModelDataUrl": MODEL,
            "AWS::Region": region,
            "AWS::URLSuffix": "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com",
            "AWS::Partition": "aws",
            "AWS::AccountId": "123456789012",
            "AWS::StackName": "dropsort",
        }
        self.values |= parameters

    def properties(self, name: str) -> dict[str, Any]:
        return dict(self.value(self.document["Resources"][name]["Properties"]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not None]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            [(name, argument)] = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return getattr(self, name.removeprefix("Fn::").lower())(argument)
        resolved = {key: self.value(item) for key, item in node.items()}
        return {key: item for key, item in resolved.items() if item is not None}

    def ref(self, name: str) -> Any:
        return None if name == "AWS::NoValue" else self.values.get(name, name.lower())

    def getatt(self, name: str | list[str]) -> str:
        dotted = name if isinstance(name, str) else ".".join(name)
        return ATTRIBUTES.get(dotted, dotted.replace(".", "-").lower())

    def sub(self, argument: str | list[Any]) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        values = {name: self.value(item) for name, item in own.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(values.get(match[1]) or self.ref(match[1])), text)

    def findinmap(self, argument: list[Any]) -> Any:
        mapping, first, second = map(self.value, argument)
        return self.document["Mappings"][mapping][first][second]

    def join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(map(str, self.value(argument[1])))

    def split(self, argument: list[Any]) -> list[str]:
        return str(self.value(argument[1])).split(argument[0])

    def select(self, argument: list[Any]) -> Any:
        return self.value(argument[1])[int(argument[0])]

    def equals(self, argument: list[Any]) -> bool:
        first, second = map(self.value, argument)
        return str(first) == str(second)

    def condition(self, name: str) -> bool:
        node = self.document["Conditions"][name]
        negated = "Fn::Not" in node
        return self.value(node["Fn::Not"][0] if negated else node) is not negated

    def __getattr__(self, name: str) -> Any:
        if name == "if":  # a keyword, so no method can bear the name
            return lambda argument: self.value(argument[1 if self.condition(argument[0]) else 2])
        raise AttributeError(name)


def number(value: Any, *names: str) -> Any:
    """Parameters are strings to CloudFormation, which makes numbers of them where the service wants some."""
    if isinstance(value, dict):
        return {
            k: int(v) if k in names and isinstance(v, str) else number(v, *names) for k, v in value.items()
        }
    return [number(item, *names) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("region", REGIONS)
def test_the_model_has_the_image_of_its_region(region: str) -> None:
    try:
        expected = image_uri("pytorch-inference", region)
    except TrainingError:
        pytest.skip("AWS has no PyTorch image there")
    properties = Resolver(region).properties("Model")
    assert properties["PrimaryContainer"]["Image"] == expected
    check(Request("sagemaker", "CreateModel", {"ModelName": "model-abc", **properties}))


def test_the_configuration_is_valid_and_captures_both_sides() -> None:
    properties = number(
        Resolver(EndpointInstanceCount="2", CaptureSamplingPercentage="50").properties("EndpointConfig"),
        "InitialInstanceCount",
        "InitialSamplingPercentage",
    )
    check(Request("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "a", **properties}))
    capture = properties["DataCaptureConfig"]
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}
    assert capture["InitialSamplingPercentage"] == 50
    # The image must stay BASE64: its content type is not declared.
    assert capture["CaptureContentTypeHeader"] == {"JsonContentTypes": ["application/json"]}


def test_no_capture_when_nothing_is_sampled() -> None:
    properties = Resolver(CaptureSamplingPercentage="0").properties("EndpointConfig")
    assert properties["DataCaptureConfig"]["EnableCapture"] is False


@pytest.mark.parametrize(("count", "routing"), [("1", "ALL_AT_ONCE"), ("2", "CANARY"), ("10", "CANARY")])
def test_an_update_shifts_traffic_and_rolls_back_on_alarms(count: str, routing: str) -> None:
    properties = Resolver(EndpointInstanceCount=count).properties("Endpoint")
    check(Request("sagemaker", "UpdateEndpoint", properties))
    deployment = properties["DeploymentConfig"]
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
    resolver = Resolver(EndpointInstanceCount="2")
    deployment = resolver.document["Resources"]["Endpoint"]["Properties"]["DeploymentConfig"]
    alarms = [alarm["AlarmName"]["Ref"] for alarm in deployment["AutoRollbackConfiguration"]["Alarms"]]
    watched = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
    for name in alarms:
        alarm = resolver.properties(name)
        assert _seconds_to_alarm(alarm) < watched, name
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_alarms_watch_the_endpoint_and_the_variant_that_there_are() -> None:
    resolver = Resolver()
    variant = resolver.properties("EndpointConfig")["ProductionVariants"][0]["VariantName"]
    endpoint = resolver.properties("Endpoint")["EndpointName"]
    wanted = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    errors = resolver.properties("EndpointErrorsAlarm")["Metrics"]
    assert [m["MetricStat"]["Metric"]["Dimensions"] for m in errors if "MetricStat" in m] == [wanted] * 2
    assert resolver.properties("EndpointLatencyAlarm")["Dimensions"] == wanted


def test_the_role_may_ask_for_the_alarms_that_there_are() -> None:
    resolver = Resolver()
    [policy] = resolver.properties("EndpointRole")["Policies"]
    [watch] = [
        statement
        for statement in policy["PolicyDocument"]["Statement"]
        if "cloudwatch:DescribeAlarms" in statement["Action"]
    ]
    prefix = watch["Resource"].rsplit(":", 1)[1].removesuffix("*")
    for name in ("EndpointErrorsAlarm", "EndpointLatencyAlarm", "EndpointLowConfidenceAlarm"):
        assert resolver.properties(name)["AlarmName"].startswith(prefix)


def test_what_an_endpoint_may_still_run_on_is_kept_when_it_is_replaced() -> None:
    resources = Resolver().document["Resources"]
    assert {resources[name]["UpdateReplacePolicy"] for name in ("Model", "EndpointConfig")} == {"Retain"}


def test_the_template_has_everything_that_a_roll_out_sets_and_reads() -> None:
    document = Resolver().document
    package = Package(
        "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1",
        1,
        "Approved",
        image_uri("pytorch-inference", "us-east-1"),
        MODEL,
        ("bicycle", "motorcycle"),
        {"threshold": 0.9, "familiarity_threshold": 0.02},
    )
    for name, value in rollout.parameters(package).items():
        parameter = document["Parameters"][name]
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value), name
        assert value in parameter.get("AllowedValues", [value]), name
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", 1), name
    assert {"EndpointName", "EndpointAlarmArns"} <= set(document["Outputs"])
