"""What is required fails where it lacks; everything else skips, and nothing skips by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).resolve().parents[2]


def test_what_lacks_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(needs.VARIABLE, "libraries")
    with pytest.raises(pytest.skip.Exception, match=r"embedded AWS.*: no network"):
        needs.lacking("embedded-aws", "no network")
    for need in (needs.module, needs.installed):
        with pytest.raises(pytest.skip.Exception, match="No module named 'no_such_module'"):
            need("training", "no_such_module")


def test_what_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(needs.VARIABLE, " embedded-aws, training")
    with pytest.raises(
        pytest.fail.Exception, match=r"embedded AWS.*: no network .*DROPSORT_REQUIRE asks for it"
    ):
        needs.lacking("embedded-aws", "no network")
    for need in (needs.module, needs.installed):
        with pytest.raises(pytest.fail.Exception, match="No module named 'no_such_module'"):
            need("training", "no_such_module")


@pytest.mark.parametrize("value", ["embeded-aws", "data;libraries", "all"])
def test_a_requirement_that_is_none_ends_the_run(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(needs.VARIABLE, value)
    with pytest.raises(pytest.UsageError, match="is none of embedded-aws"):
        needs.required()


def test_ci_requires_what_it_installs_and_the_data_where_it_has_it() -> None:
    # GIVEN the lines of CI's script that run before any test
    script = (ROOT / ".ci" / "run").read_text()
    (line,) = re.findall(r"^export DROPSORT_REQUIRE=(.*)$", script, re.MULTILINE)
    always, with_data = re.fullmatch(r"([a-z,-]+)\$\{DROPSORT_DATA:\+,([a-z-]+)\}", line).groups()  # type: ignore[union-attr]
    # THEN they require what they install, and the data if a place is given for it
    assert set(always.split(",")) == set(needs.NEEDS) - {"data", "sagemaker", "mutation"}
    assert with_data == "data"
    assert script.index("export") < script.index("make test")


def test_a_test_skips_through_what_can_be_required_or_for_its_system() -> None:
    # A file system may reject names; whoever lacks a need uses tests/needs.py. Marks (skipif) are for the system.
    calls = re.compile(r"pytest\.(skip\(|importorskip)|mark\.skip\b")
    found = {path.name for path in (ROOT / "tests").rglob("*.py") if calls.search(path.read_text())}
    # The latter: an account's quota
    assert found - {Path(__file__).name} == {"needs.py", "test_runs.py", "test_stores.py", "test_workflow.py"}
