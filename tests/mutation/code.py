"""Mistakes in the Python that decides, one at a time: ``python -m tests.mutation.code [--since COMMIT | --sample NUMBER] [MODULE ...]``.

Comparisons, operators, numbers, texts, conditions and arguments are changed. Each mistake is judged by the tests of its module
alone (`MODULES`). The report has what nobody noticed, as a diff, and a table of packages. The exit code is 1 if more than `MOST`
of a package was not noticed; what changes nothing is in equivalent.toml and does not count.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.mistakes import difference, mistakes
from tests.mutation.processes import Subject, prepare, unnoticed

MOST = 0.08
ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")

U = "tests/unit/"
# By module, the tests that are to notice its mistakes; the most important first.
MODULES = {
    "handlers.serialize": [
        U + "handlers/test_serialize.py",
        U + "handlers/test_serialize_limits.py",
        U + "handlers/test_renewal.py",
    ],
    "handlers.classify": [U + "handlers/test_classify.py"],
    "handlers.filter": [
        U + "handlers/test_filter.py",
        U + "handlers/test_filter_members.py",
        U + "handlers/test_result_events.py",
    ],
    "handlers.settings": [U + "handlers/test_settings.py"],
    "handlers.results": [U + "handlers/test_results.py", U + "handlers/test_result_documents.py"],
    "handlers.result_events": [U + "handlers/test_result_events.py"],
    "handlers.renewal": [U + "handlers/test_renewal_bounds.py", U + "handlers/test_renewal.py"],
    "handlers.reading": [U + "handlers/test_reading.py"],
    "handlers.endpoint_errors": [U + "handlers/test_endpoint_errors.py", U + "handlers/test_classify.py"],
    "handlers.recording": [U + "handlers/test_recording.py"],
    "handlers.recording_requests": [U + "handlers/test_recording_requests.py"],
    "handlers.decision": [U + "handlers/test_decision.py"],
    "handlers.uploads": [U + "handlers/test_uploads.py"],
    "handlers.rejections": [U + "handlers/test_rejections.py"],
    "handlers.endpoint_response": [U + "handlers/test_endpoint_response.py"],
    "handlers.backlog": [U + "handlers/test_backlog_bounds.py", U + "handlers/test_backlog.py"],
    "handlers.backlog_state": [U + "handlers/test_backlog_bounds.py", U + "handlers/test_backlog.py"],
    "handlers.breaker": [U + "handlers/test_breaker.py"],
    "handlers.deletion": [U + "handlers/test_deletion.py"],
    "dropsort.contract.statistics": [
        U + "contract/test_statistics.py",
        U + "monitoring/test_drift_statistics.py",
    ],
    "dropsort.contract.predictions": [
        U + "contract/test_predictions.py",
        U + "contract/test_prediction_bounds.py",
        U + "contract/test_predictions_agreement.py",
    ],
    "dropsort.contract.reconciliation": [
        U + "contract/test_reconciliation.py",
        U + "contract/test_reconciliation_listing.py",
        U + "contract/test_reconciliation_reviews.py",
    ],
    "dropsort.contract.backlog": [U + "contract/test_backlog.py"],
    "dropsort.contract.keys": [U + "contract/test_keys.py"],
    "dropsort.contract.ignored_paths": [U + "contract/test_ignored_paths.py"],
    "dropsort.contract.text": [U + "contract/test_text.py"],
    "dropsort.contract.reasons": [U + "contract/test_reasons.py"],
    "dropsort.contract.result": [U + "contract/test_result.py"],
    "dropsort.contract.reviews": [U + "contract/test_reviews.py"],
    "dropsort.contract.versions": [U + "contract/test_versions.py"],
    "dropsort.contract.stack": [U + "contract/test_stack.py"],
    "dropsort.contract.stack_update": [U + "contract/test_stack_update.py"],
    "dropsort.contract.s3_documents": [U + "contract/test_s3_documents.py"],
    "dropsort.contract.files": [U + "contract/test_written_files.py"],
    "dropsort.contract.caches": [U + "contract/test_caches.py"],
    "dropsort.contract.clients": [U + "contract/test_model_parameters.py"],
    "dropsort.contract.defaults": [
        U + "contract/test_model_parameters.py",
        U + "contract/test_ignored_paths.py",
        U + "monitoring/test_defaults.py",
        U + "infra/test_template.py",
    ],
    "dropsort.contract.emf": [U + "contract/test_emf.py"],
    "dropsort.client.backfill": [U + "client/test_backfill.py"],
    "dropsort.client.checksums": [U + "client/test_checksums.py"],
    "dropsort.client.drop": [U + "client/test_drop.py"],
    "dropsort.client.drop_and_wait": [U + "client/test_patience.py", U + "client/test_drop_and_wait.py"],
    "dropsort.client.files": [U + "client/test_files.py", U + "client/test_drop.py"],
    "dropsort.client.forget": [U + "client/test_forget.py"],
    "dropsort.client.redrive": [U + "client/test_redrive.py", U + "client/test_redrive_runs.py"],
    "dropsort.client.results": [
        U + "client/test_results.py",
        U + "client/test_reviewed.py",
        U + "cli/test_results.py",
    ],
    "dropsort.client.reviewed": [U + "client/test_reviewed.py"],
    "dropsort.client.status": [U + "client/test_status_figures.py", U + "client/test_status.py"],
    "dropsort.client.image_history": [U + "client/test_trace.py", U + "cli/test_results.py"],
    "dropsort.client.summary": [U + "client/test_summary.py", U + "client/test_drop_and_wait.py"],
    "dropsort.client.tables": [U + "client/test_tables.py", U + "cli/test_results.py"],
    "dropsort.client.wait": [U + "client/test_drop_and_wait.py"],
    "dropsort.client.watch": [U + "client/test_watch.py"],
    "dropsort.cli.audit": [U + "cli/test_audit.py"],
    "dropsort.cli.backfill": [U + "cli/test_backfill.py", U + "cli/test_declined.py"],
    "dropsort.cli.compare": [U + "cli/test_options_reach_their_function.py"],
    "dropsort.cli.deployment": [U + "cli/test_deploy_options.py", U + "cli/test_deployment.py"],
    "dropsort.cli.drop": [U + "cli/test_uploads_again.py", U + "cli/test_results.py"],
    "dropsort.cli.evaluate": [U + "cli/test_options_reach_their_function.py"],
    "dropsort.cli.forget": [U + "cli/test_declined.py", U + "client/test_forget.py"],
    "dropsort.cli.output": [U + "cli/test_terminal.py", U + "cli/test_output.py"],
    "dropsort.cli.redrive": [U + "cli/test_uploads_again.py", U + "cli/test_declined.py"],
    "dropsort.cli.results": [U + "cli/test_results.py"],
    "dropsort.cli.status": [
        U + "client/test_status_figures.py",
        U + "cli/test_options_reach_their_function.py",
    ],
    "dropsort.cli.totals": [U + "client/test_summary.py"],
    "monitoring.drift.statistics": [U + "monitoring/test_drift_statistics.py"],
    "monitoring.drift.signals": [U + "monitoring/test_drift_signals.py"],
    "monitoring.drift.assess": [
        U + "monitoring/test_drift_signals.py",
        U + "monitoring/test_drift_windows.py",
        U + "monitoring/test_drift_bounds.py",
    ],
    "monitoring.drift.silence": [U + "monitoring/test_drift_bounds.py"],
    "monitoring.drift.sample": [
        U + "monitoring/test_drift_signals.py",
        U + "monitoring/test_drift_windows.py",
    ],
    "monitoring.drift.windows": [U + "monitoring/test_drift_windows.py"],
    "monitoring.aggregates.cells": [U + "monitoring/test_cells.py"],
    "monitoring.aggregates.counts": [U + "monitoring/test_cells.py"],
    "monitoring.aggregates.digests": [U + "monitoring/test_cells.py"],
    "monitoring.aggregates.histograms": [U + "monitoring/test_cells.py"],
    "monitoring.aggregates.models": [U + "monitoring/test_models.py"],
    "monitoring.quality.audit": [U + "monitoring/test_audit.py"],
    "monitoring.quality.ground_truth": [U + "monitoring/test_quality.py"],
    "monitoring.quality.measure": [U + "monitoring/test_quality.py"],
    "training.evaluation.threshold": [U + "training/test_threshold.py"],
    "training.evaluation.calibration": [U + "training/test_calibration.py"],
    "training.evaluation.scores": [U + "training/test_scores.py"],
    "training.dataset.splitting": [U + "training/test_dataset.py"],
    "training.dataset.near_duplicates": [U + "training/test_dataset.py"],
    "training.dataset.joining": [U + "training/test_joining.py"],
    "training.dataset.checks": [U + "training/test_joining.py"],
    "training.evaluation.figures": [U + "training/test_evaluate.py"],
    "training.evaluation.compare": [U + "training/test_compare.py"],
    "training.stages.out_of_fold": [U + "training/test_stages.py"],
    "training.stages.calibrate": [U + "training/test_stages.py"],
    "dropsort.deployment.artifacts": [U + "deployment/test_artifacts.py"],
    "dropsort.deployment.deploy": [U + "deployment/test_deploy.py"],
    "dropsort.deployment.destroy": [U + "deployment/test_destroy.py"],
    "dropsort.deployment.probe": [U + "deployment/test_probe.py"],
    "dropsort.deployment.libraries": [U + "deployment/test_libraries.py"],
    "dropsort.deployment.package": [U + "deployment/test_package.py"],
    "dropsort.deployment.permissions": [U + "deployment/test_permissions.py"],
    "dropsort.deployment.plan": [U + "deployment/test_plan.py", U + "cli/test_deployment.py"],
    "dropsort.deployment.quotas": [U + "deployment/test_quotas.py"],
}


def judge(
    name: str, tests: Sequence[str], reasons: Sequence[dict[str, str]], sample: int = 0
) -> Counter[str]:
    """Make the mistakes of one module, or so many of them, print those that nobody noticed, and count."""
    start = time.monotonic()
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    code = path.read_text(encoding="utf-8")
    subject = Subject(name, path, code, tests)
    prepare(subject)
    equivalent = {one["change"].strip() for one in reasons if one["module"] == name}
    made = [(text, difference(code, text)) for text in mistakes(code)]
    if sample and len(made) > sample:
        made = random.Random(sample).sample(made, sample)
    counts = Counter(mistakes=len(made), equivalent=sum(change in equivalent for _, change in made))
    for stale in equivalent - {change for _, change in made} if not sample else ():
        print(f"{name}: listed as equivalent, but not made:\n{stale}", flush=True)
    judged = [text for text, change in made if change not in equivalent]
    for text in unnoticed(subject, judged):
        counts["unnoticed"] += 1
        print(f"{name}: not noticed:\n{difference(code, text)}", flush=True)
    print(f"{row(name, counts)} {time.monotonic() - start:.0f} s", flush=True)
    return counts


def row(name: str, counts: Counter[str]) -> str:
    """A row of the table."""
    judged = counts["mistakes"] - counts["equivalent"]
    noticed, share = judged - counts["unnoticed"], counts["unnoticed"] / max(judged, 1)
    numbers = (counts["mistakes"], noticed, counts["equivalent"], counts["unnoticed"])
    return f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + f" | {share:.1%} |"


def main(arguments: Sequence[str]) -> int:
    """Judge the modules whose name begins with an argument, or all; return the exit code."""
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("code", [])
    sample = 0
    if arguments and arguments[0] == "--sample":
        sample, arguments = int(arguments[1]), arguments[2:]
    names = [one.removesuffix(".py").replace("/", ".") for one in arguments]
    if names and names[0] == "--since":
        command = ["git", "diff", "--name-only", "--relative", arguments[1]]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        changed = set(shown.stdout.splitlines())
        names = [
            name for name, tests in MODULES.items() if changed & {name.replace(".", "/") + ".py", *tests}
        ]
        if not names:
            print("None of the modules has changed, and none of their tests.")
            return 0
    packages: dict[str, Counter[str]] = {}
    for name, tests in MODULES.items():
        if not names or any(f"{name}.".startswith(f"{one}.") for one in names):
            package = name.split(".")[0] if name.startswith("handlers") else ".".join(name.split(".")[:2])
            packages.setdefault(package, Counter()).update(judge(name, tests, reasons, sample))
    print("| package | mistakes | noticed | equivalent | not noticed | share |\n|---|---|---|---|---|---|")
    for package, counts in packages.items():
        print(row(package, counts))
    return int(
        any(
            counts["unnoticed"] > MOST * (counts["mistakes"] - counts["equivalent"])
            for counts in packages.values()
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
