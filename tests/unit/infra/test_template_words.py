"""Numbers in descriptions of the template are those of what they describe: who reads them, reads nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from handlers.endpoint_errors import EndpointMisconfigured, meaning
from monitoring.prices import ResourceUse, price
from tests.unit.handlers.test_endpoint_errors import of_container
from tests.unit.infra.template import PARAMETERS, RESOURCES, TEMPLATE
from training.aws.container_images import PYTORCH_VERSION

NUMBERS = {"an": 1, "one": 1, "two": 2, "three": 3, "five": 5, "six": 6, "ten": 10}
SECONDS = {"minute": 60, "hour": 3600}


def number(word: str) -> int:
    return NUMBERS.get(word) or int(word)


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def words(value: Any) -> str:
    """A description, with what it names left as it is."""
    return value if isinstance(value, str) else str(value["Fn::Sub"])


def row(name: str, id_: str) -> dict[str, Any]:
    (found,) = (one for one in properties(name)["Metrics"] if one["Id"] == id_)
    return dict(found)


ALARMS = {
    name: words(resource["Properties"]["AlarmDescription"])
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


def test_an_alarm_describes_the_time_that_it_takes() -> None:
    found = []
    for name, text in ALARMS.items():
        alarm = properties(name)
        for count, unit in re.findall(r"\b[Ff]or (an|\d+|[a-z]+) (minute|hour)s?\b", text):
            assert number(count) * SECONDS[unit] == alarm["Period"] * alarm["EvaluationPeriods"], name
            found.append(name)
        for some, of, unit in re.findall(r"\bin (\w+) of (\w+) (minute|hour)s\b", text):
            assert (number(some), number(of)) == (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]), (
                name
            )
            assert SECONDS[unit] == alarm["Period"]
            found.append(name)
    assert len(found) >= 12


def test_an_endpoint_that_is_set_up_wrongly_responds_as_its_alarm_describes() -> None:
    text = re.findall(r"its container responds ([\w ,]+?), or the", ALARMS["MisconfiguredAlarm"])[0]
    first, last, *others = map(int, re.findall(r"\d+", text))
    assert {type(meaning(of_container(status))) for status in (*range(first, last + 1), *others)} == {
        EndpointMisconfigured
    }


def test_a_description_has_the_numbers_of_what_it_describes() -> None:
    errors, slow, low = "EndpointErrorsAlarm", "EndpointLatencyAlarm", "EndpointLowConfidenceAlarm"
    workflow = properties("StateMachine")["Definition"]
    express = [ResourceUse(express=flag).dollars() for flag in (True, False)]
    period = row(low, "low")["MetricStat"]["Period"]
    assert f"More than {100 * properties(errors)['Threshold']:g} % of" in ALARMS[errors]
    assert "IF(errors >= 5, errors / invocations, 0)" in str(properties(errors)["Metrics"])
    assert row(errors, "errors")["MetricStat"]["Period"] == 120
    assert "at least five in two minutes" in ALARMS[errors]
    assert (properties(slow)["Threshold"], properties(slow)["ExtendedStatistic"]) == (1_000_000, "p90")
    assert "more than a second for one image in ten" in ALARMS[slow]
    assert properties("SlowAlarm")["Threshold"] == 60_000
    assert "above one minute for" in ALARMS["SlowAlarm"]
    assert properties("OldestUploadAlarm")["Threshold"] == 30 * 60
    assert "more than 30 minutes when" in ALARMS["OldestUploadAlarm"]
    assert properties("CaptureAlarm")["Threshold"] == 0.5
    assert "Less than half of" in ALARMS["CaptureAlarm"]
    assert workflow["TimeoutSeconds"] == 5 * 60
    assert "timed out after five minutes" in ALARMS["LateExecutionsAlarm"]
    # Parameters
    described = {name: parameter["Description"] for name, parameter in PARAMETERS.items()}
    assert ">= 50," in str(properties(low)["Metrics"])
    assert period == 300
    assert "at least 50 images in five minutes" in described["RollbackLowConfidenceShare"]
    unreviewed = properties("UnreviewedAlarm")
    assert unreviewed["Period"] * unreviewed["EvaluationPeriods"] == 6 * 3600
    assert "in six hours" in described["UnreviewedLimit"]
    assert f"PyTorch {PYTORCH_VERSION} inference image" in described["ModelImageUri"]
    share = PARAMETERS["FamiliarityThreshold"]["Default"]
    assert f"A value of {share} rejects about {100 * share:g} % of" in described["FamiliarityThreshold"]
    assert f"at ${1e6 * price('eventbridge-event'):g} per million" in described["EventBusName"]
    assert f"at ${1e6 * price('xray-trace'):g} per million" in described["Tracing"]
    assert express[0] / express[1] == pytest.approx(0.1, abs=0.05)
    assert "about a tenth of STANDARD" in described["WorkflowType"]
    # Rules and outputs
    assert properties("MonitorRule")["ScheduleExpression"] == "cron(10 * * * ? *)"
    assert "every hour at ten minutes past" in words(properties("MonitorRule")["Description"])
    assert properties("BacklogRule")["ScheduleExpression"] == "rate(5 minutes)"
    outputs = TEMPLATE["Outputs"]
    assert "run every hour" in outputs["MonitorFunction"]["Description"]
    assert "run every five minutes" in outputs["BacklogFunction"]["Description"]
