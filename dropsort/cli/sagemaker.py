"""What the commands for SageMaker share: requests to show, and where bucket, region and container image come from.

A dry run prints every request as JSON and sends none: values that only an account has are placeholders.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.output import note
from dropsort.client.aws import Aws

if TYPE_CHECKING:
    from training.aws.requests import AwsRequest

ACCOUNT = "123456789012"  # of a dry run
DRY_RUN_REGION = "us-east-1"

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print every request as JSON; needs no account."
)


def print_requests(requests: Iterable[AwsRequest], json_file: Path | None) -> None:
    """Print the requests of a dry run as JSON, or write them to the file of ``--json``."""
    write_json(json_file or Path("-"), [_shortened(request.document()) for request in requests])


def note_request(request: AwsRequest) -> None:
    """Report a request that is being sent."""
    note(f"{request.service} {request.operation}")


def region_of(aws: Aws, dry_run: bool) -> str:
    """The region of the clients; a dry run needs none."""
    region: str | None = aws.session.region_name
    if region:
        return region
    if dry_run:
        return DRY_RUN_REGION
    from botocore.exceptions import NoRegionError

    raise NoRegionError


def artifact_bucket(aws: Aws, stack: str, region: str, dry_run: bool) -> str:
    """The bucket of a stack's code and models."""
    if dry_run:
        from dropsort.deployment.artifacts import bucket_name

        return bucket_name(ACCOUNT, region)
    from dropsort.client.deployed_service import find

    return find(aws.client, stack).parameters["ArtifactBucket"]


def image_address(image: str, region: str) -> str:
    """A container image by its short name, or as it was given."""
    if "/" in image:
        return image
    from training.aws.container_images import image_uri

    return image_uri(image, region)  # type: ignore[arg-type]  # unknown names are rejected there


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """A request without the bytes that it uploads."""
    parameters = {
        name: f"{len(value)} bytes" if isinstance(value, bytes) else value
        for name, value in document["parameters"].items()
    }
    return document | {"parameters": parameters}
