"""The threat model names tests that exist, and argues exactly the findings of checkov that are skipped."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_every_test_that_it_names_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not test or test in names


def test_it_names_a_test_for_every_threat() -> None:
    section = PAGE.split("## What protects it")[1].split("\n## ")[0]
    threats = re.split(r"^- ", section, flags=re.MULTILINE)[1:]
    assert len(threats) >= 20
    assert [threat for threat in threats if "`tests/" not in threat] == []
    assert "\n|" not in section, "a list: names of tests are too long for a table"


def test_findings_of_checkov_are_argued_one_by_one() -> None:
    skipped = yaml.safe_load((ROOT / ".checkov.yaml").read_text(encoding="utf-8"))["skip-check"]
    argued = re.findall(r"^\| `(CKV_\w+)` \| .+ \| .{20,} \|$", PAGE, re.MULTILINE)
    assert skipped == argued
