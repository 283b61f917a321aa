"""Exit codes, and the one line that users see of an error, without a process of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, PartialCredentialsError

from dropsort.cli import errors
from dropsort.cli import main as cli
from dropsort.cli.errors import sentence
from dropsort.deployment.errors import DeployError
from dropsort.local import running
from dropsort.local.running import RunningService
from training.errors import TrainingError


@pytest.fixture
def handlers_restored() -> Iterator[None]:
    """The handlers of signals after the test, of which a command sets its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers_restored")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_signals_have_their_exit_codes(
    signal_number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def work() -> None:
        signal.raise_signal(signal_number)

    monkeypatch.setattr(cli.Subcommands, "get_command", lambda *_: work)
    signal.signal(signal_number, signal.SIG_IGN)  # as in a background job of a shell
    with pytest.raises(SystemExit) as exit_:
        cli.main(["work"])
    assert exit_.value.code == 128 + signal_number


def exit_code(monkeypatch: pytest.MonkeyPatch, error: BaseException, *arguments: str) -> Any:
    """The exit code of a command that raises this."""

    def work() -> None:
        raise error

    monkeypatch.setattr(cli.Subcommands, "get_command", lambda *_: click.Command("work", callback=work))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["work", *arguments])
    return exit_.value.code


class Special(click.ClickException):
    exit_code = 7


