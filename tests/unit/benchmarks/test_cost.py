"""The cost of a million images: every item, and within what was promised."""

from __future__ import annotations

import re

import pytest

from benchmarks import cost


def test_a_million_images_cost_no_more_than_fifteen_dollars_apart_from_endpoint_and_upload(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cost.main(["--labels", "2"])
    text = capsys.readouterr().out
    rows = {
        line[:36].strip(): [float(number) for number in re.findall(r"\d+\.\d\d", line[36:])]
        for line in text.splitlines()
    }
    items = (
        "Step Functions",
        "Lambda requests",
        "Lambda compute",
        "S3 requests",
        "EventBridge",
        "CloudWatch Logs",
        "X-Ray",
    )
    assert all(rows[item][0] > 0 for item in items)
    total = rows["without the endpoint"][0]
    assert total == pytest.approx(sum(rows[item][0] for item in items), abs=0.05)
    # The upload's own PUT, 5 dollars a million, is paid without Dropsort too.
    assert rows["… and without the upload's own PUT"][0] == pytest.approx(total - 5, abs=0.01)
    assert total - 5 <= 15
    assert "ml.m5.xlarge, busy or idle" in text


def test_metrics_of_labels_and_alarms_are_in_it() -> None:
    few, many = cost.monthly(2), cost.monthly(1000)
    assert sum(many.values()) - sum(few.values()) == pytest.approx(998 * 2 * 0.30)
    assert all(dollars > 0 for dollars in few.values())
