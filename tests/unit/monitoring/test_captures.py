"""The reader against the slow, obvious one: the same aggregate for whatever bytes a capture file holds."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.aggregates.cells import LEAST_CERTAIN
from monitoring.incremental import run as aggregate
from monitoring.ingest import lines
from monitoring.ingest import reader as captures
from tests.unit.monitoring.capture_cases import LABELS, LINES, OUTPUTS, PICTURE, TIMES, TREE, line
from tests.unit.monitoring.slow_reader import read_files


def _fast(folder, files, labels, **options):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    state = folder / ".state"
    summary = aggregate.run(folder, state, labels=labels, **options)
    return summary, aggregate.load(state)


def hold_against_slow_reader(folder, files, labels=LABELS, **options):
    """Aggregate `files` in both ways and compare everything; returns the summary."""
    files = dict(sorted(files.items()))
    slow = read_files(files, labels, str(folder))
    summary, fast = _fast(folder, files, labels, **options)
    for name in ("files", "bytes", "lines", "records", "duplicates", "bad_lines", "ground_truth", "merged",
                 "batch_transform", "predictions", "without_prediction", "without_input", "without_event_id",
                 "without_time"):  # fmt: skip
        assert getattr(fast.health, name) == slow["health"][name], name
    assert [(b.file, b.line) for b in fast.health.bad] == sorted(slow["bad"])
    assert {tuple(k) for k in fast.cells} == set(slow["cells"])
    for key, cell in fast.cells.items():
        expected = slow["cells"][tuple(key)]
        for name in ("count", "confidence", "histogram", "scored", "margin", "familiar", "familiarity",
                     "familiarity_histogram"):  # fmt: skip
            assert getattr(cell, name) == expected[name], (key, name)
        # The last digit of a logarithm may differ between two libraries.
        assert math.isclose(cell.entropy, expected["entropy"], abs_tol=cell.scored)
    assert {tuple(k) for k in fast.volumes} == set(slow["volumes"])
    for series, volume in fast.volumes.items():
        for name in ("records", "predictions", "without_prediction", "without_input"):
            assert getattr(volume, name) == slow["volumes"][tuple(series)][name], (series, name)
    assert {tuple(k) for k in fast.uncertain} == set(slow["uncertain"])
    for series, found in fast.uncertain.items():
        candidates = slow["uncertain"][tuple(series)]
        lowest = sorted(c[0] for c in candidates)[:LEAST_CERTAIN]
        assert [u.margin for u in found] == lowest
        for one in found:
            assert (
                one.margin,
                one.event_id,
                one.file,
                one.line,
                one.index,
                one.label,
                one.confidence,
            ) in candidates
            at = files[one.file][one.offset :].split(b"\n")[0]
            assert (
                at.strip() == files[one.file].removeprefix(b"\xef\xbb\xbf").split(b"\n")[one.line - 1].strip()
            )
    return summary


def _among_usual(output, encoding, name=""):
    """A file of usual records among which one has another output."""
    usual = [line(event=f"{name}u{i}", compact=i % 2 == 0) for i in range(4)]
    odd = line(output, encoding=encoding, event=f"{name}odd")
    return b"\n".join([*usual, odd, *usual[:1], odd]) + b"\n"


@pytest.mark.parametrize(("output", "encoding"), OUTPUTS, ids=range(len(OUTPUTS)))
def test_every_known_output(tmp_path, output, encoding):
    hold_against_slow_reader(tmp_path, {f"{TREE}/a.jsonl": _among_usual(output, encoding)})


@pytest.mark.parametrize("labels", [(), LABELS, ("a", "b", "c")], ids=["no labels", "two", "three"])
def test_every_known_output_of_many_endpoints(tmp_path, labels):
    # GIVEN each output from an endpoint of its own, so that each has cells of its own
    files = {
        TREE.replace("bikes", f"e{n}") + "/a.jsonl": _among_usual(*output, name=n)
        for n, output in enumerate(OUTPUTS)
    }
    hold_against_slow_reader(tmp_path, files, labels)


def _among_neighbours(odd, end, name=""):
    """Files of an odd line, one of them with neighbours."""
    rows = [line(event=f"{name}a"), odd, line(event=f"{name}b"), line("[0.3,0.7]", event=f"{name}c"), odd]
    tree = TREE.replace("bikes", f"e{name}")
    return {f"{tree}/a.jsonl": b"\n".join(rows) + end, f"elsewhere{name}/b.jsonl": odd}


@pytest.mark.parametrize("odd", LINES, ids=range(len(LINES)))
def test_every_odd_line_leaves_its_neighbours_alone(tmp_path, odd):
    hold_against_slow_reader(tmp_path, _among_neighbours(odd, b""))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\n"], ids=["newline", "crlf", "blank lines"])
def test_every_odd_line_of_many_endpoints(tmp_path, end):
    files = {}
    for number, odd in enumerate(LINES):
        files |= _among_neighbours(odd, end, number)
    hold_against_slow_reader(tmp_path, files)


@pytest.mark.parametrize("time", TIMES, ids=map(repr, TIMES))
def test_every_time(tmp_path, time):
    same = [line(time=time, event="t"), line(time=time, event="t2"), line(time=time, event="t")]
    hold_against_slow_reader(tmp_path, {f"{TREE}/a.jsonl": b"\n".join(same), "x/b.jsonl": same[0]})


@pytest.mark.parametrize(
    "path", ["a.jsonl", f"{TREE}/a.jsonl", "e/v/2026/13/01/01/a.jsonl", "v/2026/11/21/09/a.jsonl"]
)
def test_path_gives_endpoint_and_variant_and_the_hour_of_records_without_time(tmp_path, path):
    hold_against_slow_reader(tmp_path, {path: line(time=None) + b"\n" + line(event="two")})


@pytest.mark.parametrize(
    ("newline", "bom"), [(b"\n", b""), (b"\r\n", b"\xef\xbb\xbf")], ids=["lf", "crlf and bom"]
)
@pytest.mark.parametrize("size", [10, 3_000, 300_000, 1_000_000])
def test_inputs_of_any_size(tmp_path, size, newline, bom):
    # GIVEN inputs smaller and larger than the buffer, in files that are read whole and streamed
    inputs = ["A" * size, "B" * (size - 1), 'C"\\' * (size // 3), "Dé" * (size // 2), ""]
    rows = [line(f"[0.{60 + i}, 0.{40 - i}]", given=g, event=f"e{i}") for i, g in enumerate(inputs * 2)]
    rows.insert(3, b"broken " + b"x" * size)
    hold_against_slow_reader(tmp_path, {f"{TREE}/a.jsonl": bom + newline.join(rows) + newline})


def test_line_that_is_too_long_is_named_and_the_next_one_read(tmp_path, monkeypatch):
    # GIVEN a limit, and lines beyond it whose input can and cannot be skipped
    monkeypatch.setattr(lines, "LONGEST_LINE", 2 * lines.BUFFER)
    skipped = line(given="A" * (5 * lines.BUFFER), event="a")
    kept = line(given="é" * (5 * lines.BUFFER), event="b")
    data = b"\n".join([line(event="x"), skipped, kept, line(event="y"), kept])
    (tmp_path / "a.jsonl").write_bytes(data)
    # WHEN they are aggregated
    summary = aggregate.run(tmp_path)
    # THEN the first is a record like any other, the others are bad lines, and the rest is there
    assert (summary.health.records, summary.health.bad_lines) == (3, 2)
    assert [(b.line, b.reason[:11]) for b in summary.health.bad] == [(3, "longer than"), (5, "longer than")]


@pytest.mark.parametrize("piece", [1_000, 4_321, 65_536])
def test_stretches_of_a_large_file_give_what_the_whole_gives(tmp_path, monkeypatch, piece):
    monkeypatch.setattr("monitoring.ingest.tasks.TASK_BYTES", piece)
    monkeypatch.setattr(captures, "BATCH", 7)
    rows = [
        line(f"[0.{10 + i}, 0.{90 - i}]", given="x" * (i * 97 % 3000), event=f"e{i % 50}") for i in range(80)
    ]
    rows[17:17] = [b"", b"broken", b'{"captureData":{}}']
    rows[60:60] = [b"\xff", b"", b'{"captureData":{}}']
    hold_against_slow_reader(tmp_path, {f"{TREE}/a.jsonl": b"\n".join(rows), f"{TREE}/b.jsonl": rows[3]})


def test_real_files(real_data, tmp_path):
    # GIVEN the capture files of a dozen public repositories and of AWS's own notebooks
    folder = real_data / "captures"
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jsonl")}
    # THEN everything is as the slow reader has it
    summary = hold_against_slow_reader(tmp_path, files)
    assert summary.health.bad_lines == 0
    hold_against_slow_reader(tmp_path / "again", files, labels=())


def _mutated(rng, data):
    """Spoil a file the way disks, networks and programs do."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        span = rng.choice([1, 1, 2, 40, 4000])
        kind = rng.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at : at + span]
        elif kind == 2:
            data[at:at] = data[at : at + span]
        elif kind == 3:
            data[at:at] = rng.choice(
                [b"\n", b"\r\n", b"\\", b'"', b"\x00", b"\xff", b"\xc3\xa9", b"NaN", b"1e999", b"[" * 50]
            )
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            rows = bytes(data).split(b"\n")
            rng.shuffle(rows)
            data = bytearray(b"\n".join(rows + rows[:1]))
        else:
            old, new = rng.choice(_SWAPS)
            data = data.replace(old, new, rng.choice([1, -1]))
    return bytes(data)


_SWAPS = [
    (b'"JSON"', b'"BASE64"'), (b'"encoding"', b'"coding"'), (b":", b": "), (b"2026-11-21T09", b"2026-11-21T1X"),
    (b'"data":"', b'"data":null,"x":"'), (b'"captureData"', b'"captureDate"'), (b"0.98", b"-0.98"), (b"e", "é".encode()),
    (b'"eventId"', b'"eventld"'), (b"}", b"}}"), (b'"', b'\\"'), (b"\n", b"\r\n"), (b'"mode":"INPUT"', b'"mode":null'),
    (b'{"captureData"', b'{"eventMetadata":{"eventId":"first"},"captureData"'),
]  # fmt: skip

_WORDS = st.sampled_from(["e1", "e2", "", "é", "\ud800", "x" * 36, "0" * 36])


@st.composite
def _files(draw):
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 4)) == 0:
            rows.append(draw(st.sampled_from(LINES[:-3] + LINES[-2:])))
            continue
        output, encoding = draw(st.sampled_from(OUTPUTS))
        given_ = draw(st.sampled_from([PICTURE, "", None, "é", 'a"b', PICTURE * 20]))
        event, time = draw(_WORDS), draw(st.sampled_from(TIMES))
        rows.append(
            line(output, encoding=encoding, given=given_, event=event, time=time, compact=draw(st.booleans()))
        )
    data = draw(st.sampled_from([b"\n", b"\n", b"\r\n"])).join(rows)
    rng = random.Random(draw(st.integers(0, 2**32)))
    return _mutated(rng, data) if draw(st.booleans()) else data


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(files=st.lists(_files(), min_size=1, max_size=3), labels=st.sampled_from([(), LABELS]))
def test_any_bytes(tmp_path_factory, files, labels):
    named = {f"{TREE if i % 2 else 'flat'}/{i}.jsonl": data for i, data in enumerate(files)}
    hold_against_slow_reader(tmp_path_factory.mktemp("any"), named, labels)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_mutations_of_real_files(real_data, tmp_path_factory, seed):
    rng = random.Random(seed)
    folder = real_data / "captures"
    chosen = rng.sample(sorted(folder.rglob("*.jsonl")), 3)
    files = {p.relative_to(folder).as_posix(): _mutated(rng, p.read_bytes()) for p in chosen}
    hold_against_slow_reader(tmp_path_factory.mktemp("real"), files, rng.choice([(), LABELS]))


@st.composite
def _uniform(draw):
    """Outputs of one length and one number of classes: probabilities, quantised ones, and what is none."""
    classes = draw(st.integers(1, 4))
    weights = st.lists(st.floats(0.01, 1), min_size=classes, max_size=classes)
    shares = weights.map(lambda row: [weight / sum(row) for weight in row])
    rows = st.one_of(
        shares,
        shares.map(lambda row: [round(share * 256) / 256 for share in row]),
        st.lists(st.floats(0, 1.002), min_size=classes, max_size=classes),
        st.lists(st.sampled_from([0.0, 1.0, 0.5, 2.0]), min_size=classes, max_size=classes),
    )
    form = draw(
        st.sampled_from(
            [
                "[%s]",
                '{"probabilities": [%s], "labels": ["a", "b"]}',
                '{"probabilities": [%s], "labels": [], "familiarity": 0.5}',
            ]
        )
    )
    return [
        form % ", ".join(f"{value:.8f}" for value in row)
        for row in draw(st.lists(rows, min_size=1, max_size=8))
    ]


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(outputs=_uniform(), labels=st.sampled_from([(), LABELS, ("a",), ("a", "a")]))
def test_uniform_lines_are_read_as_the_workflow_reads_each(tmp_path_factory, outputs, labels):
    # GIVEN enough lines of one length that they are compared and measured at once
    rows = [line(outputs[n % len(outputs)], event=f"{n:04}") for n in range(24)]
    hold_against_slow_reader(
        tmp_path_factory.mktemp("uniform"), {f"{TREE}/a.jsonl": b"\n".join(rows)}, labels
    )
