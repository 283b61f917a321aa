"""Text of others, such as names of files, labels and error messages, made safe to show.

A terminal acts on control characters: C0 and C1 codes move the cursor, write files or respond as if they were typed;
bidirectional overrides show another name than the one that is there. Neither function ever lets one through.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# With what a spreadsheet takes the content of a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _visible(sign: str) -> bool:
    """Letters, marks, numbers, punctuation, symbols and spaces: neither control nor format characters, nor line separators."""
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def printable(text: str) -> str:
    """The text on one line, with a replacement character for everything that is not visible.

    Examples
    --------
    >>> printable("red\\x1b[31m.jpg")
    'red�[31m.jpg'
    """
    return text if text.isprintable() else "".join(sign if _visible(sign) else REPLACEMENT for sign in text)


def lines(text: str) -> list[str]:
    """The lines of a file, without their ends.

    `str.splitlines` also splits at line separators of Unicode, which names of files, and texts in JSON, may contain.

    Examples
    --------
    >>> lines("a\\u2028b\\r\\nc")
    ['a\\u2028b', 'c']
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def number_of(count: int, noun: str) -> str:
    """A count and its noun, in the plural unless it is one.

    Examples
    --------
    >>> number_of(1, "upload"), number_of(2000, "upload")
    ('1 upload', '2,000 uploads')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def escaped_cell(value: Any) -> Any:
    """The value of a cell of a table; a text that a spreadsheet would run as a formula gets an apostrophe before it.

    Examples
    --------
    >>> escaped_cell("=1+1"), escaped_cell(-1)
    ("'=1+1", -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def original_cell(text: str) -> str:
    """The text of which `escaped_cell` made this one."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def escaped_json(document: str) -> str:
    """A JSON document in which strings have escapes for everything that is not visible; it means the same.

    Parameters
    ----------
    document
        What ``json.dumps`` returned; its line feeds stay.

    Examples
    --------
    >>> escaped_json('{"key": "\\x9b31m"}')
    '{"key": "\\\\u009b31m"}'
    """
    return re.sub(r"[^\x20-\x7e\n]", _escape, document)


def _escape(found: re.Match[str]) -> str:
    sign = found[0]
    if _visible(sign):
        return sign
    number = ord(sign)
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
