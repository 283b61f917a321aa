"""Wildcards of policies in the embedded AWS: any character, a line feed too, and the whole of a name."""

from __future__ import annotations

import doctest
from types import SimpleNamespace

import pytest

from dropsort.local import embedded_policies
from dropsort.local.embedded_policies import pattern

UPLOADS = "arn:aws:s3:::bucket/incoming/*"


@pytest.mark.parametrize("path", ["a.jpg", "a\nb.jpg", "\n", "a\n", "a\r\x85\u2028b", "", "///", "写真"])
def test_any_key_below_a_prefix_matches(path: str) -> None:
    assert pattern(UPLOADS, False).match(f"arn:aws:s3:::bucket/incoming/{path}")


@pytest.mark.parametrize(
    "name",
    ["arn:aws:s3:::bucket/classified/a", "x\narn:aws:s3:::bucket/incoming/a", "arn:aws:s3:::bucket/incoming"],
)
def test_nothing_else_does(name: str) -> None:
    assert not pattern(UPLOADS, False).match(name)


def test_a_name_without_wildcards_is_the_whole_name() -> None:
    assert not pattern("arn:aws:s3:::bucket", False).match("arn:aws:s3:::bucket\n")
    assert pattern("s3:get?bject", True).match("S3:GetObject")
    assert not pattern("s3:get?bject", False).match("S3:GetObject")
    assert not pattern("a.c", False).match("abc")


def test_examples() -> None:
    assert doctest.testmod(embedded_policies).failed == 0


def test_an_embedded_aws_without_the_function_is_an_error_before_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator = SimpleNamespace(_fnmatch_compile=len)
    monkeypatch.setattr(
        embedded_policies, "import_module", {"ministack.core.iam_evaluator": evaluator}.__getitem__
    )
    embedded_policies.patch()
    assert evaluator._fnmatch_compile is pattern
    evaluator._fnmatch_compile = None  # type: ignore[assignment]
    with pytest.raises(TypeError, match="has no _fnmatch_compile"):
        embedded_policies.patch()
