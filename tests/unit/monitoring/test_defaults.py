"""The thresholds that monitoring takes where nobody gives one: the template's, in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from dropsort.client.captures import CaptureLocation
from dropsort.contract import defaults
from dropsort.pages import report
from handlers.settings import SETTINGS
from monitoring.drift import assess, windows
from monitoring.report import figures as data
from monitoring.settings import MonitoringSettings
from tests.unit.infra.template import PARAMETERS

OF_THE_TEMPLATE = {
    "threshold": PARAMETERS["Threshold"]["Default"],
    "familiarity_threshold": PARAMETERS["FamiliarityThreshold"]["Default"],
}


def test_the_defaults_are_the_templates_and_the_functions() -> None:
    assert tuple(OF_THE_TEMPLATE.values()) == (defaults.THRESHOLD, defaults.FAMILIARITY_THRESHOLD)
    assert PARAMETERS["Precision"]["Default"] == defaults.PRECISION
    functions = {setting.name.lower(): setting.default for setting in SETTINGS}
    assert {name: float(functions[name]) for name in OF_THE_TEMPLATE} == OF_THE_TEMPLATE


@pytest.mark.parametrize(
    "function",
    [assess.assess, windows.check, report.write, data.build, MonitoringSettings, CaptureLocation],
    ids=lambda f: f.__qualname__,
)
def test_whoever_has_a_default_has_that_one(function: Callable[..., Any]) -> None:
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name in OF_THE_TEMPLATE and parameter.default is not inspect.Parameter.empty
    }
    assert "familiarity_threshold" in given
    assert given == {name: OF_THE_TEMPLATE[name] for name in given}


def test_the_hourly_function_falls_back_to_them() -> None:
    settings = MonitoringSettings.of({"STACK_NAME": "s", "BUCKET_NAME": "b"})
    assert (settings.threshold, settings.familiarity_threshold) == tuple(OF_THE_TEMPLATE.values())
