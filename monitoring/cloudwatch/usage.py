"""How much the service was used, as CloudWatch counted the metrics of the workflow's functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from monitoring.cloudwatch import metrics

DAY = timedelta(days=1)


def counted(cloudwatch: Any, stack: str, now: datetime) -> tuple[int, int]:
    """Images since the month began, and invocations of the endpoint in the last 24 hours, by the handlers' metrics."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hour = now.replace(minute=0, second=0, microsecond=0)

    def total(name: str, start: datetime, end: datetime, statistic: str) -> int:
        found = cloudwatch.get_metric_statistics(
            Namespace=metrics.NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": metrics.STACK, "Value": stack}],
            StartTime=start,
            EndTime=end,
            Period=86400 if end - start > DAY else 3600,
            Statistics=[statistic],
        )
        return round(sum(float(point[statistic]) for point in found["Datapoints"]))

    images = (
        sum(total(name, month, now, "Sum") for name in ("Classified", "LowConfidence", "Failed"))
        if now > month
        else 0
    )
    return images, total("EndpointLatency", hour - DAY, hour, "SampleCount")