@pytest.mark.usefixtures("handlers_restored")
@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (ValueError("odd"), 1, "dropsort: ValueError: odd (DROPSORT_TRACEBACK=1 shows where)\n"),
        (click.ClickException("Not so."), 1, "dropsort: Not so.\n"),
        (Special("Not so."), 7, "dropsort: Not so.\n"),
        (
            click.UsageError("Not so."),
            2,
            "Usage: dropsort work [OPTIONS]\nTry 'dropsort work --help' for help.\n\nError: Not so.\n",
        ),
        (click.Abort(), 130, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=repr,
)
def test_each_error_has_its_exit_code_and_its_line(
    error: BaseException,
    code: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DROPSORT_TRACEBACK", "")
    assert exit_code(monkeypatch, error) == code
    out, err = capsys.readouterr()
    assert (out, err.lstrip("\n")) == ("", shown)


@pytest.mark.usefixtures("handlers_restored")
def test_ctrl_c_while_a_termination_is_dealt_with_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the exception that click has replaced decides."""
    error = click.Abort()
    error.__context__ = cli.Terminated()
    assert exit_code(monkeypatch, error) == 130
    error = click.Abort()
    error.__cause__ = cli.Terminated()
    assert exit_code(monkeypatch, error) == 143


@pytest.mark.usefixtures("handlers_restored")
def test_wrong_arguments_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, ValueError(), "--nonsense") == 2
    assert "Usage: dropsort work" in capsys.readouterr().err


@pytest.mark.usefixtures("handlers_restored")
def test_an_error_is_raised_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPSORT_TRACEBACK", "1")
    monkeypatch.setattr(
        cli.Subcommands, "get_command", lambda *_: click.Command("work", callback=lambda: 1 / 0)
    )
    with pytest.raises(ZeroDivisionError):
        cli.main(["work"])


def test_exit_codes() -> None:
    assert (errors.EXIT_FAILURE, errors.EXIT_INTERRUPTED, errors.EXIT_TERMINATED) == (1, 130, 143)


def test_the_nearest_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for typed, shown in (("resluts", "Did you mean 'results'?"), ("xyz", "No such command 'xyz'.\n")):
        with pytest.raises(click.UsageError) as error:
            cli.dropsort.main([typed], standalone_mode=False)
        assert f"{error.value.format_message()}\n".endswith(shown if shown.endswith("\n") else f"{shown}\n")
    assert cli.dropsort.get_command(click.Context(cli.dropsort), "xyz") is None


def test_click_alone_shows_usage_errors() -> None:
    with pytest.raises(click.UsageError):
        cli.dropsort.main(["nonsense"], standalone_mode=False)


@pytest.mark.usefixtures("handlers_restored")
@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (7, 7), ("text", 0)])
def test_what_a_command_returns_is_the_exit_code(
    returned: object, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cli.Subcommands, "get_command", lambda *_: click.Command("work", callback=lambda: returned)
    )
    with pytest.raises(SystemExit) as exit_:
        cli.main(["work"])
    assert exit_.value.code == code


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DeployError("Stack x\n  failed."), "Stack x failed."),
        (TrainingError("No pictures."), "No pictures."),
        (
            NoCredentialsError(),
            "No AWS credentials: name a profile with --profile, or run the export line that `dropsort up` prints."
            " No service runs on this machine: `dropsort up` starts one.",
        ),
        (
            PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            "No AWS credentials: name a profile with --profile, or run the export line that `dropsort up` prints."
            " No service runs on this machine: `dropsort up` starts one.",
        ),
        (
            ConnectTimeoutError(endpoint_url="http://10.0.0.1/"),
            'Connect timeout on endpoint URL: "http://10.0.0.1/" Is the service up, and AWS_ENDPOINT_URL right?',
        ),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "no\nno"}}, "PutObject"),
            "AWS rejected PutObject: AccessDenied: no no",
        ),
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
        (
            OSError(24, "Too many open files"),
            "OSError: [Errno 24] Too many open files (DROPSORT_TRACEBACK=1 shows where)",
        ),
        (
            ModuleNotFoundError("x", name="torch"),
            "torch is not installed: install the libraries of this command (see docs/reference/cli.md).",
        ),
        (ValueError("odd"), "ValueError: odd (DROPSORT_TRACEBACK=1 shows where)"),
    ],
)
def test_an_error_is_a_sentence(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no service that runs on this machine
    assert sentence(error) == said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DeployError("a\n b"), "a b"),
        (OSError(2, None, "/x"), "/x: [Errno 2] None: '/x'"),
        (ValueError(" a\n  b "), "ValueError: a b (DROPSORT_TRACEBACK=1 shows where)"),
        (ValueError(), "ValueError: no message (DROPSORT_TRACEBACK=1 shows where)"),
        (
            UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
            "a\N{REPLACEMENT CHARACTER} is not UTF-8, which names in AWS are.",
        ),
        (ClientError({}, "PutObject"), "AWS rejected PutObject: None: None"),
        (aws.ProfileNotFound(profile="ada"), "The config profile (ada) could not be found"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_errors_that_lack_something(error: Exception, words: str) -> None:
    assert sentence(error) == words


def test_another_error_of_encoding_is_not_about_names() -> None:
    error = UnicodeEncodeError("ascii", "\xe9", 0, 1, "ordinal not in range(128)")
    assert sentence(error).startswith("UnicodeEncodeError: 'ascii' codec")


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (aws.NoCredentialsError(), "No AWS credentials: "),
        (aws.NoRegionError(), "No AWS region: "),
        (
            aws.EndpointConnectionError(endpoint_url="http://x/"),
            'Could not connect to the endpoint URL: "http://x/"',
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_service_on_this_machine_is_offered(
    error: Exception, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [RunningService(f"/data\n{number}", f"http://127.0.0.1:{number}", "") for number in (1, 2)]
    monkeypatch.setattr("sys.argv", ["dropsort"])
    none = " No service runs on this machine: `dropsort up` starts one."
    for services, last in (
        ([], "right?" if isinstance(error, aws.EndpointConnectionError) else none),
        (
            found[:1],
            ' A service runs on this machine, at http://127.0.0.1:1: run eval "$(dropsort env)" first.',
        ),
        (
            found,
            " 2 services run on this machine, in /data\N{REPLACEMENT CHARACTER}1, /data\N{REPLACEMENT CHARACTER}2:"
            ' name the folder of yours in eval "$(dropsort env --data DIR)" first.',
        ),
    ):
        monkeypatch.setattr(running, "services", lambda services=services: services)
        shown = sentence(error)
        assert shown.startswith(first)
        assert shown.endswith(last)
