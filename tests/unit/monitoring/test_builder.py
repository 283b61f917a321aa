"""Batches as the builder makes them of lines, uniform or not: figures by hand, ids, bad lines, and the least certain predictions."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from monitoring.aggregates.cells import BAD_LINES_NAMED, BadLine, Series
from monitoring.aggregates.digests import digests, mix
from monitoring.ingest import batch as flags
from monitoring.ingest import builder, fast_path, reader
from monitoring.ingest.batch import CaptureBatch, FileCounts, Source
from monitoring.ingest.builder import Builder
from monitoring.ingest.lines import BUFFER, SMALL, Segment
from monitoring.ingest.reader import Reader
from monitoring.ingest.schema import CaptureRecord, read_line

PATH = "c/e/v/2026/11/21/09/a.jsonl"
HOUR = "2026-11-21T09:00:00Z"
BEGIN = b'{"captureData":{"endpointInput":{"data":"'


def capture(
    output: Any = (0.75, 0.25), event: str = "e-1", time: str = "2026-11-21T09:00:07Z", **more: Any
) -> bytes:
    meta = {"eventId": event, "inferenceId": f"i-{event}", "inferenceTime": time}
    data = {
        "endpointInput": {"data": "xyz"},
        "endpointOutput": {"data": json.dumps(list(output)), "encoding": "JSON"},
    }
    return json.dumps({"captureData": data, "eventMetadata": meta, **more}, separators=(",", ":")).encode()


def read(*rows: bytes, path: str = PATH) -> CaptureBatch:
    found = Reader(("a", "b"))
    assert list(found.read(path, io.BytesIO(b"\n".join(rows)).readinto)) == []
    (batch,) = found.finish()
    return batch


def uniform(*rows: bytes, first: int = 0) -> tuple[Builder, FileCounts]:
    """A builder with lines that were added by their rests, and the counts of their file, of which others were read before."""
    buffer, ends = bytearray(), []
    for row in rows:
        buffer += row
        ends.append(len(buffer))
        buffer += b"\n"
    counts = FileCounts("f", 0, newlines=first)
    rests = [bytearray(row[row.index(b'"', len(BEGIN)) :]) for row in rows]
    found = Builder(("a", "b"))
    segment = Segment(Source(counts, Series(HOUR, "e", "v")), 0, 0, len(rows), 100, False)
    found.add_uniform(rests, ends, [segment._replace(stop=0), segment])
    assert (len(found), found.size) == (len(rows), sum(map(len, rests)))
    return found, counts


def test_limits_are_those_of_the_documentation() -> None:
    assert (reader.BATCH, reader._HELD) == (16_384, 16 * 1024 * 1024)
    assert (fast_path._FEWEST, fast_path._AT_ONCE, fast_path._PATTERNS) == (16, 1024, 4)
    assert (flags.NO_INPUT, flags.MERGED, flags.BATCH_TRANSFORM) == (1, 2, 4)
    assert (flags.NO_EVENT_ID, flags.NO_TIME, flags.NO_PREDICTION) == (8, 16, 32)


@pytest.mark.parametrize("count", [1, 15, 16, 40])
def test_lines_alike_are_records_whether_few_or_many(count: int) -> None:
    rows = [
        capture((0.75, 0.25), f"e{at:03}", f"2026-11-21T{9 + at % 2:02}:00:{at % 60:02}Z")
        for at in range(count)
    ]
    found, counts = uniform(*rows)
    batch = found.finish()
    assert (counts.lines, counts.records, counts.newlines, counts.ground_truth) == (count, count, count, 0)
    hours = [HOUR, "2026-11-21T10:00:00Z"]
    assert [batch.series[code].hour for code in batch.record_series] == [hours[at % 2] for at in range(count)]
    assert batch.record_second.tolist() == [at % 60 for at in range(count)]
    assert batch.record_flags.tolist() == [0] * count
    expected = mix(
        digests([f"e{at:03}" for at in range(count)]) + mix(digests([hours[at % 2] for at in range(count)]))
    )
    assert batch.record_digest.tolist() == expected.tolist()
    assert (batch.confidence.tolist(), sorted(batch.record.tolist())) == (
        [750_000_000] * count,
        list(range(count)),
    )


def test_lines_that_turn_out_to_be_no_captures_are_counted_as_what_they_are() -> None:
    truth = capture(event="t")[:-1] + b',"captureData":null,"groundTruthData":{}}'
    odd = capture(event="m")[:-1] + b',"groundTruthData":{}}'
    found, counts = uniform(capture(event="a"), truth, capture(event="b"), capture()[:-1], odd, first=10)
    assert counts.records == 5
    batch = found.finish()
    assert (counts.lines, counts.records, counts.ground_truth, counts.bad_lines) == (5, 3, 1, 1)
    shift = len(capture()[:-1]) + 1
    assert batch.bad == [BadLine("f", 14, f"cut off: Expecting ',' delimiter at character {shift}")]
    assert batch.record_digest.tolist() == mix(digests(["a", "b", "m"]) + mix(digests([HOUR] * 3))).tolist()
    assert (batch.record_flags.tolist(), sorted(batch.record.tolist())) == ([0, 0, flags.MERGED], [0, 1, 2])
    assert batch.record_second.tolist() == [7, 7, 7]
    # AND the least certain are named by their lines and offsets
    size = [len(row) + 1 for row in (capture(event="a"), truth, capture(event="b"), capture()[:-1])]
    assert sorted((one.line, one.offset, one.event_id) for _, _, one in batch.uncertain) == [
        (11, 100, "a"), (13, 100 + sum(size[:2]), "b"), (15, 100 + sum(size), "m")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({}, 0), ({"groundTruthData": {}}, flags.MERGED), ({"captureData": {"endpointOutput": {"data": "[0.75,0.25]"}}}, flags.NO_INPUT),
        ({"captureData": {"endpointInput": {"data": "x"}}}, flags.NO_PREDICTION),
        ({"captureData": {"endpointInput": {"data": "x"}, "batchTransformOutput": {"data": "[0.75,0.25]"}}}, flags.BATCH_TRANSFORM),
        ({"eventMetadata": {"inferenceTime": "2026-11-21T09:00:07Z"}}, flags.NO_EVENT_ID),
        ({"eventMetadata": {"eventId": "e"}}, flags.NO_TIME),
    ],
)  # fmt: skip
def test_what_is_unusual_about_a_record_is_flagged(changes: Any, flag: int) -> None:
    batch = read(json.dumps(json.loads(capture()) | changes).encode())
    assert batch.record_flags.tolist() == [flag]
    assert batch.record_second.tolist() == [-1 if flag == flags.NO_TIME else 7]
    assert batch.series == [Series(HOUR, "e", "v")]
    assert len(batch.confidence) == (flag != flags.NO_PREDICTION)


def test_records_are_the_same_by_event_and_hour_or_by_their_bytes() -> None:
    later = capture(time="2026-11-21T10:00:00Z")
    timeless = capture(time="none")
    nameless = capture(event="")
    batch = read(capture(), later, capture(), timeless, timeless, nameless, nameless)
    assert batch.record_first.tolist() == [True, True, False, True, False, True, True]
    # AND one without a time is the same under another hour, and is not that of the hour
    other = read(timeless, path=PATH.replace("/09/", "/10/"))
    assert other.record_digest[0] == batch.record_digest[3] != batch.record_digest[0]
    digest = mix(
        digests([f"{PATH}\n{len(capture()) * 2 + len(later) + 2 * len(timeless) + 5}"]) + mix(digests([HOUR]))
    )
    assert batch.record_digest[5] == digest[0]


@pytest.mark.parametrize("least", [1, 3, 5, 6])
def test_the_least_certain_are_those_of_lowest_margin_first(
    monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(builder, "LEAST_CERTAIN", least)
    shares = [0.9, 0.6, 0.7, 0.6, 0.8]
    rows = [capture((share, round(1 - share, 1)), f"e{at}") for at, share in enumerate(shares)]
    other = capture((0.5, 0.5), "x", "2026-11-21T10:00:00Z")
    batch = read(*rows, other, rows[1])
    order = sorted(range(5), key=lambda at: (shares[at], int(batch.record_digest[at])))[:least]
    found = [(row, one) for row, series, one in batch.uncertain if series.hour == HOUR]
    assert [row for row, _ in found] == order
    for row, one in found:
        assert one.margin == pytest.approx(1e9 * (2 * shares[row] - 1), abs=2)
        assert one.confidence == round(1e9 * shares[row])
        assert (one.digest, one.index, one.label) == (f"{batch.record_digest[row]:016x}", 0, "a")
        assert (one.file, one.line, one.offset) == (PATH, row + 1, sum(len(text) + 1 for text in rows[:row]))
        assert (one.event_id, one.inference_id, one.model) == (f"e{row}", f"i-e{row}", "")
    assert [(row, one.event_id) for row, series, one in batch.uncertain if series.hour != HOUR] == [(5, "x")]


def test_of_many_bad_lines_the_first_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BAD_LINES_NAMED == 1000
    monkeypatch.setattr(builder, "BAD_LINES_NAMED", 2)
    found, counts = Builder(), FileCounts("f\udce9", 0)
    for number, named in ((9, [9]), (8, [9, 8]), (7, [9, 8, 7]), (6, [9, 8, 7, 6]), (5, [5, 6])):
        found.add_bad(counts, number, "why")
        assert [(one.file, one.line, one.reason) for one in found.bad] == [("f?", at, "why") for at in named]
    assert (counts.lines, counts.bad_lines, counts.records) == (5, 5, 0)


def test_a_record_has_the_statistics_of_its_image_and_ground_truth_alone_is_none() -> None:
    found, counts = Builder(("a", "b")), FileCounts("f", 0, newlines=1)
    segment = Segment(Source(counts, Series(HOUR, "e", "v")), 0, 0, 1, 0, False)
    found.add_record(CaptureRecord("t", truth_only=True), [9], segment, (9,))
    for at, images in enumerate(((1, 2), None, (3,))):
        record = read_line(capture(event=f"{at}"))
        assert record is not None
        found.add_record(record, [9], segment, images)
    assert (counts.lines, counts.records, counts.ground_truth) == (4, 3, 1)
    batch = found.finish()
    assert (batch.images, len(batch.record_digest)) == ({0: (1, 2), 2: (3,)}, 3)


def test_a_batch_of_nothing_is_empty() -> None:
    batch = Builder().finish()
    assert (batch.series, batch.keys, batch.uncertain, batch.bad, batch.files) == ([], [], [], [], [])
    assert len(batch.record_digest) == len(batch.confidence) == 0
    assert [
        one.dtype
        for one in (batch.record_series, batch.record_flags, batch.record_second, batch.record, batch.key)
    ] == [np.int32, np.uint8, np.int16, np.int32, np.int32]


@pytest.mark.parametrize(
    ("batches", "held", "sizes"), [(3, 10**9, [3, 3]), (100, 1, [1] * 6), (7, 10**9, [6])]
)
def test_a_batch_is_full_by_its_records_or_their_bytes(
    monkeypatch: pytest.MonkeyPatch, batches: int, held: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(reader, "BATCH", batches)
    monkeypatch.setattr(reader, "_HELD", held)
    found = Reader(("a", "b"))
    made: list[CaptureBatch] = []
    for at in range(6):
        made += found.read(f"{at}", io.BytesIO(capture(event=f"{at}") + b"\n").readinto)
    made += found.finish()
    usual = [len(one.record_digest) for one in made if len(one.record_digest)]
    # The first line has to be parsed, and holds no bytes that wait.
    assert usual == ([2, 1, 1, 1, 1] if held == 1 else sizes)


@pytest.mark.parametrize(("used", "size", "space"), [
    (0, BUFFER - 1, True), (0, BUFFER, False), (BUFFER - SMALL - 1, -1, True), (BUFFER - SMALL, -1, False),
    (BUFFER - 1, 0, True), (BUFFER, 0, False),
])  # fmt: skip
def test_a_small_file_fits_below_the_size_of_the_buffer(used: int, size: int, space: bool) -> None:
    found = Reader()
    found._lines.used = used
    assert found.has_space(size) is space


@pytest.mark.parametrize(("size", "given", "whole"), [
    (-1, SMALL, False), (-1, SMALL - 1, True), (SMALL - 1, SMALL - 1, True), (10, 10, True),
])  # fmt: skip
def test_a_file_of_unknown_size_may_turn_out_to_be_large(size: int, given: int, whole: bool) -> None:
    found = Reader()
    data = b"x" * given

    def fill(name: str, view: memoryview) -> int:
        assert name == "f"
        return io.BytesIO(data).readinto(view)

    assert found.read_small("f", fill, size, Series(HOUR, "e", "v")) is whole
    (batch,) = found.finish()
    assert [(one.file, one.start, one.size) for one in batch.files] == ([("f", 0, given)] if whole else [])
