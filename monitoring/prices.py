"""Estimated cost of the service: one table of prices that a reader can correct, what one image uses, and the sums.

US dollars, us-east-1, on demand, without free tiers; other regions and discounts differ: the bill is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

AS_OF = "2026-11"
# Dollars, and the vendor's page.
PRICES: dict[str, tuple[float, str]] = {
    "states-standard-transition": (25e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-request": (1e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "states-express-gb-second": (16.67e-6, "https://aws.amazon.com/step-functions/pricing/"),
    "lambda-request": (0.20e-6, "https://aws.amazon.com/lambda/pricing/"),
    "lambda-arm-gb-second": (13.3334e-6, "https://aws.amazon.com/lambda/pricing/"),
    "lambda-x86-gb-second": (16.6667e-6, "https://aws.amazon.com/lambda/pricing/"),
    "logs-gb": (0.50, "https://aws.amazon.com/cloudwatch/pricing/"),
    "s3-put": (5e-6, "https://aws.amazon.com/s3/pricing/"),  # LIST costs the same
    "s3-get": (0.4e-6, "https://aws.amazon.com/s3/pricing/"),  # as does HEAD; DELETE is free
    "s3-gb-month": (0.023, "https://aws.amazon.com/s3/pricing/"),
    "eventbridge-event": (1e-6, "https://aws.amazon.com/eventbridge/pricing/"),
    "xray-trace": (5e-6, "https://aws.amazon.com/xray/pricing/"),
    "metric-month": (0.30, "https://aws.amazon.com/cloudwatch/pricing/"),
    "alarm-month": (0.10, "https://aws.amazon.com/cloudwatch/pricing/"),
    "dashboard-month": (3.0, "https://aws.amazon.com/cloudwatch/pricing/"),
    "metric-request": (10e-6, "https://aws.amazon.com/cloudwatch/pricing/"),
    "endpoint-gb": (0.016, "https://aws.amazon.com/sagemaker/ai/pricing/"),
    "athena-tb": (5.0, "https://aws.amazon.com/athena/pricing/"),
}
# Dollars per hour of a real-time endpoint's instance: https://aws.amazon.com/sagemaker/ai/pricing/
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
HOURS = 30.4 * 24  # of a month
VCPU_MEGABYTES = 1769  # of memory with which a function has one vCPU
STATE_SECONDS = 0.01  # that Step Functions takes from one state to the next


def price(name: str) -> float:
    """Dollars for one unit of `PRICES`."""
    return PRICES[name][0]


@dataclass(frozen=True)
class FunctionUse:
    """One warm invocation of a function. A function with less memory has less of a vCPU and takes longer, but waits at a lower price."""

    megabytes: int
    waits: float  # seconds, for S3 or the endpoint
    computes: float  # seconds of one vCPU

    @property
    def seconds(self) -> float:
        """Billed duration."""
        return self.waits + self.computes / min(1.0, self.megabytes / VCPU_MEGABYTES)

    @property
    def gb_seconds(self) -> float:
        """Billed memory and duration."""
        return self.seconds * self.megabytes / 1024


@dataclass(frozen=True)
class ResourceUse:
    """Resources that one image uses. Tests hold memory, requests and log bytes equal to those of the template and of a run."""

    # Waits are assumed: S3 20 ms for a GET, 30 for a PUT, 12 for two HEADs at once; the endpoint 20 ms. vCPU is measured, 10.3 ms
    # together (docs/performance.md).
    functions: tuple[FunctionUse, ...] = (
        FunctionUse(512, 0.020, 0.0028),  # Serialize
        FunctionUse(256, 0.020, 0.0020),  # Classify
        FunctionUse(256, 0.042, 0.0055),  # Filter
    )
    # SerializeLarge, for an image that takes more than 250 MB to decode: a PNG of 20 megapixels, say. It takes a second and more.
    larger: FunctionUse = FunctionUse(1769, 0.1, 1.0)
    large: float = 0.0  # share of such images
    express: bool = True
    transitions: int = 6
    event: bool = True
    result_event: bool = False  # with the parameter EventBusName
    architecture: str = "arm"
    log_bytes: int = 750  # one line, and 26 bytes that CloudWatch adds
    uploads: int = 1  # PUT requests of the upload itself
    puts: int = 1  # of the result
    gets: int = 3  # the upload, checks of both other outcomes
    traced: float = 0.0  # share of executions with an X-Ray trace

    def dollars(self) -> float:
        """Dollars for one image, without the endpoint."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """Dollars for one image by service, without the endpoint."""
        if self.express:
            # Billed in steps of 100 ms, of 64 MB.
            seconds = sum(function.seconds + STATE_SECONDS for function in self.functions)
            seconds += self.large * self.larger.seconds
            duration = ceil(round(seconds / 0.1, 6)) * 0.1 * 0.0625 * price("states-express-gb-second")
            flow = price("states-express-request") + duration
        else:
            flow = self.transitions * price("states-standard-transition")
        memory = sum(function.gb_seconds for function in self.functions) + self.large * self.larger.gb_seconds
        return {
            "Step Functions": flow,
            "Lambda requests": (len(self.functions) + self.large) * price("lambda-request"),
            "Lambda compute": memory * price(f"lambda-{self.architecture}-gb-second"),
            "S3 PUT of the upload": self.uploads * price("s3-put"),
            "S3 PUT of the result": self.puts * price("s3-put"),
            "S3 GET and HEAD": (self.gets + self.large) * price("s3-get"),
            "EventBridge": self.event * price("eventbridge-event"),
            "EventBridge, events of results": self.result_event * price("eventbridge-event"),
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


REDRIVEN = ResourceUse(event=False, uploads=0, gets=6)  # what a run of the backlog uses for one image


def redrive_dollars(uploads: int) -> float:
    """Estimated dollars for uploads that a run of the backlog classifies again, without the endpoint.

    An item of a Distributed Map is one transition of its workflow and an Express execution; there is no event and no upload,
    and a run without a sequencer reads all three locations of a result first.
    """
    return uploads * (REDRIVEN.dollars() + price("states-standard-transition"))
