"""The aggregation as SQL for Athena, for more captures than one machine should read.

`TABLE` reads capture files as they lie in the bucket, through partition projection: no crawler, no partitions to add.
``monitoring/athena.sql`` computes what `monitoring.incremental.run` computes, for the outputs that an image endpoint has: lists of
probabilities, ``probabilities``, ``prediction``/``predictions``, ``predicted_label`` with ``score``, single scores; JSON,
JSON lines, CSV, base64; inference times in UTC with a Z. It takes a single whole number for a probability.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dropsort.contract.predictions import SUM_TOLERANCE
from monitoring.errors import MonitoringError

MARGIN = 2  # hours by which a capture file may be later than its inferences
_QUERY = Path(__file__).with_name("athena.sql")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_HOUR = "%Y-%m-%dT%H:00:00Z"
_PATH = "%Y/%m/%d/%H"

# One row a line; the field delimiter cannot stand in a valid line. `endpoint` and `variant` are injected: a query names them.
TABLE = """\
CREATE EXTERNAL TABLE {table} (line string)
PARTITIONED BY (endpoint string, variant string, hour string)
ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\001'
STORED AS TEXTFILE
LOCATION '{location}/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.endpoint.type' = 'injected',
  'projection.variant.type' = 'injected',
  'projection.hour.type' = 'date',
  'projection.hour.format' = 'yyyy/MM/dd/HH',
  'projection.hour.range' = '2024/01/01/00,NOW',
  'projection.hour.interval' = '1',
  'projection.hour.interval.unit' = 'HOURS',
  'storage.location.template' = '{location}/${{endpoint}}/${{variant}}/${{hour}}/'
)"""


def table_sql(location: str, table: str = "captures") -> str:
    """Write the statement that creates the table over ``s3://bucket/captures``."""
    if not re.fullmatch(r"s3://[A-Za-z0-9.\-_/]+", location):
        raise MonitoringError(f"{location} is not an s3://bucket/prefix of plain characters.")
    return TABLE.format(table=_plain(table), location=location.rstrip("/"))


def query_sql(
    endpoint: str,
    variant: str,
    first: datetime,
    last: datetime,
    *,
    labels: Sequence[str] = (),
    table: str = "captures",
) -> str:
    """Write the query for the hours of inference from `first` to `last` (UTC, both included).

    Raises
    ------
    MonitoringError
        A name holds other characters than SageMaker's names do, or `first` is after `last`.
    """
    if first > last:
        raise MonitoringError(f"The first hour, {first:{_HOUR}}, is after the last, {last:{_HOUR}}.")
    quoted = ", ".join("'" + label.replace("'", "''") + "'" for label in labels)
    return (
        _QUERY.read_text(encoding="utf-8")
        .replace("{table}", _plain(table))
        .replace("{endpoint}", _plain(endpoint))
        .replace("{variant}", _plain(variant))
        .replace("{margin}", str(MARGIN))
        .replace("{first_path}", first.strftime(_PATH))
        .replace("{last_path}", (last + timedelta(hours=MARGIN)).strftime(_PATH))
        .replace("{first_hour}", first.strftime(_HOUR))
        .replace("{last_hour}", last.strftime(_HOUR))
        .replace("{tolerance}", f"{SUM_TOLERANCE:.9f}e0")
        .replace("{label_count}", str(len(labels)))
        .replace("{labels}", f"ARRAY[{quoted}]" if labels else "ARRAY['']")
    )


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise MonitoringError(f"{name!r} is not a name: letters, digits, '_', '.' and '-' only.")
    return name


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a statement: ``python -m monitoring.athena query --endpoint bikes --first 2026-11-21T00 --last 2026-11-21T23``."""
    import argparse
    from datetime import UTC

    parser = argparse.ArgumentParser(prog="python -m monitoring.athena", description="Statements for Athena.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    table = kinds.add_parser("table", help="create the table over a prefix")
    table.add_argument("location", help="s3://bucket/captures")
    query = kinds.add_parser("query", help="aggregate hours of inference")
    query.add_argument("--endpoint", required=True)
    query.add_argument(
        "--variant", default="main", help="the template's is main, SageMaker's own default AllTraffic"
    )
    query.add_argument("--first", required=True, help="first hour, UTC, as 2026-11-21T00")
    query.add_argument("--last", required=True, help="last hour, included")
    query.add_argument("--labels", default="", help="labels by class index, with commas between")
    options = parser.parse_args(arguments)
    try:
        if options.kind == "table":
            print(table_sql(options.location))
            return
        hours = [
            datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC)
            for text in (options.first, options.last)
        ]
        labels = [name.strip() for name in options.labels.split(",") if name.strip()]
        print(query_sql(options.endpoint, options.variant, *hours, labels=labels))
    except (MonitoringError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
