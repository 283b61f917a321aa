"""Formats numbers, times and labels for people."""

from __future__ import annotations

import bisect
import itertools
import math
import unicodedata
from datetime import UTC, datetime, tzinfo


def to_minute(at: datetime, zone: tzinfo = UTC) -> str:
    """A time to the minute: 2026-11-25 09:30."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def period(first: datetime, last: datetime, zone: tzinfo = UTC) -> str:
    """From when to when, with the time zone: 02 November 2026 09:00 to 12:00 UTC."""
    begin, end = first.astimezone(zone), last.astimezone(zone)
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%d %B %Y %H:%M}"
    return f"{begin:%d %B %Y %H:%M} to {until} {end.tzname()}"


def span(hours: int) -> str:
    """A length of time: hours, from three days on days."""
    return f"{hours} h" if hours < 72 else f"{hours / 24:,.0f} days"


def short(name: str, most: int = 32) -> str:
    """A label for people: no longer than that, in characters of usual width, and never nothing."""
    name = name.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be drawn
    if not name.strip():
        return repr(name)
    ends = list(itertools.accumulate(map(_columns, name)))
    return name if ends[-1] <= most else name[: bisect.bisect_right(ends, most - 1)] + "…"


def _columns(character: str) -> int:
    """About how wide a character is, compared with most letters."""
    return 2 if character in "MW@%" or unicodedata.east_asian_width(character) in "WF" else 1


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}%}"


def decimal(value: float | None) -> str:
    """A figure with three decimals; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def auroc_note(value: float | None) -> str:
    """What the AUROC of confidence means, or why there is none."""
    if value is None or math.isnan(value):
        return "none, as it compares right with wrong predictions, and there is only one kind"
    return "of confidence: does it separate correct from wrong predictions?"


def count(value: float) -> str:
    """A count that may be an estimate: one decimal below ten; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if 0 < value < 0.05:
        return "< 0.1"
    return f"{value:,.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def probability(p: float) -> str:
    """A probability in few characters: 0.03, 6×10⁻⁵."""
    if p >= 0.0095:
        return f"{p:.2f}"
    if p <= 1e-15:
        return "0"
    digits, exponent = f"{p:.0e}".split("e-")
    return f"{digits}×10⁻{str(int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def size(value: float) -> str:
    """Bytes in few characters: 950 bytes, 1.2 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
