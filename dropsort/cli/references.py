"""The reference that `dropsort report` compares with: a named file, the model's evaluation set, or the reference of the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import read_json
from dropsort.cli.locations import Location
from dropsort.client.aws import Aws
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from monitoring.aggregates.cells import Aggregate
    from monitoring.drift.reference import Reference


def arguments(where: Location, given: Path | None, aws: Aws) -> dict[str, Any]:
    """The reference as arguments of `dropsort.pages.report.write`; empty if the first day of captures is to be used.

    Raises
    ------
    MonitoringError
        It is there, and is not a reference; the message names it.
    """
    found: Reference | None
    if given:
        found, name = _of_file(given), printable(str(given))
    elif where.reference.startswith("s3://"):
        found = _of_bucket(where.reference, aws)
        name = "the first day of captures" if found and found.until else where.reference
    elif where.reference:
        found, name = _of_file(Path(where.reference)), where.compared
    else:
        return {}
    if found is None:
        return {}
    return {
        "reference": found.sample,
        "reference_name": name,
        "reference_model": found.model,
        "since": found.until,
    }


def check_labels(found: dict[str, Any], aggregate: Aggregate) -> None:
    """Reject a reference that has no label in common with the captures: every label share would differ."""
    from monitoring.aggregates.models import current_model

    model = current_model(aggregate)
    if not found or found["reference_model"] not in (None, model):
        return
    seen = {key.label for key in aggregate.cells if key.model == model}
    known = set(found["reference"].labels)
    if seen and known and not seen & known:
        raise click.ClickException(
            f"The reference has the labels {some(known)}, the captures {some(seen)}: name those of the captures in the"
            f" order of their classes, for example --labels {_example(known)} --rebuild, or give another --reference."
        )


def _of_file(path: Path) -> Reference:
    from monitoring.drift.reference import parse_reference

    return parse_reference(read_json(path, "give the reference.json of a model folder"), str(path))


def _of_bucket(address: str, aws: Aws) -> Reference | None:
    from monitoring.drift.reference import parse_reference
    from monitoring.storage.documents import JsonDocuments

    bucket, _, key = address.removeprefix("s3://").partition("/")
    prefix, _, document = key.rpartition("/")
    found = JsonDocuments(aws.client("s3"), bucket, prefix).get(document)
    return None if found is None else parse_reference(found, address)


def _example(labels: set[str]) -> str:
    return ",".join(printable(name) for name in sorted(labels)[:3])


def some(labels: set[str]) -> str:
    """A few of the labels, in words."""
    names = sorted(labels)
    return ", ".join(map(printable, names[:3])) + (", …" if len(names) > 3 else "")
