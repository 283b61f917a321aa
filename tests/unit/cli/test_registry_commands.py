"""What `dropsort register`, `approve` and `rollout` pass on and show, with stand-ins for SageMaker."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import sagemaker
from dropsort.cli.registry import approve, register, rollout
from dropsort.client import deployed_service
from dropsort.client.aws import Aws
from dropsort.contract.resources import DEFAULT_MODEL
from training.aws import container_images
from training.aws.requests import AwsRequest
from training.model import artifact
from training.registry import model_packages, registry
from training.registry import rollout as rolling

REGION = ("--region", "eu-west-1")
SERVICE = SimpleNamespace(parameters={"ArtifactBucket": "artifacts"})


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, [*arguments, *REGION], standalone_mode=False)
    assert result.exception is None, result.exception
    return result


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions were given."""
    found: dict[str, Any] = {}

    def decided(group: str, _session: Any, on_request: Any, **given: Any) -> Any:
        on_request(AwsRequest("sagemaker", "UpdateModelPackage", {}))
        found.update(given, group=group)
        status = "Rejected" if given.get("reject") else "Approved"
        return SimpleNamespace(version=3, status=status, arn="arn", document=lambda: {"version": 3})

    def find(_client: Any, stack: str) -> Any:
        found["stack"] = stack
        return SERVICE

    monkeypatch.setattr(registry, "approve", decided)
    monkeypatch.setattr(registry, "register", decided)
    monkeypatch.setattr(deployed_service, "find", find)
    monkeypatch.setattr(container_images, "image_uri", lambda image, region: f"{region}/{image}")
    return found


def test_a_model_folder_is_registered_with_its_labels_and_figures(
    seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def write(folder: Path, target: Path, on_step: Any) -> Path:
        on_step(f"Writing {target.name}")
        assert (folder, target.parent.is_dir()) == (DEFAULT_MODEL, True)
        return Path("model.tar.gz")

    monkeypatch.setattr(artifact, "write_artifact", write)
    monkeypatch.setattr(model_packages, "read_folder", lambda _: (["a", "b"], {"accuracy": 1}))
    target = tmp_path / "out.json"
    result = run(register, "--group", "bikes", "--note", "better", "--stack", "s", "--json", str(target))
    assert seen == {
        "stack": "s", "group": "bikes", "bucket": "artifacts", "artifact": Path("model.tar.gz"), "labels": ["a", "b"],
        "image": "eu-west-1/pytorch-inference", "metrics": {"accuracy": 1}, "description": "better",
    }  # fmt: skip
    assert result.stdout == "Version 3 of group bikes is Approved: arn\n"
    assert result.stderr.splitlines() == [
        "Writing model.tar.gz",
        "sagemaker UpdateModelPackage",
        "Next: check its figures, then dropsort approve --group bikes --version 3",
    ]
    assert json.loads(target.read_text()) == {"version": 3}


def test_an_archive_is_registered_with_what_is_named(seen: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"accuracy": 0.5}')
    metrics = ("--metrics", str(tmp_path / "m.json"))
    given = ("--artifact", "s3://b/m.tar.gz", "--labels", "a , b", "--bucket", "mine", "--image", "x/y")
    result = run(register, *given, *metrics, "--json", "-")
    assert seen == {
        "group": "dropsort", "bucket": "mine", "artifact": "s3://b/m.tar.gz", "labels": ["a", "b"], "image": "x/y",
        "metrics": {"accuracy": 0.5}, "description": "",
    }  # fmt: skip
    assert json.loads(result.stdout) == {"version": 3}
    assert "Version 3 of group dropsort is Approved: arn" in result.stderr
    run(register, *given)
    assert seen["metrics"] == {}


@pytest.mark.parametrize("reject", [False, True])
def test_a_decision_is_about_the_version_and_names_what_is_next(seen: dict[str, Any], reject: bool) -> None:
    result = run(approve, "--version", "3", "--note", "n", "--group", "g", *(["--reject"] if reject else []))
    assert seen == {"group": "g", "version": 3, "reject": reject, "note": "n"}
    assert result.stdout == f"Version 3 of group g is {'Rejected' if reject else 'Approved'}.\n"
    assert ("Next: dropsort rollout --group g --version 3" in result.stderr) is not reject
    assert json.loads(run(approve, "--json", "-").stdout) == {"version": 3}
    assert seen["version"] is None


@pytest.mark.parametrize(
    ("arguments", "number", "status"),
    [((), 1, "Approved"), (("--version", "4"), 4, "Approved"), (("--reject",), 1, "Rejected")],
)
def test_a_dry_run_of_a_decision_is_its_request(arguments: tuple[str, ...], number: int, status: str) -> None:
    (request,) = json.loads(run(approve, *arguments, "--note", "n", "--group", "g", "--dry-run").stdout)
    assert request["parameters"] == {
        "ModelPackageArn": f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/g/{number}",
        "ModelApprovalStatus": status,
        "ApprovalDescription": "n",
    }


ROLLED = {"executed": True, "changed": {"ModelData": ("", "new")}}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (ROLLED, "Version 2 is in service. Next: dropsort dashboard --stack s"),
        ({"executed": False, "changed": {}}, "Stack s already runs version 2."),
    ],
)
def test_a_roll_out_has_its_options_and_says_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: dict[str, Any], words: str
) -> None:
    found: dict[str, Any] = {}

    def execute(group: str, stack: str, _session: Any, **given: Any) -> Any:
        found.update(given, group=group, stack=stack)
        assert given["confirm"](ROLLED["changed"])
        given["on_request"](AwsRequest("cloudformation", "ExecuteChangeSet", {}))
        given["on_step"]("Waiting")
        package = SimpleNamespace(version=2)
        return SimpleNamespace(**outcome, package=package, document=lambda: {"version": 2})

    monkeypatch.setattr(rolling, "execute", execute)
    target = tmp_path / "out.json"
    result = run(rollout, "--yes", "--group", "g", "--stack", "s", "--json", str(target))
    chosen = {name: found[name] for name in ("group", "stack", "version", "thresholds", "instances")}
    assert chosen == {"group": "g", "stack": "s", "version": None, "thresholds": True, "instances": None}
    lines = result.stderr.splitlines()
    assert lines[:4] == ["ModelData: – → new", "cloudformation ExecuteChangeSet", "Waiting", words]
    assert (len(lines) == 5) is outcome["executed"]
    assert (json.loads(target.read_text()), result.stdout) == ({"version": 2}, "")


