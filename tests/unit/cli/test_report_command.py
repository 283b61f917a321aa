"""What `dropsort monitor` and `report` do with what they get, with stand-ins for reading captures and writing a page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import monitoring
from dropsort.client import reviewed, trace
from dropsort.client.aws import Aws
from dropsort.client.captures import CaptureLocation
from dropsort.pages import report as writing
from monitoring.aggregates.cells import BadLine
from monitoring.drift import reference as parsing
from monitoring.incremental import run as running
from monitoring.incremental.summary import RunSummary
from monitoring.quality import audit as auditing
from monitoring.quality import ground_truth
from monitoring.report import figures
from monitoring.report import images as reading
from monitoring.report import reference as references

MARK = "\N{REPLACEMENT CHARACTER}"
FOLDER = CaptureLocation("captures", "state", "the name", ("a", "b"), 0.8, 0.02, invoked=5, compared="a demo")
SERVICE = CaptureLocation(
    "s3://images/captures", "s3://images/state", "stack bikes", threshold=0.8, familiarity_threshold=0.02,
    precision=0.9, reference="s3://images/reference.json", stack="bikes", bucket="images", model="bikes-1",
)  # fmt: skip
AWS = Aws("ada", "eu-west-1")


def summary(files: int = 2, records: int = 3, bad: int = 0) -> RunSummary:
    found = RunSummary("captures", "state")
    found.health.files, found.health.records, found.health.bad_lines = files, records, bad
    return found


class Stage:
    """The stand-ins, and what they were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.where, self.summary, self.seen = FOLDER, summary(), dict[str, Any]()
        self.quality = SimpleNamespace(count=1, other_models=0, unmatched=0)

        def stand_in(target: Any, name: str, value: Any = None) -> None:
            def call(*given: Any, **options: Any) -> Any:
                self.seen[name] = (given, options)
                return value() if callable(value) else value

            monkeypatch.setattr(target, name, call)

        stand_in(monitoring, "locate", lambda: self.where)
        stand_in(running, "run", lambda: self.summary)
        stand_in(running, "load", lambda: SimpleNamespace(labels=list))
        stand_in(monitoring, "_invoked", 77)
        stand_in(monitoring, "_lines", "lines")
        stand_in(monitoring, "_keys", "keys")
        stand_in(monitoring, "_audit", "audit")
        stand_in(monitoring, "_quality", lambda: self.quality)
        stand_in(monitoring, "_reference", lambda: {"reference": "r"})
        stand_in(monitoring, "_forget")
        stand_in(monitoring, "open_in_browser")
        stand_in(references, "check_labels")
        stand_in(figures, "build", "built")
        stand_in(writing, "save", Path("page.html"))
        stand_in(writing, "summary", ["Two alarms."])
        stand_in(writing, "document", {"alarms": 2})

    def run(self, command: Any, *arguments: str) -> Result:
        result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
        assert result.exception is None, result.exception
        return result


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_monitor_aggregates_with_its_options_and_shows_what_it_found(stage: Stage, tmp_path: Path) -> None:
    stage.where = CaptureLocation("cap\ntures", "sta\nte", "na\nme", images=False)
    target = tmp_path / "out.json"
    result = stage.run(
        monitoring.monitor, "there", "--state", "s", "--labels", "a,b", "--processes", "3", "--rebuild", "--images",
        "--json", str(target), "--profile", "ada", "--region", "eu-west-1",
    )  # fmt: skip
    assert result.return_value == 0
    source, state, labels, stack, aws = stage.seen["locate"][0]
    assert (source, state, labels, stack) == ("there", "s", "a,b", None)
    assert (aws.profile, aws.region) == ("ada", "eu-west-1")
    assert stage.seen["_forget"] == (("sta\nte",), {})
    given, options = stage.seen["run"]
    assert given == ("cap\ntures", "sta\nte")
    assert (options["labels"], options["processes"], options["images"]) == (None, 3, True)
    assert (options["access"].profile, options["access"].region) == ("ada", "eu-west-1")
    assert json.loads(target.read_text()) == stage.summary.to_json()
    facts = dict(re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines())
    assert list(facts) == ["captures", "records", "duplicates", "bad lines", "files", "hours", "aggregates"]
    assert (facts["captures"], facts["aggregates"]) == (f"na{MARK}me", f"sta{MARK}te")
    assert (facts["records"], facts["files"], facts["hours"]) == ("3", "2, 0 of them new", "– to –")


def test_monitor_uses_the_labels_and_images_of_the_location(stage: Stage) -> None:
    stage.run(monitoring.monitor)
    options = stage.seen["run"][1]
    assert (options["labels"], options["images"], options["processes"]) == (("a", "b"), False, None)
    assert "_forget" not in stage.seen
    stage.where = CaptureLocation("c", "s", "n", images=True)
    stage.run(monitoring.monitor)
    assert stage.seen["run"][1]["images"]


