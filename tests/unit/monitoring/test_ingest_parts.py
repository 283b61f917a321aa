"""Parts of the reading of captures, each alone: lines in the buffer, vectors that are measured together, statistics, failures."""

from __future__ import annotations

import contextlib
import io
import json
import math
from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dropsort.contract.defaults import MAX_SHOWN_PIXELS
from dropsort.contract.predictions import MAX_CLASSES, Prediction
from monitoring.aggregates.cells import BadLine, CellKey, Series
from monitoring.errors import MissingFileError, StorageError
from monitoring.ingest import image_statistics, lines, prediction_arrays, schema, workers
from monitoring.ingest.batch import FileCounts, Source
from monitoring.ingest.prediction_arrays import PredictionArrays
from monitoring.ingest.tasks import Task
from monitoring.storage.base import BucketAccess, CaptureFile

SERIES = [Series("h0", "e", "v"), Series("h1", "e", "v")]
UNIT = 10**9


def measured(arrays: PredictionArrays, records: int = 4) -> list[tuple[Any, ...]]:
    """Record, its prediction's number, label, model, confidence, margin and familiarity of each, and the entropy rounded."""
    keys: dict[CellKey, int] = {}
    found = arrays.measure(SERIES, np.arange(records) % 2, keys)
    names = {number: key for key, number in keys.items()}
    return sorted(
        (
            int(r),
            int(n),
            names[int(k)].label,
            names[int(k)].model,
            int(c),
            int(m),
            int(f),
            round(int(e) / UNIT, 3),
        )
        for r, n, k, c, m, e, f in zip(*found, strict=True)
    )


def test_limits_are_those_of_the_documentation() -> None:
    assert (lines.BUFFER, lines.SMALL, lines.LONGEST_LINE) == (768 * 1024, 192 * 1024, 16 * 1024 * 1024)
    assert (lines._REST, lines._LONGEST_PREFIX, schema._DEEP, workers._AHEAD) == (4096, 4096, 400, 32)
    assert (prediction_arrays.QUANTISED, prediction_arrays._MANY) == (0.5 / 255 + 1e-6, 64)


def test_predictions_are_measured_with_what_they_have() -> None:
    arrays = PredictionArrays()
    assert measured(arrays) == []
    arrays.add(0, [Prediction((0.75, 0.25), ("a", "b"), 0.5, "m")])
    arrays.add(
        1,
        [
            Prediction((0.25, 0.75), ("a", "b"), None, None),
            Prediction((0.6, 0.4), ("a", "b"), None, None, choice=1),
        ],
    )
    half, entropy = UNIT // 2, round(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)), 3)
    other = round(-(0.6 * math.log2(0.6) + 0.4 * math.log2(0.4)), 3)
    assert measured(arrays) == [
        (0, 0, "a", "m", 750_000_000, half, half, entropy), (1, 0, "b", "", 750_000_000, half, -1, entropy),
        (1, 1, "b", "", 400_000_000, 200_000_000, -1, other),
    ]  # fmt: skip


def test_of_an_incomplete_prediction_only_label_and_confidence_are_known() -> None:
    arrays = PredictionArrays()
    arrays.add(1, [Prediction((0.7,), ("a",), None, "m\ud800", complete=False)])
    assert measured(arrays) == [(1, 0, "a", "m?", 700_000_000, -1, -1, -0.0)]


@pytest.mark.parametrize(
    ("labels", "values", "found"),
    [
        ((), [[0.75, 0.25], [0.0, 1.0]], [("0", 0.75), ("1", 1.0)]), (("a", "b"), [[0.75, 0.25]], [("a", 0.75)]),
        (("a", "b", "c"), [[0.75, 0.25]], []), (("a", "a"), [[0.75, 0.25]], []), (("a", " "), [[0.75, 0.25]], []),
        ((), [[0.75], [0.0], [1.0], [-0.1], [1.1], [0.25]], [("1", 0.75), ("0", 1.0), ("0", 0.75)]),
        (("a", "b"), [[0.75]], [("b", 0.75)]), (("a",), [[1.0], [0.75]], [("a", 1.0)]),
        ((), [[0.5, 0.501]], [("1", 0.501)]), ((), [[0.5, 0.6]], []),
        ((), [[1.0, -0.0005]], [("0", 1.0)]), ((), [[0.9, -0.1]], []), ((), [[1.1, -0.1]], []),
    ],
)  # fmt: skip
def test_vectors_are_read_as_one_by_one(
    labels: tuple[str, ...], values: Any, found: list[tuple[str, float]]
) -> None:
    arrays = PredictionArrays(labels)
    given = np.array(values, np.float64)
    arrays.add_vectors(np.arange(len(given)), given)
    assert [(row[2], row[4] / UNIT) for row in measured(arrays, len(given))] == [
        (label, pytest.approx(value, abs=1e-3)) for label, value in found
    ]


