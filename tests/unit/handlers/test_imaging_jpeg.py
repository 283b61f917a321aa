"""Markers of JPEG, built by hand: each field at its bounds, each condition alone, and how scans are filled."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from handlers.imaging import jpeg, limits
from handlers.rejections import Rejection

START, END = b"\xff\xd8", b"\xff\xd9"
NO_ZEROS = b"\x5a" * 40  # data of a scan


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2 if length is None else length) + content


def frame(
    width: int = 20,
    height: int = 30,
    *factors: int,
    marker: int = 0xC0,
    bits: int = 8,
    count: int | None = None,
    first: int = 1,
) -> bytes:
    """A frame header; `factors` are those of sampling of each component, 0x11 of a single one without any."""
    factors = factors or (0x11,)
    parts = b"".join(bytes((first + number, factor, 0)) for number, factor in enumerate(factors))
    return segment(
        marker, struct.pack(">BHHB", bits, height, width, len(factors) if count is None else count) + parts
    )


def scan(
    *components: int, tables: int = 0, first: int = 0, last: int = 63, bits: int = 0, data: bytes = NO_ZEROS
) -> bytes:
    components = components or (1,)
    parts = b"".join(bytes((component, tables)) for component in components)
    return segment(0xDA, bytes((len(components),)) + parts + bytes((first, last, bits))) + data


def table(number: int, codes: dict[str, int]) -> bytes:
    """A Huffman table of canonical codes."""
    counts = bytes(sum(len(code) == length for code in codes) for length in range(1, 17))
    return bytes((number,)) + counts + bytes(codes.values())


def inspected(*parts: bytes, end: bytes = END) -> jpeg.Jpeg:
    return jpeg.inspect(START + b"".join(parts) + end)


def refused(*parts: bytes, end: bytes = END) -> tuple[str, str]:
    with pytest.raises(Rejection) as found:
        inspected(*parts, end=end)
    return found.value.code, str(found.value).removeprefix(str(Rejection(found.value.code))).strip()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (0x102, 0x304), (65535, 65535)])
@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_size_and_sampling(width: int, height: int, marker: int) -> None:
    found = inspected(frame(width, height, 0x14, 0x21, 0x43, marker=marker), scan(1, 2, 3))
    assert (found.width, found.height, found.progressive) == (width, height, marker == 0xC2)
    assert found.sampling == {1: (1, 4), 2: (2, 1), 3: (4, 3)}
    assert found.closed
    assert not inspected(frame(), scan(), end=b"").closed
    assert found.one_scan == (marker != 0xC2)


def test_before_its_frame_a_file_has_no_size() -> None:
    assert jpeg.Jpeg() == jpeg.Jpeg(0, 0, False, {}, [], False)


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        (0xC3, "lossless JPEG"), (0xC5, "hierarchical JPEG"), (0xC6, "hierarchical JPEG"), (0xC7, "lossless hierarchical JPEG"),
        (0xC9, "JPEG with arithmetic coding"), (0xCA, "JPEG with arithmetic coding"), (0xCB, "lossless JPEG with arithmetic coding"),
        (0xCD, "hierarchical JPEG"), (0xCE, "hierarchical JPEG"), (0xCF, "lossless hierarchical JPEG"), (0xF7, "JPEG-LS"),
        (0xF8, "JPEG-LS"),
    ],
)  # fmt: skip
def test_kinds_that_are_not_read(marker: int, name: str) -> None:
    assert refused(frame(marker=marker), scan()) == ("unsupported_format", f"It is {name}.")
    assert refused(segment(marker, b"")) == ("unsupported_format", f"It is {name}.")


@pytest.mark.parametrize("marker", [0xC8, 0xCC, 0xE0, 0xFE, 0xF6, 0xF9, 0xDB, 0xD0 + 12])
def test_segments_that_say_nothing_are_passed_over(marker: int) -> None:
    before = inspected(frame(), scan())
    found = inspected(segment(marker, b"\xff\xd9\xff\xda"), frame(), segment(marker, b""), scan())
    assert (found.sampling, found.width, len(found.scans)) == (before.sampling, before.width, 1)


HEADER = "JPEG: its frame header is damaged."


@pytest.mark.parametrize(
    ("parts", "code", "message"),
    [
        ([frame(), frame(), scan()], "corrupt_image", "JPEG: it has a second frame header."),
        ([segment(0xC0, bytes(5)), scan()], "corrupt_image", HEADER),
        ([segment(0xC0, b""), scan()], "corrupt_image", HEADER),
        ([segment(0xC0, b"\x08\0\1\0\1\0"), scan()], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(bits=7), scan()], "unsupported_format", "It is 7-bit JPEG."),
        ([frame(bits=9), scan()], "unsupported_format", "It is 9-bit JPEG."),
        ([frame(height=0), scan()], "unsupported_format", "It is JPEG that gives its height after its data (DNL)."),
        ([frame(width=0), scan()], "corrupt_image", HEADER),
        *(([frame(20, 30, 0x11, factor), scan()], "corrupt_image", HEADER) for factor in (0x01, 0x10, 0x15, 0x51, 0)),
        ([scan()], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(), segment(0xDA, b"")], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(), segment(0xDA, b"\0\0\0\0"), NO_ZEROS], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(), segment(0xDA, b"\1\1\0\0\x3f"), NO_ZEROS], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(), segment(0xDA, b"\2\1\0\0\x3f\0"), NO_ZEROS], "corrupt_image", "JPEG: the header of a scan is damaged."),
        ([frame(), scan(2)], "corrupt_image", "JPEG: a scan is of a component that the frame does not have."),
        ([frame(20, 30, 0x11, 0x11), scan(1, 3)], "corrupt_image", "JPEG: a scan is of a component that the frame does not have."),
        ([frame(20, 30, 0x11, 0x11), scan(1)], "truncated_image", "JPEG: the scan of a component is missing."),
        ([frame()], "truncated_image", "JPEG: it ends before its first scan."),
        ([], "truncated_image", "JPEG: it ends before its first scan."),
    ],
)  # fmt: skip
def test_headers_that_are_damaged(parts: list[bytes], code: str, message: str) -> None:
    assert refused(*parts) == (code, message)


def test_all_factors_of_sampling_from_1_to_4_are_read() -> None:
    for h in range(1, 5):
        for v in range(1, 5):
            assert inspected(frame(20, 30, h << 4 | v), scan()).sampling == {1: (h, v)}


@pytest.mark.parametrize(("count", "given", "found"), [(3, 3, 3), (2, 3, 2), (4, 3, 3), (255, 1, 1)])
def test_components_are_as_many_as_are_given_and_there(count: int, given: int, found: int) -> None:
    header = frame(20, 30, *[0x11] * given, count=count)
    assert list(inspected(header, scan(*range(1, found + 1))).sampling) == list(range(1, found + 1))


def test_a_component_whose_entry_is_cut_is_not_there() -> None:
    whole = b"\x08\0\x1e\0\x14\2\1\x11\0\2\x11\0"
    assert list(inspected(segment(0xC0, whole), scan(1, 2)).sampling) == [1, 2]
    assert list(inspected(segment(0xC0, whole[:-1]), scan(1)).sampling) == [1]


@pytest.mark.parametrize("missing", range(1, 7))
def test_a_file_that_ends_within_a_header_before_its_first_scan_is_truncated(missing: int) -> None:
    header = frame(bits=12)
    assert refused(header, end=b"")[0] == "unsupported_format"
    assert refused(header[:-missing], end=b"") == ("truncated_image", "JPEG: it ends before its first scan.")
    whole = scan(data=b"")
    expected = "JPEG: the header of a scan is damaged."
    assert refused(frame(), whole[:-missing], end=b"") == ("truncated_image", expected)


def test_after_a_scan_what_is_cut_is_not_needed() -> None:
    assert len(inspected(frame(), scan(), segment(0xC4, b"ab", 99), end=b"").scans) == 1
    assert refused(frame(), scan(), frame()[:-3], end=b"")[1] == "JPEG: it has a second frame header."


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_segment_is_as_long_as_its_length_at_least(length: int) -> None:
    found = inspected(struct.pack(">BBH", 0xFF, 0xE1, length), frame(), scan())
    assert len(found.scans) == 1


@pytest.mark.parametrize(
    ("extra", "count"),
    [
        (b"\xff", 1), (b"\xff" * 7, 7), (b"\xff\x00", 2), (b"\xff\x01", 2), (b"\xff\xd8", 2), (b"\xff\xd0", 2), (b"\xff\xd7", 2),
        (b"\xff\xff\xd3", 3), (b"abc", 0), (b"ab\xff\xff\x01\xff", 4),
    ],
)  # fmt: skip
def test_bytes_between_segments_are_counted(
    monkeypatch: pytest.MonkeyPatch, extra: bytes, count: int
) -> None:
    parts = (extra, frame(), extra, scan())
    monkeypatch.setattr(limits, "MAX_SLOW_BYTES", 2 * count)
    assert len(inspected(*parts).scans) == 1
    if count:
        monkeypatch.setattr(limits, "MAX_SLOW_BYTES", 2 * count - 1)
        assert refused(*parts) == (
            "too_complex",
            f"JPEG: it has more than {2 * count - 1} bytes between segments.",
        )


def test_segments_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (segment(0xFE, b""), segment(0xFE, b"x"), b"\xff\xd0", frame(), scan())
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 4)
    assert inspected(*parts).width
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 3)
    assert refused(*parts) == ("too_complex", "JPEG: it has more than 3 marker segments.")


def test_the_work_of_scans_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (frame(20, 30), *[scan()] * 21)
    monkeypatch.setattr(limits, "MAX_WORK", 21 * 600)
    assert not inspected(*parts).one_scan
    monkeypatch.setattr(limits, "MAX_WORK", 21 * 600 - 1)
    assert refused(*parts) == ("too_complex", "JPEG: it has 21 or more scans of 600 pixels.")


def test_fields_of_a_scan() -> None:
    head = START + frame(20, 30, 0x11, 0x11, marker=0xC2)
    whole = scan(2, first=3, last=9, bits=0x21, data=b"abc\xff\x00de")
    both = scan(1, 2, bits=0, last=0)
    rest = scan(1, first=1) + scan(2, first=1) + END
    data = head + both + whole + rest
    found = jpeg.inspect(data).scans[1]
    begin = len(head) + len(both) + len(whole) - 7
    assert (found.components, found.first, found.last, found.high, found.low) == ((2,), 3, 9, 2, 1)
    assert (found.begin, found.end, found.restart, found.zero_run) == (begin, begin + 7, 0, False)
    assert jpeg.inspect(data).scans[0].components == (1, 2)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"abc", 3), (b"", 0), (b"ab\xff\x00c", 5), (b"ab\xff\xd0c\xff\xd7d", 8), (b"ab\xff\xff\xff", 2), (b"\xff\xff", 0),
        (b"ab\xff\xff\x00c", 6), (b"ab\xff\xff\xd3c", 6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("marker", [END, b"\xff\xfe\0\2", b"\xff\x01", b"\xff\xcc\0\2", b"\xff\xd8"])
def test_a_scan_ends_before_its_marker_and_fill_bytes(data: bytes, length: int, marker: bytes) -> None:
    (found,) = inspected(frame(), scan(data=data), marker, end=END).scans
    assert found.end - found.begin == length


def test_a_scan_without_data_does_not_end_before_it_begins() -> None:
    (found,) = inspected(frame(), scan(bits=0xFF, data=b"")).scans
    assert found.end == found.begin


@pytest.mark.parametrize("restart", [0, 1, 0x102, 65535])
def test_restarts_are_of_the_scans_that_follow(restart: int) -> None:
    interval = segment(0xDD, struct.pack(">H", restart) + b"more")
    found = inspected(frame(8, 8), scan(), interval, scan())
    assert [one.restart for one in found.scans] == [0, restart]
    assert found.has_restarts == (restart > 0)


MARKERS = [bytes((0xFF, 0xD0 + number % 8)) for number in range(20)]


@pytest.mark.parametrize(
    ("width", "height", "factors", "components", "units"),
    [
        (8, 8, (0x11,), (1,), 1), (9, 8, (0x11,), (1,), 2), (8, 9, (0x11,), (1,), 2), (24, 40, (0x11,), (1,), 15),
        (16, 16, (0x22, 0x11), (1, 2), 1), (17, 16, (0x22, 0x11), (1, 2), 2), (16, 17, (0x22, 0x11), (1, 2), 2),
        (32, 16, (0x21, 0x11), (1, 2), 4), (16, 32, (0x12, 0x11), (1, 2), 4),
        (17, 17, (0x22, 0x11), (1,), 9), (17, 17, (0x22, 0x11), (2,), 4), (16, 16, (0x22, 0x11), (2,), 1),
        (9, 33, (0x41, 0x11, 0x12), (1,), 6),
        (33, 9, (0x41, 0x11, 0x12), (2,), 2), (33, 17, (0x41, 0x11, 0x12), (3,), 6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("restart", [1, 2, 3])
def test_restart_markers_are_as_many_as_the_blocks_need(
    width: int, height: int, factors: tuple[int, ...], components: tuple[int, ...], units: int, restart: int
) -> None:
    needed = -(-units // restart) - 1
    interval = segment(0xDD, struct.pack(">H", restart))
    others = [scan(number) for number in range(1, len(factors) + 1) if number not in components]
    head = (frame(width, height, *factors), *others, interval)
    data = [b"x" + marker for marker in MARKERS]
    for count in (needed, needed + 1):
        assert inspected(*head, scan(*components, data=b"".join(data[:count]) + b"x"))
    if needed:
        found = refused(*head, scan(*components, data=b"".join(data[: needed - 1]) + b"x"))
        assert found == ("truncated_image", "JPEG: restart markers are missing, and with them data.")


def test_restart_markers_are_numbered() -> None:
    head = (frame(8, 8 * 12), segment(0xDD, b"\0\1"))
    data = b"x".join(MARKERS[:11])
    assert inspected(*head, scan(data=data))
    for number in (0, 7, 8, 10):
        wrong = b"x".join([*MARKERS[:number], MARKERS[number + 1], *MARKERS[number + 1 : 11]])
        expected = ("truncated_image", "JPEG: a restart marker is missing, and with it data.")
        assert refused(*head, scan(data=wrong)) == expected


def test_data_is_filled_before_each_restart_marker() -> None:
    data = memoryview(b"..HEAD" + b"ab\xff\x00c\xff\xd0d\xff\xff\xd1e" + b"..")
    one = jpeg.Scan((1,), 0, 63, 0, 0, 6, 18, 1, False)
    assert bytes(jpeg.filled(data, one, 2, b"(7)")) == b"HEADab\xff\x00c(7)\xff\xd0d(7)\xff\xff\xd1e"
    one.restart = 0
    assert bytes(jpeg.filled(data, one, 2, b"(7)")) == bytes(data[2:18])


@pytest.mark.parametrize(
    ("data", "end", "length"),
    [
        (b"abc" + bytes(16), b"", 3), (b"abc" + bytes(15), b"", 18), (b"abc" + bytes(16), END, 19), (b"abc\xff", b"", 3),
        (b"abc\xff" + bytes(16), b"", 3),
        (bytes(16), b"", 0), (b"", b"", 0), (b"abc" + bytes(16), b"\xff\xfe\0\2", 19), (b"a\xff\0", b"", 3),
        (b"abc", END + bytes(20), 3), (b"abX" + bytes(16), b"", 3),
    ],
)  # fmt: skip
def test_zeros_at_the_end_of_a_file_that_is_not_closed_are_no_data(
    data: bytes, end: bytes, length: int
) -> None:
    (found,) = inspected(frame(), scan(data=data), end=end).scans
    assert found.end - found.begin == length


def progressive(*scans: Any) -> tuple[bytes, ...]:
    return (
        frame(20, 30, 0x11, 0x11, marker=0xC2),
        *(scan(*which, first=a, last=b, bits=c) for which, a, b, c in scans),
    )


WHOLE: list[Any] = [
    ((1, 2), 0, 0, 0x01), ((1,), 1, 63, 0x00), ((2,), 1, 5, 0x02), ((2,), 6, 63, 0x00), ((2,), 1, 5, 0x21), ((1, 2), 0, 0, 0x10),
    ((2,), 1, 5, 0x10),
]  # fmt: skip


def test_a_progressive_file_has_every_bit_of_every_coefficient() -> None:
    assert len(inspected(*progressive(*WHOLE)).scans) == 7
    expected = ("truncated_image", "JPEG: its last scans, which refine it, are missing.")
    for number in (1, 3, 5, 6):
        assert refused(*progressive(*WHOLE[:number], *WHOLE[number + 1 :])) == expected
    for first, last in ((2, 63), (1, 62), (1, 30)):
        assert refused(*progressive(WHOLE[0], ((1,), first, last, 0), *WHOLE[2:])) == expected
    assert inspected(*progressive(WHOLE[0], ((1,), 1, 255, 0), *WHOLE[2:]))
