"""`dropsort deploy` and `destroy`: create, update and delete the stack, on AWS or an embedded AWS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from dropsort.cli.documents import write_json
from dropsort.cli.models import figures
from dropsort.cli.options import aws_options, existing, json_option, stack_option, verbose_option, yes_option
from dropsort.cli.output import Steps, confirmed, echo, facts_table, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract import keys, model_folder
from dropsort.contract.defaults import threshold_parameters, version_parameter
from dropsort.contract.resources import DEFAULT_MODEL, TEMPLATE

STACK_NAME = re.compile(
    r"[A-Za-z](?:[A-Za-z0-9-]{0,52}[A-Za-z0-9])?"
)  # with -serialize it is a function's name, of 64 characters at most


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
    from dropsort.contract import stack as stacks
    from dropsort.deployment import existing_resources, package, probe
    from dropsort.deployment.deploy import check_names
    from dropsort.deployment.deploy import deploy as run
    from dropsort.local import shared_layer

    if model and endpoint:
        raise click.UsageError("--model and --endpoint exclude each other: the endpoint already has a model.")
    if not STACK_NAME.fullmatch(stack):
        raise click.BadParameter(
            f"{stack!r}: letters, digits and hyphens, a letter first, no hyphen at the end, at most 54 characters: functions "
            "and the endpoint are named after it.",
            param_hint="--stack",
        )
    values = _pairs(parameters)
    document = _template()
    check_names(values, document["Parameters"])
    existing = stacks.find(aws.client("cloudformation"), stack)
    before = existing.parameters if existing else {}
    here = _is_here(aws)
    if model:
        values = _own_endpoint(values, here)
    if endpoint:
        values = {"CreateEndpoint": "false", "EndpointName": endpoint} | values
    if here and before.get("CreateEndpoint") == "false" and values.get("CreateEndpoint") == "true":
        values = _own_endpoint(values, here)
    given = {"ArtifactBucket": artifact_bucket} if artifact_bucket else {}
    values = existing_resources.check(aws.client, {**values, **given}, before, note) | values
    # Before anything is built, uploaded or created.
    if existing is None and not here:
        _check_quotas(aws, values, document)
    if "ClassifyConcurrency" not in values.keys() | before.keys() and not here:
        values |= _concurrency(aws, {**before, **values})
    target = platform or ("host" if here else "arm64")
    packages = package.build(target, package.CACHE, note)  # type: ignore[arg-type]  # click.Choice checks it
    if here and target == "host":  # as `dropsort up` deploys them: unpacked once, not for each worker
        packages = shared_layer.share(packages, package.CACHE / "shared")
    if values.get("CreateEndpoint", before.get("CreateEndpoint", "true")) == "true" and (
        model or not (values.get("ModelDataUrl") or before.get("ModelDataUrl"))
    ):
        values = _model(aws, model or DEFAULT_MODEL, artifact_bucket) | values
        if (
            before.get("CreateEndpoint") == "false"
        ):  # the name that is there is that of somebody else's endpoint
            values = {"EndpointName": "", "EndpointArn": ""} | values
    with Steps(lines=True, events=verbose) as steps:
        outputs = run(
            aws.client,
            stack,
            TEMPLATE,
            values,
            packages,
            steps,
            artifact_bucket=artifact_bucket,
            tags={"application": "dropsort"},
        )
        if not no_probe:
            seconds = probe.run(aws.client("s3"), outputs["BucketName"], steps)
            steps(f"A probe upload had its result after {seconds:.0f} seconds")
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


def _is_here(aws: Aws) -> bool:
    """Whether the clients reach an embedded AWS on this machine, where functions run on this interpreter."""
    return urlsplit(aws.client("cloudformation").meta.endpoint_url).hostname in (
        "localhost",
        "127.0.0.1",
        "::1",
    )


def _template() -> dict[str, Any]:
    """The template as data."""
    from training.aws.template import Template

    return Template(TEMPLATE, {}).document


def _check_quotas(aws: Aws, values: dict[str, str], document: dict[str, Any]) -> None:
    """Reject a first deployment that a quota of the account would end halfway."""
    from dropsort.deployment import quotas

    kinds = [resource["Type"] for resource in document["Resources"].values()]

    def value(name: str) -> str:
        return str(values.get(name) or document["Parameters"][name]["Default"])

    instances = None
    if value("CreateEndpoint") == "true":
        most = max(int(value("EndpointInstanceCount")), int(value("EndpointMaxInstanceCount")))
        instances = (value("EndpointInstanceType"), most)
    quotas.check(aws.client, kinds.count("AWS::IAM::Role"), kinds.count("AWS::Events::Rule"), instances, note)


def _concurrency(aws: Aws, values: dict[str, str]) -> dict[str, str]:
    """The concurrency of Classify and of the backlog that the account's quota and the instances suggest."""
    from dropsort.deployment import quotas

    available = quotas.account_concurrency(aws.client("lambda"))
    instances = max(
        int(values.get(name) or 1) for name in ("EndpointInstanceCount", "EndpointMaxInstanceCount")
    )
    proposed = quotas.classify_concurrency(available, instances)
    if proposed:
        note(f"ClassifyConcurrency={proposed}: so many images are sent to the endpoint at once, at most")
    else:
        note(
            f"This account runs {available} functions at once: too few to reserve some for the endpoint. Ask AWS for a higher quota "
            "of concurrent executions before large uploads."
        )
    found = {"ClassifyConcurrency": str(proposed)}
    if "BacklogConcurrency" not in values:
        backlog = quotas.backlog_concurrency(available, proposed)
        note(
            f"BacklogConcurrency={backlog}: so many uploads that waited are classified again at once, at most"
        )
        found["BacklogConcurrency"] = str(backlog)
    return found


def _own_endpoint(values: dict[str, str], here: bool) -> dict[str, str]:
    """The parameters with an endpoint of the stack's own, which a model is for, also if the stack has used another until now."""
    if here:
        raise click.UsageError(
            "A service on this machine takes its model from dropsort up --model FOLDER, not from deploy."
        )
    if values.get("CreateEndpoint", "true") != "true":
        raise click.UsageError(
            "--model and -p CreateEndpoint=false exclude each other: the model needs an endpoint."
        )
    return {**values, "CreateEndpoint": "true"}


def _model(aws: Aws, model: Path, artifact_bucket: str | None) -> dict[str, str]:
    """Upload a model; return the parameters that serve it, with the thresholds that were chosen for it."""
    import tempfile

    from dropsort.deployment import artifacts
    from training.model.artifact import read_figures, write_artifact

    bucket = artifact_bucket or artifacts.ensure_bucket(aws.client, note)
    values = {"CreateEndpoint": "true"}
    with tempfile.TemporaryDirectory() as folder:
        if model.is_dir():
            archive = write_artifact(model, Path(folder, model_folder.ARCHIVE), on_step=note)
            values |= threshold_parameters(figures(model)) | version_parameter(figures(model))
        else:
            archive = model
            values |= version_parameter(read_figures(model))
        key = artifacts.upload_digested(aws.client("s3"), bucket, archive, keys.MODELS, note)
    values["ModelDataUrl"] = f"s3://{bucket}/{key}"
    return values


COMMANDS = [deploy, destroy]