@pytest.mark.parametrize(
    ("files", "records", "words"),
    [(0, 0, f"There are no capture files (*.jsonl) in c{MARK}."), (1, 0, f"No line in c{MARK} is a capture record."), (1, 1, "")],
)  # fmt: skip
def test_a_location_without_captures_is_named(stage: Stage, files: int, records: int, words: str) -> None:
    stage.where, stage.summary = CaptureLocation("c\n", "s", "n"), summary(files, records)
    assert stage.run(monitoring.monitor).stderr.strip() == words


def test_ten_files_that_cannot_be_read_are_named_and_make_it_fail(stage: Stage) -> None:
    stage.summary.failed = [BadLine(f"a\n{number}", 0, "de\nnied") for number in range(11)]
    result = stage.run(monitoring.monitor)
    assert result.return_value == 1
    assert result.stderr.splitlines() == [f"not read: a{MARK}{number}: de{MARK}nied" for number in range(10)]


def test_a_report_is_built_from_what_was_read_and_written_with_its_options(stage: Stage) -> None:
    result = stage.run(
        monitoring.report, "there", "--out", "p.html", "--png", "--time-zone", "UTC", "--json", "-"
    )
    (aggregate,), options = stage.seen["build"]
    assert options == {"threshold": 0.8, "familiarity_threshold": 0.02, "invoked": 5, "reference": "r"}
    assert stage.seen["load"][0] == ("state",)
    assert stage.seen["load"][1]["access"] == stage.seen["run"][1]["access"]
    assert stage.seen["check_labels"] == (({"reference": "r"}, aggregate), {})
    assert stage.seen["_quality"][0][:3] == (FOLDER, None, aggregate)
    assert stage.seen["_reference"][0][:2] == (FOLDER, None)
    given, saved = stage.seen["save"]
    assert given == ("built", Path("p.html"))
    assert str(saved.pop("zone")) == "UTC"
    assert saved == {
        "source": "the name", "lines": "lines", "keys": "keys", "quality": stage.quality, "audit": None, "png": True,
    }  # fmt: skip
    assert json.loads(result.stdout) == {"page": "page.html", "alarms": 2}
    assert result.stderr.splitlines() == ["Two alarms.", "page.html", "Open this page in a browser."]
    assert stage.seen["open_in_browser"][0] == (Path("page.html").resolve().as_uri(),)
    assert stage.seen["summary"][0] == stage.seen["document"][0] == ("built", stage.quality)
    assert stage.seen["_lines"][0][0] == "captures"


def test_options_of_a_report_come_before_the_location(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "r.json").touch()
    result = stage.run(
        monitoring.report, "--no-open", "--threshold", "0", "--no-ground-truth", "--reference", str(tmp_path / "r.json"),
    )  # fmt: skip
    assert stage.seen["build"][1]["threshold"] == 0
    assert stage.seen["save"][1]["quality"] is None
    assert "_quality" not in stage.seen
    assert "open_in_browser" not in stage.seen
    assert stage.seen["_reference"][0][1] == tmp_path / "r.json"
    assert stage.seen["save"][0][1] == Path(".dropsort/report.html")
    assert result.stdout == "page.html\n"
    stage.run(monitoring.report, "--no-open", "--ground-truth", "truth")
    assert stage.seen["_quality"][0][1] == "truth"


def test_a_report_on_a_service_has_its_invocations_its_audit_and_a_page_of_its_own(stage: Stage) -> None:
    stage.where = SERVICE
    stage.run(monitoring.report, "--stack", "bikes", "--audit", "--no-open")
    assert stage.seen["locate"][0][3] == "bikes"
    assert stage.seen["build"][1]["invoked"] == 77
    assert stage.seen["save"][1]["audit"] == "audit"
    assert stage.seen["save"][0][1] == Path(".dropsort/report-bikes.html")


