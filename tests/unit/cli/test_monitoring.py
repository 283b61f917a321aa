"""`dropsort monitor` and `report` as somebody meets them who has never used them: wrong places, and Ctrl-C."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli import monitoring as watching
from dropsort.client.captures import CaptureLocation
from monitoring.aggregates.cells import UNKNOWN, Aggregate, Series
from tests.commands import Run, runner
from tests.unit.cli.no_account import ENVIRONMENT
from tests.unit.monitoring import capture_cases


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `dropsort` in an empty folder."""
    return runner(tmp_path, ENVIRONMENT)


def line(number: int, label: str = "bicycle", confidence: float = 0.95) -> str:
    answer = {
        "probabilities": [confidence, round(1 - confidence, 6)],
        "labels": [label, "other"],
        "familiarity": 0.5,
    }
    return json.dumps(
        {
            "captureData": {
                "endpointOutput": {
                    "observedContentType": "application/json",
                    "mode": "OUTPUT",
                    "data": json.dumps(answer),
                    "encoding": "JSON",
                }
            },
            "eventMetadata": {
                "eventId": f"event-{number}",
                "inferenceTime": f"2026-11-20T{number % 24:02d}:00:00Z",
            },
            "eventVersion": "0",
        }
    )


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    folder = tmp_path / "captures" / "2026" / "11" / "20"
    folder.mkdir(parents=True)
    for part in range(10):
        rows = [line(part * 10 + i) for i in range(10)]
        (folder / f"{part}.jsonl").write_text("\n".join(rows) + "\n")
    return tmp_path / "captures"


def test_a_wrong_location_is_an_error_and_leaves_nothing(run: Run, captures: Path, tmp_path: Path) -> None:
    file = next(captures.rglob("*.jsonl"))
    for verb in ("monitor", "report"):
        assert "There is no folder nowhere: name one" in run(verb, "nowhere", code=2).stderr
        assert "is a file: name the folder" in run(verb, str(file), code=2).stderr
    assert not (tmp_path / ".dropsort").exists()


def test_before_any_demo_it_says_what_to_do(run: Run) -> None:
    for verb in ("monitor", "report"):
        said = run(verb, code=1).stderr
        assert said.startswith("dropsort: No demo ran in this folder")
        assert "dropsort demo" in said
        assert said.count("\n") == 1


def test_a_folder_without_captures_is_no_success(run: Run, tmp_path: Path) -> None:
    # GIVEN an empty folder, one with other files, and one whose files are not captures
    for name in ("empty", "other", "wrong"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "wrong" / "a.jsonl").write_text('x\n{"a": 1}\n')

    # THEN each is reported, bad lines by file and line
    for name in ("empty", "other"):
        assert "There are no capture files (*.jsonl)" in run("monitor", name).stderr
    wrong = run("monitor", "wrong", "--json", "-")
    assert "No line in" in wrong.stderr
    assert "bad line: a.jsonl, line 2: no captureData" in wrong.stderr
    assert json.loads(wrong.stdout)["bad_lines"] == 2
    report = run("report", "empty", "--no-open")
    assert report.stdout == f"{Path('.dropsort', 'report.html')}\n"
    assert "No captures. Nothing was captured yet" in report.stderr


def test_json_on_standard_output_is_nothing_but_json(run: Run, captures: Path) -> None:
    result = run("monitor", str(captures), "--json", "-")
    found = json.loads(result.stdout)
    assert (found["records"], found["files"], found["bad_lines"]) == (100, 10, 0)
    assert "records" in result.stderr


def test_a_folder_is_the_same_however_it_is_written(run: Run, captures: Path) -> None:
    run("monitor", str(captures))
    again = run("monitor", "captures/../captures", "--json", "-")
    assert json.loads(again.stdout)["files_read"] == 0


def test_the_report_says_what_it_compares_with(run: Run, captures: Path, tmp_path: Path) -> None:
    rows = [{"label": "bicycle", "confidence": 0.95, "familiarity": 0.5}] * 40
    (tmp_path / "reference.json").write_text(json.dumps(rows))

    shown = run("report", str(captures), "--reference", "reference.json", "--no-open", "--out", "page.html")

    page = (tmp_path / "page.html").read_text()
    assert "Compared with reference.json, 40 predictions." in page
    assert "No change found" in page
    # AND the terminal shows the same, and what to do with the page
    assert "No change found. Compared with reference.json, 40 predictions." in shown.stderr
    assert "captures 100, mean confidence 0." in shown.stderr
    assert shown.stderr.endswith("Open this page in a browser.\n")
    # AND so does JSON, which is alone on standard output
    written = run("report", str(captures), "--reference", "reference.json", "--no-open", "--json", "-")
    found = json.loads(written.stdout)
    assert (found["verdict"], found["alarms"], found["figures"]["captures"]) == ("No change found", [], "100")
    assert found["page"] in written.stderr
    # AND a service's page has a name of its own
    assert (
        watching._page_of(CaptureLocation("s3://b/captures", "state", "name", stack="dropsort")).name
        == "report-dropsort.html"
    )


