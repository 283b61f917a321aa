"""The reference that a report compares with, as arguments of `monitoring.report.figures.build`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypedDict

from dropsort.contract.text import printable
from monitoring.aggregates.cells import Aggregate
from monitoring.aggregates.models import current_model
from monitoring.drift.reference import Reference, parse_reference
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.storage.documents import JsonDocuments

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Compared(TypedDict, total=False):
    """A reference as arguments; without one the first day of captures is compared with."""

    reference: Sample
    reference_name: str
    reference_model: str | None
    since: str


def arguments(found: Reference | None, name: str) -> Compared:
    """A reference as arguments; none without one."""
    if found is None:
        return {}
    return {
        "reference": found.sample,
        "reference_name": name,
        "reference_model": found.model,
        "since": found.until,
    }


def of_bucket(s3: S3Client, address: str) -> Compared:
    """The reference at ``s3://bucket/key``, where the monitoring function has it; none if it is not there.

    Raises
    ------
    MonitoringError
        The object is not a reference.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    prefix, _, document = key.rpartition("/")
    content = JsonDocuments(s3, bucket, prefix).get(document)
    found = None if content is None else parse_reference(content, address)
    return arguments(found, "the first day of captures" if found and found.until else address)


def check_labels(found: Compared, aggregate: Aggregate) -> None:
    """Reject a reference that has no label in common with the captures: every label share would differ.

    Raises
    ------
    MonitoringError
        It has none; the message names labels of both.
    """
    model = current_model(aggregate)
    if "reference" not in found or found["reference_model"] not in (None, model):
        return
    seen = {key.label for key in aggregate.cells if key.model == model}
    known = set(found["reference"].labels)
    if seen and known and not seen & known:
        example = ",".join(printable(name) for name in sorted(known)[:3])
        raise MonitoringError(
            f"The reference has the labels {some(known)}, the captures {some(seen)}: name those of the captures in the"
            f" order of their classes, for example --labels {example} --rebuild, or give another --reference."
        )


def some(labels: Collection[str]) -> str:
    """A few of the labels, in words."""
    names = sorted(labels)
    return ", ".join(map(printable, names[:3])) + (", …" if len(names) > 3 else "")
