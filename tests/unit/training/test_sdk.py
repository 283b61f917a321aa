"""What SageMaker's SDK is given of a planned job, without the SDK: each setting under the SDK's name for it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from training.jobs import sdk


class Configs:
    """The SDK's module of classes for settings: each is a dictionary of what it is given."""

    def __getattr__(self, name: str) -> Any:
        return lambda **given: {"class": name, **given}


REQUEST: dict[str, Any] = {
    "RoleArn": "arn:role",
    "AlgorithmSpecification": {
        "TrainingImage": "image", "TrainingInputMode": "File", "MetricDefinitions": [{"Name": "a", "Regex": "b"}],
    },
    "HyperParameters": {"epochs": "3"},
    "Environment": {"PYTHONPATH": "/code"},
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 3600},
    "OutputDataConfig": {"S3OutputPath": "s3://b/training", "CompressionType": "GZIP"},
    "CheckpointConfig": {"LocalPath": "/opt/ml/checkpoints", "S3Uri": "s3://b/training/a/checkpoints"},
    "InputDataConfig": [
        {"ChannelName": "train", "ContentType": "application/x-image", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train/"}}},
        {"ChannelName": "code", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/code"}}},
    ],
}  # fmt: skip


def test_every_setting_of_a_job_is_passed_on() -> None:
    assert sdk._arguments(Configs(), REQUEST) == {
        "role": "arn:role",
        "training_image": "image",
        "training_input_mode": "File",
        "hyperparameters": {"epochs": "3"},
        "environment": {"PYTHONPATH": "/code"},
        "compute": {"class": "Compute", "instance_type": "ml.m5.xlarge", "instance_count": 1, "volume_size_in_gb": 30,
                    "enable_managed_spot_training": True},
        "stopping_condition": {"class": "StoppingCondition", "max_runtime_in_seconds": 1800, "max_wait_time_in_seconds": 3600},
        "output_data_config": {"class": "OutputDataConfig", "s3_output_path": "s3://b/training", "compression_type": "GZIP"},
    }  # fmt: skip
    on_demand = {
        **REQUEST,
        "EnableManagedSpotTraining": False,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    found = sdk._arguments(
        Configs(), {name: value for name, value in on_demand.items() if name != "Environment"}
    )
    assert found["compute"]["enable_managed_spot_training"] is False
    assert found["stopping_condition"]["max_wait_time_in_seconds"] is None
    assert found["environment"] == {}


def test_channels_of_images_checkpoints_and_metrics_are_passed_on() -> None:
    assert sdk._channels(Configs(), REQUEST) == [
        {"class": "InputData", "channel_name": "train", "data_source": "s3://b/train/", "content_type": "application/x-image"}
    ]  # fmt: skip
    given: list[Any] = []
    trainer = SimpleNamespace(with_checkpoint_config=given.append, with_metric_definitions=given.append)
    sdk._add_checkpoints_and_metrics(trainer, Configs(), REQUEST)
    assert given == [
        {"class": "CheckpointConfig", "local_path": "/opt/ml/checkpoints"},
        [{"class": "MetricDefinition", "name": "a", "regex": "b"}],
    ]
    given.clear()
    sdk._add_checkpoints_and_metrics(trainer, Configs(), {"AlgorithmSpecification": {}})
    assert given == []


@pytest.mark.parametrize(
    "defaults", [None, {}, {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": False}}}}]
)
def test_no_usage_data_is_sent_whatever_the_configuration_is(defaults: dict[str, Any] | None) -> None:
    found = sdk._without_telemetry(defaults)
    assert found["SageMaker"]["PythonSDK"]["Modules"] == {"TelemetryOptOut": True}


@pytest.mark.parametrize("before", [None, "true"])
def test_the_role_is_not_checked_by_the_sdk_and_the_environment_is_as_before(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    name = "SAGEMAKER_VALIDATE_ROLE"
    if before is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, before)

    def submitted() -> None:
        with sdk._role_unchecked():
            assert os.environ[name] == "false"
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        submitted()
    assert os.environ.get(name) == before
