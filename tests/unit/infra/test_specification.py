"""The template is what its specification says: every resource, parameter, condition, rule and output."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract import ignored_paths
from tests.unit.infra.specification import alarms, endpoint, functions, roles, storage, workflow
from tests.unit.infra.specification.canonical import canonical
from tests.unit.infra.specification.dashboard import body, in_full
from tests.unit.infra.specification.parameters import (
    CONDITIONS,
    OUTPUTS,
    PARAMETERS,
    RULES,
    Choice,
    Number,
    Text,
)
from tests.unit.infra.template import RESOURCES, TEMPLATE
from training.aws.container_images import REGIONS, image_uri
from training.errors import TrainingError

SPECIFIED: dict[str, dict[str, Any]] = {
    name: expected
    for module in (storage, workflow, functions, roles, endpoint, alarms)
    for name, expected in module.RESOURCES.items()
}
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_resource_is_as_specified(name: str) -> None:
    assert canonical(RESOURCES[name]) == SPECIFIED[name]


def test_every_resource_is_specified() -> None:
    assert RESOURCES.keys() == SPECIFIED.keys() | {"Dashboard"}
    sections = {"Metadata", "Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs"}
    assert TEMPLATE.keys() == sections | {"AWSTemplateFormatVersion", "Description"}
    assert TEMPLATE["AWSTemplateFormatVersion"] == "2010-09-09"
    assert TEMPLATE["Mappings"].keys() == {"DeepLearningContainers"}


def test_the_accounts_are_those_of_the_table_of_images() -> None:
    accounts = TEMPLATE["Mappings"]["DeepLearningContainers"]
    assert set(accounts) == set(REGIONS)
    for region, found in accounts.items():
        assert image_uri("pytorch-inference", region).split(".")[0] == found["Account"]
        try:
            built_in = image_uri("image-classification", region).split(".")[0]
        except TrainingError:  # the region has none
            built_in = found["Account"]
        assert built_in == found["BuiltIn"]


# ---- Parameters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_as_specified(name: str) -> None:
    given, found = PARAMETERS[name], canonical(TEMPLATE["Parameters"][name])
    match given:
        case Number(default, least, most):
            assert found == {"Type": "Number", "Default": default, "MinValue": least, "MaxValue": most}
        case Choice(default, others, _, kind):
            found["AllowedValues"] = {*found["AllowedValues"]}
            assert found == {"Type": kind, "Default": default, "AllowedValues": {default, *others}}
        case Text():
            pattern = found.pop("AllowedPattern", None)
            assert (pattern is not None) is bool(given.rejected)
            for text in given.taken if pattern else ():
                assert re.fullmatch(pattern, text), f"{text!r} is rejected"
            for text in given.rejected:
                assert not re.fullmatch(pattern, text), f"{text!r} is taken"
            if name == "IgnoredPatterns":
                assert found.pop("Default") == ignored_paths.DEFAULT
            bounds = {"Default": given.default, "MaxLength": given.longest, "MinLength": given.shortest}
            assert found == {"Type": "String"} | {k: v for k, v in bounds.items() if v is not None}


def test_every_parameter_is_specified() -> None:
    assert TEMPLATE["Parameters"].keys() == PARAMETERS.keys()


@pytest.mark.parametrize(
    ("section", "expected"), [("Conditions", CONDITIONS), ("Rules", RULES), ("Outputs", OUTPUTS)]
)
def test_conditions_rules_and_outputs_are_as_specified(section: str, expected: dict[str, Any]) -> None:
    assert canonical(TEMPLATE[section]) == expected


# ---- The dashboard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conditions", [{"CreatesEndpoint"}, {"LimitsUnreviewed"}])
def test_the_dashboard_is_as_specified(conditions: set[str]) -> None:
    resource = canonical(RESOURCES["Dashboard"])
    assert resource.keys() == {"Type", "Properties"}
    assert (resource["Type"], resource["Properties"]["DashboardName"]) == (
        "AWS::CloudWatch::Dashboard",
        "${AWS::StackName}",
    )
    text, values = resource["Properties"]["DashboardBody"]["Sub"]
    for key, value in values.items():
        condition, then, otherwise = value["Fn::If"]
        assert condition == ("LimitsUnreviewed" if key == "ReviewAlarms" else "CreatesEndpoint")
        text = text.replace(f"${{{key}}}", then if condition in conditions else otherwise)
    found = json.loads(text)
    for widget in found["widgets"]:
        properties = widget["properties"]
        if widget["type"] == "metric":
            properties["metrics"] = in_full(properties["metrics"])
        else:
            properties["alarms"].sort()
    expected = body(conditions)
    for one, other in zip(found["widgets"], expected["widgets"], strict=True):
        assert one == other, one["properties"]["title"]
    assert found == expected


def test_widgets_fill_the_rows_of_the_dashboard() -> None:
    places = [
        (one["y"], one["x"], one["width"], one["height"]) for one in body({"CreatesEndpoint"})["widgets"]
    ]
    assert places == sorted(places)
    for (row, column, width, height), (next_row, next_column, *_) in pairwise(places):
        same = next_row == row
        assert (next_row, next_column) == ((row, column + width) if same else (row + height, 0))
        assert same or column + width == 24


# ---- The documentation ----------------------------------------------------------------------------------------------------


def test_the_documentation_has_the_table_of_the_alarms() -> None:
    assert alarms.table() in DOCS.read_text(encoding="utf-8"), (
        "insert the output of: python -m tests.unit.infra.specification.alarms"
    )


def test_a_why_is_given_for_each_value() -> None:
    for given in [*alarms.ALARMS.values(), *functions.FUNCTIONS.values()]:
        assert len(given.why) > 10
    for name, parameter in PARAMETERS.items():
        assert parameter.why or isinstance(parameter, Text), name
