"""The requests of a training job, as data: the built-in image-classification algorithm, or our script in a PyTorch image.

Needs neither an account nor the SageMaker SDK; `training.jobs.submission` sends them.

S3 layout of a job, below `s3://BUCKET/training/{base name}/`: `{job}/input/code/`, `{job}/checkpoints/`,
`{job}/output/model.tar.gz`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from training.aws.container_images import has_gpu, image_uri
from training.aws.requests import AwsRequest, check, split_s3
from training.errors import TrainingError
from training.jobs import source

JobKind = Literal["built-in", "script"]
KINDS: tuple[JobKind, ...] = ("built-in", "script")

PREFIX = "training"  # everything of every job is below it
CHANNELS = ("train", "validation", "train_lst", "validation_lst")
CONTENT_TYPE = "application/x-image"
CODE_FOLDER = "/opt/ml/input/data/code"  # where the SDK's driver puts the source in the container
CHECKPOINTS_FOLDER = "/opt/ml/checkpoints"
DRIVERS_FOLDER = "/opt/ml/input/data/sm_drivers"
ENTRY = "training/train.py"

# One line an epoch, as training/train.py prints it: epoch=3 train_loss=0.1234 val_accuracy=0.9500 val_loss=0.2000
# The built-in algorithm has metrics of its own, and the service rejects a job that redefines them.
_NUMBER = "([0-9.]+)"
METRICS = [
    {"Name": "train:loss", "Regex": f"train_loss={_NUMBER}"},
    {"Name": "validation:accuracy", "Regex": f"val_accuracy={_NUMBER}"},
    {"Name": "validation:loss", "Regex": f"val_loss={_NUMBER}"},
]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """The settings of a training job; the defaults suit a thousand small images.

    `data` is the S3 folder that holds one folder a channel: `train/`, `validation/` (images), `train_lst/`,
    `validation_lst/` (one index each: number, class, path below the images' folder, separated by tabs).
    `hyperparameters` come on top of the kind's own. Spot instances cost about a third, and may be interrupted: the job
    then resumes from its checkpoints, if it has written any, and waits at most `max_wait_seconds` in all.
    """

    kind: JobKind
    bucket: str  # takes code, checkpoints and models; the role must be able to read and write it
    role: str  # ARN of the execution role
    region: str
    data: str
    classes: int = 2
    samples: int = 1000  # images in the train channel
    side: int = 32  # pixels; only for the built-in algorithm
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    # "" = ml.g4dn.xlarge for the built-in algorithm, which needs a GPU, else ml.m5.xlarge
    instance_type: str = ""
    spot: bool = True
    max_run_seconds: int = 1800
    max_wait_seconds: int = 3600
    volume_gigabytes: int = 30

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TrainingError(f"there is no kind of job {self.kind!r}: choose one of {', '.join(KINDS)}")
        if self.kind == "built-in" and not has_gpu(self.instance):
            raise TrainingError(
                f"the built-in algorithm trains on GPUs only and {self.instance} has none: try ml.g4dn.xlarge"
            )
        if self.spot and self.max_wait_seconds < self.max_run_seconds:
            raise TrainingError(
                "the longest wait for spot instances includes the run: it cannot be shorter than the run"
            )
        if self.classes < 2 or self.samples < 1:
            raise TrainingError(f"{self.classes} classes and {self.samples} images cannot be trained on")
        split_s3(self.data)

    @property
    def instance(self) -> str:
        """The instance type, the default filled in."""
        return self.instance_type or ("ml.g4dn.xlarge" if self.kind == "built-in" else "ml.m5.xlarge")

    @property
    def base_name(self) -> str:
        """The name of the job without the time that makes it unique."""
        return "dropsort-image-classification" if self.kind == "built-in" else "dropsort-train"


def plan(job: TrainingJob, now: datetime | None = None) -> list[AwsRequest]:
    """Every request that makes the job, in their order, in the shape that boto3 takes; nothing is sent.

    The last one is always CreateTrainingJob. `now` dates the job's name.
    """
    name = f"{job.base_name}-{now or datetime.now():%Y%m%d%H%M%S}"
    requests = []
    if job.kind == "script":
        prefix = f"{PREFIX}/{job.base_name}/{name}/input/code"
        requests += [
            AwsRequest(
                "s3",
                "PutObject",
                {"Bucket": job.bucket, "Key": f"{prefix}/{path}"},
                f"{len(content)} bytes of source",
            )
            for path, content in source.files().items()
        ]
    create = _create(job, name)
    for request in [*requests, create]:
        check(request)
    return [*requests, create]


def _create(job: TrainingJob, name: str) -> AwsRequest:
    root = f"s3://{job.bucket}/{PREFIX}/{job.base_name}"
    image: dict[str, Any]
    if job.kind == "built-in":
        image = {"TrainingImage": image_uri("image-classification", job.region)}
        hyperparameters = {
            "image_shape": f"3,{job.side},{job.side}",
            "num_classes": str(job.classes),
            "num_training_samples": str(job.samples),
            "num_layers": "18",  # the default of 152 is for millions of images
            "epochs": "30",
        }
    else:
        image = {
            "TrainingImage": image_uri("pytorch-training", job.region, job.instance),
            # How the SDK's driver starts a script:
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": [
                "-c",
                f"chmod +x {DRIVERS_FOLDER}/sm_train.sh && {DRIVERS_FOLDER}/sm_train.sh",
            ],
            "MetricDefinitions": METRICS,
        }
        hyperparameters = {"checkpoints": CHECKPOINTS_FOLDER} if job.spot else {}
    channels = [_channel(channel, f"{job.data.rstrip('/')}/{channel}/", CONTENT_TYPE) for channel in CHANNELS]
    if job.kind == "script":
        channels += [
            _channel(channel, f"{root}/{name}/input/{channel}") for channel in ("code", "sm_drivers")
        ]
    parameters: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": job.role,
        "AlgorithmSpecification": {"TrainingInputMode": "File", **image},
        "HyperParameters": {**hyperparameters, **job.hyperparameters},
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": root, "CompressionType": "GZIP"},
        "ResourceConfig": {
            "InstanceType": job.instance,
            "InstanceCount": 1,
            "VolumeSizeInGB": job.volume_gigabytes,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": job.max_run_seconds},
        "EnableManagedSpotTraining": job.spot,
    }
    if job.spot:
        parameters["StoppingCondition"]["MaxWaitTimeInSeconds"] = job.max_wait_seconds
        parameters["CheckpointConfig"] = {
            "S3Uri": f"{root}/{name}/checkpoints",
            "LocalPath": CHECKPOINTS_FOLDER,
        }
    if job.kind == "script":
        parameters["Environment"] = {"PYTHONPATH": CODE_FOLDER, "PYTHONUNBUFFERED": "1"}
    note = (
        "the SDK first uploads its own start scripts to the channel sm_drivers"
        if job.kind == "script"
        else ""
    )
    return AwsRequest("sagemaker", "CreateTrainingJob", parameters, note)


def _channel(name: str, uri: str, content_type: str = "") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": name, "InputMode": "File", "DataSource": {"S3DataSource": source}}
    return {**channel, "ContentType": content_type} if content_type else channel
