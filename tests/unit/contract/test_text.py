"""Control characters of others reach no terminal: neither as text nor in JSON."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract.text import REPLACEMENT, escaped_cell, escaped_json, lines, original_cell, printable

DANGEROUS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = [chr(number) for number in (*range(0x20), 0x7F, *range(0x80, 0xA0))]
BIDI = [*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"]
ANY = st.text(st.characters(exclude_categories=[]) | st.sampled_from([*HOSTILE, *BIDI, "\u2028", "\ud800"]))


def test_every_control_character_is_replaced_and_escaped() -> None:
    for sign in (*HOSTILE, *BIDI, "\u2028", "\u2029", "\ufeff", "\U000e0001", "\ud800"):
        assert printable(f"a{sign}b") == f"a{REPLACEMENT}b", ascii(sign)
        document = escaped_json(json.dumps(f"a{sign}b", ensure_ascii=False))
        assert sign not in document, ascii(sign)
        assert json.loads(document) == f"a{sign}b", ascii(sign)


@given(ANY)
def test_what_is_shown_has_no_dangerous_category_and_the_same_length(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(sign) for sign in shown} & DANGEROUS
    assert len(shown) == len(text)
    assert printable(shown) == shown
    # AND what is visible stays
    assert all(new == old for new, old in zip(shown, text, strict=True) if new != REPLACEMENT)


@settings(max_examples=50)
@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_json_means_the_same_and_has_none(document: object) -> None:
    for indent in (None, 2):
        text = escaped_json(json.dumps(document, ensure_ascii=False, indent=indent))
        assert json.loads(text) == document
        assert not {unicodedata.category(sign) for sign in text.replace("\n", "")} & DANGEROUS


@pytest.mark.parametrize("text", ["a b/ä日本 é😀.jpg", "a\u3000b", "a\u00a0b", "e\u0301"])
def test_names_of_people_stay_as_they_are(text: str) -> None:
    assert printable(text) == text
    assert escaped_json(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False)


def test_the_last_sign_of_16_bits_has_one_escape_and_the_first_invisible_one_after_it_has_two() -> None:
    assert escaped_json('"\uffff"') == '"\\uffff"'
    assert escaped_json('"\U0001fffe"') == '"\\ud83f\\udffe"'


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_spreadsheet_takes_for_a_formula_is_text_and_comes_back(begin: str) -> None:
    assert escaped_cell(f"{begin}1+1") == f"'{begin}1+1"
    assert original_cell(f"'{begin}1+1") == f"{begin}1+1"
    # Neither the sign within a text nor an apostrophe before another text is changed.
    for text in (f"a{begin}1", "'a", "'", ""):
        assert escaped_cell(text) == original_cell(text) == text


def test_lines_end_as_files_of_every_system_have_it_and_nowhere_else() -> None:
    assert lines("a\r\nb\nc\rd\u2028e\n") == ["a", "b", "c", "d\u2028e", ""]
