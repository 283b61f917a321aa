"""What the service costs, estimated: one table of prices that a reader can correct, and the sums.

US dollars, us-east-1, on demand, without free tiers; looked up in November 2026. Other regions and discounts differ:
the bill is right and this is an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

# Price: dollars. Where it stands: the vendor's page.
PRICES: dict[str, tuple[float, str]] = {
    "states-standard-transition": (25e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-request": (1e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-gb-second": (16.67e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "lambda-request": (0.20e-6, "https://aws.amazon.com/lambda/pricing/"),
    "lambda-arm-gb-second": (13.3334e-6, "https://aws.amazon.com/lambda/pricing/"),
    "s3-put": (5e-6, "https://aws.amazon.com/s3/pricing/"),
    "s3-get": (0.4e-6, "https://aws.amazon.com/s3/pricing/"),
    "s3-gb-month": (0.023, "https://aws.amazon.com/s3/pricing/"),
    "eventbridge-event": (1e-6, "https://aws.amazon.com/eventbridge/pricing/"),
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
class Way:
    """What one image uses on its way; times are billed times, sums over the three functions."""

    express: bool = True
    transitions: int = 6
    functions: int = 3
    billed_seconds: float = 0.30
    memory_gb: float = 0.5
    workflow_seconds: float = 0.5
    puts: int = 3  # upload, result, listing of other outcomes
    gets: int = 4

    def dollars(self) -> float:
        """Dollars for one image, without the endpoint."""
        if self.express:
            # Billed in 100 ms steps of 64 MB.
            steps = -(-self.workflow_seconds // 0.1) * 0.1
            flow = price("states-express-request") + steps * 0.0625 * price("states-express-gb-second")
        else:
            flow = self.transitions * price("states-standard-transition")
        compute = self.functions * price("lambda-request")
        compute += self.billed_seconds * self.memory_gb * price("lambda-arm-gb-second")
        storage = self.puts * price("s3-put") + self.gets * price("s3-get")
        return flow + compute + storage + price("eventbridge-event")


def cost(
    images: int, way: Way, *, endpoint_hours: float = 0.0, instance: str = "", instances: int = 1
) -> float:
    """Estimated dollars for so many images and so many hours of the endpoint.

    An instance type that is not in the table counts as ml.m5.xlarge; without one (the endpoint is somebody else's) it
    costs nothing here.
    """
    hourly = INSTANCES.get(instance, INSTANCES["ml.m5.xlarge"]) if instance else 0.0
    return images * way.dollars() + endpoint_hours * hourly * instances
