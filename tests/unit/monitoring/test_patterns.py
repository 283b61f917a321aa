"""Patterns of lines alike: which lines have one, and the parts that vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monitoring.ingest import fast_path
from tests.unit.monitoring.capture_cases import line


def rest(**more: Any) -> bytes:
    text = line("[0.75,0.25]", event="e-1", inference="i-1", **more)
    return text[text.index(b'","encoding"') :]


def test_a_pattern_has_each_part_that_varies_once() -> None:
    text = rest()
    pattern = fast_path._pattern(text)
    assert pattern is not None
    assert [text[part] for part in (pattern.id, pattern.inference_id, pattern.time, pattern.data)] == [
        b"e-1", b"i-1", b"2026-11-21T09:00:01Z", b"[0.75,0.25]"
    ]  # fmt: skip
    assert pattern.encoding == "JSON"


@pytest.mark.parametrize(
    "more",
    [
        {"groundTruthData": {}}, {"extra": {"data": 7}}, {"extra": {"data": "x"}}, {"extra": "e-1"}, {"extra": "i-1"},
        {"extra": "2026-11-21T09:00:01Z"}, {"time": "2026-11-21T09:00:01"}, {"time": None},
    ],
)  # fmt: skip
def test_a_line_with_anything_unusual_has_no_pattern(more: dict[str, Any]) -> None:
    assert fast_path._pattern(rest(**more)) is None


def test_a_line_without_an_id_or_that_is_none_has_no_pattern() -> None:
    assert fast_path._pattern(rest().replace(b'"e-1"', b'""')) is None
    assert fast_path._pattern(rest()[:-1]) is None


@pytest.mark.parametrize(
    ("text", "value", "part"),
    [(b'x"a"', "a", (2, 3)), (b'"a""a"', "a", None), (b"a", "a", None), (b"a", "", (0, 0))],
)
def test_a_part_is_where_its_value_is_the_only_one(
    text: bytes, value: str, part: tuple[int, int] | None
) -> None:
    assert fast_path._part(text, value) == (slice(*part) if part else None)


def test_texts_are_plain_without_quotation_marks_and_backslashes() -> None:
    def rows(*texts: bytes) -> np.ndarray:
        return np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), -1)

    assert fast_path._plain(rows(b"ab", b'a"', b"a\\", b"\\a")).tolist() == [True, False, False, False]
    assert fast_path._plain(rows(b"ab", b"cd")) is True


@pytest.mark.parametrize("length", [1, 8, 9, 255, 256, 300])
def test_each_occurrence_of_a_byte_counts(length: int) -> None:
    texts = np.full((2, length), ord(","), np.uint8)
    texts[1, 0] = ord("x")
    assert fast_path._count(texts, b",").tolist() == [length, length - 1]
