"""What `dropsort deploy` shows, and which packages and model it takes, with stand-ins for CloudFormation."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import deployment as deploying
from dropsort.cli.deployment import deploy, destroy
from dropsort.cli.output import Steps
from dropsort.contract.resources import DEFAULT_MODEL, TEMPLATE
from dropsort.deployment import artifacts, package, probe
from dropsort.deployment import deploy as running
from dropsort.deployment import destroy as destroying
from dropsort.deployment import plan as planning
from dropsort.local import shared_layer
from training.model import artifact


def run(command: Any, *arguments: str | Path, typed: str = "") -> Result:
    given = [*map(str, arguments), "--stack", "bikes", "--region", "eu-west-1"]
    result = CliRunner().invoke(command, given, input=typed, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def plan_of(local: bool = False, needs_model: bool = False) -> Any:
    made = SimpleNamespace(local=local, needs_model=needs_model, parameters={"A": "b"})
    made.with_model = lambda address, figures, *, thresholds: SimpleNamespace(
        parameters={"model": address, "figures": figures, "thresholds": thresholds}
    )
    return made


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions of a deployment were given."""
    found: dict[str, Any] = {"plan": plan_of()}

    def planned(
        _client: Any, name: str, _template: Any, parameters: Any, *, on_step: Any, **options: Any
    ) -> Any:
        on_step("Reading the stack")
        found["planned"] = (name, parameters, options)
        return found["plan"]

    def deployed(
        _client: Any, name: str, template: Path, parameters: Any, packages: Any, _steps: Any, **options: Any
    ) -> Any:
        found["deployed"] = (name, template, parameters, packages, options)
        return {"BucketName": "images", "ApiName": "api"}

    monkeypatch.setattr(planning, "plan", planned)
    monkeypatch.setattr(package, "build", lambda target, cache, note: f"packages for {target}")
    monkeypatch.setattr(shared_layer, "share", lambda packages, out: f"shared {packages} in {out.name}")
    monkeypatch.setattr(running, "deploy", deployed)
    monkeypatch.setattr(probe, "run", lambda _s3, bucket, _steps: found.update(probed=bucket) or 1.4)
    monkeypatch.setattr(artifacts, "ensure_bucket", lambda _client, _note: "created")
    monkeypatch.setattr(artifacts, "upload_digested", lambda *given: f"{given[3]}/{given[2].name}")
    monkeypatch.setattr(artifact, "write_artifact", lambda model, target, on_step: target)
    monkeypatch.setattr(deploying, "figures", lambda model: f"figures of {model.name}")
    return found


def test_a_deployment_has_its_options_is_probed_and_shows_its_outputs(
    stack: dict[str, Any], tmp_path: Path
) -> None:
    shown = run(
        deploy, "-p", "A = b=c", "-p", "B=", "--artifact-bucket", "mine", "--json", tmp_path / "d.json"
    )
    options = {"model": False, "endpoint": None, "artifact_bucket": "mine"}
    assert stack["planned"] == ("bikes", {"A": " b=c", "B": ""}, options)
    assert stack["deployed"] == (
        "bikes", TEMPLATE, {"A": "b"}, "packages for arm64", {"artifact_bucket": "mine", "tags": {"application": "dropsort"}}
    )  # fmt: skip
    assert stack["probed"] == "images"
    assert [tuple(line.split()) for line in shown.stdout.splitlines()] == [
        ("ApiName", "api"),
        ("BucketName", "images"),
    ]
    assert shown.stderr.splitlines() == [
        "Reading the stack",
        "A probe upload had its result after 1 second",
        "Next: dropsort drop PATH... --wait --stack bikes",
    ]
    outputs = {"BucketName": "images", "ApiName": "api"}
    assert json.loads((tmp_path / "d.json").read_text()) == {"stack": "bikes", "outputs": outputs}


@pytest.mark.parametrize(
    ("local", "platform", "packages"),
    [(False, None, "packages for arm64"), (False, "host", "packages for host"), (True, "arm64", "packages for arm64"),
     (True, None, "shared packages for host in shared"), (True, "host", "shared packages for host in shared")],
)  # fmt: skip
def test_packages_are_for_the_platform_and_shared_on_this_machine(
    stack: dict[str, Any], local: bool, platform: str | None, packages: str
) -> None:
    stack["plan"] = plan_of(local)
    run(deploy, "--no-probe", *(["--platform", platform] if platform else []))
    assert stack["deployed"][3] == packages


def test_a_first_deployment_uploads_the_default_model(stack: dict[str, Any]) -> None:
    stack["plan"] = plan_of(needs_model=True)
    run(deploy, "--no-probe")
    assert stack["planned"][2]["model"] is False
    address = "s3://created/models/model.tar.gz"
    assert stack["deployed"][2] == {
        "model": address,
        "figures": f"figures of {DEFAULT_MODEL.name}",
        "thresholds": True,
    }
    run(deploy, "--no-probe", "--model", DEFAULT_MODEL, "--artifact-bucket", "mine")
    assert stack["planned"][2]["model"] is True
    assert stack["deployed"][2]["model"] == "s3://mine/models/model.tar.gz"


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a", True), ("A-1", True), ("a" * 54, True), ("a" * 55, False), ("1a", False), ("-a", False), ("a-", False), ("a_b", False),
     ("", False), ("a\n", False)],
)  # fmt: skip
def test_a_name_of_a_stack_fits_into_those_of_its_functions(name: str, valid: bool) -> None:
    assert bool(deploying.STACK_NAME.fullmatch(name)) is valid


@pytest.mark.parametrize("verbose", [False, True])
def test_steps_stay_on_the_terminal_and_events_are_shown_on_demand(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    made: list[dict[str, bool]] = []

    def steps(**options: bool) -> Steps:
        made.append(options)
        return Steps(**options)

    monkeypatch.setattr(deploying, "Steps", steps)
    run(deploy, "--no-probe", *(["--verbose"] if verbose else []))
    plan = SimpleNamespace(sentences=lambda _: [])
    monkeypatch.setattr(destroying, "plan", lambda *_: plan)
    monkeypatch.setattr(destroying, "destroy", lambda *_, **__: [])
    run(destroy, "--yes", *(["--verbose"] if verbose else []))
    assert made == [{"lines": True, "events": verbose}] * 2