def test_vectors_of_more_classes_than_are_known_are_none() -> None:
    for classes, count in ((MAX_CLASSES, 1), (MAX_CLASSES + 1, 0)):
        arrays = PredictionArrays()
        arrays.add_vectors(np.arange(1), np.eye(1, classes))
        assert len(measured(arrays)) == count


@pytest.mark.parametrize("classes", [1, 2, 3, 70])
@pytest.mark.parametrize("rows", [1, 5])
def test_figures_are_the_same_by_row_and_by_column(classes: int, rows: int) -> None:
    random = np.random.default_rng(classes)
    values = random.dirichlet(np.ones(classes), rows)
    values[0] = 0.0
    values[0, -1] = 1.0
    for one, other in zip(
        prediction_arrays._by_row(values), prediction_arrays._by_column(values.T), strict=True
    ):
        assert one == pytest.approx(other, abs=1e-12)
    entropy, best, second, choice = prediction_arrays._by_column(np.ascontiguousarray(values.T))
    assert choice.tolist() == values.argmax(1).tolist()
    ordered = np.sort(values, 1)
    assert best.tolist() == ordered[:, -1].tolist()
    assert second.tolist() == (ordered[:, -2].tolist() if classes > 1 else [-1.0] * rows)
    assert entropy == pytest.approx(-(values * np.log(np.where(values > 0, values, 1))).sum(1))


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_statistics_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    data = png(pixels)
    grey = pixels.astype(float)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    expected = (7, 5, len(data), round(grey.mean() * 1000), round(laplacian.var() * 1000))
    assert image_statistics.statistics(data) == expected
    for side, sharp in ((2, False), (3, True)):
        found = image_statistics.statistics(png(pixels[:side, :4] // 2 * 2))
        assert found is not None
        assert (found[4] > 0) is sharp
    assert image_statistics.statistics(b"no image") is None
    monkeypatch.setattr(image_statistics, "MAX_SHOWN_PIXELS", 35)
    assert image_statistics.statistics(data) == expected
    monkeypatch.setattr(image_statistics, "MAX_SHOWN_PIXELS", 34)
    assert image_statistics.statistics(data) is None
    assert MAX_SHOWN_PIXELS > 35
    # AND a larger one is measured at 256 pixels
    large = np.kron(pixels, np.ones((100, 100), np.uint8))
    monkeypatch.setattr(image_statistics, "MAX_SHOWN_PIXELS", MAX_SHOWN_PIXELS)
    small = Image.fromarray(large)
    small.thumbnail((256, 256))
    found = image_statistics.statistics(png(large))
    assert found is not None
    assert found[:2] == (700, 500)
    assert found[3] == round(float(np.asarray(small, float).mean()) * 1000)


def test_statistics_are_of_an_input_in_base64_alone() -> None:
    data = png(np.zeros((3, 3), np.uint8))
    packed = b64encode(data).decode()
    for side, found in (
        ({"data": packed, "encoding": "BASE64"}, (3, 3, len(data), 0, 0)), ({"data": packed, "encoding": "JSON"}, None),
        ({"data": packed}, None), ({"data": 7, "encoding": "BASE64"}, None), (None, None), ([], None),
        ({"data": f"!{packed}", "encoding": "BASE64"}, None), ({"data": "é", "encoding": "BASE64"}, None),
    ):  # fmt: skip
        line = json.dumps({"captureData": {"endpointInput": side}}).encode()
        assert image_statistics.ImageStatistics().of_line(line) == found


PREFIX = b'{"captureData":{"endpointInput":{"data":"'


@pytest.mark.parametrize(("rest", "uniform"), [(lines._REST, True), (lines._REST + 1, False)])
@pytest.mark.parametrize("odd", [b"", b'{"a":"\t"}\n'])
def test_a_uniform_line_has_a_short_rest_after_its_input(rest: int, uniform: bool, odd: bytes) -> None:
    finder = lines.LineFinder()
    finder.learn(PREFIX + b'x"')
    data = odd + PREFIX + b"abc" + b'"' + b" " * (rest - 1) + b"\n" + PREFIX + b'"\n'

    def read(name: str, buffer: memoryview) -> int:
        buffer[: len(data)] = data
        return len(data)

    source = Source(FileCounts("a", 0), SERIES[0])
    assert finder.add(source, "a", read, len(data) + 1) == len(data)
    (block,) = finder.flush()
    quotes = block.lines.quotes[1:] if odd else block.lines.quotes
    at = len(odd) + len(PREFIX) + 3
    assert quotes == [at if uniform else -1, -1]
    assert block.lines.dirty == ({len(odd) - 1} if odd else set())


def test_a_file_that_is_taken_back_leaves_nothing() -> None:
    finder = lines.LineFinder()
    source = Source(FileCounts("a", 0), SERIES[0])
    for data in (b"a\n", b"b", b"c"):

        def read(name: str, buffer: memoryview, data: bytes = data) -> int:
            buffer[: len(data)] = data
            return len(data)

        finder.add(source, "x", read, 10)
        if data == b"b":
            finder.remove_last()
            assert (finder.used, finder._cut) == (2, set())
    (block,) = finder.flush()
    assert (block.lines.ends, block.lines.dirty) == ([1, 3], {3})
    assert [(one.begin, one.first, one.stop, one.base, one.done) for one in block.segments] == [
        (0, 0, 1, 0, True), (2, 1, 2, -2, True)
    ]  # fmt: skip
    assert list(finder.flush()) == []


def filling(*parts: bytes) -> tuple[Any, list[bytes]]:
    """Fills a buffer with each part in turn; the parts that are left."""
    left = list(parts)

    def fill(buffer: memoryview) -> int:
        part = left.pop(0) if left else b""
        buffer[: len(part)] = part
        return len(part)

    return fill, left


def test_a_mark_of_the_byte_order_is_one_at_the_beginning_of_a_file_alone() -> None:
    finder, source = lines.LineFinder(), Source(FileCounts("a", 0), SERIES[0])
    found = []
    fill, _ = filling(b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfb\n", b"\xef\xbb", b"\xbfc\n")
    for block in finder.stream(source, fill):
        assert isinstance(block, lines.LineBlock)
        (segment,) = block.segments
        begin = segment.begin
        for end in block.lines.ends[segment.first : segment.stop]:
            found.append((segment.base + begin, bytes(finder.buffer[begin:end])))
            begin = end + 1
    assert found == [(3, b"a"), (5, b"\xef\xbb\xbfb"), (10, b"\xef\xbb\xbfc")]


def test_a_range_in_which_no_line_begins_is_read_to_its_end_alone() -> None:
    finder, source = lines.LineFinder(), Source(FileCounts("a", 5), SERIES[0])
    fill, left = filling(b"xxxx", b"xxxx", b"xxxx", b"xx\nx")
    (block,) = finder.stream(source, fill, 5, 10)
    assert isinstance(block, lines.LineBlock)
    assert (block.lines.ends, [one.done for one in block.segments], len(left)) == ([], [True], 2)


class Store:
    """A store whose files are read, are gone, or fail."""

    def __init__(self, **files: bytes | Exception) -> None:
        self.files = files

    def path(self, name: str) -> str:
        return name

    def sized(self, files: list[CaptureFile]) -> list[CaptureFile]:
        return [one for one in files if not isinstance(self.files[one.name], MissingFileError)]

    def read(self, name: str) -> bytes:
        found = self.files[name]
        if isinstance(found, Exception):
            raise found
        return found

    @contextlib.contextmanager
    def open(self, name: str, start: int, size: int) -> Any:
        yield io.BytesIO(self.read(name)[start:]).readinto

    @contextlib.contextmanager
    def open_folder(self, folder: str) -> Any:
        def read(name: str, buffer: memoryview) -> int:
            return io.BytesIO(self.read(name)).readinto(buffer)

        yield read


RECORD = b'{"captureData":{"endpointOutput":{"data":"[0.75,0.25]"}},"eventMetadata":{"eventId":"%b"}}\n'


@pytest.mark.parametrize("address", ["s3://bucket/captures/", "/folder"])
def test_a_file_that_is_gone_is_left_out_and_one_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    store = Store(
        a=RECORD % b"1",
        b=MissingFileError("b", "is gone"),
        c=StorageError("c", "denied"),
        d=RECORD % b"2",
        e=MissingFileError("e", "is gone"),
    )
    monkeypatch.setattr(workers, "open_store", lambda *_: store)
    options = workers.ReadOptions(address, BucketAccess(), (), False)
    files = [CaptureFile(name, 100, "1") for name in "abcde"]
    for task in (Task(files, 500), *(Task([one], 100, 0, 100) for one in files)):
        ((_, batches),) = workers.read_tasks(options, [task])
        found = list(batches)
        wanted = [one.name for one in task.files if isinstance(store.files[one.name], bytes)]
        assert [one.file for batch in found for one in batch.files] == wanted
        failed = [line for batch in found for line in batch.failed]
        assert failed == (
            [BadLine("c", 0, StorageError("c", "denied").reason)] if files[2] in task.files else []
        )


def test_no_more_tasks_wait_than_twice_as_many_as_processes_and_none_after_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    ended: list[Any] = []
    contexts: list[str] = []

    class Pool:
        def __init__(self, *options: Any) -> None:
            given.append(options[0])

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def submit(self, _: Any, task: int) -> Any:
            return SimpleNamespace(result=lambda: [task])

        def shutdown(self, **options: Any) -> None:
            ended.append(options)

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(workers.multiprocessing, "get_context", contexts.append)
    taken: list[int] = []
    tasks: Any = (taken.append(number) or number for number in range(12))
    found = workers.read_tasks(None, tasks, 2)  # type: ignore[arg-type]
    assert next(found) == (0, [0])
    assert (given, contexts, taken) == ([2], ["spawn"], [0, 1, 2, 3, 4])
    assert [number for number, _ in found] == list(range(1, 12))
    assert ended == [{"wait": True, "cancel_futures": True}]
