"""A version in the model registry as data: the requests that make and approve one, and reading one back.

A version is `model.tar.gz` in S3, the image that runs it, and what a roll-out needs: labels and thresholds.
S3 keys below `models/{group}/` carry the artifact's digest, so that nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dropsort.contract import model_folder
from dropsort.contract.defaults import MODEL_PARAMETERS, version_parameter
from dropsort.contract.keys import MODELS
from training.aws.requests import AwsRequest, check, split_s3
from training.errors import TrainingError

NAME = "model"  # of metrics.json: the version that the model returns
LABELS = "DROPSORT_LABELS"  # in the container's environment, whose values may be long and hold commas
METRICS = ("accuracy", "ece", "coverage", *MODEL_PARAMETERS)  # what the registry shows of metrics.json
PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
INSTANCE_TYPES = [
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.m5.2xlarge",
    "ml.c5.large",
    "ml.c5.xlarge",
    "ml.c5.2xlarge",
]


@dataclass(frozen=True)
class ModelPackage:
    """One version in the registry. `metrics` holds those of `METRICS` that it was registered with."""

    arn: str
    version: int
    status: str
    image: str
    model_data: str
    labels: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    name: str = ""  # the version that the model returns with its predictions

    def document(self) -> dict[str, Any]:
        """As something that `json.dumps` takes."""
        return {**vars(self), "labels": list(self.labels), "metrics": dict(self.metrics)}


def read_folder(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Labels and metrics of a model folder, as `plan_register` takes them; its artifact is `training.model.artifact`'s."""
    found: list[Any] = []
    for name, kind in ((model_folder.LABELS, list), (model_folder.METRICS, dict)):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainingError(
                f"{folder / name} cannot be read: give a folder that training wrote"
            ) from error
        except ValueError as error:
            raise TrainingError(f"{folder / name} is not JSON: train the model again") from error
        if not isinstance(content, kind):
            raise TrainingError(f"{folder / name} must hold a JSON {kind.__name__}: train the model again")
        found.append(content)
    labels, metrics = found
    return [str(label) for label in labels], metrics


def plan_register(
    group: str,
    *,
    bucket: str,
    artifact: Path | str,
    image: str,
    labels: Sequence[str],
    metrics: Mapping[str, Any],
    description: str = "",
) -> list[AwsRequest]:
    """The requests that register a model, nothing sent: group, artifact, metrics, version.

    Parameters
    ----------
    artifact
        A model.tar.gz here, or the `s3://` address of one (a training job's output), which is copied.
    labels
        In the order of the model's probabilities.
    metrics
        The model's metrics.json.
    """
    bad = [label for label in labels if "," in label or not label.strip()]
    if len(labels) < 2 or bad:
        raise TrainingError(
            f"labels must be two or more, without commas: {', '.join(map(repr, bad or labels))}"
        )
    folder = f"{MODELS}/{group}/{_digest(artifact)}"
    model = {"Bucket": bucket, "Key": f"{folder}/model.tar.gz"}
    quality = {
        "Bucket": bucket,
        "Key": f"{folder}/model-quality.json",
        "ContentType": "application/json",
        "Body": json.dumps(model_quality(metrics), indent=1),
    }
    version = {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": PENDING,
        "Domain": "COMPUTER_VISION",
        "Task": "IMAGE_CLASSIFICATION",
        "InferenceSpecification": {
            "Containers": [_container(image, f"s3://{bucket}/{model['Key']}", labels)],
            "SupportedContentTypes": ["application/x-image", "image/jpeg", "image/png"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": INSTANCE_TYPES,
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{bucket}/{quality['Key']}"}
            }
        },
    }
    if description:
        version["ModelPackageDescription"] = description
    if properties := _properties(metrics):
        version["CustomerMetadataProperties"] = properties
    requests = [
        AwsRequest(
            "sagemaker",
            "CreateModelPackageGroup",
            {"ModelPackageGroupName": group, "ModelPackageGroupDescription": "Image classifiers of Dropsort"},
            "only if there is no such group",
        ),
        _artifact_upload(artifact, model),
        AwsRequest("s3", "PutObject", quality),
        AwsRequest("sagemaker", "CreateModelPackage", version),
    ]
    for request in requests:
        check(request)
    return requests


def _artifact_upload(artifact: Path | str, model: Mapping[str, str]) -> AwsRequest:
    """The request that puts an artifact, a file or an ``s3://`` address, to where the version has it."""
    if isinstance(artifact, Path):
        note = f"{artifact.name}, {artifact.stat().st_size} bytes"
        return AwsRequest("s3", "PutObject", {**model, "ContentType": "application/gzip"}, note)
    source, key = split_s3(artifact)
    return AwsRequest("s3", "CopyObject", {**model, "CopySource": f"{source}/{key}"})


def _properties(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What a roll-out needs of metrics.json; thresholds without rounding."""
    found = {
        name: repr(float(metrics[name])) if name in MODEL_PARAMETERS else f"{metrics[name]:.6g}"
        for name in METRICS
        if isinstance(metrics.get(name), int | float)
    }
    if name := version_parameter(metrics)["ModelVersion"]:
        found[NAME] = name
    return found


def _container(image: str, model_data: str, labels: Sequence[str]) -> dict[str, Any]:
    """The container of a version; ours runs `inference.py`, that of the built-in algorithm its own code."""
    container: dict[str, Any] = {"Image": image, "ModelDataUrl": model_data}
    environment = {LABELS: ",".join(labels)}
    if "pytorch" not in image:
        return {**container, "Environment": environment}
    environment |= {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    return {**container, "Environment": environment, "Framework": "PYTORCH"}


def plan_decision(arn: str, status: str, note: str = "") -> AwsRequest:
    """The request that approves or rejects a version; `note` says why."""
    parameters = {"ModelPackageArn": arn, "ModelApprovalStatus": status}
    if note:
        parameters["ApprovalDescription"] = note
    request = AwsRequest("sagemaker", "UpdateModelPackage", parameters)
    check(request)
    return request


def list_request(group: str, status: str | None = None) -> AwsRequest:
    """The request that lists a group's versions, newest first."""
    parameters = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending"}
    if status:
        parameters["ModelApprovalStatus"] = status
    return AwsRequest("sagemaker", "ListModelPackages", parameters)


def read(response: Mapping[str, Any]) -> ModelPackage:
    """The response of DescribeModelPackage as a ModelPackage."""
    container = response["InferenceSpecification"]["Containers"][0]
    labels = container.get("Environment", {}).get(LABELS, "")
    properties = response.get("CustomerMetadataProperties", {})
    return ModelPackage(
        arn=response["ModelPackageArn"],
        version=int(response.get("ModelPackageVersion") or response["ModelPackageArn"].rsplit("/", 1)[1]),
        status=response["ModelApprovalStatus"],
        image=container["Image"],
        model_data=container.get("ModelDataUrl", ""),
        labels=tuple(labels.split(",")) if labels else (),
        name=properties.get(NAME, ""),
        metrics={name: float(properties[name]) for name in METRICS if name in properties},
    )


def model_quality(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """metrics.json as SageMaker's console expects it; a value without a known spread has the console's "NaN"."""
    shown = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return {
        "multiclass_classification_metrics": {
            name: {"value": value, "standard_deviation": "NaN"} for name, value in shown.items()
        }
    }


def _digest(artifact: Path | str) -> str:
    if isinstance(artifact, str):  # a training job's output never changes, so its address identifies it
        return hashlib.sha256(artifact.encode()).hexdigest()[:16]
    try:
        with artifact.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise TrainingError(f"{artifact} cannot be read: {error.strerror}") from error
