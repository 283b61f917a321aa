"""What `dropsort demo` shows and stores, with stand-ins for the service, the uploads and their results."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import local
from dropsort.client import drop_and_wait, fetch, files, summary
from dropsort.client.errors import MissingResultsError
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.local import service as services
from tests.unit.cli.test_training_command import Bars
from tests.unit.client.test_summary import finished
from training.dataset import samples

MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Two images with results, in an empty folder; and what the functions of the demo were given."""
    found: dict[str, Any] = {
        "results": [finished("b/b.jpg"), finished("b/a.jpg", "low-confidence")], "skipped": [], "locations": {"incoming/a": ["x"]}
    }  # fmt: skip

    class LocalService:
        bucket = "images"

        def __init__(self, *, on_step: Any, **options: Any) -> None:
            found["service"] = options
            on_step("Starting the service")

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            found["ended"] = True

        def session(self) -> Any:
            return SimpleNamespace(client=lambda name: name)

        def flush(self) -> None:
            found["flushed"] = "ended" not in found

        def check(self) -> None:
            found["checked"] = True

    def walk(folders: list[Path]) -> Any:
        found["walked"] = folders
        items = [files.LocalFile(Path(name), f"incoming/{name}", 1) for name in ("a", "b")]
        return ([] if found.get("empty") else items), found["skipped"], 0, []

    def wait(_s3: Any, bucket: str, given: Any, **options: Any) -> None:
        found["waited"] = (bucket, len(given), options["in_flight"])
        for item in given:
            options["uploaded"](item)
        for item in found["results"]:
            options["done"](item)
        if "missing" in found:
            raise MissingResultsError(found["missing"], ["incoming/a"])

    def objects(_s3: Any, bucket: str, prefix: str, folder: Path) -> int:
        found["fetched"] = (bucket, prefix)
        (folder / "captures").mkdir()
        return 0

    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(services, "LocalService", LocalService)
    monkeypatch.setattr(files, "walk", walk)
    monkeypatch.setattr(drop_and_wait, "drop_and_wait", wait)
    monkeypatch.setattr(fetch, "objects", objects)
    monkeypatch.setattr(
        summary,
        "result_locations",
        lambda _s3, bucket, keys: found.update(asked=(bucket, keys)) or found["locations"],
    )
    monkeypatch.setattr(
        samples, "make", lambda folder, count, _steps: found.update(made=(folder.is_dir(), count))
    )
    return found


def run(*arguments: str) -> tuple[Result, dict[str, Any]]:
    result = CliRunner().invoke(local.demo, [*arguments, "--json", "out.json"], standalone_mode=False)
    assert result.exception is None, result.output
    return result, json.loads(Path("out.json").read_text())


LAST = Path(".dropsort/last-demo")


def test_images_are_classified_by_a_service_with_the_thresholds_of_the_model(
    seen: dict[str, Any], tmp_path: Path
) -> None:
    seen["skipped"] = [SimpleNamespace(path=Path("c\n"), reason="denied")]
    shown, document = run("--images", str(tmp_path / "images"))
    assert seen["walked"] == [tmp_path / "images"]
    assert seen["service"] == {"model": DEFAULT_MODEL, "parameters": local.thresholds(DEFAULT_MODEL)}
    assert seen["waited"] == ("images", 2, local._in_flight())
    assert seen["asked"] == ("images", ["incoming/a", "incoming/b"])
    assert (seen["fetched"], seen["flushed"]) == (("images", "captures/"), True)
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["image", "b/a.jpg", "b/b.jpg"]
    assert lines[3] == ""
    assert lines[-2:] == ["", f"The captures are in {LAST}: `dropsort report` shows them."]
    steps = shown.stderr.splitlines()
    assert [one for one in steps if not one.startswith(("uploaded", "results"))] == [
        "Starting the service", "Classifying 2 files", "Fetching captures", f"not uploaded: c{MARK}: denied"
    ]  # fmt: skip
    assert document["images"] == 3
    assert document["skipped"] == [{"path": "c\n", "reason": "denied"}]
    assert (document["lost"], document["twice"], document["cold_starts"]) == ([], [], 2)
    assert document["startup_seconds"] >= 0
    assert shown.return_value == 1
    # AND what a report needs is stored
    assert json.loads((LAST / "summary.json").read_text()) == document
    assert [json.loads(line)["source"]["key"] for line in (LAST / "results.jsonl").read_text().splitlines()] == [
        "incoming/b/b.jpg", "incoming/b/a.jpg"
    ]  # fmt: skip
    assert (LAST / "reference.json").read_bytes() == (DEFAULT_MODEL / "reference.json").read_bytes()


