"""`dropsort deploy` and `destroy`: create, update and delete the stack, on AWS or an embedded AWS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli.documents import write_json
from dropsort.cli.models import figures
from dropsort.cli.options import aws_options, existing, json_option, stack_option, verbose_option, yes_option
from dropsort.cli.output import Steps, confirmed, echo, facts_table, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract import keys, model_folder
from dropsort.contract.resources import DEFAULT_MODEL, TEMPLATE
from dropsort.contract.text import number_of

if TYPE_CHECKING:
    from dropsort.deployment.package import Packages
    from dropsort.deployment.plan import DeploymentPlan

# A name of a function is at most 64 characters long, and begins with that of the stack: NAME-serialize
STACK_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,52}[A-Za-z0-9])?")


@click.command(short_help="Create or update the service on AWS.")
@click.option(
    "--parameter",
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Template parameter; may be repeated. Others keep their values.",
)
@existing(
    "--model",
    "Model folder or model.tar.gz, for an endpoint of the stack.  [default: models/bikes at the first deployment]",
)
@click.option(
    "--endpoint", metavar="NAME", help="Use this existing SageMaker endpoint instead of creating one."
)
@click.option(
    "--artifact-bucket", metavar="NAME", help="Bucket for code and models.  [default: one is created]"
)
@click.option(
    "--platform",
    type=click.Choice(["arm64", "host"]),
    help="Platform of the libraries.  [default: arm64; host for an embedded AWS on this machine]",
)
@click.option(
    "--no-probe",
    is_flag=True,
    help="Do not wait until an upload of a probe starts the workflow and has its result.",
)
@verbose_option
@json_option
@stack_option
@aws_options
def deploy(
    parameters: tuple[str, ...],
    model: Path | None,
    endpoint: str | None,
    artifact_bucket: str | None,
    platform: str | None,
    no_probe: bool,
    verbose: bool,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Create the service, or update it.

    Packages the functions, uploads what is missing, shows the progress of CloudFormation, waits until uploads start the
    workflow, and prints the outputs. Unchanged parts are not touched. If a resource fails, the update is rolled back and
    the resource is named.
    """
    from dropsort.deployment import plan as planning
    from dropsort.deployment import probe
    from dropsort.deployment.deploy import deploy as run
    from dropsort.deployment.errors import ParameterConflict
    from training.aws.template import Template

    if model and endpoint:
        raise click.UsageError("--model and --endpoint exclude each other: the endpoint already has a model.")
    if not STACK_NAME.fullmatch(stack):
        raise click.BadParameter(
            f"{stack!r}: letters, digits and hyphens, a letter first, no hyphen at the end, at most 54 characters: functions "
            "and the endpoint are named after it.",
            param_hint="--stack",
        )
    try:
        plan = planning.plan(
            aws.client,
            stack,
            Template(TEMPLATE, {}).document,
            _pairs(parameters),
            model=model is not None,
            endpoint=endpoint,
            artifact_bucket=artifact_bucket,
            on_step=note,
        )
    except ParameterConflict as error:
        raise click.UsageError(str(error)) from error
    packages = _packages(platform, plan.local)
    if plan.needs_model:
        plan = _with_model(plan, aws, model or DEFAULT_MODEL, artifact_bucket)
    with Steps(lines=True, events=verbose) as steps:
        outputs = run(
            aws.client,
            stack,
            TEMPLATE,
            plan.parameters,
            packages,
            steps,
            artifact_bucket=artifact_bucket,
            tags={"application": "dropsort"},
        )
        if not no_probe:
            seconds = probe.run(aws.client("s3"), outputs["BucketName"], steps)
            steps(f"A probe upload had its result after {number_of(round(seconds), 'second')}")
    output_console(json_file).print(facts_table(sorted(outputs.items())))
    write_json(json_file, {"stack": stack, "outputs": outputs})
    note(f"Next: dropsort drop PATH... --wait --stack {stack}")
    return 0


@click.command(short_help="Delete the service.")
@click.option(
    "--delete-images",
    is_flag=True,
    help="Empty and delete the bucket too: images, results, captures, all versions.",
)
@verbose_option
@yes_option
@stack_option
@aws_options
def destroy(delete_images: bool, verbose: bool, yes: bool, stack: str, aws: Aws) -> int:
    """Delete the service, after showing what is deleted and what remains, and asking for confirmation.

    The bucket and its content remain unless --delete-images is given. To deploy over it again, name it: dropsort deploy
    -p BucketName=NAME imports it.
    """
    from dropsort.deployment import destroy as destroying

    plan = destroying.plan(aws.client, stack)
    for line in plan.sentences(delete_images):
        echo(line)
    if not confirmed(yes):
        raise click.ClickException("Nothing was deleted.")
    with Steps(lines=True, events=verbose) as steps:
        retained = destroying.destroy(aws.client, plan, delete_images=delete_images, on_step=steps)
    for bucket in retained:
        echo(f"Retained: s3://{bucket}")
    return 0


def _pairs(parameters: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in parameters:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--parameter")
        pairs[name.strip()] = value
    return pairs


def _packages(platform: str | None, local: bool) -> Packages:
    """The functions' packages for a platform; by default for the one that the functions run on."""
    from dropsort.deployment import package
    from dropsort.local import shared_layer

    target = platform or ("host" if local else "arm64")
    packages = package.build(target, package.CACHE, note)  # type: ignore[arg-type]  # click.Choice checks it
    if local and target == "host":  # as `dropsort up` deploys them: unpacked once, not for each worker
        return shared_layer.share(packages, package.CACHE / "shared")
    return packages


def _with_model(plan: DeploymentPlan, aws: Aws, model: Path, artifact_bucket: str | None) -> DeploymentPlan:
    """Upload a model; return the plan that serves it, with the thresholds that were chosen for it."""
    import tempfile

    from dropsort.deployment import artifacts
    from training.model.artifact import read_figures, write_artifact

    bucket = artifact_bucket or artifacts.ensure_bucket(aws.client, note)
    with tempfile.TemporaryDirectory() as folder:
        if model.is_dir():
            archive, found = (
                write_artifact(model, Path(folder, model_folder.ARCHIVE), on_step=note),
                figures(model),
            )
        else:
            archive, found = model, read_figures(model)
        key = artifacts.upload_digested(aws.client("s3"), bucket, archive, keys.MODELS, note)
    return plan.with_model(f"s3://{bucket}/{key}", found, thresholds=model.is_dir())


COMMANDS = [deploy, destroy]
