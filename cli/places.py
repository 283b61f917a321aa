"""Where captures are: in a folder, a bucket, the last demo, or the bucket of a service."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.options import DEFAULT_STACK, Aws
from monitoring.defaults import FAMILIARITY_THRESHOLD, THRESHOLD

HOME = Path(".dropsort")
LAST_DEMO = HOME / "last-demo"


@dataclass(frozen=True)
class Place:
    """Where captures are, where their aggregates go, and what the service decided by."""

    source: str
    state: str
    name: str
    labels: tuple[str, ...] = ()
    threshold: float = THRESHOLD
    familiarity_threshold: float = FAMILIARITY_THRESHOLD
    invoked: int | None = None
    images: bool = False


def place(source: str | None, state: str | None, labels: Path | None, stack: str | None, aws: Aws) -> Place:
    """What the arguments mean: a source that was named, the last demo, or a service."""
    if source and stack:
        raise click.UsageError("Either SOURCE or --stack: a service's captures are in its bucket.")
    names = _labels(labels)
    if source:
        where = source if source.startswith("s3://") else str(Path(source))
        return Place(where, state or str(HOME / "monitoring" / _digest(where)), source, names)
    if not stack and (LAST_DEMO / "captures").is_dir():
        demo = _last_demo()
        return Place(
            str(LAST_DEMO / "captures"),
            state or str(LAST_DEMO / "monitoring"),
            ", ".join(filter(None, ("the last demo", demo.get("finished")))),
            names,
            demo.get("threshold") or THRESHOLD,
            demo.get("familiarity_threshold") or FAMILIARITY_THRESHOLD,
            demo.get("invoked"),
            images=True,
        )
    from client.stack import find

    service = find(aws.client, stack or DEFAULT_STACK)
    own = tuple(label.strip() for label in service.parameters.get("Labels", "").split(",") if label.strip())
    return Place(
        f"s3://{service.bucket}/captures",
        state or f"s3://{service.bucket}/monitoring",
        f"stack {service.name}, s3://{service.bucket}/captures",
        names or own,
        float(service.parameters.get("Threshold", THRESHOLD)),
        float(service.parameters.get("FamiliarityThreshold", FAMILIARITY_THRESHOLD)),
    )


def _labels(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(
            f"{path} is not JSON ({error}): give the labels.json of a model."
        ) from error
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise click.ClickException(f"{path} is no list of labels: give the labels.json of a model.")
    return tuple(found)


def _last_demo() -> dict[str, Any]:
    try:
        found = json.loads((LAST_DEMO / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(source: str) -> str:
    where = source if source.startswith("s3://") else str(Path(source).resolve())
    return f"{Path(source).name}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"
