"""`dropsort train --on sagemaker`: uploads the images, starts a training job, waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.output import bars, echo, note
from dropsort.cli.sagemaker import ACCOUNT, artifact_bucket, note_request, print_requests, region_of
from dropsort.client.aws import Aws
from training.settings import OPTIONS, TrainingSettings


def train_on_sagemaker(images: Path | None, json_file: Path | None, **options: Any) -> int:
    """Upload images, start a training job, wait for it."""
    from training import dataset
    from training.dataset import channels
    from training.jobs import plan, submission

    aws: Aws = options["aws"]
    dry_run, kind = options["dry_run"], options["kind"]
    if images is None and not dry_run:
        raise click.UsageError("--images FOLDER is missing: the images to train on.")
    region = region_of(aws, dry_run)
    bucket = options["bucket"] or artifact_bucket(aws, options["stack"], region, dry_run)
    role = options["role"] or training_role(aws, options["stack"], dry_run)
    prefix = f"{plan.PREFIX}/data/{images.stem if images else 'images'}"
    data = None
    if images is not None:
        data = dataset.split(dataset.read(images), validation=options["validation"], test=options["test"])
        if not dry_run:
            with bars() as progress:
                task = progress.add_task("uploaded", total=None)
                channels.upload(
                    data,
                    aws.client("s3"),
                    bucket,
                    prefix,
                    progress=lambda done, total, _: progress.update(task, completed=done, total=total),
                )
    job = plan.TrainingJob(
        kind=kind,
        bucket=bucket,
        role=role,
        region=region,
        data=f"s3://{bucket}/{prefix}",
        hyperparameters=_hyperparameters(kind, options),
        instance_type=options["instance_type"],
        spot=options["spot"],
        **({"classes": len(data.labels), "samples": len(data.part("train"))} if data else {}),
    )
    if dry_run:
        print_requests(plan.plan(job), json_file)
        return 0
    name = submission.submit(job, aws.session, note_request)
    echo(f"Training job {name} has started.", err=str(json_file) == "-")
    document: dict[str, Any] = {"job": name}
    if options["wait_"]:
        ended = submission.wait(name, aws.session, note)
        document |= ended.document()
        labels = f" --labels {','.join(data.labels)}" if data else ""
        image = " --image image-classification" if kind == "built-in" else ""
        note(f"Next: dropsort register --artifact {ended.model_data}{labels}{image}")
    write_json(json_file, document)
    return 0


def _hyperparameters(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Options that differ from their defaults, as arguments of the script; of the built-in algorithm only the epochs."""
    if kind == "built-in":
        return {"epochs": str(options["epochs"])} if options["epochs"] else {}
    default = TrainingSettings()
    return {
        name: str(options[name]) for name in OPTIONS if options[name] not in (None, getattr(default, name))
    }


def training_role(aws: Aws, stack: str, dry_run: bool) -> str:
    if dry_run:
        return f"arn:aws:iam::{ACCOUNT}:role/{stack}-training"
    from dropsort.client.deployed_service import find

    role = find(aws.client, stack).outputs.get("TrainingRoleArn")
    if not role:
        raise click.UsageError(
            f"Stack {stack} has no training role, as it creates no endpoint: name one with --role."
        )
    return role
