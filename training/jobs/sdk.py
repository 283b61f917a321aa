"""The SageMaker SDK, imported nowhere else: sends a planned training job through its ModelTrainer.

The SDK uploads the source, adds the scripts that start it in the container, and creates the job.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from training.errors import TrainingError
from training.jobs.source import REQUIREMENTS

if TYPE_CHECKING:
    import boto3


def start(
    request: Mapping[str, Any],
    session: boto3.Session,
    bucket: str,
    prefix: str,
    base_name: str,
    source: Path | None = None,
    entry: str | None = None,
) -> str:
    """Create the training job that a CreateTrainingJob request describes, through the SDK; returns the job's name.

    Parameters
    ----------
    request
        As `training.jobs.plan.plan` builds it. Name, checkpoints and the SDK's own channels are left to the SDK, which
        derives them likewise from `bucket`, `prefix`, `base_name` and the time.
    session
        A boto3 session.
    source, entry
        Folder and script in it, for a job with a script of ours.
    """
    try:
        from sagemaker.core.config.config import load_sagemaker_config
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.training import configs
        from sagemaker.train import ModelTrainer
    except ImportError as error:
        raise TrainingError(
            f"training on SageMaker needs its SDK, the extra sagemaker: pip install '.[sagemaker]' in the checkout ({error})"
        ) from error

    class Trainer(ModelTrainer):  # type: ignore[misc]
        def _resolve_staging_bucket(self) -> tuple[str, None]:
            # The SDK checks with IAM whether the role may write the whole bucket, and uses another folder if not.
            return bucket, None

    try:
        with _role_unchecked():
            trainer = Trainer(
                sagemaker_session=Session(
                    boto_session=session,
                    default_bucket=bucket,
                    default_bucket_prefix=prefix,
                    sagemaker_config=_without_telemetry(load_sagemaker_config()),
                ),
                base_job_name=base_name,
                source_code=configs.SourceCode(
                    source_dir=str(source), entry_script=entry, requirements=REQUIREMENTS
                )
                if source
                else None,
                **_arguments(configs, request),
            )
        _add_checkpoints_and_metrics(trainer, configs, request)
        trainer.train(input_data_config=_channels(configs, request), wait=False, logs=False)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise TrainingError(f"SageMaker rejected the training job: {' '.join(str(error).split())}") from error
    return str(trainer._latest_training_job.training_job_name)  # the SDK has no public name for it


def _without_telemetry(defaults: dict[str, Any] | None) -> dict[str, Any]:
    """The SDK's configuration, by which it sends no usage data about jobs."""
    defaults = defaults or {"SchemaVersion": "1.0"}
    sdk = defaults.setdefault("SageMaker", {}).setdefault("PythonSDK", {}).setdefault("Modules", {})
    sdk["TelemetryOptOut"] = True
    return defaults


def _arguments(configs: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """What ModelTrainer takes of a CreateTrainingJob request, besides channels, checkpoints and metrics.

    `configs` is the SDK's module of that name.
    """
    algorithm, stopping = request["AlgorithmSpecification"], request["StoppingCondition"]
    resources, output = request["ResourceConfig"], request["OutputDataConfig"]
    return {
        "role": request["RoleArn"],
        "training_image": algorithm["TrainingImage"],
        "training_input_mode": algorithm["TrainingInputMode"],
        "hyperparameters": dict(request["HyperParameters"]),
        "environment": dict(request.get("Environment", {})),
        "compute": configs.Compute(
            instance_type=resources["InstanceType"],
            instance_count=resources["InstanceCount"],
            volume_size_in_gb=resources["VolumeSizeInGB"],
            enable_managed_spot_training=request["EnableManagedSpotTraining"],
        ),
        "stopping_condition": configs.StoppingCondition(
            max_runtime_in_seconds=stopping["MaxRuntimeInSeconds"],
            max_wait_time_in_seconds=stopping.get("MaxWaitTimeInSeconds"),
        ),
        "output_data_config": configs.OutputDataConfig(
            s3_output_path=output["S3OutputPath"], compression_type=output["CompressionType"]
        ),
    }


def _add_checkpoints_and_metrics(trainer: Any, configs: Any, request: Mapping[str, Any]) -> None:
    """Add what only a job with a script of ours has."""
    if checkpoints := request.get("CheckpointConfig"):
        trainer.with_checkpoint_config(configs.CheckpointConfig(local_path=checkpoints["LocalPath"]))
    if metrics := request["AlgorithmSpecification"].get("MetricDefinitions"):
        trainer.with_metric_definitions(
            [configs.MetricDefinition(name=metric["Name"], regex=metric["Regex"]) for metric in metrics]
        )


def _channels(configs: Any, request: Mapping[str, Any]) -> list[Any]:
    """The channels of images; those without a content type are the SDK's."""
    return [
        configs.InputData(
            channel_name=channel["ChannelName"],
            data_source=channel["DataSource"]["S3DataSource"]["S3Uri"],
            content_type=channel["ContentType"],
        )
        for channel in request["InputDataConfig"]
        if "ContentType" in channel
    ]


@contextlib.contextmanager
def _role_unchecked() -> Iterator[None]:
    """Without the SDK's own check of the role, which requires more than a job of ours needs: networks, any metric."""
    name = "SAGEMAKER_VALIDATE_ROLE"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
