"""`dropsort register`, `approve`, `rollout`, and `train --on sagemaker`: a model's way on SageMaker.

A dry run prints every request as JSON and asks nobody: values that only an account knows are filled in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.models import DEFAULT_MODEL
from cli.options import Aws, aws_options, json_option, stack_option, write_json
from cli.show import bars, note

if TYPE_CHECKING:
    from training.aws import Request

ACCOUNT = "123456789012"  # of a dry run
DRY_RUN_REGION = "us-east-1"

group_option = click.option(
    "--group",
    default="dropsort",
    show_default=True,
    metavar="NAME",
    help="Model package group in the registry.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print every request as JSON; needs no account."
)


class Requests:
    """Collects requests, for a dry run to print; else tells each as it is sent."""

    def __init__(self, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._documents: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> None:
        self._documents.append(request.document())
        if not self._dry_run:
            note(f"{request.service} {request.operation}")

    def write(self, json_file: Path | None) -> None:
        """Print them, or write them to the file of ``--json``."""
        documents = [_shortened(document) for document in self._documents]
        write_json(json_file or Path("-"), documents)


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DEFAULT_MODEL,
    metavar="DIR",
    help="Model folder.  [default: models/bikes]",
)
@click.option(
    "--artifact", metavar="S3URI", help="A training job's model.tar.gz, in place of a model folder."
)
@click.option(
    "--labels", metavar="A,B", help="With --artifact: labels in the order of the model's probabilities."
)
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --artifact: figures to show in the registry, as metrics.json or `evaluate --json` have them.",
)
@click.option(
    "--image",
    default="pytorch-inference",
    show_default=True,
    metavar="IMAGE",
    help="Container: pytorch-inference, image-classification (the built-in algorithm), or a full address.",
)
@click.option("--bucket", metavar="NAME", help="Bucket of the model.  [default: the stack's artifact bucket]")
@click.option("--note", "description", default="", metavar="TEXT", help="What is new in it.")
@group_option
@dry_run_option
@json_option
@stack_option
@aws_options
def register(
    model: Path,
    artifact: str | None,
    labels: str | None,
    metrics: Path | None,
    image: str,
    bucket: str | None,
    description: str,
    group: str,
    dry_run: bool,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Put a model into SageMaker's registry, where it waits for approval."""
    import tempfile

    from training import modelpackage, registry
    from training.package import package

    region = _region(aws, dry_run)
    told = Requests(dry_run)
    with tempfile.TemporaryDirectory() as folder:
        source: Path | str
        if artifact:
            if not labels:
                raise click.UsageError("--artifact needs --labels: only a model folder says them.")
            source, names = artifact, [label.strip() for label in labels.split(",")]
            figures = json.loads(metrics.read_text(encoding="utf-8")) if metrics else {}
        else:
            names, figures = modelpackage.read_folder(model)
            source = package(model, Path(folder, "model.tar.gz"))
        version = registry.register(
            group,
            aws.session if not dry_run else None,
            dry_run=dry_run,
            report=told,
            bucket=bucket or _artifact_bucket(aws, stack, region, dry_run),
            artifact=source,
            image=_image(image, region),
            labels=names,
            metrics=figures,
            description=description,
        )
    if version is None:
        told.write(json_file)
        return 0
    click.echo(
        f"Version {version.version} of group {group} is {version.status}: {version.arn}",
        err=str(json_file) == "-",
    )
    write_json(json_file, version.document())
    note(f"Next: look at its figures, then dropsort approve --group {group} --version {version.version}")
    return 0


@click.command()
@click.option(
    "--version", type=click.IntRange(min=1), metavar="N", help="Version to decide on.  [default: the newest]"
)
@click.option("--reject", is_flag=True, help="Reject it instead.")
@click.option("--note", "reason", default="", metavar="TEXT", help="Why.")
@group_option
@dry_run_option
@json_option
@aws_options
def approve(
    version: int | None,
    reject: bool,
    reason: str,
    group: str,
    dry_run: bool,
    json_file: Path | None,
    aws: Aws,
) -> int:
    """Approve a registered model, or reject it."""
    from training import registry

    told = Requests(dry_run)
    decided = registry.approve(
        group,
        None if dry_run else aws.session,
        version=version,
        reject=reject,
        note=reason,
        dry_run=dry_run,
        report=told,
        region=_region(aws, dry_run),
    )
    if decided is None:
        told.write(json_file)
        return 0
    click.echo(f"Version {decided.version} of group {group} is {decided.status}.", err=str(json_file) == "-")
    write_json(json_file, decided.document())
    if not reject:
        note(f"Next: dropsort rollout --group {group} --version {decided.version}")
    return 0


@click.command()
@click.option(
    "--version", type=click.IntRange(min=1), metavar="N", help="Approved version.  [default: the newest]"
)
@click.option(
    "--keep-thresholds", is_flag=True, help="Keep the stack's thresholds, rather than take over the model's."
)
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    metavar="N",
    help="Instances of the endpoint; a canary needs two.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@group_option