def test_a_reference_that_cannot_fit_is_rejected(run: Run, captures: Path, tmp_path: Path) -> None:
    other, broken, no_list = (tmp_path / name for name in ("other.json", "broken.json", "no-list.json"))
    other.write_text('[{"label": "cat", "confidence": 0.9}]')
    broken.write_text("[")
    no_list.write_text('{"accuracy": 0.97}')

    def refused(path: Path) -> str:
        return run("report", "captures", "--reference", path.name, "--no-open", code=1).stderr

    assert "has the labels cat, the captures bicycle" in refused(other)
    assert "broken.json is not JSON" in refused(broken)
    assert "no-list.json: not a reference" in refused(no_list)


# Interrupts the run at its first call of a method of the store, as Ctrl-C would there.
INTERRUPTED = """
import os, signal, sys
from monitoring.storage.local import LocalStore
real = LocalStore.{method}
def method(self, *arguments):
    LocalStore.{method} = real
    os.kill(os.getpid(), signal.SIGINT)
    return real(self, *arguments)
LocalStore.{method} = method
from dropsort.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("method", ["open_folder", "write", "write_manifest"])
def test_ctrl_c_leaves_nothing_half_made(run: Run, captures: Path, tmp_path: Path, method: str) -> None:
    # GIVEN a run that is interrupted while it reads, while it writes, or just before that counts
    interrupted = run(
        "monitor", "captures", "--json", "-", code=130, program=INTERRUPTED.format(method=method)
    )
    assert interrupted.stdout == ""

    # THEN the next one gives what an undisturbed one gives
    found = json.loads(run("monitor", "captures", "--json", "-").stdout)
    assert (found["records"], found["duplicates"], found["files_read"]) == (100, 0, 10)
    [state] = (tmp_path / ".dropsort" / "monitoring").iterdir()
    assert not [path for path in state.rglob("*") if path.suffix == ".partial"]


def test_rebuild_forgets_what_an_interrupted_run_left_and_nothing_else(
    run: Run, captures: Path, tmp_path: Path
) -> None:
    run(
        "monitor",
        "captures",
        "--state",
        "state",
        code=130,
        program=INTERRUPTED.format(method="write_manifest"),
    )
    run("monitor", "captures", "--state", "state", "--rebuild")

    # GIVEN aggregates among other files
    (tmp_path / "state" / "letters.txt").write_text("dear")
    refused = run("monitor", "captures", "--state", "state", "--rebuild", code=2)
    assert "letters.txt: it is not deleted" in refused.stderr
    assert (tmp_path / "state" / "letters.txt").exists()


def test_captures_of_a_service_are_held_against_what_should_be_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GIVEN a service that captures a half WHEN its report is made THEN half its invocations of those hours are expected."""
    asked = []

    def invocations(client: object, stack: str, start: datetime, end: datetime) -> int:
        asked.append((client, stack, start, end))
        return 81

    monkeypatch.setattr("monitoring.cloudwatch.usage.invocations", invocations)
    total = Aggregate()
    for hour in ("2026-11-21T09:00:00Z", "2026-11-21T12:00:00Z", UNKNOWN):
        total.volume(Series(hour, "bikes", "main")).records = 20
    where = CaptureLocation("s3://b/captures", "s3://b/monitoring", "stack s", stack="s", capture_percent=50)
    aws = SimpleNamespace(client=lambda name: name)

    assert watching._invoked(where, total, aws) == 40  # type: ignore[arg-type]
    assert watching._invoked(where, Aggregate(), aws) is None  # type: ignore[arg-type]
    day = datetime(2026, 11, 21, tzinfo=UTC)
    assert asked == [("cloudwatch", "s", day.replace(hour=9), day.replace(hour=13))]


def test_the_report_is_in_the_time_zone_that_is_wanted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "a.jsonl").write_bytes(
        capture_cases.line("[0.9, 0.1]", time="2026-11-02T09:20:00Z")
    )

    run("report", "captures", "--out", "utc.html", "--no-open")
    run("report", "captures", "--out", "kolkata.html", "--no-open", "--time-zone", "Asia/Kolkata")
    wrong = run("report", "captures", "--time-zone", "../../etc/passwd", code=2)

    assert "02 November 2026 09:00 to 10:00 UTC" in (tmp_path / "utc.html").read_text()
    assert "02 November 2026 14:30 to 15:30 IST" in (tmp_path / "kolkata.html").read_text()
    assert "no time zone '../../etc/passwd' is known here" in " ".join(wrong.stderr.split())


