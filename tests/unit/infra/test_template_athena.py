"""The template's Athena part: the table lies over the endpoint's captures, the query is the one that monitoring writes."""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring import athena
from tests.unit.infra.template import RESOURCES


def test_the_query_is_what_monitoring_writes():
    text, values = RESOURCES["CaptureQuery"]["Properties"]["QueryString"]["Fn::Sub"]
    assert set(values) == {"Endpoint"}
    first, last = datetime(2026, 11, 21, 0, tzinfo=UTC), datetime(2026, 11, 21, 23, tzinfo=UTC)
    written = athena.query_sql("bikes", "main", first, last, labels=["bicycle", "motorcycle"])
    assert text.replace("${Endpoint}", "bikes").strip() == written.strip()


def test_the_table_lies_where_the_endpoint_captures():
    table = RESOURCES["CaptureTable"]["Properties"]["TableInput"]
    written = RESOURCES["EndpointConfig"]["Properties"]["DataCaptureConfig"]["DestinationS3Uri"]["Fn::Sub"]
    place = table["Parameters"]["storage.location.template"]["Fn::Sub"]
    assert place == written + "/${!endpoint}/${!variant}/${!hour}/"
    assert table["StorageDescriptor"]["Location"]["Fn::Sub"] == written + "/"
    variants = RESOURCES["EndpointConfig"]["Properties"]["ProductionVariants"]
    assert [variant["VariantName"] for variant in variants] == ["main"]
