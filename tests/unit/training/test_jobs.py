"""Training jobs as requests: what they hold, that the service's model takes them, that a dry run sends nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from tests import needs
from training import train
from training.aws.requests import check
from training.errors import TrainingError
from training.jobs import plan, source, submission
from training.jobs.plan import KINDS, JobKind, TrainingJob
from training.progress import Epoch, EpochProgress, progress_line

NOW = datetime(2026, 11, 21, 9, 30, 5)


def job(kind: JobKind, **changes: Any) -> TrainingJob:
    return dataclasses.replace(
        TrainingJob(
            kind=kind,
            bucket="dropsort-artifacts-123456789012-us-east-1",
            role="arn:aws:iam::123456789012:role/dropsort-training",
            region="us-east-1",
            data="s3://dropsort-artifacts-123456789012-us-east-1/training/data/bikes",
        ),
        **changes,
    )


def created(kind: JobKind, **changes: Any) -> dict[str, Any]:
    """The CreateTrainingJob request of a job."""
    request = plan.plan(job(kind, **changes), NOW)[-1]
    assert request.operation == "CreateTrainingJob"
    return dict(request.parameters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1"])
def test_every_request_is_valid_for_the_service(kind: JobKind, spot: bool, region: str) -> None:
    for request in plan.plan(job(kind, spot=spot, region=region), NOW):
        check(request)
        json.dumps(request.document())


def test_the_built_in_algorithm_gets_its_hyperparameters_and_four_channels() -> None:
    request = created("built-in")
    assert request["AlgorithmSpecification"]["TrainingImage"].endswith("/image-classification:1")
    assert request["HyperParameters"] == {
        "image_shape": "3,32,32", "num_classes": "2", "num_training_samples": "1000", "num_layers": "18", "epochs": "30",
    }  # fmt: skip
    channels = {channel["ChannelName"]: channel for channel in request["InputDataConfig"]}
    assert list(channels) == ["train", "validation", "train_lst", "validation_lst"]
    assert {channel["ContentType"] for channel in channels.values()} == {"application/x-image"}
    # A prefix without its slash would take train_lst/ into train as well.
    assert channels["train"]["DataSource"]["S3DataSource"]["S3Uri"].endswith("/bikes/train/")


def test_the_built_in_algorithm_is_not_given_metrics_which_the_service_would_reject() -> None:
    assert "MetricDefinitions" not in created("built-in")["AlgorithmSpecification"]


def test_a_job_of_our_script_carries_its_source() -> None:
    requests = plan.plan(job("script"), NOW)
    uploads = {request.parameters["Key"] for request in requests[:-1]}
    name = "dropsort-train-20261121093005"
    assert f"training/dropsort-train/{name}/input/code/training/jobs/plan.py" in uploads
    assert f"training/dropsort-train/{name}/input/code/requirements.txt" in uploads
    code = next(
        channel for channel in requests[-1].parameters["InputDataConfig"] if channel["ChannelName"] == "code"
    )
    assert uploads == {
        f"{code['DataSource']['S3DataSource']['S3Uri'].split('/', 3)[3]}/{path}" for path in source.files()
    }


def test_spot_instances_wait_and_have_checkpoints() -> None:
    request = created("script")
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 3600}
    assert request["CheckpointConfig"]["S3Uri"].endswith("/dropsort-train-20261121093005/checkpoints")
    # AND the script gets their locations
    assert request["HyperParameters"]["checkpoints"] == request["CheckpointConfig"]["LocalPath"]


def test_on_demand_has_neither() -> None:
    request = created("script", spot=False)
    assert request["EnableManagedSpotTraining"] is False
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}
    assert "CheckpointConfig" not in request


def test_the_longest_wait_counts_for_spot_instances_and_may_be_the_run() -> None:
    assert created("script", spot=False, max_wait_seconds=60)["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 1800
    }
    assert created("script", max_wait_seconds=1800)["StoppingCondition"]["MaxWaitTimeInSeconds"] == 1800
    with pytest.raises(TrainingError, match="cannot be shorter"):
        job("script", max_wait_seconds=1799)


def test_a_job_has_disk_space_for_its_images_and_prints_its_lines_at_once() -> None:
    request = created("script")
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30,
    }  # fmt: skip
    assert request["Environment"] == {"PYTHONPATH": plan.CODE_FOLDER, "PYTHONUNBUFFERED": "1"}


def test_the_image_fits_the_instance() -> None:
    assert created("script")["AlgorithmSpecification"]["TrainingImage"].endswith(":2.6.0-cpu-py312")
    gpu = created("script", instance_type="ml.g5.xlarge")
    assert gpu["AlgorithmSpecification"]["TrainingImage"].endswith(":2.6.0-gpu-py312")


def test_hyperparameters_can_be_set() -> None:
    assert created("built-in", hyperparameters={"epochs": "50"})["HyperParameters"]["epochs"] == "50"
    assert created("script", hyperparameters={"seed": "7"}, spot=False)["HyperParameters"] == {"seed": "7"}


@pytest.mark.parametrize("loss", [0.1234, 12.0, 0.0])
def test_metric_definitions_read_the_line_that_training_prints_for_an_epoch(loss: float) -> None:
    # GIVEN the line that the script prints
    epoch = Epoch(
        number=3, of=6, train_loss=loss, validation_accuracy=0.95, validation_loss=loss / 2, seconds=1.0
    )
    line = progress_line(EpochProgress(1, 1, epoch))
    # WHEN the service reads it THEN it finds these values
    found = {
        metric["Name"]: [float(value) for value in re.findall(metric["Regex"], line)]
        for metric in created("script")["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert found == {
        "train:loss": [pytest.approx(loss, abs=1e-4)],
        "validation:accuracy": [0.95],
        "validation:loss": [pytest.approx(loss / 2, abs=1e-4)],
    }


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("other", {}, "built-in, script"),
        ("built-in", {"instance_type": "ml.m5.xlarge"}, "GPUs only"),
        ("script", {"max_wait_seconds": 60}, "cannot be shorter"),
        ("script", {"data": "/home/me/bikes"}, "s3://BUCKET/KEY"),
        ("built-in", {"classes": 1}, "cannot be trained"),
        ("built-in", {"samples": 0}, "cannot be trained"),
    ],
)
def test_what_cannot_work_is_rejected_before_anything_is_sent(kind: Any, changes: Any, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        job(kind, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "dropsort-training"}, "RoleArn"),
        ({"region": "mars-north-1"}, "mars-north-1"),
        ({"instance_type": "ml.gigantic"}, "InstanceType"),
    ],
)
def test_what_the_service_would_reject_is_rejected_by_the_plan(changes: Any, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        plan.plan(job("script", **changes), NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_needs_no_account_no_network_and_no_sdk(
    kind: JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dry run reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setitem(__import__("sys").modules, "sagemaker", None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert plan.plan(job(kind))[-1].operation == "CreateTrainingJob"


def test_without_the_sdk_a_real_run_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sagemaker.core.config.config", None)
    with pytest.raises(TrainingError, match=r"\.\[sagemaker\]"):
        submission.submit(job("built-in"), boto3.Session("key", "secret", region_name="us-east-1"))


class Endings:
    """A SageMaker client whose training job goes through the given responses."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.predictions = list(answers)

    def client(self, _: str) -> Endings:
        return self

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return self.predictions.pop(0)


