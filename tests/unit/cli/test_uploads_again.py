"""`dropsort drop` and `redrive` against a bucket: what they print, write and return, and that a dry run starts nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import drop as dropping
from dropsort.cli import redrive as redriving
from dropsort.client import deployed_service, redrive
from dropsort.client.errors import MissingResultsError
from tests.unit.client.conftest import BUCKET


@pytest.fixture
def found(s3: Any, deployed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ignores text files."""
    find = deployed_service.find
    monkeypatch.setattr(
        deployed_service,
        "find",
        lambda *arguments: replace(find(*arguments), parameters={"IgnoredPatterns": "*.txt"}),
    )


def run(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_drop_uploads_again_on_demand_and_counts_what_it_did(found: None, s3: Any, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out.json"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"a")
    for options, counts in (([], (1, 0)), ([], (0, 1)), (["--again"], (1, 0))):
        result = run(dropping.drop, str(images), "--json", str(out), *options)
        assert (result.return_value, result.exception) == (0, None)
        assert (document(out)["uploaded"], document(out)["unchanged"]) == counts
    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert [one["Key"] for one in versions] == ["incoming/a.jpg"] * 2


def test_drop_waits_for_no_result_of_what_the_service_ignores(
    found: None, service: set[str], tmp_path: Path
) -> None:
    service.add("incoming/notes.txt")
    for name in ("b.jpg", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    out = tmp_path / "out" / "document.json"
    out.parent.mkdir()
    paths = [str(tmp_path / name) for name in ("b.jpg", "a.jpg", "notes.txt")]
    result = run(dropping.drop, *paths, "--wait", "--timeout", "60", "--json", str(out))
    assert (result.return_value, result.exception) == (0, None)
    assert {name: document(out)[name] for name in ("images", "results", "uploaded", "ignored")} == {
        "images": 2,
        "results": 2,
        "uploaded": 3,
        "ignored": 1,
    }
    assert "1 file is uploaded, but the service ignores such names" in result.stderr
    rows = [line.split()[0] for line in result.stdout.splitlines() if ".jpg" in line]
    assert rows == ["a.jpg", "b.jpg"]


def test_drop_fails_where_results_are_missing_after_it_has_written_what_there_is(
    found: None, s3: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    out = tmp_path / "document.json"
    result = run(dropping.drop, str(tmp_path / "a.jpg"), "--wait", "--timeout", "1", "--json", str(out))
    assert isinstance(result.exception, MissingResultsError)
    assert (document(out)["uploaded"], document(out)["results"]) == (1, 0)


def test_ctrl_c_in_a_drop_says_what_is_done_and_is_no_success(
    found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dropsort.client.drop.drop", interrupted)
    (tmp_path / "a.jpg").write_bytes(b"a")
    result = run(dropping.drop, str(tmp_path / "a.jpg"))
    assert result.exception is not None
    assert "0 of 1 files are uploaded and will be classified" in result.stderr


def test_a_link_to_nowhere_is_named_as_what_cannot_be_uploaded(found: None, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_bytes(b"a")
    result = run(dropping.drop, str(tmp_path / "link.jpg"), str(tmp_path / "a.jpg"))
    assert result.return_value == 1
    assert "link.jpg" in result.stderr


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many uploads each run was started with, and how many at once."""
    runs: list[tuple[int, int]] = []

    def start(_client: Any, _service: Any, uploads: Any, at_once: int) -> Any:
        runs.append((uploads.count, at_once))
        return SimpleNamespace(id="run")

    monkeypatch.setattr(redrive, "start", start)
    return runs


def test_redrive_starts_what_its_options_select(
    found: None, s3: Any, started: list[tuple[int, int]], tmp_path: Path
) -> None:
    # GIVEN three uploads without a result, of which one is ignored
    for name in ("cam1/a.jpg", "cam2/[red]b\u202e.jpg", "cam2/notes.txt"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")
    out = str(tmp_path / "out.json")

    def redriven(*options: str) -> tuple[Result, dict[str, Any]]:
        result = run(redriving.redrive, "--yes", "--json", out, *options)
        assert (result.return_value, result.exception) == (0, None)
        return result, document(Path(out))

    # WHEN they are young THEN they may be in progress
    result, written = redriven()
    assert (written["started"], started) == (0, [])
    assert "2 younger than 600 seconds left out" in result.stderr
    result, _ = redriven("--prefix", "cam1/")
    assert "1 younger than 600 seconds left out" in result.stderr
    # AND a dry run names them, as text, and starts nothing
    result, written = redriven("--min-age", "0", "--dry-run")
    assert (written["started"], written["run"], started) == (0, None, [])
    assert "incoming/cam2/[red]b\ufffd.jpg  (" in result.stdout
    assert "2 uploads would be started again." in result.stdout
    # AND otherwise they are started, as many at once as is wanted
    _, written = redriven("--min-age", "0", "--concurrency", "7", "--prefix", "cam1/")
    assert (written["started"], written["run"], started) == (1, "run", [(1, 7)])
    assert [one["key"] for one in written["uploads"]] == ["incoming/cam1/a.jpg"]


def test_of_very_many_uploads_the_document_names_the_first(
    found: None, s3: Any, started: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "MOST_NAMED", 1)
    for name in ("a.jpg", "b.jpg"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")
    out = tmp_path / "out.json"
    assert run(redriving.redrive, "--yes", "--min-age", "0", "--json", str(out)).return_value == 0
    assert (document(out)["started"], len(document(out)["uploads"])) == (2, 1)


def test_redrive_of_everything_takes_no_other_criteria_and_names_what_is_no_result(
    found: None, s3: Any, started: list[tuple[int, int]], write_result: Callable[..., str]
) -> None:
    result = run(redriving.redrive, "--all", "--label", "bicycle")
    assert "--all selects every upload" in str(result.exception)
    s3.put_object(Bucket=BUCKET, Key="failed/a.jpg.json", Body=b"{")
    result = run(redriving.redrive, "--outcome", "failed", "--yes")
    assert (result.return_value, started) == (0, [])
    assert f"s3://{BUCKET}/failed/a.jpg.json is not a result" in result.stderr
