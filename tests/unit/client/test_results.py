"""Reading results, and fetching objects into a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropsort.client import fetch, results
from dropsort.client.errors import ClientError
from tests.unit.client.conftest import BUCKET


@pytest.fixture
def written(s3: Any, write_result: Callable[..., str]) -> None:
    for name, outcome, label in (
        ("cam1/a.jpg", "classified", "bicycle"),
        ("cam1/b.jpg", "classified", "motorcycle"),
        ("cam2/c.jpg", "low-confidence", "bicycle"),
    ):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")
        write_result(f"incoming/{name}", outcome, label=label)
    s3.put_object(Bucket=BUCKET, Key="failed/notes.txt", Body=b"mine")
    s3.put_object(Bucket=BUCKET, Key="failed/other.json", Body=b'{"outcome": "maybe"}')


def names(s3: Any, **filters: Any) -> list[str]:
    return [item.key.removeprefix("incoming/") for item in results.iterate(s3, BUCKET, **filters)]


def test_all_results_in_order(s3: Any, written: None) -> None:
    assert names(s3) == ["cam1/a.jpg", "cam1/b.jpg", "cam2/c.jpg"]


def test_filters(s3: Any, written: None) -> None:
    assert names(s3, outcomes=["low-confidence"]) == ["cam2/c.jpg"]
    assert names(s3, label="bicycle") == ["cam1/a.jpg", "cam2/c.jpg"]
    assert names(s3, prefix="cam1/") == ["cam1/a.jpg", "cam1/b.jpg"]


def test_what_is_no_result_is_named_and_the_rest_is_read(s3: Any, written: None) -> None:
    problems: list[str] = []
    assert len(list(results.iterate(s3, BUCKET, unreadable=problems.append))) == 3
    assert len(problems) == 2
    assert "s3://images/failed/notes.txt is not a result" in problems[0]


def test_ahead_keeps_the_order_and_passes_errors_on() -> None:
    assert list(results.ahead(lambda number: number * 2, range(500), workers=3)) == list(range(0, 1000, 2))
    with pytest.raises(ZeroDivisionError):
        list(results.ahead(lambda number: 1 // number, [1, 0, 2]))


def test_what_was_read_ahead_for_nobody_is_not_begun() -> None:
    gate, begun = threading.Event(), list[int]()

    def work(number: int) -> int:
        begun.append(number)
        if number:
            gate.wait(60)
        return number

    # GIVEN a reader that has had enough after the first of many
    found = results.ahead(work, range(100), workers=1)
    assert next(found) == 0  # type: ignore[call-overload]
    found.close()  # type: ignore[attr-defined]
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("read"):
            thread.join(60)
    # THEN none is begun but those that were under way
    assert set(begun) <= {0, 1}


def test_fetch_replaces_the_folder_only_when_all_is_there(s3: Any, tmp_path: Path) -> None:
    # GIVEN a folder of an earlier run
    target = tmp_path / "deep" / "last"
    for body in (b"one", b"two"):
        s3.put_object(Bucket=BUCKET, Key="captures/e/v/a.jsonl", Body=body)
        with fetch.replacing(target) as folder:
            assert fetch.objects(s3, BUCKET, "captures/", folder) == 1
        assert (target / "captures/e/v/a.jsonl").read_bytes() == body

    # WHEN a later fetch fails THEN that one is still there
    with pytest.raises(RuntimeError), fetch.replacing(target):
        raise RuntimeError
    assert (target / "captures/e/v/a.jsonl").read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["last"]


@pytest.mark.parametrize("key", ["/etc/passwd", "captures/../../x", ".."])
def test_no_key_leads_outside_the_folder(key: str) -> None:
    with pytest.raises(ClientError, match="outside the folder"):
        fetch.inside(key)


@pytest.mark.parametrize("key", ["captures/../../escaped", "captures//../../../escaped"])
def test_an_object_whose_key_leads_outside_the_folder_is_not_written(
    s3: Any, tmp_path: Path, key: str
) -> None:
    # GIVEN a hostile key among the captures
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"hostile")
    target = tmp_path / "deep" / "captures"
    # WHEN they are fetched THEN it is named, and written nowhere
    with pytest.raises(ClientError, match="outside the folder"), fetch.replacing(target) as folder:
        fetch.objects(s3, BUCKET, "captures/", folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
