"""What commands name one by one, on one line each, and how many; and what of it makes a command fail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli import dataset as making
from dropsort.cli import drop as dropping
from dropsort.cli import status as watching
from dropsort.cli import status_line
from dropsort.cli.main import dropsort
from dropsort.cli.results import results
from dropsort.client import deployed_service, files
from dropsort.client import results as reading
from dropsort.client import status as state
from dropsort.client.status import Status
from dropsort.contract import reconciliation
from dropsort.local.activity import RecordedResult

MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(
        deployed_service, "find", lambda *_: SimpleNamespace(bucket="images", ignored=lambda _: False)
    )


@pytest.mark.parametrize(("skipped", "waiting", "code"), [(0, 0, 0), (1, 0, 1), (0, 2, 1), (1, 2, 1)])
def test_a_drop_of_which_something_is_missing_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skipped: int, waiting: int, code: int
) -> None:
    # GIVEN an image, files that cannot be read, and images whose result is retryable
    (tmp_path / "a.jpg").touch()
    bad = [SimpleNamespace(path=Path("a\nb.jpg"), reason="denied")] * skipped
    image = SimpleNamespace(path=tmp_path / "a.jpg", key="incoming/a.jpg")
    found = SimpleNamespace(files=[image], skipped=bad, left_out=0, look_alike=[])
    monkeypatch.setattr(files, "walk", lambda *_, **__: found)
    monkeypatch.setattr(dropping, "_upload_and_wait", lambda *_: None)
    monkeypatch.setattr(dropping, "_show_results", lambda *_: {"retryable": waiting})
    result = CliRunner().invoke(dropsort, ["drop", str(tmp_path), "--wait"], standalone_mode=False)
    assert result.return_value == code, result.output
    assert result.stderr.splitlines().count(f"not uploaded: a{MARK}b.jpg: denied") == skipped
    assert ("2 of 1 images have no result yet" in result.stderr) is bool(waiting)


def test_fifty_labels_are_named_where_none_is_the_one_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [SimpleNamespace(label=f"label-{number:02}") for number in range(51)]
    monkeypatch.setattr(reading, "iterate", lambda *_, **__: found)
    monkeypatch.setattr(reconciliation, "check", lambda *_, **__: [])
    shown = CliRunner().invoke(results, ["--label", "cat"], standalone_mode=False)
    assert "No result has the label cat. Labels: label-00, " in shown.stderr
    assert shown.stderr.count("label-") == 50


def test_a_quick_state_is_read_every_five_seconds_and_codes_are_one_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        raise KeyboardInterrupt

    found = Status(failed=Counter({"odd\ncode": 2}), oldest="a\nb", oldest_uploaded=None)
    monkeypatch.setattr(state, "read", lambda *_: found)
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=sleep))
    shown = CliRunner().invoke(dropsort, ["status", "--watch"], standalone_mode=False)
    assert pauses == [5.0]
    assert f"2 odd{MARK}code" in shown.stdout


def test_a_twentieth_is_for_the_test_and_ten_files_of_a_kind_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (share,) = (one.default for one in making.dataset.params if one.name == "test")
    assert share == 0.05
    entries = [{"file": f"a\n{number}.jpg", "key": "", "kind": "label", "why": "odd"} for number in range(12)]
    entries += [{"file": "b.jpg", "key": "incoming/b.jpg", "kind": "gone", "why": "deleted"}]
    making._name("check", entries)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"check (label): a{MARK}0.jpg: odd"
    assert lines[9:] == [
        f"check (label): a{MARK}9.jpg: odd",
        "check (gone): b.jpg (incoming/b.jpg): deleted",
        "... and 2 more (label); --json FILE names all.",
    ]


def test_a_result_is_one_line() -> None:
    one: Any = RecordedResult("incoming/a\nb.jpg", "classified", "c\nd", 0.5)
    assert status_line.row(one).plain[8:] == f"  a{MARK}b.jpg  classified  c{MARK}d 0.500"


def test_the_state_is_written_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = Status(uploads=3, endpoint_name="bikes")
    monkeypatch.setattr(state, "read", lambda *_: found)
    shown = CliRunner().invoke(
        dropsort, ["status", "--json", str(tmp_path / "s.json")], standalone_mode=False
    )
    assert shown.return_value == 0
    assert json.loads((tmp_path / "s.json").read_text()) == found.to_json()
