"""`dropsort review`: a page on this machine on which people decide what the model could not."""

from __future__ import annotations

import getpass
import webbrowser

import click

from dropsort.cli.options import Aws, aws_options, stack_option
from dropsort.cli.output import echo, note

ORDERS = ("uncertain", "unfamiliar", "newest", "random", "audit")


@click.command(short_help="Review images on a page in your browser.")
@click.option(
    "--reviewer", metavar="NAME", help="Name that your decisions carry.  [default: your user name here]"
)
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default=ORDERS[0],
    show_default=True,
    help="Which images come first; the page can change it.",
)
@click.option("--open/--no-open", "opens", default=False, help="Open the page in the browser.")
@stack_option
@aws_options
def review(reviewer: str | None, order: str, opens: bool, stack: str, aws: Aws) -> int:
    """Review images: serve a page on 127.0.0.1 that shows them in bins, and record what people decide.

    Prints an address that can be opened once. Decisions become results and ground truth; everything can be undone.
    Ctrl-C ends it.
    """
    from dropsort.client import stack as stacks
    from dropsort.contract.reviews import is_reviewer
    from dropsort.review.server import Server
    from dropsort.review.session import Session

    name = reviewer if reviewer is not None else getpass.getuser()
    if not is_reviewer(name):
        raise click.UsageError("--reviewer: a name has 1 to 128 visible characters on one line.")
    service = stacks.find(aws.client, stack)
    session = Session(aws.client("s3"), service.bucket, name)
    session.start()
    server = Server(session, order=order)
    try:
        echo(f"Review s3://{service.bucket} as {name}: {server.address}")
        note("The address is good once, in one browser. Ctrl-C ends the page.")
        if opens:
            webbrowser.open(server.address)
        server.run()
    finally:
        session.stop()
    return 0


COMMANDS = [review]
