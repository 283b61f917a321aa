"""Training jobs on SageMaker: the built-in image-classification algorithm, and our own script in a PyTorch image.

`plan` builds the requests as data, without an account or the SDK. `submit` sends the same job through the SageMaker
SDK's ModelTrainer, which is imported only then: it weighs a gigabyte (the extra `sagemaker`).

S3 layout of a job, below `s3://BUCKET/training/{base name}/`: `{job}/input/code/`, `{job}/checkpoints/`,
`{job}/output/model.tar.gz`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from training.aws import sdk, source
from training.aws.images import has_gpu, image_uri
from training.aws.requests import Report, Request, check, run, send, split_s3
from training.errors import TrainingError

Kind = Literal["built-in", "script"]
KINDS: tuple[Kind, ...] = ("built-in", "script")

PREFIX = "training"  # everything of every job is below it
CHANNELS = ("train", "validation", "train_lst", "validation_lst")
CONTENT_TYPE = "application/x-image"
CODE_FOLDER = "/opt/ml/input/data/code"  # where the SDK's driver puts the source in the container
CHECKPOINTS_FOLDER = "/opt/ml/checkpoints"
DRIVERS_FOLDER = "/opt/ml/input/data/sm_drivers"
ENTRY = "training/train.py"

# One line an epoch, as training/train.py prints it: epoch=3 train_loss=0.1234 val_accuracy=0.9500 val_loss=0.2000
# The built-in algorithm has metrics of its own, and the service refuses a job that redefines them.
_NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
METRICS = [
    {"Name": "train:loss", "Regex": f"train_loss={_NUMBER}"},
    {"Name": "validation:accuracy", "Regex": f"val_accuracy={_NUMBER}"},
    {"Name": "validation:loss", "Regex": f"val_loss={_NUMBER}"},
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a training job needs to know; every default is a sensible one for a thousand small pictures.

    `data` is the S3 folder that holds one folder a channel: `train/`, `validation/` (pictures), `train_lst/`,
    `validation_lst/` (one index each: number, class, path below the pictures' folder, separated by tabs).
    `hyperparameters` come on top of the kind's own. Spot instances cost about a third, and may be taken away: the job
    then goes on from its checkpoints, if it has written any, and waits at most `max_wait_seconds` in all.
    """

    kind: Kind
    bucket: str  # takes code, checkpoints and models; the role must be able to read and write it
    role: str  # ARN of the execution role
    region: str
    data: str
    classes: int = 2
    samples: int = 1000  # pictures in the train channel
    side: int = 32  # pixels; only the built-in algorithm asks for it
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = (
        ""  # "" = ml.g4dn.xlarge for the built-in algorithm, which needs a GPU, else ml.m5.xlarge
    )
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
            raise TrainingError(f"{self.classes} classes and {self.samples} pictures cannot be trained on")
        split_s3(self.data)

    @property
    def instance(self) -> str:
        """The instance type, the default filled in."""
        return self.instance_type or ("ml.g4dn.xlarge" if self.kind == "built-in" else "ml.m5.xlarge")

    @property
    def base_name(self) -> str:
        """The name of the job without the time that makes it unique."""
        return "dropsort-image-classification" if self.kind == "built-in" else "dropsort-train"


def plan(job: Job, now: datetime | None = None) -> list[Request]:
    """Every request that makes the job, in their order, in the shape that boto3 takes; nothing is sent.

    The last one is always CreateTrainingJob. `now` dates the job's name.
    """
    name = f"{job.base_name}-{now or datetime.now():%Y%m%d%H%M%S}"
    requests = []
    if job.kind == "script":
        prefix = f"{PREFIX}/{job.base_name}/{name}/input/code"
        requests += [
            Request(
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


def _create(job: Job, name: str) -> Request:
    root = f"s3://{job.bucket}/{PREFIX}/{job.base_name}"
    image: dict[str, Any]
    if job.kind == "built-in":
        image = {"TrainingImage": image_uri("image-classification", job.region)}
        hyperparameters = {
            "image_shape": f"3,{job.side},{job.side}",
            "num_classes": str(job.classes),
            "num_training_samples": str(job.samples),
            "num_layers": "18",  # the default of 152 is made for millions of pictures
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
    return Request("sagemaker", "CreateTrainingJob", parameters, note)


def _channel(name: str, uri: str, content_type: str = "") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": name, "InputMode": "File", "DataSource": {"S3DataSource": source}}
    return {**channel, "ContentType": content_type} if content_type else channel


def submit(
    job: Job, session: Any = None, *, dry_run: bool = False, report: Report | None = None
) -> str | None:
    """Start the job through the SageMaker SDK and return its name; a dry run reports the requests and sends none.

    Parameters
    ----------
    session
        A boto3 session; a dry run needs none.
    report
        Is given every request before anything is sent.

    Raises
    ------
    TrainingError
        The SDK is not installed, or AWS refuses.
    """
    requests = plan(job)
    if dry_run:
        run(requests, None, dry_run=True, report=report)
        return None
    for request in requests:
        if report:
            report(request)
    create = requests[-1].parameters
    if job.kind == "built-in":
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name)
    with tempfile.TemporaryDirectory() as folder:
        source.stage(Path(folder))
        return sdk.start(create, session, job.bucket, PREFIX, job.base_name, Path(folder), ENTRY)


def wait(
    name: str, session: Any, progress: Callable[[str], None] | None = None, *, interval: float = 15.0
) -> dict[str, Any]:
    """Wait for the end of a job; `progress` hears each new phase ("Downloading", "Training", ...).

    Returns
    -------
    dict
        `model_data` (S3 address of model.tar.gz), `metrics` (the last value of each), `billable_seconds`.

    Raises
    ------
    TrainingError
        The job failed or was stopped; the service's reason is in the message.
    """
    phase = ""
    while True:
        found = send(Request("sagemaker", "DescribeTrainingJob", {"TrainingJobName": name}), session)
        if progress and found.get("SecondaryStatus", phase) != phase:
            phase = found["SecondaryStatus"]
            progress(phase)
        status = found["TrainingJobStatus"]
        if status == "Completed":
            return {
                "model_data": found["ModelArtifacts"]["S3ModelArtifacts"],
                "metrics": {m["MetricName"]: m["Value"] for m in found.get("FinalMetricDataList", ())},
                "billable_seconds": found.get("BillableTimeInSeconds"),
            }
        if status in ("Failed", "Stopped"):
            reason = found.get("FailureReason") or found.get("SecondaryStatus", "no reason given")
            raise TrainingError(
                f"training job {name} {status.lower()}: {reason} (logs: /aws/sagemaker/TrainingJobs in CloudWatch)"
            )
        time.sleep(interval)
