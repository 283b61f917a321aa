"""Settings of the monitoring function: each variable, and what holds without it."""

from __future__ import annotations

import pytest

from monitoring.errors import MonitoringError
from monitoring.settings import MonitoringSettings

NEEDED = {"STACK_NAME": "s", "BUCKET_NAME": "b"}


def test_each_variable_is_a_setting() -> None:
    given = {
        "THRESHOLD": "0.8", "FAMILIARITY_THRESHOLD": "0.1", "LABELS": "bicycle, motorcycle, ,", "CAPTURE_PERCENT": "25",
        "WORKFLOW_TYPE": "STANDARD", "INSTANCE_TYPE": "ml.m5.large", "INSTANCE_COUNT": "3",
    }  # fmt: skip
    assert MonitoringSettings.of(NEEDED | given) == MonitoringSettings(
        "s", "b", 0.8, 0.1, ("bicycle", "motorcycle"), 25.0, "STANDARD", "ml.m5.large", 3
    )


@pytest.mark.parametrize(
    "empty",
    [{}, {"LABELS": "", "THRESHOLD": "", "FAMILIARITY_THRESHOLD": "", "CAPTURE_PERCENT": "", "INSTANCE_COUNT": ""}],
)  # fmt: skip
def test_without_a_variable_the_default_holds(empty: dict[str, str]) -> None:
    found = MonitoringSettings.of(NEEDED | empty)
    assert found == MonitoringSettings("s", "b")
    assert (found.labels, found.capture_percent, found.instance_type, found.instance_count) == (
        (),
        100.0,
        "",
        1,
    )


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(MonitoringError, match=f"{name} is missing"):
        MonitoringSettings.of({key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize("name", ["THRESHOLD", "FAMILIARITY_THRESHOLD", "CAPTURE_PERCENT", "INSTANCE_COUNT"])
def test_what_is_no_number_is_named(name: str) -> None:
    with pytest.raises(MonitoringError, match=f"{name} is not a number: 'many'"):
        MonitoringSettings.of(NEEDED | {name: "many"})
