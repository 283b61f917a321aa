"""What `dropsort deploy` and `destroy` pass on: exactly what their options say, and nothing is deleted without its option."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli.deployment import deploy, destroy
from dropsort.deployment import deploy as deploying
from dropsort.deployment import destroy as destroying
from dropsort.deployment import package, plan, probe
from dropsort.deployment.plan import DeploymentPlan


def run(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(
        command, [*arguments, "--region", "eu-west-1", "--stack", "bikes"], standalone_mode=False
    )


@pytest.mark.parametrize("deletes", [False, True])
def test_images_are_deleted_with_their_option_alone(deletes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    def delete(*_: Any, delete_images: bool, **__: Any) -> list[str]:
        found.append(delete_images)
        return [] if delete_images else ["images"]

    shown = SimpleNamespace(sentences=lambda delete_images: [f"deletes images: {delete_images}"])
    monkeypatch.setattr(destroying, "plan", lambda *_: shown)
    monkeypatch.setattr(destroying, "destroy", delete)
    result = run(destroy, "--yes", *(["--delete-images"] if deletes else []))
    assert (result.exception, found) == (None, [deletes])
    assert f"deletes images: {deletes}" in result.stdout
    assert ("Retained: s3://images" in result.stdout) is not deletes


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What the command passes on: to the plan, the packages, the deployment and the probe."""

    def deployed(local: bool, *arguments: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def planned(_client: Any, stack: str, _template: Any, parameters: Any, **options: Any) -> Any:
            del options["on_step"]
            seen["plan"] = (stack, parameters, options)
            return DeploymentPlan({"Threshold": "0.9"}, {}, local, needs_model=False)

        def build(platform: str, *_: Any) -> Any:
            seen["platform"] = platform
            return SimpleNamespace(archives={})

        def deployment(
            _client: Any, stack: str, _template: Any, parameters: Any, *_: Any, **options: Any
        ) -> Any:
            seen["deploy"] = (stack, parameters, options)
            return {"BucketName": "images"}

        def upload(_s3: Any, bucket: str, _steps: Any) -> float:
            seen["probe"] = bucket
            return 1.0

        monkeypatch.setattr(plan, "plan", planned)
        monkeypatch.setattr(package, "build", build)
        monkeypatch.setattr(deploying, "deploy", deployment)
        monkeypatch.setattr(probe, "run", upload)
        monkeypatch.setattr("dropsort.local.shared_layer.share", lambda packages, _: packages)
        result = run(deploy, *arguments)
        assert result.exception is None, result.output
        return seen

    return deployed


def test_a_deployment_is_what_its_options_say(deployed: Callable[..., dict[str, Any]]) -> None:
    seen = deployed(False, "-p", " Threshold = 0.9 ", "-p", "Labels=a=b", "--artifact-bucket", "code")
    assert seen["plan"] == (
        "bikes",
        {"Threshold": " 0.9 ", "Labels": "a=b"},
        {"model": False, "endpoint": None, "artifact_bucket": "code"},
    )
    assert seen["deploy"] == (
        "bikes",
        {"Threshold": "0.9"},
        {"artifact_bucket": "code", "tags": {"application": "dropsort"}},
    )
    assert (seen["platform"], seen["probe"]) == ("arm64", "images")
    assert deployed(False, "--endpoint", "theirs")["plan"][2]["endpoint"] == "theirs"


def test_libraries_are_those_of_the_platform_and_a_probe_may_be_left_out(
    deployed: Callable[..., dict[str, Any]],
) -> None:
    seen = deployed(True, "--no-probe")
    assert (seen["platform"], "probe" in seen) == ("host", False)
    assert deployed(True, "--platform", "arm64")["platform"] == "arm64"
    assert deployed(False, "--platform", "host")["platform"] == "host"


@pytest.mark.parametrize("pair", ["=0.9", "Threshold"])
def test_what_is_no_pair_is_named(pair: str) -> None:
    assert "is not NAME=VALUE" in str(run(deploy, "-p", pair).exception)


def test_a_model_and_an_endpoint_exclude_each_other(tmp_path: Any) -> None:
    error = run(deploy, "--model", str(tmp_path), "--endpoint", "theirs").exception
    assert "exclude each other: the endpoint already has a model" in str(error)
