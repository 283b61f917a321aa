"""Usage of the service, from the metrics of the workflow's functions in CloudWatch."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from dropsort.contract import metrics

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

DAY = timedelta(days=1)
MOST = timedelta(hours=1440)  # points of an hour that CloudWatch returns at once


def counted(cloudwatch: CloudWatchClient, stack: str, now: datetime) -> tuple[int, int]:
    """Images since the month began, and invocations of the endpoint in the last 24 hours, by the handlers' metrics."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hour = now.replace(minute=0, second=0, microsecond=0)
    images = (
        sum(_total(cloudwatch, stack, name, month, now, "Sum") for name in metrics.OF_OUTCOME.values())
        if now > month
        else 0
    )
    return images, invocations(cloudwatch, stack, hour - DAY, hour)


def invocations(cloudwatch: CloudWatchClient, stack: str, start: datetime, end: datetime) -> int:
    """Invocations of the endpoint in [start, end), both on the hour."""
    count = 0
    while start < end:
        until = min(start + MOST, end)
        count += _total(cloudwatch, stack, metrics.ENDPOINT_LATENCY, start, until, "SampleCount", 3600)
        start = until
    return count


def _total(
    cloudwatch: CloudWatchClient,
    stack: str,
    name: str,
    start: datetime,
    end: datetime,
    statistic: Literal["Sum", "SampleCount"],
    period: int = 86400,
) -> int:
    found = cloudwatch.get_metric_statistics(
        Namespace=metrics.NAMESPACE,
        MetricName=name,
        Dimensions=[{"Name": metrics.STACK, "Value": stack}],
        StartTime=start,
        EndTime=end,
        Period=period,
        Statistics=[statistic],
    )
    return round(sum(float(point[statistic]) for point in found["Datapoints"]))
