"""Options that several commands share: their values reach the command, under the names and from the variables that help shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dropsort.cli.monitoring import stack_choice
from dropsort.cli.options import amount, aws_options, stack_option, zone_option
from dropsort.client.aws import Aws


def values(option: Any, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a command with one option gets."""
    seen: dict[str, Any] = {}

    @click.command()
    @option
    def command(**options: Any) -> None:
        seen.update(options)

    result = CliRunner().invoke(command, list(arguments), env=environment, standalone_mode=False)
    assert result.exception is None, result.exception
    return seen


def test_a_profile_and_a_region_are_not_exchanged() -> None:
    aws: Aws = values(aws_options, "--profile", "ada", "--region", "eu-west-1")["aws"]
    assert (aws.profile, aws.region) == ("ada", "eu-west-1")


@pytest.mark.parametrize(("option", "default"), [(stack_option, "dropsort"), (stack_choice, None)])
def test_the_stack_may_be_named_by_a_variable(option: Any, default: str | None) -> None:
    assert values(option) == {"stack": default}
    assert values(option, DROPSORT_STACK="bikes") == {"stack": "bikes"}
    assert values(option, "--stack", "cars", DROPSORT_STACK="bikes") == {"stack": "cars"}


def test_an_amount_has_its_default() -> None:
    limit = amount("--limit", click.IntRange(min=0), "Rows.", default=50)
    assert (values(limit), values(limit, "--limit", "0")) == ({"limit": 50}, {"limit": 0})


@pytest.fixture
def kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in the time zone of Kolkata."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("kolkata")
def test_the_time_zone_local_is_that_of_the_machine() -> None:
    def offset(*arguments: str) -> timedelta | None:
        zone: tzinfo = values(zone_option, *arguments)["zone"]
        return datetime(2026, 11, 26, tzinfo=zone).utcoffset()

    assert offset("--time-zone", "local") == timedelta(hours=5, minutes=30)
    assert offset("--time-zone", "America/New_York") == timedelta(hours=-5)
    assert offset() == timedelta(0)


def test_a_name_that_is_no_time_zone_is_wrong_usage() -> None:
    result = CliRunner().invoke(click.command()(zone_option(lambda zone: zone)), ["--time-zone", "nowhere"])
    assert (result.exit_code, "no time zone 'nowhere' is known here" in " ".join(result.output.split())) == (
        2,
        True,
    )


def test_options_of_a_command_reach_it_with_those_of_aws() -> None:
    found: dict[str, Any] = {}

    @click.command()
    @aws_options
    @stack_option
    @click.argument("name")
    def command(name: str, stack: str, aws: Aws) -> int:
        found.update(name=name, stack=stack, region=aws.region)
        return 7

    result = CliRunner().invoke(command, ["n", "--stack", "s", "--region", "r"], standalone_mode=False)
    assert (result.return_value, found) == (7, {"name": "n", "stack": "s", "region": "r"})
