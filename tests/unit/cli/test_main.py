"""The command as a whole: quick help, exit codes, errors in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dropsort.cli import main as cli
from tests.commands import ROOT, commands
from tests.unit.cli.no_account import ENVIRONMENT
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
