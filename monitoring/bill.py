"""The whole bill of a month, item by item: for `dropsort cost`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dropsort.contract.metrics import BACKLOG, BY_MODEL, LABELS_COUNTED, MONITORING, WITH_LABEL, WORKFLOW
from monitoring.prices import HOURS, INSTANCES, ResourceUse, price

MILLION = 1_000_000
NORMALISED_KILOBYTES = 20.0  # a usual image of 256 pixels, as the endpoint gets it and captures keep it
RESULT_KILOBYTES = 1.3
PREDICTION_KILOBYTES = 0.6  # and what a capture adds to it
RECORDS_PER_CAPTURE_FILE = 1.86  # of the real capture files; more where there is more traffic
MONITOR_SECONDS = 10.0  # of an hourly run, at 1 GB
MONITOR_LISTS, MONITOR_QUERIES = 20, 6  # requests of an hourly run
BACKLOG_SECONDS = 2.0  # of a run every five minutes, at 1 GB, while nothing waits
COMPARISONS = 1  # an hour: of all uploads with their results, by the backlog function


@dataclass(frozen=True)
class Traffic:
    """What is to be paid for.

    Parameters
    ----------
    uploads
        A month.
    kilobytes
        Of a usual upload.
    labels
        Of the model.
    captured
        Share of requests that data capture records.
    large
        Share of uploads that take more than 250 MB to decode, such as a PNG of 20 megapixels.
    tracing
        Whether X-Ray records one execution a second and 5 % of the others.
    events
        Whether each recorded result has an event of its own.
    """

    uploads: float = MILLION
    kilobytes: float = 100.0
    labels: int = 2
    captured: float = 1.0
    instance: str = "ml.m5.xlarge"
    instances: int = 1
    express: bool = True
    large: float = 0.0
    tracing: bool = False
    events: bool = False

    def use(self) -> ResourceUse:
        """What one image uses."""
        per_second = self.uploads / (HOURS * 3600)
        traced = min(1.0, 1 / per_second + 0.05) if self.tracing and per_second else 0.0
        return ResourceUse(express=self.express, traced=traced, large=self.large, result_event=self.events)


def per_million(traffic: Traffic) -> dict[str, float]:
    """Dollars for a million images, apart from the endpoint."""
    return {name: dollars * MILLION for name, dollars in traffic.use().parts().items() if dollars}


def endpoint_per_million(traffic: Traffic) -> dict[str, float]:
    """Dollars for a million images that come with an endpoint of the stack's own, in addition to its instances."""
    sent = min(traffic.kilobytes, NORMALISED_KILOBYTES) + PREDICTION_KILOBYTES
    files = traffic.captured / RECORDS_PER_CAPTURE_FILE
    return {
        "SageMaker data processed": MILLION * sent / 1e6 * price("endpoint-gb"),
        "S3 PUT of captures": MILLION * files * price("s3-put"),
        "S3 GET of captures (monitoring)": MILLION * files * price("s3-get"),
    }


def stored_per_million(traffic: Traffic) -> dict[str, float]:
    """Dollars per month for a million images that stay in the bucket."""
    normalised = min(traffic.kilobytes, NORMALISED_KILOBYTES) * 4 / 3  # captures are base64

    def stored(kilobytes: float) -> float:
        return MILLION * kilobytes / 1e6 * price("s3-gb-month")

    return {
        f"uploads of {traffic.kilobytes:g} KB": stored(traffic.kilobytes),
        "results": stored(RESULT_KILOBYTES),
        "captures, as long as they are retained": stored(
            traffic.captured * (normalised + PREDICTION_KILOBYTES)
        ),
        "S3 LIST that compares uploads with results": COMPARISONS
        * 2
        * MILLION
        / 1000
        * HOURS
        * price("s3-put"),
    }


def fixed(traffic: Traffic, alarms: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Dollars per month whatever the traffic, apart from the endpoint.

    Parameters
    ----------
    alarms
        The properties of the template's alarms.
    """
    names = WORKFLOW.keys() | BACKLOG.keys() | MONITORING.keys()
    labels = min(traffic.labels, LABELS_COUNTED + 1)
    metrics = len(names - WITH_LABEL) + labels * len(WITH_LABEL) + len(BY_MODEL)
    watched = sum(sum("MetricStat" in row for row in alarm.get("Metrics", ())) or 1 for alarm in alarms)
    run = MONITOR_SECONDS * price("lambda-arm-gb-second") + price("lambda-request")
    run += MONITOR_LISTS * price("s3-put") + MONITOR_QUERIES * price("metric-request")
    backlog = BACKLOG_SECONDS * price("lambda-arm-gb-second") + price("lambda-request")
    backlog += price("s3-get") + 2 * price("s3-put")  # reads and writes its state, lists failed/
    return {
        f"CloudWatch metrics ({metrics})": metrics * price("metric-month"),
        f"CloudWatch alarms ({watched} metrics)": watched * price("alarm-month"),
        "CloudWatch dashboard": price("dashboard-month"),
        "monitoring function, hourly": HOURS * run,
        "backlog function, every five minutes": HOURS * 12 * backlog,
    }


def endpoint_idle(traffic: Traffic) -> float:
    """Dollars per month for the endpoint's instances, busy or idle.

    Raises
    ------
    KeyError
        The table has no price of the instance type.
    """
    return HOURS * INSTANCES[traffic.instance] * traffic.instances


class Bill(NamedTuple):
    """What a month of some traffic costs, in US dollars: items by part, their sums, the endpoint's instances, and all of it."""

    parts: dict[str, dict[str, float]]
    totals: dict[str, float]
    idle: float
    month: float


def month(traffic: Traffic, alarms: Sequence[Mapping[str, Any]]) -> Bill:
    """The bill of a month with an endpoint of the stack's own.

    Parameters
    ----------
    alarms
        The properties of the template's alarms.

    Raises
    ------
    KeyError
        The table has no price of the instance type.
    """
    parts = {
        "million": per_million(traffic),
        "million_with_endpoint": endpoint_per_million(traffic),
        "stored_month": stored_per_million(traffic),
        "fixed_month": fixed(traffic, alarms),
    }
    totals = {name: sum(items.values()) for name, items in parts.items()}
    idle, millions = endpoint_idle(traffic), traffic.uploads / MILLION
    apart = totals["million"] * millions + totals["fixed_month"]
    whole = apart + (totals["million_with_endpoint"] + totals["stored_month"]) * millions + idle
    return Bill(parts, totals, idle, whole)
