"""Names that are ignored: a whole name, a beginning, an end, a class of characters, a folder, a path."""

from __future__ import annotations

import doctest
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract import ignored_paths
from dropsort.contract.defaults import IGNORED_PATTERNS
from dropsort.contract.ignored_paths import DEFAULT, Matcher, is_folder_marker, parse


@pytest.mark.parametrize(
    "path",
    [
        "._a.jpg", "cam1/._a.jpg", "THUMBS.DB", "x/.ds_store", "@eaDir/a.jpg/SYNOPHOTO.jpg", "desktop.ini", "~$report.jpg", "a.jpg.part",
        "a.tmp", "a.CRDOWNLOAD", ".~lock.a.jpg#", ".Trash-1000/files/a.jpg", "a.jpg.sb-1a2b3c4d-XyZ123", "Icon\r", ".nfs000a", "a/.git/b",
    ],
)  # fmt: skip
def test_files_that_systems_leave_are_ignored(path: str) -> None:
    assert parse(DEFAULT)(path)


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "Icons/a.png", "Icon", "cam._1/a.jpg", "tmp/a.jpg", "part", "a.parts", "thumbs.db.jpg", "~a.jpg", ".hidden.jpg", "a~.png",
    "lock#", "写真/🚲.png", "/", "", "//", "template.jpg"],
)  # fmt: skip
def test_anything_else_is_not(path: str) -> None:
    assert not parse(DEFAULT)(path)


def test_the_default_is_one_text_of_all_patterns() -> None:
    assert DEFAULT.split(",") == list(IGNORED_PATTERNS)
    assert all(pattern.isprintable() and "," not in pattern for pattern in IGNORED_PATTERNS)


def test_a_single_comma_ignores_nothing() -> None:
    assert not parse(",")("a.tmp")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("raw/", "cam1/raw/a.jpg", True),
        ("cam1/raw", "cam1/raw/a.jpg", True),
        ("cam1/raw", "x/cam1/raw/a.jpg", False),
        ("cam*/raw/*.jpg", "CAM1/raw/b/a.jpg", True),
        ("b/raw", "b/rawer/a.jpg", False),
        ("*", "a", True),
        (" *.txt ", "a.TXT", True),
        ("a?c", "a/c", False),
        ("a*c", "ab/xc", False),
    ],
)
def test_patterns_with_slashes_are_paths(pattern: str, path: str, expected: bool) -> None:
    assert parse(pattern)(path) is expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a?*", "ab", True), ("a?*", "a?", True), ("a?*", "a", False), ("[ab]*", "b.jpg", True),
        ("*?b", "xab", True), ("*?b", "b", False), ("*[ab]", "x.a", True), ("*a*", "xay", True), ("*a*", "x", False),
        ("a*", "a", True), ("*a", "a", True), ("a*", "ba", False), ("*a", "ab", False),
    ],
)  # fmt: skip
def test_a_beginning_or_an_end_may_have_signs_of_a_shell(pattern: str, name: str, expected: bool) -> None:
    assert Matcher([pattern])(name) is expected is fnmatchcase(name, pattern)


@settings(max_examples=300)
@given(st.text("ab.*?[]!-~", min_size=1, max_size=6), st.text("ab.~-", min_size=1, max_size=6))
def test_a_name_is_matched_as_a_shell_does(pattern: str, name: str) -> None:
    assert Matcher([pattern])(name) is fnmatchcase(name, pattern)


def test_folder_markers() -> None:
    assert is_folder_marker("incoming/a/", 0)
    assert not is_folder_marker("incoming/a/", 5)
    assert not is_folder_marker("incoming/a/", None)
    assert not is_folder_marker("incoming/a", 0)


def test_examples() -> None:
    assert doctest.testmod(ignored_paths).failed == 0


def test_the_patterns_are_those_of_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
    block = re.search(r"### Ignored patterns\n.*?```text\n(.*?)```", page.read_text(), re.DOTALL)
    assert block
    assert block[1].replace("\n", "").split(",") == [pattern.strip() for pattern in IGNORED_PATTERNS]
    assert ignored_paths.DEFAULT.split(ignored_paths.SEPARATOR) == list(IGNORED_PATTERNS)


def test_slashes_around_a_pattern_are_left_out_and_a_pattern_of_slashes_is_none() -> None:
    assert parse("X")("x")
    assert parse("/raw/")("cam/raw")
    assert not parse("/")("a/b")
    assert not parse("")("")