@dry_run_option
@json_option
@stack_option
@aws_options
def rollout(
    version: int | None,
    keep_thresholds: bool,
    instances: int | None,
    yes: bool,
    group: str,
    dry_run: bool,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Let the service's endpoint run an approved model: canary traffic first, back if an alarm goes off.

    Shows each setting of the stack that changes, and asks. An older --version is the way back.
    """
    from training import rollout as rolling

    told = Requests(dry_run)
    if dry_run:
        region = _region(aws, dry_run)
        for request in rolling.plan_unseen(
            group,
            stack,
            region=region,
            bucket=_artifact_bucket(aws, stack, region, dry_run),
            image=_image("pytorch-inference", region),
            thresholds=not keep_thresholds,
            instances=instances or 2,
        ):
            told(request)
        told.write(json_file)
        return 0

    def confirm(changed: Mapping[str, tuple[str, str]]) -> bool:
        for name, (old, new) in changed.items():
            click.echo(f"{name}: {old or '–'} → {new}", err=True)
        return yes or click.confirm("Go on?", err=True)

    outcome = rolling.execute(
        group,
        stack,
        aws.session,
        version=version,
        thresholds=not keep_thresholds,
        instances=instances,
        report=told,
        confirm=confirm,
        progress=note,
    )
    write_json(json_file, outcome.document())
    if outcome.executed:
        note(f"Version {outcome.package.version} is in service. Next: dropsort dashboard --stack {stack}")
    elif not outcome.changed:
        note(f"Version {outcome.package.version} is what stack {stack} runs already.")
    else:
        raise click.Abort
    return 0


def train_there(images: Path | None, json_file: Path | None, **options: Any) -> int:
    """Upload pictures, start a training job, wait for it."""
    from training import channels, dataset, jobs

    aws: Aws = options["aws"]
    dry_run, kind = options["dry_run"], options["kind"]
    if images is None and not dry_run:
        raise click.UsageError("--images says where the pictures are.")
    region = _region(aws, dry_run)
    bucket = options["bucket"] or _artifact_bucket(aws, options["stack"], region, dry_run)
    role = options["role"] or _training_role(aws, options["stack"], dry_run)
    prefix = f"{jobs.PREFIX}/data/{images.stem if images else 'pictures'}"
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
    told = Requests(dry_run)
    job = jobs.Job(
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
    name = jobs.submit(job, None if dry_run else aws.session, dry_run=dry_run, report=told)
    if name is None:
        told.write(json_file)
        return 0
    click.echo(f"Training job {name} has started.", err=str(json_file) == "-")
    document: dict[str, Any] = {"job": name}
    if options["wait_"]:
        document |= jobs.wait(name, aws.session, note)
        labels = f" --labels {','.join(data.labels)}" if data else ""
        image = " --image image-classification" if kind == "built-in" else ""
        note(f"Next: dropsort register --artifact {document['model_data']}{labels}{image}")
    write_json(json_file, document)
    return 0


def _hyperparameters(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Options that differ from their defaults, as arguments of the script; of the built-in algorithm only the epochs."""
    if kind == "built-in":
        return {"epochs": str(options["epochs"])} if options["epochs"] else {}
    command = click.get_current_context().command
    defaults = {parameter.name: parameter.default for parameter in command.params}
    names = (
        "arch",
        "epochs",
        "batch",
        "seed",
        "folds",
        "validation",
        "test",
        "patience",
        "precision",
        "name",
        "threads",
    )
    return {name: str(options[name]) for name in names if options[name] not in (None, defaults.get(name))}


def _region(aws: Aws, dry_run: bool) -> str:
    region: str | None = aws.session.region_name
    if region:
        return region
    if dry_run:
        return DRY_RUN_REGION
    raise click.UsageError("No AWS region: name one with --region, or set AWS_DEFAULT_REGION.")


def _artifact_bucket(aws: Aws, stack: str, region: str, dry_run: bool) -> str:
    if dry_run:
        from infra.artifacts import bucket_name

        return bucket_name(ACCOUNT, region)
    from client.stack import find

    return find(aws.client, stack).parameters["ArtifactBucket"]


def _training_role(aws: Aws, stack: str, dry_run: bool) -> str:
    if dry_run:
        return f"arn:aws:iam::{ACCOUNT}:role/{stack}-training"
    from client.stack import find

    role = find(aws.client, stack).outputs.get("TrainingRoleArn")
    if not role:
        raise click.UsageError(
            f"Stack {stack} has no training role, as it creates no endpoint: name one with --role."
        )
    return role


def _image(image: str, region: str) -> str:
    if "/" in image:
        return image
    from training.images import image_uri

    return image_uri(image, region)  # type: ignore[arg-type]  # it says which there are


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """A request without the bytes that it uploads."""
    parameters = {
        name: f"{len(value)} bytes" if isinstance(value, bytes) else value
        for name, value in document["parameters"].items()
    }
    return document | {"parameters": parameters}


COMMANDS = [register, approve, rollout]
