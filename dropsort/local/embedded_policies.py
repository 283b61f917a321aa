"""Wildcards of IAM policies in the embedded AWS, corrected to those of AWS; part of its process (`dropsort.local.emulator`).

Its ``*`` and ``?`` match no line feed, which a key may have: a function would be denied such an object. The version is pinned, and a
test fails where it no longer has what is patched here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any


@lru_cache(4096)
def pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    """The expression of a pattern with wildcards.

    Examples
    --------
    >>> bool(pattern("arn:aws:s3:::bucket/incoming/*", False).match("arn:aws:s3:::bucket/incoming/a\\nb"))
    True
    """
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(sign) or re.escape(sign) for sign in text)
    return re.compile(rf"{expression}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def patch() -> None:
    """Patch it, before the embedded AWS serves."""
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    if not callable(evaluator._fnmatch_compile):
        raise TypeError("ministack.core.iam_evaluator has no _fnmatch_compile")
    evaluator._fnmatch_compile = pattern
