"""`dropsort demo` and `up`: the whole service on this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.environment import export_line, invoked_as
from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.locations import LAST_DEMO
from dropsort.cli.models import figures, model_option, thresholds
from dropsort.cli.options import amount, existing, json_option
from dropsort.cli.output import (
    ResultsTable,
    Retrying,
    Steps,
    bars,
    console,
    facts_table,
    note,
    output_console,
)
from dropsort.cli.status_line import StatusLine
from dropsort.cli.totals import totals
from dropsort.contract.text import number_of, printable

if TYPE_CHECKING:
    from dropsort.client.wait import FinishedUpload
    from dropsort.local.service import LocalService


def _in_flight() -> int:
    """Maximum number of uploads in progress.

    The embedded AWS starts a process for each function of each of them, which keeps two processors busy for seconds, and runs
    at most 8 functions.
    """
    return min(8, 3 * (os.cpu_count() or 2))


@click.command(short_help="Run the service on this machine.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Store bucket and service in DIR, across restarts.  [default: deleted at the end]",
)
@amount(
    "--port",
    click.IntRange(1, 65535),
    "Port of the embedded AWS.  [default: the previous one of DIR, or a free one]",
    metavar="PORT",
)
@model_option
@click.option("--quiet", is_flag=True, help="Show neither counts nor recent results, which a terminal gets.")
def up(data: Path | None, port: int | None, model: Path, quiet: bool) -> int:
    """Run the service on this machine until Ctrl-C.

    The template is deployed unchanged to an embedded AWS. Any AWS client can use the service with the variables that are
    printed. With --data, a restart continues with uploads that have no result.
    """
    from dropsort.local.running import announced
    from dropsort.local.service import LocalService

    with (
        ExitStack() as end,
        Steps() as steps,
        LocalService(data, port, model=model, parameters=thresholds(model), on_step=steps) as service,
        announced(service.running),
    ):
        end.callback(note, "Stopped.")  # the last thing, once everything has ended
        steps.stop()
        output = console()
        output.print(f"Dropsort is up: s3://{service.bucket} at {service.endpoint_url}", soft_wrap=True)
        output.print(f"Model: {printable(service.model)}", soft_wrap=True, markup=False)
        for change in service.changes:
            output.print(printable(change), soft_wrap=True, markup=False)
        output.print("In another terminal:\n", soft_wrap=True)
        program = invoked_as()
        for line in (
            f"  {export_line(service.environment)}",
            f'  eval "$({program} env)"    # the same, without copying',
            f"  {program} drop FOLDER --wait",
            f"  aws s3 cp --recursive FOLDER s3://{service.bucket}/incoming/ --endpoint-url {service.endpoint_url}",
            f"  aws s3 ls --recursive s3://{service.bucket}/classified/ --endpoint-url {service.endpoint_url}",
        ):
            output.print(line, soft_wrap=True, markup=False)
        where = f"everything is stored in {data}" if data else "everything is deleted (--data DIR stores it)"
        output.print(f"\nCtrl-C stops it; {where}.", soft_wrap=True)
        try:
            with StatusLine(service.activity, quiet) as live:
                service.wait(live.show)
        finally:
            note("Stopping ...")
    return 0


@click.command(short_help="Classify sample images on this machine, once.")
@existing(
    "--images", "Classify every file below DIR, whatever its name.  [default: sample images]", folder=True
)
@amount("--count", click.IntRange(min=1), "Number of sample images, without --images.", default=36)
@json_option
@model_option
def demo(images: Path | None, count: int, json_file: Path | None, model: Path) -> int:
    """Start the service on this machine, classify images, show the results, stop.

    If folders below DIR are named like labels of the model, the accuracy is shown. Latency is measured from the end of
    the upload to the time of the result. The captures of the endpoint are stored in .dropsort/last-demo for
    `dropsort report`.
    """
    from dropsort.client import files
    from dropsort.local.service import LocalService

    with tempfile.TemporaryDirectory(prefix="dropsort-demo-") as temporary, Steps() as steps:
        begin = time.monotonic()
        folder = images or _samples(Path(temporary), count, steps)
        found, skipped, *_ = files.walk([folder])
        if not found:
            raise click.ClickException(f"{folder} has no files that can be uploaded.")
        with LocalService(model=model, parameters=thresholds(model), on_step=steps) as service:
            steps(f"Classifying {number_of(len(found), 'file')}")
            started = time.monotonic()
            steps.stop()
            ordered, locations = _drop_and_wait(service, found)
            steps("Fetching captures")
            saved = _save(service, ordered, model)
    for item in skipped:
        note(f"not uploaded: {printable(str(item.path))}: {item.reason}")

    from dropsort.client.summary import summarise, warm_latency

    summary = summarise(len(found) + len(skipped), ordered)
    summary["skipped"] = [{"path": str(item.path), "reason": item.reason} for item in skipped]
    summary["lost"] = sorted(key for key, where in locations.items() if not where)
    summary["twice"] = sorted(key for key, where in locations.items() if len(where) > 1)
    summary["startup_seconds"] = round(started - begin, 3)
    summary["cold_starts"] = min(_in_flight(), len(ordered))
    summary["warm_latency_seconds"] = warm_latency(ordered, _in_flight())
    summary |= _settings(model, ordered)
    if saved:
        write_json(saved / "summary.json", summary)
    output = output_console(json_file)
    rows = sorted((item.result for item in ordered), key=lambda item: item.key)
    output.print(ResultsTable(rows, limit=30))
    output.print()
    output.print(facts_table(totals(summary, started=True)))
    if saved:
        output.print(f"\nThe captures are in {saved}: `dropsort report` shows them.")
    write_json(json_file, summary)
    final = summary["results"] - summary["retryable"]
    complete = final == summary["images"] and not summary["lost"] and not summary["twice"]
    return 0 if complete else EXIT_FAILURE


def _samples(folder: Path, count: int, steps: Steps) -> Path:
    from training.dataset.samples import make

    make(folder, count, steps)
    return folder


def _drop_and_wait(
    service: LocalService, found: list[Any]
) -> tuple[list[FinishedUpload], dict[str, list[str]]]:
    """Upload and wait; return the results that arrived before the timeout, and the keys of all results."""
    from dropsort.client.drop_and_wait import drop_and_wait
    from dropsort.client.errors import MissingResultsError
    from dropsort.client.summary import result_locations

    s3 = service.session().client("s3")
    ordered: list[FinishedUpload] = []
    with bars() as progress:
        uploading = progress.add_task("uploaded", total=len(found))
        classifying = progress.add_task("results", total=len(found))

        def done(item: FinishedUpload) -> None:
            ordered.append(item)
            progress.advance(classifying)

        try:
            drop_and_wait(
                s3,
                service.bucket,
                found,
                in_flight=_in_flight(),
                uploaded=lambda _: progress.advance(uploading),
                done=done,
                retrying=Retrying(),
            )
        except MissingResultsError as error:
            service.check()
            note(f"dropsort: {error}")
    return ordered, result_locations(s3, service.bucket, [file.key for file in found])


def _save(service: LocalService, ordered: list[FinishedUpload], model: Path) -> Path | None:
    """Copy captures, results and the model's reference to `LAST_DEMO`; None if the current folder cannot be written."""
    from dropsort.client import fetch
    from dropsort.contract import keys, reference

    service.flush()
    try:
        with fetch.replacing(LAST_DEMO) as folder:
            fetch.objects(service.session().client("s3"), service.bucket, f"{keys.CAPTURES}/", folder)
            fetch.write_lines(folder / "results.jsonl", (item.result.document for item in ordered))
            if (model / reference.FILE).is_file():
                shutil.copyfile(model / reference.FILE, folder / reference.FILE)
    except OSError as error:
        note(f"Captures cannot be stored: {error}")
        return None
    return LAST_DEMO


def _settings(model: Path, ordered: list[FinishedUpload]) -> dict[str, Any]:
    """What a report needs besides the captures."""
    decided = next((item.result.document for item in ordered if item.result.document.get("threshold")), {})
    return {
        "model": str(model),
        "reference": f"the evaluation set of {figures(model).get('model') or model.name}",
        "threshold": decided.get("threshold"),
        "familiarity_threshold": decided.get("familiarity_threshold"),
        "invoked": sum(bool(item.result.document.get("model")) for item in ordered),
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


COMMANDS = [demo, up]
