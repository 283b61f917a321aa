"""Parts that several pages have."""

from __future__ import annotations

from typing import NamedTuple


class SummaryTile(NamedTuple):
    """A figure that comes first."""

    name: str
    value: str
    note: str


class Fact(NamedTuple):
    """A row of a table of figures."""

    name: str
    value: str
    note: str = ""
