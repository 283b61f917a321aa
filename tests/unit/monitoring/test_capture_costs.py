"""The documented cost of a billion captures is what the table of prices gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitoring.prices import price

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "athena.md").read_text(encoding="utf-8")

HOURS = 720  # of a month of 30 days
FILES = 1e9 / 8
TERABYTES = 1e9 * 4.5e3 / 1e12
LISTS = FILES / HOURS / 1000  # of one hour's files
EXPECTED = {
    "PUT": FILES * price("s3-put"),
    "storage for 30 days": TERABYTES * 1000 * price("s3-gb-month"),
    "storage for 7 days": TERABYTES * 1000 * price("s3-gb-month") * 7 / 30,
    "hourly function: GET": FILES * price("s3-get"),
    # Eight hours every hour, and a day at midnight.
    "hourly function: LIST": (8 * HOURS + 24 * 30) * LISTS * price("s3-put"),
    "hourly function: 1 GB": HOURS * 180 * price("lambda-arm-gb-second"),
    "Athena, each capture": TERABYTES * price("athena-tb"),
    "Athena, hourly": 3 * TERABYTES * price("athena-tb"),
}


@pytest.mark.parametrize("row", EXPECTED)
def test_a_cost_is_that_of_the_prices(row: str) -> None:
    found = re.findall(rf"^\| {re.escape(row)}[^|]*\| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert len(found) == 1
    for text, share in zip(found[0], (1, 0.1), strict=True):
        step = 10 ** -len(text.partition(".")[2])
        assert float(text) == pytest.approx(EXPECTED[row] * share, abs=step / 2 * 1.001)


def test_each_row_of_costs_is_computed() -> None:
    rows = PAGE.split("| per month |")[1].split("\n\n")[0].splitlines()[2:]
    assert [row for row in rows if not any(row.startswith(f"| {name}") for name in EXPECTED)] == [rows[0]]


def test_each_price_that_the_rows_name_is_that_of_the_table() -> None:
    named = {
        "PUT of": price("s3-put") * 1e6,
        "storage for 30 days": price("s3-gb-month"),
        "hourly function: GET": price("s3-get") * 1e6,
        "hourly function: LIST": price("s3-put") * 1e6,
        "Athena, each capture": price("athena-tb"),
    }
    for row, value in named.items():
        found = re.findall(rf"^\| {row}.*?, \$([\d.]+) per (?:million|GB|TB) \|", PAGE, re.MULTILINE)
        assert [float(text) for text in found] == [pytest.approx(value)], row
