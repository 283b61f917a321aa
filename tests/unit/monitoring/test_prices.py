"""The table of prices as AWS lists them, and the bill that docs and README name: a figure that is off by a factor is noticed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost as compared
from dropsort.contract.resources import TEMPLATE
from monitoring import bill, prices
from monitoring.prices import PRICES, ResourceUse
from training.aws.template import Template

ROOT = Path(__file__).parents[3]
# us-east-1, November 2026: dollars for so many units, as the vendor's pages have them.
LISTED = {
    "states-standard-transition": (25.0, 1_000_000),
    "states-express-request": (1.0, 1_000_000),
    "states-express-gb-second": (16.67, 1_000_000),
    "lambda-request": (0.20, 1_000_000),
    "lambda-arm-gb-second": (13.3334, 1_000_000),
    "lambda-x86-gb-second": (16.6667, 1_000_000),
    "logs-gb": (0.50, 1),
    "s3-put": (5.0, 1_000_000),
    "s3-get": (0.4, 1_000_000),
    "s3-gb-month": (23.0, 1000),
    "eventbridge-event": (1.0, 1_000_000),
    "xray-trace": (5.0, 1_000_000),
    "metric-month": (0.30, 1),
    "alarm-month": (0.10, 1),
    "dashboard-month": (3.0, 1),
    "metric-request": (10.0, 1_000_000),
    "endpoint-gb": (16.0, 1000),
    "athena-tb": (5.0, 1),
}


def million(use: ResourceUse) -> dict[str, Any]:
    return {name: pytest.approx(1e6 * dollars, abs=0.01) for name, dollars in use.parts().items() if dollars}


def test_prices_are_those_that_are_listed() -> None:
    assert prices.AS_OF == "2026-11"
    assert {name: price for name, (price, _) in PRICES.items()} == {
        name: pytest.approx(dollars / units) for name, (dollars, units) in LISTED.items()
    }
    page = re.compile(r"https://aws\.amazon\.com/[a-z0-9/-]+/pricing/")
    assert all(page.fullmatch(address) for _, address in PRICES.values())
    assert prices.INSTANCES == {
        "ml.t2.medium": 0.056, "ml.m5.large": 0.115, "ml.m5.xlarge": 0.23, "ml.m5.2xlarge": 0.461, "ml.c5.large": 0.102,
        "ml.c5.xlarge": 0.204, "ml.c6i.large": 0.102, "ml.c6i.xlarge": 0.204, "ml.c7g.large": 0.087, "ml.g4dn.xlarge": 0.736,
    }  # fmt: skip


def test_a_million_images_cost_what_the_readme_names() -> None:
    usual: dict[str, float] = {
        "Step Functions": 1.208, "Lambda requests": 0.6, "Lambda compute": 0.577, "S3 PUT of the upload": 5.0,
        "S3 PUT of the result": 5.0, "S3 GET and HEAD": 1.2, "EventBridge": 1.0, "CloudWatch Logs": 0.375,
    }  # fmt: skip
    assert usual == million(ResourceUse())
    assert usual | {"Step Functions": 150.0} == million(ResourceUse(express=False))
    assert usual | {
        "Step Functions": 2.354, "Lambda requests": 0.8, "Lambda compute": 25.915, "S3 GET and HEAD": 1.6,
        "EventBridge, events of results": 1.0, "X-Ray": 2.5,
    } == million(ResourceUse(large=1.0, traced=0.5, result_event=True))  # fmt: skip
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (ours, theirs) = re.findall(
        r"of a million images, without the endpoint \| \$(\d+) \| \$(\d+) \|", readme
    )[0]
    assert round(1e6 * compared.OURS.dollars()) == int(ours)
    assert round(1e6 * compared.NOTEBOOKS.dollars()) == int(theirs)
    # An item of a run of the backlog is a transition in addition, and has neither an upload nor an event.
    assert 1e6 * prices.redrive_dollars(1) == pytest.approx(35.16, abs=0.01)


@pytest.mark.parametrize(
    ("megabytes", "seconds"), [(512, 0.1 + 0.2 * 1769 / 512), (1768, 0.1 + 0.2 * 1769 / 1768), (1769, 0.3), (1770, 0.3), (4000, 0.3)]
)  # fmt: skip
def test_a_function_computes_as_fast_as_its_share_of_one_vcpu(megabytes: int, seconds: float) -> None:
    use = prices.FunctionUse(megabytes, 0.1, 0.2)
    assert (use.seconds, use.gb_seconds) == pytest.approx((seconds, seconds * megabytes / 1024))


@pytest.mark.parametrize(("waits", "steps"), [(0.0, 1), (0.0899, 1), (0.09, 1), (0.0901, 2), (0.1901, 3)])
def test_an_express_execution_is_billed_in_steps_of_a_tenth_of_a_second(waits: float, steps: int) -> None:
    use = ResourceUse(functions=(prices.FunctionUse(1769, waits, 0.0),))
    assert use.parts()["Step Functions"] == pytest.approx(1e-6 + steps * 0.1 * 0.0625 * 16.67e-6)


def test_what_costs_a_month_is_what_the_guides_name() -> None:
    resources = Template(TEMPLATE, {}).document["Resources"].values()
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    found = bill.fixed(bill.Traffic(), alarms)
    assert list(found.values()) == pytest.approx([13.5, 2.9, 3.0, 0.21, 0.33], abs=0.01)
    watched = sum(found[name] for name in found if name.startswith("CloudWatch"))
    for page in ("docs/guides/deploy.md", "docs/reference/metrics.md"):
        assert f"about ${watched:.0f} per month" in (ROOT / page).read_text(encoding="utf-8")
    assert f"about ${prices.INSTANCES['ml.m5.xlarge']:.2f} per hour" in (
        ROOT / "docs/guides/deploy.md"
    ).read_text(encoding="utf-8")


def test_an_endpoint_and_storage_cost_by_what_is_sent_and_captured() -> None:
    whole, half = bill.Traffic(), bill.Traffic(captured=0.5, kilobytes=5)
    assert [list(bill.endpoint_per_million(one).values()) for one in (whole, half)] == [
        pytest.approx([0.330, 2.688, 0.215], abs=0.001),
        pytest.approx([0.090, 1.344, 0.108], abs=0.001),
    ]
    assert [list(bill.stored_per_million(one).values()) for one in (whole, half)] == [
        pytest.approx([2.3, 0.030, 0.627, 7.296], abs=0.001),
        pytest.approx([0.115, 0.030, 0.084, 7.296], abs=0.001),
    ]


def test_the_hourly_estimate_counts_each_instance_and_only_those_of_the_stack() -> None:
    use = ResourceUse()
    images = 1000 * use.dollars()
    assert prices.cost(1000, use, endpoint_hours=2, instance="ml.c5.xlarge", instances=3) == pytest.approx(
        images + 6 * 0.204
    )
    assert prices.cost(0, use, endpoint_hours=2) == 0
    assert prices.cost(0, use, endpoint_hours=2, instance="ml.of.tomorrow") == pytest.approx(2 * 0.23)