def test_waiting_reports_phases_and_returns_model_and_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    phases: list[str] = []
    session = Endings(
        {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting"},
        {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"},
        {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"},
        {
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
            "FinalMetricDataList": [{"MetricName": "validation:accuracy", "Value": 0.97}],
            "BillableTimeInSeconds": 120,
        },
    )
    pauses: list[float] = []
    monkeypatch.setattr(submission.time, "sleep", pauses.append)
    ended = submission.wait("a-job", session, phases.append)
    assert pauses == [15.0] * 3
    assert phases == ["Starting", "Training", "Completed"]
    assert ended.document() == {
        "model_data": "s3://b/model.tar.gz",
        "metrics": {"validation:accuracy": 0.97},
        "billable_seconds": 120,
    }


def test_waiting_ends_at_its_deadline_with_the_phase_and_what_to_do() -> None:
    session = Endings(*[{"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}] * 3)
    with pytest.raises(TrainingError, match=r"still InProgress \(Training\).*stop-training-job"):
        submission.wait("a-job", session, interval_seconds=0.2, patience_seconds=0.3)


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_waiting_for_a_job_that_fails_gives_the_reason(status: str) -> None:
    session = Endings({"TrainingJobStatus": status, "FailureReason": "AlgorithmError: no images"})
    with pytest.raises(TrainingError, match="AlgorithmError: no images"):
        submission.wait("a-job", session, interval_seconds=0)


def test_waiting_for_spot_instances_in_vain_says_so() -> None:
    session = Endings({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"})
    with pytest.raises(TrainingError, match="stopped: MaxWaitTimeExceeded"):
        submission.wait("a-job", session, interval_seconds=0)


def test_waiting_is_twice_as_long_as_a_job_may_wait_for_its_instance() -> None:
    assert 2 * job("script").max_wait_seconds == submission.PATIENCE_SECONDS


def test_a_service_that_cannot_be_reached_is_an_error_with_the_jobs_name() -> None:
    session = Endings()
    session.describe_training_job = raise_unreachable  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="training job a-job cannot be described: Could not connect"):
        submission.wait("a-job", session)


def raise_unreachable(TrainingJobName: str) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="https://sagemaker")


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_is_shown_before_the_job_is_sent_with_its_source(
    kind: JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    sent: dict[str, bytes] = {}

    def start(create: dict[str, Any], _session: Any, bucket: str, *names: Any) -> str:
        prefix, base_name, *code = names
        assert (bucket, prefix, base_name) == (job(kind).bucket, "training", job(kind).base_name)
        assert create["HyperParameters"] == created(kind)["HyperParameters"]
        assert len(shown) == len(plan.plan(job(kind)))
        if code:
            folder, entry = code
            assert (folder / entry).is_file()
            sent.update(
                {
                    str(path.relative_to(folder)): path.read_bytes()
                    for path in folder.rglob("*")
                    if path.is_file()
                }
            )
        return "a-job"

    monkeypatch.setattr(submission.sdk, "start", start)
    name = submission.submit(job(kind), Endings(), lambda request: shown.append(request.operation))  # type: ignore[arg-type]
    assert name == "a-job"
    assert (shown[-1], set(shown[:-1])) == ("CreateTrainingJob", {"PutObject"} if kind == "script" else set())
    assert sent == (source.files() if kind == "script" else {})


@pytest.mark.parametrize("kind", KINDS)
def test_the_sdk_sends_what_the_plan_says(kind: JobKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real SDK against moto: the request that arrives is the planned one but for the second in its name."""
    needs.module("sagemaker", "sagemaker.train")
    import botocore.client

    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    sent: list[tuple[str, dict[str, Any]]] = []
    call = botocore.client.BaseClient._make_api_call

    def spy(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        sent.append((operation, parameters))
        if operation == "SimulatePrincipalPolicy":  # a narrow role: no networks, one folder of the bucket
            actions = parameters["ActionNames"]
            return {
                "EvaluationResults": [{"EvalActionName": a, "EvalDecision": "implicitDeny"} for a in actions]
            }
        return call(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", spy)
    wanted = job(kind)
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        session.client("s3").create_bucket(Bucket=wanted.bucket)
        # WHEN the job is submitted
        name = submission.submit(wanted, session)
    # THEN the SDK requested just the planned job
    assert "SAGEMAKER_VALIDATE_ROLE" not in os.environ
    [request] = [parameters for operation, parameters in sent if operation == "CreateTrainingJob"]
    assert name == request["TrainingJobName"]
    *uploads, planned = plan.plan(wanted, datetime.strptime(name.rsplit("-", 1)[1], "%Y%m%d%H%M%S"))
    assert request == planned.parameters
    # AND uploaded just the planned source, besides the scripts that it adds itself
    keys = {parameters["Key"] for operation, parameters in sent if operation == "PutObject"}
    assert {upload.parameters["Key"] for upload in uploads} == {k for k in keys if "/sm_drivers/" not in k}


def test_the_sdk_is_imported_nowhere_but_in_its_own_module() -> None:
    folder = Path(train.__file__).parent
    users = {
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"(from|import) sagemaker[. ]", path.read_text())
    }
    assert users == {"sdk.py"}