@pytest.mark.parametrize(
    ("labels", "own", "state", "words"),
    [
        (["0", "1"], (), "state", "`--labels bicycle,motorcycle --rebuild`"),
        (["0", "1"], (), "s3://b/state", "`--labels bicycle,motorcycle --state DIR`"),
        (["0", "1"], ("a", "b"), "state", ""),
        (["0", "cat"], (), "state", ""),
        (["²"], (), "state", ""),
        ([], (), "state", ""),
    ],
)
def test_names_for_class_numbers_are_suggested(
    labels: list[str], own: tuple[str, ...], state: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = CaptureLocation("c", state, "n", own)
    monitoring._suggest_labels(where, SimpleNamespace(labels=lambda: labels))  # type: ignore[arg-type]
    found = capsys.readouterr().err
    assert words in found
    assert bool(found) == bool(words)


def test_the_reference_is_the_named_one_or_that_of_the_location(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a\n.json", "demo.json"):
        (tmp_path / name).write_text(json.dumps([name]))
    monkeypatch.setattr(parsing, "parse_reference", lambda document, name: (document, name))
    monkeypatch.setattr(references, "arguments", lambda found, name: {"found": found, "name": name})
    monkeypatch.setattr(references, "of_bucket", lambda s3, address: {"address": address})
    monkeypatch.setattr(AWS, "_clients", {"s3": "s3"})
    assert monitoring._reference(SERVICE, None, AWS) == {"address": "s3://images/reference.json"}
    named = tmp_path / "a\n.json"
    for where in (SERVICE, FOLDER):
        assert monitoring._reference(where, named, AWS) == {
            "found": (["a\n.json"], str(named)), "name": str(named).replace("\n", MARK)
        }  # fmt: skip
    assert monitoring._reference(FOLDER, None, AWS) == {}
    demo = CaptureLocation("c", "s", "n", reference=str(tmp_path / "demo.json"), compared="a demo")
    assert monitoring._reference(demo, None, AWS)["name"] == "a demo"


def test_ground_truth_is_the_named_one_or_that_of_the_bucket(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []
    listed: dict[str, Any] = {"KeyCount": 0}
    requests: list[dict[str, Any]] = []
    quality = SimpleNamespace(count=0, other_models=0, unmatched=1234)
    s3 = SimpleNamespace(list_objects_v2=lambda **request: requests.append(request) or listed)
    monkeypatch.setattr(AWS, "_clients", {"s3": s3})
    monkeypatch.setattr(ground_truth, "assess_sources", lambda *found: given.append(found) or quality)
    monkeypatch.setattr("monitoring.aggregates.models.current_model", lambda found: f"model of {found}")

    def measured(where: CaptureLocation, truth: str | None) -> Any:
        return monitoring._quality(where, truth, "aggregate", AWS)  # type: ignore[arg-type]

    assert measured(FOLDER, None) is measured(SERVICE, None) is None
    assert requests == [{"Bucket": "images", "Prefix": "ground-truth/", "MaxKeys": 1}]
    assert capsys.readouterr().err == ""
    listed["KeyCount"] = 1
    assert measured(SERVICE, None) is quality
    assert given[0][:3] == ("s3://images/captures", "s3://images/ground-truth/", ())
    assert given[0][4] == "model of aggregate"
    notes = capsys.readouterr().err.splitlines()
    assert notes[0].startswith(
        "Reading the captures again for the ground truth in s3://images/ground-truth/ "
    )
    assert notes[1] == "None of the 1,234 labels in s3://images/ground-truth/ belongs to these captures."
    assert measured(FOLDER, "tru\nth") is quality
    assert given[1][:3] == ("captures", "tru\nth", ("a", "b"))
    assert capsys.readouterr().err == f"None of the 1,234 labels in tru{MARK}th belongs to these captures.\n"
    for quality.count, quality.other_models in ((1, 0), (0, 1)):
        measured(FOLDER, "truth")
        assert capsys.readouterr().err == ""


def test_an_audit_is_of_the_results_and_reviews_of_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AWS, "_clients", {"s3": "s3"})
    monkeypatch.setattr(reviewed, "with_results", lambda s3, bucket, unreadable: (s3, bucket))
    monkeypatch.setattr(auditing, "audited_results", lambda *given: given)
    monkeypatch.setattr(auditing, "audit", lambda *given: given)
    assert monitoring._audit(SERVICE, AWS) == (("s3", "images"), 0.9, "bikes-1")


def test_keys_and_lines_are_of_the_bucket_or_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AWS, "_clients", {"s3": "s3"})
    for module, names in (
        (trace, ("keys_in_bucket", "keys_in_file")),
        (reading, ("bucket_lines", "folder_lines")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda *given, name=name: (name, *given))
    assert monitoring._keys(SERVICE, AWS)(["1"]) == ("keys_in_bucket", "s3", "images", ["1"])
    demo = CaptureLocation("demo/captures", "s", "n")
    assert monitoring._keys(demo, AWS)(["1"]) == ("keys_in_file", Path("demo/results.jsonl"), ["1"])
    assert monitoring._lines("s3://images/a/b", AWS) == ("bucket_lines", "s3", "images", "a/b")
    assert monitoring._lines("a/b", AWS) == ("folder_lines", Path("a/b"))


def test_without_hours_no_captures_are_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.drift.windows.hourly", lambda _: {})
    assert monitoring._invoked(SERVICE, None, AWS) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("percent", "expected"), [(100.0, 81), (50.0, 40), (1.0, 1), (0.1, None)])
def test_expected_captures_are_a_share_of_the_invocations(
    monkeypatch: pytest.MonkeyPatch, percent: float, expected: int | None
) -> None:
    hours = [datetime(2026, 11, 21, hour, tzinfo=UTC) for hour in (9, 12, 10)]
    monkeypatch.setattr("monitoring.drift.windows.hourly", lambda _: dict.fromkeys(hours))
    monkeypatch.setattr(
        "monitoring.cloudwatch.usage.invocations",
        lambda client, stack, start, end: (
            81 if (client, stack, start.hour, end.hour) == ("c", "bikes", 9, 13) else -1
        ),
    )
    monkeypatch.setattr(AWS, "_clients", {"cloudwatch": "c"})
    where = CaptureLocation("c", "s", "n", stack="bikes", capture_percent=percent)
    assert monitoring._invoked(where, None, AWS) == expected  # type: ignore[arg-type]
