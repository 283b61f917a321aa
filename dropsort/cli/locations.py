"""Where captures are: in a folder, a bucket, the last demo, or the bucket of a service."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import read_json
from dropsort.cli.errors import sentence
from dropsort.cli.output import note
from dropsort.client import captures
from dropsort.client.aws import Aws
from dropsort.client.captures import CaptureLocation
from dropsort.contract import defaults, reference
from dropsort.contract.keys import CAPTURES

HOME = Path(".dropsort")
LAST_DEMO = HOME / "last-demo"


def locate(
    source: str | None, state: str | None, labels: str | None, stack: str | None, aws: Aws
) -> CaptureLocation:
    """The captures that the arguments select: a named source, the last demo, or a service."""
    if source and stack:
        raise click.UsageError("Either SOURCE or --stack: a service's captures are in its bucket.")
    names = _labels(labels)
    if source:
        # However a folder is written, its aggregates are the same.
        where = source if source.startswith("s3://") else str(_folder(source))
        return CaptureLocation(where, state or str(HOME / "monitoring" / _digest(where)), source, names)
    if not stack and (LAST_DEMO / CAPTURES).is_dir():
        demo, saved = _last_demo(), LAST_DEMO / reference.FILE
        if os.environ.get("AWS_ENDPOINT_URL"):
            note(
                f"This is about the last demo in this folder; --stack {defaults.STACK} is about the service that runs."
            )
        return CaptureLocation(
            str(LAST_DEMO / CAPTURES),
            state or str(LAST_DEMO / "monitoring"),
            ", ".join(filter(None, ("the last demo", demo.get("finished")))),
            names,
            demo.get("threshold") or defaults.THRESHOLD,
            demo.get("familiarity_threshold") or defaults.FAMILIARITY_THRESHOLD,
            invoked=demo.get("invoked"),
            images=True,
            reference=str(saved) if saved.is_file() else "",
            compared=demo.get("reference") or "the model's reference.json",
        )
    from dropsort.client.deployed_service import find

    try:
        service = find(aws.client, stack or defaults.STACK)
    except Exception as error:
        if stack:
            raise
        raise click.ClickException(
            f"No demo ran in this folder, and no service was found: {sentence(error)} Name a folder or"
            " s3://bucket/prefix of captures, or run `dropsort demo` here first."
        ) from error
    return captures.of_service(service, state, names)


def _folder(source: str) -> Path:
    """The named folder, checked before anything is created."""
    path = Path(source)
    if path.is_file():
        raise click.BadParameter(f"{source} is a file: name the folder that it is in.", param_hint="SOURCE")
    if not path.is_dir():
        raise click.BadParameter(
            f"There is no folder {source}: name one with capture files (*.jsonl).", param_hint="SOURCE"
        )
    return path.resolve()


def _labels(given: str | None) -> tuple[str, ...]:
    """Labels as they are given: separated by commas, or in a file."""
    if given is None:
        return ()
    if not os.path.isfile(given):  # that of pathlib raises an error for what is too long for a name
        names = tuple(label.strip() for label in given.split(","))
        if len(names) < 2 or not all(names) or len(set(names)) < len(names):
            raise click.BadParameter(
                f"{given} is neither a file nor two or more different labels, as bicycle,motorcycle.",
                param_hint="--labels",
            )
        return names
    found = read_json(Path(given), "give the labels.json of a model")
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise click.ClickException(f"{given} is not a list of labels: give the labels.json of a model.")
    return tuple(found)


def _last_demo() -> dict[str, Any]:
    try:
        found = json.loads((LAST_DEMO / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(source: str) -> str:
    return f"{Path(source).name}-{hashlib.sha256(os.fsencode(source)).hexdigest()[:8]}"