def test_class_numbers_get_labels(run: Run, tmp_path: Path) -> None:
    # GIVEN captures that are bare lists of probabilities
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "a.jsonl").write_bytes(
        capture_cases.line("[0.9, 0.1]", time="2026-11-02T09:20:00Z")
    )

    # WHEN a report is made, THEN it names the option, which works
    first = run("report", "captures", "--out", "page.html", "--no-open")
    assert "class numbers instead of labels (0)" in first.stderr
    assert "`--labels bicycle,motorcycle --rebuild`" in first.stderr
    second = run(
        "report", "captures", "--out", "page.html", "--no-open", "--labels", "bicycle, van", "--rebuild"
    )
    assert second.stderr.startswith("Nothing to compare with yet.")  # and nothing before it
    assert "class numbers" not in second.stderr
    assert "bicycle" in (tmp_path / "page.html").read_text()
    # AND neither a file nor labels is an error
    wrong = run("report", "captures", "--labels", "labels.jsn", code=2)
    assert "labels.jsn is neither a file nor two or more different labels" in " ".join(wrong.stderr.split())


def test_more_labels_than_a_file_name_can_hold_are_labels(run: Run, captures: Path) -> None:
    labels = ",".join(f"label{number}" for number in range(60))
    assert len(labels) > 255
    assert json.loads(run("monitor", "captures", "--labels", labels, "--json", "-").stdout)["records"] == 100


def test_an_audit_without_a_service_is_an_error_before_anything_is_read(
    run: Run, captures: Path, tmp_path: Path
) -> None:
    refused = run("report", "captures", "--audit", "--no-open", code=2)
    assert "--audit is for a service" in refused.stderr
    assert not (tmp_path / ".dropsort").exists()


@pytest.mark.parametrize(("bad", "more"), [(10, ""), (11, "... and 1 more bad lines")])
def test_the_first_bad_lines_are_named_and_the_others_counted(
    run: Run, tmp_path: Path, bad: int, more: str
) -> None:
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "a.jsonl").write_text("x\n" * bad + line(1) + "\n")
    shown = run("monitor", "captures").stderr
    assert (shown.count("bad line: a.jsonl, line"), shown.count("more bad lines")) == (10, bool(more))
    assert more in shown


def test_a_threshold_of_0_and_no_ground_truth_are_what_they_say(
    run: Run, captures: Path, tmp_path: Path
) -> None:
    # GIVEN an unsure prediction, which is below the usual threshold, and the ground truth of it
    (captures / "unsure.jsonl").write_text(line(1000, confidence=0.6) + "\n")
    truth = {
        "groundTruthData": {"data": "bicycle", "encoding": "CSV"},
        "eventMetadata": {"eventId": "event-1000"},
        "eventVersion": "0",
    }
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.jsonl").write_text(json.dumps(truth) + "\n")

    def figures(*options: str) -> dict[str, str]:
        arguments = ("captures", "--no-open", "--ground-truth", "truth", "--json", "-")
        found: dict[str, str] = json.loads(run("report", *arguments, *options).stdout)["figures"]
        return found

    usual, other = figures(), figures("--threshold", "0", "--no-ground-truth")
    assert (usual["below the threshold"], usual["measured accuracy"]) == ("1.0%", "100.0%")
    assert (other["below the threshold"], other.get("measured accuracy")) == ("0.0%", None)


class Stopped(Exception):
    """The end of a report that a test has seen enough of."""


@pytest.mark.parametrize("stack", ["my.stack", ""])
def test_a_report_is_of_the_location_and_with_its_settings(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    where = CaptureLocation(
        "folder",
        "state",
        "the name",
        stack=stack,
        threshold=0.8,
        familiarity_threshold=0.02,
        invoked=5,
        images=True,
    )

    def aggregated(*_: Any, **options: Any) -> Any:
        seen["images"] = options["images"]
        return SimpleNamespace(failed=[], health=SimpleNamespace(files=1, records=1))

    def save(_: Any, page: Path, **options: Any) -> None:
        seen.update(options, page=page)
        raise Stopped

    monkeypatch.setattr(watching, "locate", lambda *_: where)
    monkeypatch.setattr(watching, "_invoked", lambda *_: 77)
    monkeypatch.setattr("monitoring.incremental.run.run", aggregated)
    monkeypatch.setattr("monitoring.incremental.run.load", lambda *_, **__: Aggregate())
    monkeypatch.setattr("monitoring.report.figures.build", lambda _, **options: seen.update(options))
    monkeypatch.setattr("dropsort.pages.report.save", save)
    arguments = ["--no-open", "--time-zone", "Asia/Kolkata", "--png"]
    shown = CliRunner().invoke(watching.report, arguments, standalone_mode=False)
    assert isinstance(shown.exception, Stopped), shown.exception
    assert (seen["threshold"], seen["familiarity_threshold"], seen["images"]) == (0.8, 0.02, True)
    assert (seen["source"], str(seen["zone"]), seen["png"]) == ("the name", "Asia/Kolkata", True)
    # AND of a service the invocations are those of its metrics, and the page is one of its own
    assert (seen["invoked"], seen["page"].name) == (
        (77, "report-my-stack.html") if stack else (5, "report.html")
    )


def test_aggregates_in_a_bucket_are_not_deleted(run: Run, captures: Path) -> None:
    shown = run("monitor", "captures", "--state", "s3://images/monitoring", "--rebuild", code=2)
    assert "deletes a local folder only" in " ".join(shown.stderr.split())
