"""What a report reads besides the aggregates: the images of the least certain inferences, and the reference."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitoring.aggregates.cells import Aggregate, Cell, CellKey, Series, Uncertain
from monitoring.drift.reference import Reference
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.report import images, reference
from monitoring.storage.documents import JsonDocuments

SERIES = [Series(f"2026-11-21T{hour:02}:00:00Z", "e", "v") for hour in (9, 10)]


def uncertain(margin: int) -> Uncertain:
    return Uncertain(margin, f"{margin}", 0, "a.jsonl", 1, 0, "a", 5, "e", "i", "m")


def test_the_least_certain_of_all_hours_come_first() -> None:
    found = Aggregate()
    found.uncertain = {
        SERIES[0]: [uncertain(at) for at in range(0, 100, 2)],
        SERIES[1]: [uncertain(at) for at in range(1, 100, 2)],
    }
    listed = images.least_certain(found)
    assert [(series, one.margin) for series, one in listed] == [(SERIES[at % 2], at) for at in range(96)]
    assert images.least_certain(found, 2) == listed[:2]


def test_lines_are_read_at_their_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert images.LONGEST == 12 * 1024 * 1024
    data = b"first\nsecond\n" + b"x" * 20
    path = tmp_path / "f" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(data)
    requested: list[dict[str, Any]] = []

    def get_object(**given: Any) -> Any:
        requested.append(given)
        begin, end = (int(one) for one in given["Range"].removeprefix("bytes=").split("-"))
        return {"Body": io.BytesIO(data[begin : end + 1])}

    client: Any = SimpleNamespace(get_object=get_object)
    monkeypatch.setattr(images, "LONGEST", 10)
    for offset, line in ((0, b"first"), (6, b"second"), (13, b"x" * 10)):
        for root in (tmp_path / "f", path):
            assert images.folder_lines(root)("a.jsonl", offset).rstrip(b"\n") == line
        for prefix, key in (
            ("", "a.jsonl"),
            ("/", "a.jsonl"),
            ("p", "p/a.jsonl"),
            ("p/q/", "p/q/a.jsonl"),
            ("X", "X/a.jsonl"),
        ):
            assert images.bucket_lines(client, "b", prefix)("a.jsonl", offset) == line
            assert requested[-1] == {"Bucket": "b", "Key": key, "Range": f"bytes={offset}-{offset + 9}"}


def test_an_object_that_cannot_be_read_is_named() -> None:
    def get_object(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    client: Any = SimpleNamespace(get_object=get_object)
    with pytest.raises(OSError, match=r"^s3://b/p/a\.jsonl: .*AccessDenied"):
        images.bucket_lines(client, "b", "p")("a.jsonl", 0)


PACKED = "eHl6"


def of(data: Any = PACKED, encoding: Any = "BASE64") -> bytes:
    return json.dumps({"captureData": {"endpointInput": {"data": data, "encoding": encoding}}}).encode()


def test_the_image_of_a_record_is_its_input_in_base64() -> None:
    assert images.image_of(of()) == images.image_of(b"\xef\xbb\xbf" + of()) == b"xyz"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "the record carries no input"), (b"\xff", "the record carries no input"), (b"{}", "the record carries no input"),
        (b'{"captureData": null}', "the record carries no input"), (b"[" * 100_000, "the record carries no input"),
        (b'{"captureData": {"endpointInput": {}}}', "the record carries no input"), (of(7), "the input is not an image"),
        (of(encoding="JSON"), "the input is not an image"), (of(encoding=None), "the input is not an image"),
        (of("e!Hl6"), "the input is not valid base64"), (of("eHl6e"), "the input is not valid base64"),
        (of("\u00e9"), "the input is not valid base64"),
    ],
)  # fmt: skip
def test_why_a_record_has_no_image(line: bytes, why: str) -> None:
    with pytest.raises(images.NoImage) as found:
        images.image_of(line)
    assert str(found.value) == why


SAMPLE = Sample.of("a", [0.9])


def test_a_reference_becomes_arguments() -> None:
    assert reference.arguments(None, "x") == {}
    assert reference.arguments(Reference(SAMPLE, "2026-11-20T00:00:00Z", "m"), "x") == {
        "reference": SAMPLE, "reference_name": "x", "reference_model": "m", "since": "2026-11-20T00:00:00Z"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("until", "name"), [("", "s3://b/{}"), ("2026-11-20T00:00:00Z", "the first day of captures")]
)
@pytest.mark.parametrize("key", ["reference.json", "monitoring/reference.json", "x/y/z.json"])
def test_a_reference_is_read_at_its_address(
    monkeypatch: pytest.MonkeyPatch, until: str, name: str, key: str
) -> None:
    parsed: list[Any] = []

    def parse(content: Any, address: str) -> Reference:
        parsed.append((content, address))
        return Reference(SAMPLE, until, "m")

    class Gone(Exception):
        pass

    def get_object(**given: Any) -> Any:
        if given != {"Bucket": "b", "Key": key}:
            raise Gone
        return {"Body": io.BytesIO(b'{"a": 1}')}

    monkeypatch.setattr(reference, "parse_reference", parse)
    s3: Any = SimpleNamespace(get_object=get_object, exceptions=SimpleNamespace(NoSuchKey=Gone))
    found = reference.of_bucket(s3, f"s3://b/{key}")
    assert (found["reference_name"], found["since"]) == (name.format(key), until)
    assert parsed == [({"a": 1}, f"s3://b/{key}")]
    assert reference.of_bucket(s3, "s3://b/other.json") == {}
    prefix, _, document = key.rpartition("/")
    assert JsonDocuments(s3, "b", prefix).address(document) == f"s3://b/{key}"


def captured(*labels: str, model: str = "m") -> Aggregate:
    found = Aggregate()
    for label in labels:
        found.cells[CellKey(SERIES[0].hour, "e", "v", label, model)] = Cell(count=1)
    return found


def compared(*labels: str, model: str | None = "m") -> reference.Compared:
    sample = Sample(labels=dict.fromkeys(labels, 1))
    return {"reference": sample, "reference_name": "x", "reference_model": model, "since": ""}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, captured("a")), (compared("a", "b"), captured("b", "c")), (compared("a"), captured()), (compared(), captured("a")),
        (compared("a", model="other"), captured("b")),
    ],
)  # fmt: skip
def test_a_reference_with_a_label_of_the_captures_or_of_another_model_is_accepted(
    given: reference.Compared, found: Aggregate
) -> None:
    reference.check_labels(given, found)


@pytest.mark.parametrize("model", [None, "m"])
def test_a_reference_without_any_label_of_the_captures_is_rejected(model: str | None) -> None:
    with pytest.raises(MonitoringError) as error:
        reference.check_labels(compared("d", "c", "b", "a", model=model), captured("x", "y"))
    assert str(error.value) == (
        "The reference has the labels a, b, c, …, the captures x, y: name those of the captures in the order of their"
        " classes, for example --labels a,b,c --rebuild, or give another --reference."
    )


@pytest.mark.parametrize(
    ("labels", "text"), [("", ""), ("ba", "a, b"), ("cba", "a, b, c"), ("dcba", "a, b, c, …")]
)
def test_some_labels_are_the_first_three(labels: str, text: str) -> None:
    assert reference.some(list(labels)) == text
