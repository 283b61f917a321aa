"""The Python API against a bucket in moto: what a notebook would do, its errors, and that importing it is light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

import dropsort
from dropsort import DropsortError, Result, Service, connect
from tests.unit.cli.conftest import TEMPLATE, deployed, record
from tests.unit.client.conftest import aws, s3, service, settled_soon, write_result
from tests.unit.monitoring.conftest import aws as served
from tests.unit.monitoring.conftest import server
from tests.unit.monitoring.test_function import put_captures

# Fixtures
__all__ = ["aws", "deployed", "record", "s3", "served", "server", "service", "settled_soon", "write_result"]


@pytest.fixture
def connected(deployed: None) -> Service:
    return connect()


def test_images_are_dropped_and_their_results_returned(
    connected: Service, service: set[str], tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())

    found = connected.drop(tmp_path, prefix="cam1")

    assert {result.key for result in found} == {"incoming/cam1/a.jpg", "incoming/cam1/b.jpg"}
    assert all(isinstance(result, Result) and result.label == "bicycle" for result in found)


def test_results_are_filtered(connected: Service, s3: Any, write_result: Callable[..., str]) -> None:
    for name, outcome in (("x/a.jpg", "classified"), ("y/b.jpg", "low-confidence")):
        s3.put_object(Bucket=connected.bucket, Key=f"incoming/{name}", Body=b"")
        write_result(f"incoming/{name}", outcome)

    assert len(list(connected.results())) == 2
    assert [one.key for one in connected.results(outcome="low-confidence")] == ["incoming/y/b.jpg"]
    assert [one.key for one in connected.results(prefix="x/", label="bicycle")] == ["incoming/x/a.jpg"]
    with pytest.raises(ValueError, match="no outcome 'unsure'"):
        connected.results(outcome="unsure")


def test_reviews_and_the_audit_of_them(connected: Service, record: Callable[..., None]) -> None:
    for number, label in enumerate(("bicycle", "bicycle", "motorcycle", "bicycle")):
        record(number, action="label", label=label)
    record(4)

    assert [review.source.key for review in connected.reviews(prefix="002")] == ["incoming/002.jpg"]
    found = connected.audit(0.5)
    assert (found.classified.reviewed, found.classified.size) == (4, 5)
    assert found.classified.estimate.value == 0.75


def test_the_report_is_of_the_captures_of_the_bucket(served: tuple[Any, Any], tmp_path: Path) -> None:
    s3, _ = served
    boto3.client("cloudformation").create_stack(StackName="dropsort", TemplateBody=json.dumps(TEMPLATE))
    put_captures(s3, datetime(2026, 11, 25, 9, tzinfo=UTC), 60)

    page = connect().report(tmp_path)

    assert page == tmp_path / "report.html"
    assert "<span>captures</span><b>60</b>" in page.read_text(encoding="utf-8")
    # The next one continues from what is stored in the bucket.
    put_captures(s3, datetime(2026, 11, 25, 10, tzinfo=UTC), 7)
    assert "<span>captures</span><b>67</b>" in connect().report(tmp_path).read_text(encoding="utf-8")


def test_what_is_wrong_is_named(connected: Service, tmp_path: Path) -> None:
    with pytest.raises(DropsortError, match="missing does not exist"):
        connected.drop(tmp_path / "missing")
    with pytest.raises(DropsortError, match="Nothing to upload"):
        connected.drop(tmp_path)
    with pytest.raises(DropsortError, match="There is no stack other"):
        connect("other")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = (
        "import sys, dropsort; print([m for m in ('boto3', 'numpy', 'click', 'PIL') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
    assert {"connect", "Service"} <= set(dir(dropsort))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dropsort.nothing  # noqa: B018


def test_the_notebook_uses_what_there_is() -> None:
    notebook = json.loads(
        (Path(__file__).parents[2] / "docs" / "guides" / "notebook.ipynb").read_text("utf-8")
    )
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = "\n".join(cells)
    compile(code, "notebook", "exec")
    used = set(re.findall(r"service\.(\w+)", code))
    assert used == {"bucket", "drop", "results", "reviews", "audit", "report"}
    assert used <= set(dir(Service))
