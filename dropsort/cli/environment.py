"""`dropsort env`: the variables with which a terminal reaches a service on this machine."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from dropsort.cli.output import echo, note


def export_line(environment: Mapping[str, str]) -> str:
    """The command of a shell that sets these variables."""
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())


def invoked_as() -> str:
    """The command as it can be typed again: by its path, unless the shell finds it by its name."""
    name = Path(sys.argv[0])
    found = shutil.which(name.name)
    if name.name != "dropsort" or (found and Path(found).resolve() == name.resolve()):
        return "dropsort"
    return shlex.quote(sys.argv[0])


@click.command(short_help="Print the variables of a running local service.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The service that stores its data in DIR.  [default: the only one that runs]",
)
def env(data: Path | None) -> int:
    """Print the export line of a service that runs on this machine, and on standard error which one it is.

    In any terminal of the same user: eval "$(dropsort env)"
    """
    from dropsort.local import running

    found = running.services()
    if data is not None:
        found = [service for service in found if Path(service.folder) == data.resolve()]
    if not found:
        where = f" with its data in {data}" if data is not None else ""
        raise click.ClickException(f"No service{where} runs on this machine: start one with `dropsort up`.")
    if len(found) > 1:
        folders = ", ".join(service.folder for service in found)
        raise click.ClickException(
            f"{len(found)} services run on this machine: choose one with --data ({folders})."
        )
    line = export_line(found[0].environment)
    # On stderr, so a shell that evaluates the line still shows it.
    note(f"These are the variables of the service in {found[0].folder}.")
    echo(line)
    return 0


COMMANDS = [env]
