"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from dropsort.client.aws import Aws
from dropsort.contract import defaults
from dropsort.contract.keys import INCOMING

Function = TypeVar("Function", bound=Callable[..., Any])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def aws_options(function: Function) -> Function:
    """``--profile`` and ``--region``; the command gets them as one `Aws`."""

    @click.option("--profile", metavar="NAME", help="AWS profile.  [default: as for every AWS client]")
    @click.option("--region", metavar="REGION", help="AWS region.  [default: as for every AWS client]")
    @functools.wraps(function)
    def wrapped(*args: Any, profile: str | None, region: str | None, **kwargs: Any) -> Any:
        return function(*args, aws=Aws(profile, region), **kwargs)

    return wrapped  # type: ignore[return-value]


stack_option = click.option(
    "--stack",
    metavar="NAME",
    default=defaults.STACK,
    show_default=True,
    envvar="DROPSORT_STACK",
    show_envvar=True,
    help="Name of the service's CloudFormation stack.",
)


def json_to(words: str) -> Option:
    """``--json FILE``, or - for standard output."""
    return file_to("--json", words)


def file_to(name: str, words: str) -> Option:
    """An option for a file to write, or - for standard output; ``--csv`` becomes the argument ``csv_file``."""
    kind = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
    return click.option(name, f"{name[2:]}_file", metavar="FILE", type=kind, help=words)


json_option = json_to("Also write JSON to FILE; - for standard output.")


def existing(name: str, words: str, *, folder: bool | None = None, **more: Any) -> Option:
    """An option for a path that must exist, as a `Path`: a folder, a file (``folder=False``), or either."""
    return click.option(
        name,
        type=click.Path(
            exists=True, file_okay=folder is not True, dir_okay=folder is not False, path_type=Path
        ),
        metavar={True: "DIR", False: "FILE", None: "PATH"}[folder],
        help=words,
        **more,
    )


def written(name: str, words: str) -> Option:
    """An option for a file to write, as a `Path`; None if not given."""
    return click.option(name, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=words)


def amount(
    name: str,
    kind: click.ParamType[Any] | type,
    words: str,
    *,
    default: float | None = None,
    metavar: str = "N",
) -> Option:
    """An option for a number; shows its default if it has one."""
    if isinstance(kind, click.IntRange | click.FloatRange):  # click: "'abc' is not a valid integer range."
        kind.name = "whole number" if isinstance(kind, click.IntRange) else "number"
    return click.option(
        name, type=kind, default=default, show_default=default is not None, metavar=metavar, help=words
    )


def threshold_option(default: str) -> Option:
    """``--threshold``; `default` describes the default."""
    words = f"Minimum confidence for the outcome classified.  [default: {default}]"
    return amount("--threshold", click.FloatRange(0, 1), words, metavar="P")


def page_options(default: Path | str) -> Option:
    """``--out`` and ``--open``: the page to write, and whether to open it in a browser.

    Parameters
    ----------
    default
        The page, or a description of it, with which the command gets None.
    """
    words = isinstance(default, str)
    out = click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=None if words else default,
        show_default=not words,
        metavar="FILE",
        help=f"Page to write.  [default: {default}]" if words else "Page to write.",
    )
    show = click.option(
        "--open/--no-open", "open_", default=True, show_default=True, help="Open the page in a browser."
    )
    return lambda function: out(show(function))


def walk_options(exclude: str) -> Option:
    """``--prefix``, ``--exclude`` and ``--include`` of `dropsort.client.files.walk`; `exclude` describes the second."""
    options = (
        click.option(
            "--prefix", default="", metavar="TEXT", help=f"Folder for the uploads: {INCOMING}TEXT/..."
        ),
        click.option("--exclude", multiple=True, metavar="PATTERN", help=exclude),
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Take files like this although they are left out by default; may be repeated.",
        ),
    )
    return lambda function: functools.reduce(lambda wrapped, option: option(wrapped), options[::-1], function)


def _zone(context: click.Context, parameter: click.Parameter, name: str) -> tzinfo:
    """The time zone of a name; "local" is the machine's."""
    if name == "local":
        return datetime.now().astimezone().tzinfo or UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise click.BadParameter(
            f"no time zone {name!r} is known here: UTC, local, or one as Europe/Berlin"
        ) from None


zone_option = click.option(
    "--time-zone",
    "zone",
    metavar="NAME",
    default="UTC",
    show_default=True,
    callback=_zone,
    help="Time zone of the page: UTC, local, or a name such as Europe/Berlin.",
)

prefix_option = click.option(
    "--prefix", default="", metavar="TEXT", help="Only images whose path below incoming/ starts with TEXT."
)

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")

verbose_option = click.option(
    "--verbose", is_flag=True, help="Print every event of the stack, not only those of failures."
)
