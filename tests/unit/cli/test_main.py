"""The command as a whole: quick help, exit codes, errors in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, PartialCredentialsError

from dropsort.cli import main as cli
from dropsort.cli.errors import sentence
from dropsort.deployment.errors import DeployError
from tests.commands import ROOT, commands
from tests.unit.cli.no_account import ENVIRONMENT
from training.errors import TrainingError
from training.settings import OPTIONS, TrainingSettings


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return commands().run(ROOT, ENVIRONMENT | environment, arguments)


def test_help_lists_every_command_and_loads_no_library() -> None:
    code = (
        "import sys; from dropsort.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted(set(sys.modules) & {'boto3', 'botocore', 'rich', 'numpy', 'PIL', 'onnxruntime', 'torch'}))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stdout.endswith("[]\n")
    for verbs in cli.MODULES.values():
        for verb in verbs:
            assert f"  {verb} " in result.stdout


def test_a_training_run_has_its_settings_as_options() -> None:
    command = cli.dropsort.get_command(click.Context(cli.dropsort), "train")
    assert command is not None
    defaults = {item.name: item.default for item in command.params}
    fields = vars(TrainingSettings())
    assert set(OPTIONS) == fields.keys() & defaults.keys()
    assert all(defaults[name] in (None, fields[name]) for name in OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["resluts"], "No such command 'resluts'. Did you mean 'results'?"),
        (["results", "-rf.jpg"], "No such option '-r'. Write -- before a name that begins with a hyphen."),
        (["up", "--port", "abc"], "'abc' is not a valid whole number."),
        (["drop", "/nowhere"], "Path '/nowhere' does not exist"),
        (["drop"], "Missing argument 'PATH...'"),
        (["demo", "--images", "/nowhere"], "Directory '/nowhere' does not exist"),
        (["train", "--images", "/nowhere"], "Path '/nowhere' does not exist"),
        (["evaluate", "--images", "/nowhere"], "Path '/nowhere' does not exist"),
        (["report", "/nowhere"], "There is no folder /nowhere"),
        (["demo", "--model", "/"], "/ is not a model folder"),
        (["deploy", "-p", "Threshold"], "'Threshold' is not NAME=VALUE"),
        (["deploy", "--stack", "my_stack"], "'my_stack': letters, digits and hyphens"),
        (["deploy", "--stack", "s" * 55], "at most 54 characters"),
        (["deploy", "--model", ".", "--endpoint", "mine"], "exclude each other"),
        (["train"], "--images is required"),
        (["register", "--artifact", "s3://b/model.tar.gz", "--dry-run"], "--artifact needs --labels"),
        (["report", "folder", "--stack", "mine"], "Either SOURCE or --stack"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (
            ["results"],
            {},
            "No AWS region: name one with --region, or set AWS_DEFAULT_REGION."
            " No service runs on this machine: `dropsort up` starts one.",
        ),
        (["drop", "{empty}", "--prefix", "../x"], {}, "The prefix ../x has a folder named . or .."),
        (["results", "--region", "eu-west-1"], {}, "`dropsort up` starts one"),
        (["rollout"], {}, "No AWS region: name one with --region"),
        (["approve"], {}, "No AWS region: name one with --region"),
        (["results", "--profile", "nobody"], {}, "The config profile (nobody) could not be found"),
        (
            ["results", "--region", "us-east-1"],
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
            },
            "Is the service up",
        ),
        (
            ["drop", "{empty}"],
            {"AWS_DEFAULT_REGION": "us-east-1"},
            "Nothing to upload: no file in {empty} can be read.",
        ),
        (["demo", "--images", "{empty}"], {}, "{empty} has no files that can be uploaded."),
    ],
)
def test_failures_are_one_line_and_exit_with_1(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    result = run(*(argument.format(empty=tmp_path) for argument in arguments), **environment)
    said = said.format(empty=tmp_path)
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("dropsort: ")


def test_traceback_on_demand() -> None:
    assert "Traceback" in run("results", DROPSORT_TRACEBACK="1").stderr


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


def test_dry_runs_need_neither_account_nor_network(tmp_path: Path) -> None:
    for arguments in (["register"], ["approve"], ["rollout"], ["train", "--on", "sagemaker"]):
        target = tmp_path / "requests.json"
        result = run(*arguments, "--dry-run", "--json", str(target))
        assert result.returncode == 0, result.stderr
        assert '"operation": "' in target.read_text()


def test_monitor_forgets_only_aggregates(tmp_path: Path) -> None:
    # GIVEN captures, and a folder that holds something else
    line = (
        '{"captureData":{"endpointOutput":{"observedContentType":"application/json","mode":"OUTPUT","data":"[0.9, 0.1]",'
        '"encoding":"JSON"}},"eventMetadata":{"eventId":"1","inferenceTime":"2026-11-21T09:00:00Z"},"eventVersion":"0"}\n'
    )
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "a.jsonl").write_text(line)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x")

    # WHEN it is given as the place of aggregates to forget THEN it is left alone
    result = run("monitor", str(captures), "--state", str(precious), "--rebuild")
    assert result.returncode == 2
    assert (precious / "thesis.tex").is_file()

    # AND aggregates are made, added to, and forgotten
    state = tmp_path / "state"
    for extra in ([], [], ["--rebuild"]):
        result = run(
            "monitor", str(captures), "--state", str(state), "--json", str(tmp_path / "m.json"), *extra
        )
        assert result.returncode == 0, result.stderr
        assert '"records": 1,' in (tmp_path / "m.json").read_text()


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


def test_a_pipe_that_is_closed_ends_with_1() -> None:
    # GIVEN a reader that has had enough before the first line
    command = [sys.executable, "-c", "from dropsort.cli.main import main; main(['--help'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_the_package_can_be_run_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "dropsort", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("dropsort, version ")
