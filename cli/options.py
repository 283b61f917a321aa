"""Options that several commands share, and the clients that they lead to."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_STACK = "dropsort"


class Aws:
    """Clients as the options say; each service's is made once."""

    def __init__(self, profile: str | None, region: str | None) -> None:
        self.profile, self.region = profile, region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def session(self) -> Any:
        """The boto3 session."""
        import boto3

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    def client(self, service: str) -> Any:
        """The client of a service, with retries that suit a person who waits."""
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                config = Config(retries={"mode": "standard", "max_attempts": 6}, max_pool_connections=64)
                self._clients[service] = self.session.client(service, config=config)
            return self._clients[service]


def aws_options(function: Function) -> Function:
    """``--profile`` and ``--region``; the command gets them as one `Aws`."""

    @click.option(
        "--profile", metavar="NAME", help="Profile of the AWS configuration.  [default: as every AWS client]"
    )
    @click.option("--region", metavar="REGION", help="AWS region.  [default: as every AWS client]")
    @functools.wraps(function)
    def wrapped(*args: Any, profile: str | None, region: str | None, **kwargs: Any) -> Any:
        return function(*args, aws=Aws(profile, region), **kwargs)

    return wrapped  # type: ignore[return-value]


stack_option = click.option(
    "--stack",
    metavar="NAME",
    default=DEFAULT_STACK,
    show_default=True,
    envvar="DROPSORT_STACK",
    show_envvar=True,
    help="Name of the service's CloudFormation stack.",
)

json_option = click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Also write it as JSON to FILE, - for standard output.",
)


def write_json(target: Path | None, document: Any) -> None:
    """Write a document to the file of ``--json``, whole or not at all."""
    if target is None:
        return
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
    if str(target) == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.writing")
    temporary.write_text(text)
    temporary.replace(target)
