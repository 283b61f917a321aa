"""The exit code of `dropsort demo`: 0 if every image has exactly one final result, else 1, and what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli import local
from dropsort.client import drop_and_wait
from dropsort.local import service as services
from tests.unit.client.conftest import BUCKET

Demo = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def demo(s3: Any, service: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Runs it in an empty folder, with files and a service that gives each its result; its exit code and its document."""

    class LocalService:
        bucket = BUCKET

        def __init__(self, **_: Any) -> None:
            self.flushed = False

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            assert self.flushed  # or captures would be missing

        def session(self) -> Any:
            return SimpleNamespace(client=lambda _: s3)

        def flush(self) -> None:
            self.flushed = True

        def check(self) -> None:
            pass

    monkeypatch.setattr(services, "LocalService", LocalService)
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (images / name).write_bytes(name.encode())

    def run() -> tuple[int, dict[str, Any]]:
        arguments = ["--images", str(images), "--json", str(tmp_path / "out.json")]
        result = CliRunner().invoke(local.demo, arguments, standalone_mode=False)
        assert result.exception is None, result.output
        return result.return_value, json.loads((tmp_path / "out.json").read_text())

    return run


def test_every_image_with_one_result_is_a_success(demo: Demo) -> None:
    code, document = demo()
    assert (code, document["images"], document["results"]) == (0, 2, 2)
    assert (document["lost"], document["twice"], document["skipped"]) == ([], [], [])
    saved = json.loads(Path(".dropsort/last-demo/summary.json").read_text())
    assert saved == document
    assert len(Path(".dropsort/last-demo/results.jsonl").read_text().splitlines()) == 2


def test_a_file_that_is_not_uploaded_is_none(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "images" / "c.jpg").symlink_to("nowhere")
    code, document = demo()
    assert (code, document["images"], document["results"]) == (1, 3, 2)
    assert [Path(one["path"]).name for one in document["skipped"]] == ["c.jpg"]


def test_a_second_result_is_none(demo: Demo, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="failed/a.jpg.json", Body=b"{}")
    code, document = demo()
    assert (code, document["twice"]) == (1, ["incoming/a.jpg"])


def test_an_image_without_a_result_is_none(
    demo: Demo, service: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add("incoming/b.jpg")
    patient = drop_and_wait.drop_and_wait
    monkeypatch.setattr(
        drop_and_wait,
        "drop_and_wait",
        lambda *given, **options: patient(*given, **options, patience_seconds=1.0),
    )
    code, document = demo()
    assert (code, document["lost"]) == (1, ["incoming/b.jpg"])


def test_a_failure_that_is_tried_again_is_no_result(
    demo: Demo, service: set[str], s3: Any, write_result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add("incoming/b.jpg")
    patient = drop_and_wait.drop_and_wait
    reason = {"code": "throttled", "message": "Busy.", "retryable": True}

    def uploaded(upload: Any) -> None:
        if upload.file.key == "incoming/b.jpg":
            write_result(upload.file.key, "failed", reason=reason)

    def impatient(*given: Any, **options: Any) -> Any:
        return patient(*given, **options | {"patience_seconds": 1.0, "uploaded": uploaded})

    monkeypatch.setattr(drop_and_wait, "drop_and_wait", impatient)
    code, document = demo()
    assert (code, document["results"], document["retryable"], document["lost"]) == (1, 2, 1, [])