def test_without_images_samples_are_made(seen: dict[str, Any]) -> None:
    shown, _ = run("--count", "5")
    assert seen["made"] == (True, 5)
    assert shown.return_value == 0
    run()
    assert seen["made"] == (True, 36)


def test_lost_and_second_results_are_named_in_order(seen: dict[str, Any]) -> None:
    seen["locations"] = {"incoming/b": [], "incoming/a": [], "incoming/d": ["x", "y"], "incoming/c": ["x"]}
    shown, document = run()
    assert (document["lost"], document["twice"]) == (["incoming/a", "incoming/b"], ["incoming/d"])
    assert shown.return_value == 1


@pytest.mark.parametrize("locations", [{"incoming/a": []}, {"incoming/a": ["x", "y"]}])
def test_a_lost_or_a_second_result_alone_is_a_failure(seen: dict[str, Any], locations: Any) -> None:
    seen["locations"] = locations
    assert run()[0].return_value == 1


def test_results_that_do_not_come_are_named_after_the_service_was_checked(seen: dict[str, Any]) -> None:
    seen["missing"] = "1 upload has no result."
    seen["results"] = seen["results"][:1]
    shown, document = run()
    assert (shown.return_value, document["results"], seen["checked"]) == (1, 1, True)
    assert "dropsort: 1 upload has no result." in shown.stderr


def test_a_folder_without_files_is_an_error(seen: dict[str, Any], tmp_path: Path) -> None:
    seen["empty"] = True
    shown = CliRunner().invoke(local.demo, ["--images", str(tmp_path / "images")])
    assert (shown.exit_code, "images has no files that can be uploaded." in shown.output) == (1, True)
    assert "service" not in seen


def test_where_nothing_can_be_stored_the_results_are_shown_all_the_same(
    seen: dict[str, Any], tmp_path: Path
) -> None:
    Path(".dropsort").touch()
    shown, document = run()
    assert "Captures cannot be stored: " in shown.stderr
    assert "The captures are in" not in shown.stdout
    assert document["results"] == 2


def test_a_report_gets_the_thresholds_of_the_results(tmp_path: Path) -> None:
    known = {"threshold": 0.7, "familiarity_threshold": 0.05, "model": {"version": "m"}}
    items: list[Any] = [
        SimpleNamespace(result=SimpleNamespace(document=document)) for document in ({}, known, known | {"threshold": 0.8}, {"model": None})
    ]  # fmt: skip
    found = local._settings(tmp_path, items)
    assert found.pop("finished").endswith(" UTC")
    assert found == {
        "model": str(tmp_path), "reference": f"the evaluation set of {tmp_path.name}", "threshold": 0.7, "familiarity_threshold": 0.05,
        "invoked": 2,
    }  # fmt: skip
    (tmp_path / "metrics.json").write_text('{"model": "bikes-1"}')
    nothing = local._settings(tmp_path, [])
    assert (nothing["reference"], nothing["threshold"], nothing["invoked"]) == (
        "the evaluation set of bikes-1",
        None,
        0,
    )


@pytest.mark.parametrize(("processors", "uploads"), [(None, 6), (1, 3), (2, 6), (3, 8), (64, 8)])
def test_so_many_uploads_are_in_progress_that_the_processors_are_busy(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, uploads: int
) -> None:
    monkeypatch.setattr(local.os, "cpu_count", lambda: processors)
    assert local._in_flight() == uploads


def test_uploads_and_results_have_a_bar_each(seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bars = Bars()
    monkeypatch.setattr(local, "bars", bars)
    run()
    assert bars.tasks == [("uploaded", 2), ("results", 2)]
    assert bars.updates == [("uploaded", 1), ("uploaded", 1), ("results", 1), ("results", 1)]
