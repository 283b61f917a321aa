"""`dropsort cost`: every item of the bill, within its tolerance, and its quantities held equal to template and code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import capacity_template
from benchmarks import cost as compared
from dropsort.cli.main import main
from dropsort.contract.resources import TEMPLATE
from monitoring import bill as whole_bill
from monitoring import prices
from monitoring.prices import PRICES, FunctionUse, ResourceUse


def bill(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    target = tmp_path / "bill.json"
    with pytest.raises(SystemExit) as ended:
        main(["cost", *arguments, "--json", str(target)])
    assert ended.value.code == 0
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def test_a_million_images_cost_no_more_than_fifteen_dollars_apart_from_the_endpoint(tmp_path: Path) -> None:
    found = bill(tmp_path)
    items = found["million"]["items"]
    assert set(items) == {
        "Step Functions", "Lambda requests", "Lambda compute", "S3 PUT of the upload", "S3 PUT of the result", "S3 GET and HEAD",
        "EventBridge", "CloudWatch Logs",
    }  # fmt: skip
    assert all(dollars > 0 for dollars in items.values())
    assert found["million"]["total"] == pytest.approx(sum(items.values()))
    assert items["S3 PUT of the upload"] == pytest.approx(5)
    assert found["million"]["total"] <= 15
    # The idle endpoint, which costs more than all of it.
    assert found["endpoint_idle_month"] == pytest.approx(0.23 * 30.4 * 24)


def test_every_price_is_in_some_bill() -> None:
    """An item that nobody adds up would be missing without a sign."""
    source = "".join(path.read_text() for path in Path(prices.__file__).parent.glob("*.py"))
    for name in PRICES:
        assert source.count(f'"{name}"') > 1 or name in (
            "lambda-arm-gb-second",
            "lambda-x86-gb-second",
            "athena-tb",
        ), name


def test_tracing_is_an_item_that_depends_on_the_traffic(tmp_path: Path) -> None:
    few, many = (
        bill(tmp_path, "--tracing", "--uploads", number)["million"]["items"]["X-Ray"]
        for number in ("1000000", "100000000")
    )
    # One execution a second is recorded, and 5 % of the others: all of a million a month.
    assert few == pytest.approx(5.0)
    assert many == pytest.approx(5 * (30.4 * 86400 / 1e8 + 0.05))


def test_events_of_results_cost_a_dollar_a_million_if_they_are_sent(tmp_path: Path) -> None:
    without, sent = bill(tmp_path)["million"], bill(tmp_path, "--events")["million"]
    assert sent["items"]["EventBridge, events of results"] == pytest.approx(1.0)
    assert sent["total"] - without["total"] == pytest.approx(1.0)


def test_labels_beyond_those_that_are_counted_cost_nothing(tmp_path: Path) -> None:
    def metrics(labels: str) -> float:
        items = bill(tmp_path, "--labels", labels)["fixed_month"]["items"]
        return next(dollars for name, dollars in items.items() if "metrics (" in name)

    assert metrics("1000") - metrics("2") == pytest.approx(19 * 2 * 0.30)  # 20 and "other"


def test_a_day_is_a_thirtieth_of_a_month_and_more_instances_cost_more(tmp_path: Path) -> None:
    day = bill(tmp_path, "--uploads", "1000000", "--per", "day", "--instances", "2")
    assert day["uploads_a_month"] == 30_400_000
    assert day["endpoint_idle_month"] == pytest.approx(2 * 0.23 * 30.4 * 24)
    assert day["month"] > 30.4 * day["million"]["total"] + day["endpoint_idle_month"]


def test_an_instance_without_a_price_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cost", "--instance-type", "ml.p9.large"])
    assert ended.value.code == 2
    assert "ml.m5.xlarge" in capsys.readouterr().err


def test_the_table_shows_items_totals_and_the_idle_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cost"])
    shown = capsys.readouterr().out
    for words in (
        "A million images",
        "S3 PUT of the upload",
        "A month, whatever the traffic",
        "busy or idle: 167.81",
    ):
        assert words in shown


def test_memory_is_that_of_the_template() -> None:
    deployed = capacity_template.read(TEMPLATE)
    megabytes = [round(deployed.states[name].memory_gb * 1024) for name in capacity_template.FUNCTIONS]
    assert [function.megabytes for function in ResourceUse().functions] == megabytes


def test_a_function_with_less_memory_computes_longer_at_the_same_price_and_waits_for_less() -> None:
    small, whole = FunctionUse(256, 0.0, 0.01), FunctionUse(1769, 0.0, 0.01)
    assert small.seconds > whole.seconds
    assert small.gb_seconds == pytest.approx(whole.gb_seconds)
    assert FunctionUse(256, 0.1, 0).gb_seconds < FunctionUse(1769, 0.1, 0).gb_seconds


def test_the_notebooks_cost_several_times_as_much(capsys: pytest.CaptureFixture[str]) -> None:
    compared.main()
    assert "notebooks" in capsys.readouterr().out
    assert compared.NOTEBOOKS.dollars() > 5 * compared.OURS.dollars()


def test_a_month_is_the_sum_of_its_parts() -> None:
    found = whole_bill.month(whole_bill.Traffic(uploads=2_000_000), [])
    by_image = found.totals["million"] + found.totals["million_with_endpoint"] + found.totals["stored_month"]
    assert found.month == pytest.approx(2 * by_image + found.totals["fixed_month"] + found.idle)
    assert found.totals == pytest.approx({name: sum(items.values()) for name, items in found.parts.items()})
    with pytest.raises(KeyError):
        whole_bill.month(whole_bill.Traffic(instance="ml.none"), [])


def test_the_backlog_function_runs_every_five_minutes_and_captures_are_base64() -> None:
    hours, items = 30.4 * 24, whole_bill.fixed(whole_bill.Traffic(), [])
    run = 2 * prices.price("lambda-arm-gb-second") + prices.price("lambda-request")
    run += prices.price("s3-get") + 2 * prices.price("s3-put")
    assert items["backlog function, every five minutes"] == pytest.approx(12 * hours * run)
    stored = whole_bill.stored_per_million(whole_bill.Traffic(kilobytes=9))
    assert stored["captures, as long as they are retained"] == pytest.approx((12 + 0.6) * 0.023)


@pytest.mark.parametrize(("kilobytes", "processed"), [(9.0, 9.6), (5000.0, 20.6)])
def test_the_endpoint_processes_the_normalised_image_and_its_prediction(
    kilobytes: float, processed: float
) -> None:
    items = whole_bill.endpoint_per_million(whole_bill.Traffic(kilobytes=kilobytes))
    price = prices.price("endpoint-gb")
    assert items["SageMaker data processed"] == pytest.approx(1e6 * processed / 1e6 * price)


def test_a_run_of_monitoring_computes_lists_and_requests_metrics() -> None:
    run = whole_bill.MONITOR_SECONDS * prices.price("lambda-arm-gb-second") + prices.price("lambda-request")
    run += whole_bill.MONITOR_LISTS * prices.price("s3-put")
    run += whole_bill.MONITOR_QUERIES * prices.price("metric-request")
    items = whole_bill.fixed(whole_bill.Traffic(), [])
    assert items["monitoring function, hourly"] == pytest.approx(30.4 * 24 * run)


def test_events_and_traces_are_no_part_of_a_bill_unless_they_are_wanted() -> None:
    assert whole_bill.per_million(whole_bill.Traffic()) == whole_bill.per_million(
        whole_bill.Traffic(events=False, tracing=False)
    )


def test_the_share_of_large_images_is_that_of_the_traffic() -> None:
    assert whole_bill.Traffic(large=0.25).use().large == 0.25
    assert whole_bill.Traffic().use().large == 0.0
