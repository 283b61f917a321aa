"""Estimated cost of the service: one table of prices that a reader can correct, and the sums.

US dollars, us-east-1, on demand, without free tiers; as of November 2026. Other regions and discounts differ:
the bill is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

# Dollars, and the vendor's page.
PRICES: dict[str, tuple[float, str]] = {
    "states-standard-transition": (25e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-request": (1e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-gb-second": (16.67e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "lambda-request": (0.20e-6, "https://aws.amazon.com/lambda/pricing/"),
    "lambda-arm-gb-second": (13.3334e-6, "https://aws.amazon.com/lambda/pricing/"),
    "lambda-x86-gb-second": (16.6667e-6, "https://aws.amazon.com/lambda/pricing/"),
    "logs-gb": (0.50, "https://aws.amazon.com/cloudwatch/pricing/"),
    "s3-put": (5e-6, "https://aws.amazon.com/s3/pricing/"),
    "s3-get": (0.4e-6, "https://aws.amazon.com/s3/pricing/"),
    "s3-gb-month": (0.023, "https://aws.amazon.com/s3/pricing/"),
    "eventbridge-event": (1e-6, "https://aws.amazon.com/eventbridge/pricing/"),
    "xray-trace": (5e-6, "https://aws.amazon.com/xray/pricing/"),
    "metric-month": (0.30, "https://aws.amazon.com/cloudwatch/pricing/"),
    "alarm-month": (0.10, "https://aws.amazon.com/cloudwatch/pricing/"),
    "athena-tb": (5.0, "https://aws.amazon.com/athena/pricing/"),
}
# Dollars an hour of a real-time endpoint's instance: https://aws.amazon.com/sagemaker/pricing/
INSTANCES: dict[str, float] = {
    "ml.t2.medium": 0.056,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c6i.large": 0.102,
    "ml.c6i.xlarge": 0.204,
    "ml.c7g.large": 0.087,
    "ml.g4dn.xlarge": 0.736,
}


def price(name: str) -> float:
    """Dollars for one unit of `PRICES`."""
    return PRICES[name][0]


@dataclass(frozen=True)
class ResourceUse:
    """Resources that one image uses; sums over the three functions, from `python -m benchmarks.pipeline` and S3's usual latency."""

    express: bool = True
    transitions: int = 6
    functions: int = 3
    event: bool = True
    gb_seconds: float = 0.16  # serialize 60 ms at 1.77 GB, classify 45 and filter 60 at 0.5
    architecture: str = "arm"
    workflow_seconds: float = 0.2
    log_bytes: int = 2_000
    puts: int = 2  # upload, result
    gets: int = 3  # the upload, checks of both other outcomes
    traced: float = 0.05  # share of executions that X-Ray's default rule records, besides one a second

    def dollars(self) -> float:
        """Dollars for one image, without the endpoint."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """Dollars for one image by service, without the endpoint."""
        if self.express:
            # Billed in 100 ms steps of 64 MB.
            steps = -(-self.workflow_seconds // 0.1) * 0.1
            flow = price("states-express-request") + steps * 0.0625 * price("states-express-gb-second")
        else:
            flow = self.transitions * price("states-standard-transition")
        rate = price(f"lambda-{self.architecture}-gb-second")
        return {
            "Step Functions": flow,
            "Lambda requests": self.functions * price("lambda-request"),
            "Lambda compute": self.gb_seconds * rate,
            "S3 requests": self.puts * price("s3-put") + self.gets * price("s3-get"),
            "EventBridge": price("eventbridge-event") if self.event else 0.0,
            "CloudWatch Logs": self.log_bytes / 1e9 * price("logs-gb"),
            "X-Ray": self.traced * price("xray-trace"),
        }


def cost(
    images: int, use: ResourceUse, *, endpoint_hours: float = 0.0, instance: str = "", instances: int = 1
) -> float:
    """Estimated dollars for so many images and so many hours of the endpoint.

    An instance type that is not in the table counts as ml.m5.xlarge; without one (the endpoint is not the stack's) it
    costs nothing here.
    """
    hourly = INSTANCES.get(instance, INSTANCES["ml.m5.xlarge"]) if instance else 0.0
    return images * use.dollars() + endpoint_hours * hourly * instances