def test_a_dry_run_of_a_roll_out_is_of_the_group_and_the_stack() -> None:
    shown = run(rollout, "--dry-run", "--group", "g1", "--stack", "s1").stdout
    assert '"StackName": "s1"' in shown
    assert '"ModelPackageGroupName": "g1"' in shown
    assert "123456789012" in shown


def test_values_of_an_account_are_placeholders_in_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import NoRegionError

    monkeypatch.setattr(deployed_service, "find", lambda *_: SERVICE)
    aws = Aws(None, None)
    aws.__dict__["session"] = SimpleNamespace(region_name=None)
    assert sagemaker.region_of(aws, True) == "us-east-1"
    with pytest.raises(NoRegionError):
        sagemaker.region_of(aws, False)
    assert sagemaker.artifact_bucket(aws, "s", "eu-west-1", False) == "artifacts"
    assert "123456789012" in sagemaker.artifact_bucket(aws, "s", "eu-west-1", True)
    assert "eu-west-1" in sagemaker.artifact_bucket(aws, "s", "eu-west-1", True)


def test_requests_are_written_to_the_file_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [AwsRequest("s3", "PutObject", {"Body": b"123", "Key": "k"})]
    sagemaker.print_requests(requests, tmp_path / "out.json")
    assert capsys.readouterr().out == ""
    (written,) = json.loads((tmp_path / "out.json").read_text())
    assert written["parameters"] == {"Body": "3 bytes", "Key": "k"}
    assert (written["service"], written["operation"]) == ("s3", "PutObject")


def test_a_dry_run_of_a_registration_is_of_the_group() -> None:
    shown = run(register, "--dry-run", "--group", "g1", "--artifact", "s3://b/m", "--labels", "a,b").stdout
    assert '"ModelPackageGroupName": "g1"' in shown
