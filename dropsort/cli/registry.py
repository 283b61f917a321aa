"""`dropsort register`, `approve`, `rollout`: from a model folder to the endpoint, through SageMaker's model registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import read_json, write_json
from dropsort.cli.models import model_option
from dropsort.cli.options import amount, aws_options, existing, json_option, stack_option, yes_option
from dropsort.cli.output import confirmed, echo, note
from dropsort.cli.sagemaker import (
    ACCOUNT,
    artifact_bucket,
    dry_run_option,
    image_address,
    note_request,
    print_requests,
    region_of,
)
from dropsort.client.aws import Aws
from dropsort.contract import model_folder

group_option = click.option(
    "--group",
    default="dropsort",
    show_default=True,
    metavar="NAME",
    help="Model package group in the registry.",
)


@click.command(short_help="Register a model in SageMaker's model registry.")
@model_option
@click.option("--artifact", metavar="S3URI", help="A training job's model.tar.gz, instead of a model folder.")
@click.option("--labels", metavar="A,B", help="With --artifact: labels by class index.")
@existing(
    "--metrics",
    "With --artifact: figures to show in the registry: metrics.json, or the output of `evaluate --json`.",
    folder=False,
)
@click.option(
    "--image",
    default="pytorch-inference",
    show_default=True,
    metavar="IMAGE",
    help="Container image: pytorch-inference, image-classification (the built-in algorithm), or a URI.",
)
@click.option("--bucket", metavar="NAME", help="Bucket of the model.  [default: the stack's artifact bucket]")
@click.option("--note", "description", default="", metavar="TEXT", help="Description of the version.")
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
    """Upload a model to SageMaker's model registry, where it waits for approval."""
    import tempfile

    from training.model.artifact import write_artifact
    from training.registry import model_packages, registry

    region = region_of(aws, dry_run)
    with tempfile.TemporaryDirectory() as folder:
        source: Path | str
        if artifact:
            if not labels:
                raise click.UsageError("--artifact needs --labels: only a model folder contains them.")
            source, names = artifact, [label.strip() for label in labels.split(",")]
            figures = read_json(metrics, "give a metrics.json") if metrics else {}
        else:
            names, figures = model_packages.read_folder(model)
            source = write_artifact(model, Path(folder, model_folder.ARCHIVE), on_step=note)
        model_options: dict[str, Any] = {
            "bucket": bucket or artifact_bucket(aws, stack, region, dry_run),
            "artifact": source,
            "image": image_address(image, region),
            "labels": names,
            "metrics": figures,
            "description": description,
        }
        if dry_run:
            print_requests(model_packages.plan_register(group, **model_options), json_file)
            return 0
        version = registry.register(group, aws.session, note_request, **model_options)
    echo(
        f"Version {version.version} of group {group} is {version.status}: {version.arn}",
        err=str(json_file) == "-",
    )
    write_json(json_file, version.document())
    note(f"Next: check its figures, then dropsort approve --group {group} --version {version.version}")
    return 0


@click.command(short_help="Approve a registered model.")
@amount("--version", click.IntRange(min=1), "Version.  [default: the newest]")
@click.option("--reject", is_flag=True, help="Reject it instead.")
@click.option("--note", "reason", default="", metavar="TEXT", help="Reason.")
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
    from training.registry import model_packages, registry

    region = region_of(aws, dry_run)
    if dry_run:
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:model-package/{group}/{version or 1}"
        status = model_packages.REJECTED if reject else model_packages.APPROVED
        print_requests([model_packages.plan_decision(arn, status, reason)], json_file)
        return 0
    decided = registry.approve(group, aws.session, note_request, version=version, reject=reject, note=reason)
    echo(f"Version {decided.version} of group {group} is {decided.status}.", err=str(json_file) == "-")
    write_json(json_file, decided.document())
    if not reject:
        note(f"Next: dropsort rollout --group {group} --version {decided.version}")
    return 0


@click.command(short_help="Deploy an approved model to the endpoint.")
@amount("--version", click.IntRange(min=1), "Approved version.  [default: the newest]")
@click.option(
    "--keep-thresholds", is_flag=True, help="Keep the thresholds of the stack instead of those of the model."
)
@amount(
    "--instances", click.IntRange(min=1), "Number of instances of the endpoint; canary traffic needs two."
)
@yes_option
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
    """Deploy an approved model to the endpoint: canary traffic first, automatic rollback on alarms.

    Shows each parameter of the stack that changes, and asks for confirmation. To go back to an older model, name its
    --version.
    """
    from training.registry import rollout as rolling
    from training.registry.rollout_plan import plan_without_account

    region = region_of(aws, dry_run)
    if dry_run:
        requests = plan_without_account(
            group,
            stack,
            region=region,
            bucket=artifact_bucket(aws, stack, region, dry_run),
            image=image_address("pytorch-inference", region),
            thresholds=not keep_thresholds,
            instances=instances or 2,
        )
        print_requests(requests, json_file)
        return 0

    def confirm(changed: Mapping[str, tuple[str, str]]) -> bool:
        for name, (old, new) in changed.items():
            echo(f"{name}: {old or '–'} → {new}", err=True)
        return confirmed(yes)

    result = rolling.execute(
        group,
        stack,
        aws.session,
        version=version,
        thresholds=not keep_thresholds,
        instances=instances,
        on_request=note_request,
        confirm=confirm,
        on_step=note,
    )
    write_json(json_file, result.document())
    if result.executed:
        note(f"Version {result.package.version} is in service. Next: dropsort dashboard --stack {stack}")
        note(
            "If you stored a reference for drift (monitoring/reference.json), replace it by that of this model: docs/concepts/drift.md."
        )
    elif not result.changed:
        note(f"Stack {stack} already runs version {result.package.version}.")
    else:
        raise click.ClickException("Nothing was changed.")
    return 0


COMMANDS = [register, approve, rollout]
