"""The `dropsort` command: its subcommands, and what happens to errors.

Commands are imported when they are called or listed, their libraries when they are used: `dropsort --help` is quick.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
from importlib import import_module
from types import FrameType

import click

from dropsort.cli.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_TERMINATED, sentence
from dropsort.cli.output import echo, show_usage

# The subcommands in the order in which --help lists them, by the module that has them in its COMMANDS.
MODULES = {
    "dropsort.cli.local": ("demo", "up"),
    "dropsort.cli.environment": ("env",),
    "dropsort.cli.drop": ("drop",),
    "dropsort.cli.watch": ("watch",),
    "dropsort.cli.results": ("results",),
    "dropsort.cli.review": ("review",),
    "dropsort.cli.status": ("status",),
    "dropsort.cli.redrive": ("redrive",),
    "dropsort.cli.backfill": ("backfill",),
    "dropsort.cli.forget": ("forget",),
    "dropsort.cli.cost": ("cost",),
    "dropsort.cli.deployment": ("deploy", "destroy"),
    "dropsort.cli.dataset": ("dataset",),
    "dropsort.cli.train": ("train",),
    "dropsort.cli.evaluate": ("evaluate",),
    "dropsort.cli.compare": ("compare",),
    "dropsort.cli.registry": ("register", "approve", "rollout"),
    "dropsort.cli.monitoring": ("monitor", "report"),
    "dropsort.cli.dashboard": ("dashboard",),
    "dropsort.cli.audit": ("audit",),
}


class Terminated(KeyboardInterrupt):
    """SIGTERM: cleans up as Ctrl-C does."""


class Subcommands(click.Group):
    """The group of all commands, each imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `MODULES`."""
        return [name for names in MODULES.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        for module, names in MODULES.items():
            if cmd_name in names:
                commands: list[click.Command] = import_module(module).COMMANDS
                return next(command for command in commands if command.name == cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; the error for an unknown one names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx))
            if near:
                raise click.UsageError(
                    f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx
                ) from error
            raise


@click.group(
    cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="dropsort", prog_name="dropsort")
def dropsort() -> None:
    """Classify images that are uploaded to an S3 bucket; write one JSON result per image.

    `dropsort demo` runs everything once on this machine. `dropsort up` runs the service on this machine, `dropsort
    deploy` on AWS. The other commands find the service as every AWS client does (AWS_ENDPOINT_URL, --profile,
    --region), by the name of its stack.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 143 terminated."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it otherwise
    try:
        code = dropsort.main(args=arguments, prog_name="dropsort", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        if isinstance(error, click.UsageError):  # with the usage and where there is help
            show_usage(error)
        else:
            echo(f"dropsort: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except click.Abort as error:  # what click makes of Ctrl-C
        sys.exit(EXIT_TERMINATED if isinstance(error.__cause__, Terminated) else EXIT_INTERRUPTED)
    except Exception as error:
        if os.environ.get("DROPSORT_TRACEBACK"):
            raise
        echo(f"dropsort: {sentence(error)}", err=True)
        sys.exit(EXIT_FAILURE)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated
