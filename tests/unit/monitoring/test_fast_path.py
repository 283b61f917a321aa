"""Lines alike, which are measured as matrices: the same aggregate as from the slow reader, whatever differs in them."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.incremental import run as aggregate
from monitoring.ingest import fast_path as usual
from monitoring.ingest.schema import Malformed, read_line
from tests.unit.monitoring.capture_cases import LABELS, TREE, line
from tests.unit.monitoring.test_captures import hold_against_slow_reader

# More than the buffer holds: from then on the reader knows how lines begin.
BEFORE = b"\n".join(line(event=f"u{i}", given="A" * 4000) for i in range(140))
LATER = f"{TREE[:-2]}10/b.jsonl"


def hold(folder, rows, labels=LABELS):
    """Hold lines against the slow reader that come after usual ones."""
    return hold_against_slow_reader(folder, {f"{TREE}/a.jsonl": BEFORE, LATER: b"\n".join(rows)}, labels)


def test_nearly_all_of_an_endpoints_lines_are_measured_as_matrices():
    # GIVEN lines that differ in ids, times, lengths of outputs, with one of another kind and a broken one
    def rest(at):
        text = line(
            f"[{1 - at / 1000}, {at / 1000}]", event=f"{at:036d}", time=f"2026-11-21T{at % 24:02}:00:01Z"
        )
        return text[text.index(b'","encoding"') :]

    rests = [rest(at) for at in range(500)]
    rests[7:7] = [rests[0].replace(b'"JSON"', b'"CSV"'), rests[0][:-1] + b"]"]
    # WHEN they are measured
    matrices, others = usual.measure(rests)
    # THEN all but these two and a few of rare lengths are in matrices, once, with what stands in them
    assert {7, 8} <= set(others)
    assert len(others) < 40
    assert sorted(others + [int(row) for matrix in matrices for row in matrix.rows]) == list(range(502))
    for matrix in matrices:
        for nth, row in enumerate(matrix.rows.tolist()):
            found = read_line(usual.STUB + rests[row])
            assert matrix.ids[nth].tobytes().decode() == found.event_id
            assert matrix.hours[matrix.hour[nth]][:13] == found.time[:13]
            assert f"[{matrix.values[nth][0]}, {matrix.values[nth][1]}]" == found.data


@pytest.mark.parametrize(
    "time",
    ["2026-11-21t10:00:00Z", "2026-11-21T10:00:00z", "2026/11/21T10:00:00Z", "2026-11-21 10:00:00Z",
     "2026-11-21T10.00.00Z", "2026-13-21T10:00:00Z", "2026-02-30T10:00:00Z", "2026-11-21T10:60:00Z",
     "2026-11-21T10:00:60Z", "2026-11-21T24:00:00Z", '2026-11-21"10:00:00Z'],
)  # fmt: skip
def test_a_time_of_the_right_length_is_not_always_one(tmp_path, time):
    rows = [line(event=f"x{i:02}", time="2026-11-21T10:00:00Z") for i in range(40)]
    odd = line(event="x98", time="@" * 20).replace(b"@" * 20, time.encode())
    hold(tmp_path, [*rows[:20], odd, *rows[20:]])
    hold(tmp_path / "first", [odd, *rows])


@pytest.mark.parametrize("encoding", ["base64", "Base64", "CSV", "other", None])
@pytest.mark.parametrize("data", ["[0.9, 0.1]", "0.9,0.1", '{"probabilities":[0.9,0.1],"labels":["a","b"]}'])
def test_an_encoding_means_the_same_for_many_lines_and_for_one(tmp_path, encoding, data):
    hold(tmp_path, [line(data, encoding=encoding, event=f"x{i:02}") for i in range(40)])


def test_one_probability_with_one_label(tmp_path):
    data = '{"probabilities":[0.7],"labels":["a"],"familiarity":0.5}'
    hold(tmp_path, [line(data, event=f"x{i:02}") for i in range(40)])


@pytest.mark.parametrize(
    "middle",
    ['"endpointInput":{},%s},', '%s},"captureData":{"endpointInput":{},%s},', '%s},"captureData":{%s},'],
)
def test_of_fields_that_stand_twice_the_last_counts(tmp_path, middle):
    begin = line().split(b'"data":"')[0].decode() + '"data":"AAAA","encoding":"BASE64"},'
    output = '"endpointOutput":{"data":"[0.98, 0.02]","encoding":"JSON"}'
    meta = '"eventMetadata":{"eventId":"x%d","inferenceTime":"2026-11-21T10:00:01Z"},"eventVersion":"0"}'
    text = begin + middle.replace("%s", output) + meta
    hold(tmp_path, [(text % at).encode() for at in range(10, 50)])


def test_empty_outputs_are_no_predictions(tmp_path):
    hold(tmp_path, [line("", event=f"x{i:02}") for i in range(40)])


@pytest.mark.parametrize("classes", [60, 300])
def test_long_vectors_of_other_numbers_of_classes(tmp_path, classes):
    # GIVEN outputs of one length, of which every fifth has one class fewer
    def data(at):
        values = ["0.00"] * classes
        values[at] = "1.00"
        text = f"[{', '.join(values)}]"
        return text if at % 5 else text.replace("0.00, 0.00]", "0.00000000]")

    rows = [line(data(at), event=f"x{at:02}") for at in range(40)]
    assert len(set(map(len, rows))) == 1
    # WHEN they are read THEN each is as the slow reader has it, which needs as many labels as classes, or none
    hold(tmp_path, rows, [])


def test_hours_in_turns(tmp_path):
    times = [f"2026-11-{20 + at % 2}T{at % 3:02}:{at:02}:59Z" for at in range(60)]
    hold(tmp_path, [line(event=f"x{at:02}", time=time) for at, time in enumerate(times)])


@pytest.mark.parametrize("spoiled", [0, 0.1])
@pytest.mark.parametrize("compact", [True, False])
def test_a_file_larger_than_the_buffer_with_spoiled_lines(tmp_path, compact, spoiled):
    rng = random.Random(compact)
    rows = []
    for at in range(3000):  # 1.6 MB; the buffer has 0.8
        row = bytearray(line(event=f"{at:036d}", given=rng.choice(["A" * 40, "B" * 300]), compact=compact))
        if rng.random() < spoiled:
            row[rng.randrange(row.find(b'"encoding"'), len(row))] = rng.choice(b'x"{}:,19')
        rows.append(bytes(row))
    hold_against_slow_reader(tmp_path, {f"{TREE}/a.jsonl": b"\n".join(rows)})


_ANSWERS = [
    "[0.9,0.1]", "[00.9,0.1]", "[.9,.1]", "[+0.9,0.1]", "[0.9,0.1,]", "[0.9 ,0.1]", "[0.9 0.1]", "[1e-1,9E-1]", "[1,0]",
    "[ 1,0]", "[-0,1]", "[]", "[ ]", "[[1,0]]", "0.9,0.1", "[0.9,0.1", "[1.,0]", "[0.9,-0.1]", "[1e999,0]",
    "[0.90,0.1]\\n", '{\\"prediction\\":[0.9,0.1]}', "[0.2,0.3,0.5]", "[1]", "[0.7]", "[NaN,1]", '[0.9,0.1]","x":"',
    '[0.9,0.1]","data":"[0.1,0.9]', "[1,0]}}}", "[0.9, 0.1] x", "[0.3\\u002c0.7]",
]  # fmt: skip


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), fewest=st.sampled_from([2, 16]))
def test_any_bytes_in_lines_of_one_length(tmp_path_factory, seed, fewest):
    # GIVEN lines of one length, with outputs that are and are not what they seem, some spoiled in a few bytes
    rng = random.Random(seed)
    width, encoding = rng.choice([12, 22, 40]), rng.choice(["JSON", "JSON", "CSV", "BASE64", None])
    compact, inference = rng.random() < 0.7, rng.random() < 0.5
    rows = []
    for at in range(rng.choice([20, 40, 120])):
        answer = rng.choice(_ANSWERS) if rng.random() < 0.5 else f"[0.{rng.randrange(9**9)}, 0.5]"
        answer = answer[:width].ljust(width) if rng.random() < 0.9 else answer[:width].rjust(width)
        row = bytearray(
            line(
                "@@", event=f"{at:036d}", encoding=encoding, compact=compact, given="A" * rng.choice([40, 300]),
                time=f"2026-11-21T{rng.choice([9, 9, 10]):02}:{rng.randrange(60):02}:{rng.randrange(60):02}Z",
                inference=f"{rng.randrange(9**9):064x}" if inference else None,
                content=rng.choice(["application/json"] * 20 + ["application/jsom"]),
            ).replace(b"@@", answer.encode())
        )  # fmt: skip
        if rng.random() < 0.25:
            first = row.find(b'"encoding"') if rng.random() < 0.8 else 0
            for _ in range(rng.choice([1, 1, 2, 5])):
                row[rng.randrange(first, len(row))] = rng.choice(
                    b'0123456789+-.eE, "\\{}[]:aZ\x00\x7f\tnu\xc3'
                )
        rows.append(bytes(row))
    # WHEN they are aggregated, in matrices of as few as two THEN the result is that of the slow reader
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usual, "_FEWEST", fewest)
        hold(tmp_path_factory.mktemp("alike"), rows, rng.choice([(), LABELS]))


def test_the_place_that_an_error_names_is_that_of_the_whole_line(tmp_path):
    # GIVEN a line that breaks behind its input
    broken = line(event="x50").replace(b'"eventVersion"', b'"eventVersion')
    rows = [line(event=f"x{at}", given="A" * 5000) for at in range(10, 30)]
    with pytest.raises(Malformed) as error:
        read_line(broken)
    # WHEN it is found among lines alike THEN the reason is the same
    for name, data in {"a.jsonl": BEFORE, LATER: b"\n".join([*rows, broken])}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    [bad] = aggregate.run(tmp_path, tmp_path / ".state").health.bad
    assert (bad.line, bad.reason) == (21, str(error.value))
