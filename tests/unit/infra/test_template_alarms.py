"""The template's alarms, judged by CloudWatch's documented rules: at their line and a step to either side, without data, recovering."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitoring.cloudwatch.alarms import AlarmRule, judge
from monitoring.cloudwatch.expressions import evaluate
from tests.unit.infra import requested_metrics
from tests.unit.infra.specification.alarms import ALARMS, Alarm, logical

Values = list[float | None]
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)  # at the begin of a period, which has no data yet
PARAMETERS: dict[str, float] = {"RollbackLowConfidenceShare": 0.8, "UnreviewedLimit": 500}
SIMPLE = {name: alarm for name, alarm in ALARMS.items() if not alarm.expression}


def state(name: str, **series: Values) -> str:
    """The state of an alarm of the template after these values of its metrics, one a period, the last one just over."""
    found = requested_metrics.alarms()[logical(name)]
    rows = [row["MetricStat"] for row in found.get("Metrics", ()) if "MetricStat" in row]
    (seconds,) = {int(row["Period"]) for row in (rows or [found])}
    begin = int(NOW.timestamp()) // seconds * seconds
    points = {
        key: {float(begin - (len(values) - i) * seconds): v for i, v in enumerate(values) if v is not None}
        for key, values in series.items()
    }
    expressions = requested_metrics.expressions(found)
    if expressions:
        ((expression, ids),) = expressions
        value = evaluate(expression, {key: points.get(key, {}) for key in ids}, seconds)
    else:
        value = points.get("value", {})
    threshold = PARAMETERS.get(found["Threshold"], found["Threshold"])
    periods = found["EvaluationPeriods"]
    rule = AlarmRule(
        found["ComparisonOperator"], threshold, seconds, periods, found.get("DatapointsToAlarm", periods),
        found["TreatMissingData"],
    )  # fmt: skip
    return judge(rule, value, NOW)


def sides(alarm: Alarm) -> tuple[float, float]:
    """The last value that is well, and the first that is not: the line itself, and a step of the metric to the other side."""
    sign, line = alarm.line
    line = PARAMETERS[line[2:-1]] if isinstance(line, str) else line
    step = 1 if isinstance(line, int) else 0.001
    return {"≥": (line - step, line), ">": (line, line + step), "<": (line, line - step)}[sign]


@pytest.mark.parametrize("name", SIMPLE)
def test_an_alarm_is_raised_by_as_many_periods_as_it_needs_and_recovers(name: str) -> None:
    alarm = ALARMS[name]
    well, ill = sides(alarm)
    needed = alarm.datapoints or alarm.periods
    full: Values = [well] * alarm.periods
    # At the value itself, and one step before.
    assert state(name, value=full) == "OK"
    assert state(name, value=[*full, *[ill] * needed]) == "ALARM"
    # One period too few.
    assert state(name, value=[*full, *[ill] * (needed - 1)]) == "OK"
    # The periods may be any of those that count, and older ones do not.
    assert state(name, value=[*[ill] * needed, *[well] * (alarm.periods - needed)]) == "ALARM"
    assert state(name, value=[*[ill] * needed, *[well] * (alarm.periods - needed + 1)]) == "OK"


@pytest.mark.parametrize("name", ALARMS)
def test_without_data_only_the_reconciliation_is_in_alarm(name: str) -> None:
    assert state(name) == ("ALARM" if name == "reconciliation" else "OK")
    if name == "reconciliation":  # the function does not run; one run that was in time is enough
        assert state(name, value=[0, None, None, None]) == "OK"
        assert state(name, value=[1, None, None, 1]) == "ALARM"


def test_the_time_that_each_alarm_takes() -> None:
    """What the descriptions and the documentation state, in minutes of trouble before the alarm."""
    minutes = {name: alarm.minutes * (alarm.datapoints or alarm.periods) for name, alarm in ALARMS.items()}
    assert minutes == {
        "failed-executions": 5, "late-executions": 5, "dead-letters": 5, "retryable": 5, "misconfigured": 5,
        "slow": 15, "throttles": 15, "large-throttles": 15, "classify-throttles": 15, "filter-throttles": 15,
        "deletion-throttles": 15, "endpoint-unhealthy": 30, "reconciliation": 60, "endpoint": 10, "oldest-upload": 15,
        "unreviewed": 360, "drift": 60, "silence": 60, "precision": 60, "capture": 120, "behind": 360, "monitor-throttles": 180,
        "backlog-throttles": 180, "monitor": 120,
        # These within the ten minutes that a roll-out waits.
        "endpoint-errors": 4, "endpoint-latency": 3, "endpoint-low-confidence": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("errors", "invocations", "expected"),
    [
        (5, 99, "ALARM"),  # more than 5 %
        (5, 100, "OK"),  # 5 %
        (4, 4, "OK"),  # all of them, but fewer than five
        (5, 5, "ALARM"),
        (None, 100, "OK"),  # a count that is zero may have no data
    ],
)
def test_a_share_of_errors_ends_a_roll_out(errors: float | None, invocations: float, expected: str) -> None:
    both: dict[str, Values] = {"errors": [errors] * 2, "invocations": [invocations] * 2}
    assert state("endpoint-errors", **both) == expected
    # One period of the last three is not enough; two are, whichever.
    assert state("endpoint-errors", errors=[None, errors, None], invocations=[invocations] * 3) == "OK"
    assert state("endpoint-errors", errors=[errors, None, errors], invocations=[invocations] * 3) == expected


@pytest.mark.parametrize(
    ("low", "sure", "expected"),
    [
        (41, 9, "ALARM"),  # more than 80 %
        (40, 10, "OK"),
        (50, None, "ALARM"),  # nothing was classified
        (49, None, "OK"),  # too few
        (49, 0, "OK"),
        (None, 50, "OK"),
    ],
)
def test_a_model_that_is_sure_of_nothing_ends_a_roll_out(
    low: float | None, sure: float | None, expected: str
) -> None:
    assert state("endpoint-low-confidence", low=[low], sure=[sure]) == expected
    assert state("endpoint-low-confidence", low=[low, 0], sure=[sure, 50]) == "OK", "recovered"
