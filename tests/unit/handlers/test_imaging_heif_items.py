"""HEIF: each field of the boxes that describe the items is read with its size, in every version of its box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from handlers.imaging import heif
from handlers.imaging.heif import _Item, _items
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers import sample_heif as sample
from tests.unit.handlers.sample_heif import Item, Place

ONE = {1: Item(b"hvc1", b"0123456789")}


def read(data: bytes) -> dict[int, _Item]:
    return dict(_items(data)[1])


def idat(data: bytes) -> int:
    return data.index(b"idat") + 4


def test_items_by_their_numbers() -> None:
    data = sample.file(
        {
            1: Item(b"grid", b"abc", parts=[3, 2]),
            2: Item(b"hvc1", b"de", of=[1]),
            3: Item(b"av01", b"f", of=[1, 2]),
        }
    )
    begin = idat(data)
    assert read(data) == {
        1: _Item(b"grid", 0, 1, [(begin, 3)], [], [3, 2], [2, 3]),
        2: _Item(b"hvc1", 0, 1, [(begin + 3, 2)], [], [], [3]),
        3: _Item(b"av01", 0, 1, [(begin + 5, 1)], [], [], []),
    }  # fmt: skip


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("number", [1, 0x2233, 0x11223344])
def test_the_primary_item(number: int, version: int) -> None:
    if number < 1 << 16 or version:
        assert _items(sample.file(ONE, pitm=sample.pitm(number, version)))[0] == number


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("entry", "number", "kind"),
    [(0, 0x0102, b""), (1, 0x0102, b""), (2, 0x0102, b"kind"), (3, 0x01020304, b"kind")],
)
def test_the_types_of_items(version: int, entry: int, number: int, kind: bytes) -> None:
    entries = [sample.box(b"else", bytes(20)), sample.infe(number, b"kind", entry), sample.infe(1, b"grid")]
    found = read(sample.file({}, iinf=sample.iinf(entries, version)))
    assert {one: item.kind for one, item in found.items()} == {1: b"grid"} | ({number: kind} if kind else {})


SIZES = [(4, 4, 0, 0), (8, 4, 0, 0), (4, 8, 4, 0), (2, 1, 8, 4), (0, 4, 4, 8), (1, 2, 3, 5), (7, 6, 2, 1)]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("sizes", SIZES)
def test_where_data_is(sizes: tuple[int, int, int, int], version: int) -> None:
    places = [
        Place(5, [(1, 2 if sizes[0] else 0, 7), (2, 0, 9)], base=3 if sizes[2] else 0, reference=0x0102),
        Place(6, [], base=5 if sizes[2] else 0, method=2 if version else 0),
        Place(7 if version < 2 else 0x00070008, [(0, 0, 11)], base=1 if sizes[2] else 0),
    ]
    found = read(sample.file({}, iloc=sample.iloc(places, version, sizes)))
    assert found == {
        place.number: _Item(
            reference=place.reference,
            method=place.method,
            extents=[(place.base + begin, length) for _, begin, length in place.extents],
        )
        for place in places
    }


@pytest.mark.parametrize("method", [0, 1, 2])
def test_lengths_of_nothing_are_all_to_the_end(method: int) -> None:
    place = Place(1, [(0, 3, 0), (0, 1000, 0), (0, 2, 5)], base=1, method=method)
    data = sample.file(ONE, iloc=sample.iloc([place], sizes=(4, 4, 4, 0)))
    begin, end = (idat(data), idat(data) + 10) if method else (0, len(data))
    beyond = (begin + 1001, max(end - begin - 1001, 0))
    assert read(data)[1].extents == [(begin + 4, end - begin - 4), beyond, (begin + 3, 5)]


def test_data_in_a_box_that_is_not_there() -> None:
    place = Place(1, [(0, 3, 2), (0, 4, 0)], method=1)
    data = sample.file(ONE, iloc=sample.iloc([place]), idat=b"")
    assert read(data)[1].extents == [(3, 2), (4, 0)]


@pytest.mark.parametrize(
    ("here", "reference", "found"),
    [
        ((True,), 1, 0),
        ((False,), 1, 1),
        ((True,), 0, 0),
        ((False,), 0, 0),
        ((True, False, True), 1, 0),
        ((True, False, True), 2, 2),
        ((True, False, True), 3, 0),
        ((True, False, True), 4, 4),
    ],
)
def test_references_to_this_file(here: Sequence[bool], reference: int, found: int) -> None:
    # GIVEN further boxes, which mean nothing
    iloc = sample.iloc([Place(1, [(0, 0, 5)], reference=reference)])
    dinf = sample.dinf(*here)
    other = sample.full(b"dreX", 0, sample.numbers(4, 1), sample.full(b"url ", 0, flags=1) * 4)
    data = sample.file(ONE, iloc=iloc, dinf=sample.box(b"dinf", other, dinf[8:]))
    assert read(data)[1].reference == found
    # AND without the box that lists files
    assert read(sample.file(ONE, iloc=iloc))[1].reference == reference


def test_a_reference_with_other_flags_is_to_another_file() -> None:
    for flags, found in ((2, 1), (3, 0)):
        url = sample.full(b"url ", 0, flags=flags)
        dinf = sample.box(b"dinf", sample.full(b"dref", 0, sample.numbers(4, 1), url))
        iloc = sample.iloc([Place(1, [(0, 0, 5)], reference=1)])
        assert read(sample.file(ONE, iloc=iloc, dinf=dinf))[1].reference == found


PROPERTIES = [sample.box(b"p%03d" % number, b"content %d" % number) for number in range(1, 200)]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_properties_of_items(version: int, flags: int) -> None:
    # GIVEN essential ones, some that do not exist, and none
    wide = 0x00010002 if version else 0x0102
    several = (1, -3, 0, 2, 127, -127, *((128, -199, 199, 200, 0x7FFF) if flags & 1 else ()))
    data = sample.file(ONE, iprp=sample.iprp(PROPERTIES, {wide: several, 7: [], 8: [4]}, version, flags))
    found = read(data)
    for number, used in ((wide, several), (8, [4])):
        expected = [abs(one) for one in used if 0 < abs(one) < 200]
        assert [data[begin - 4 : end] for _, begin, end in found[number].properties] == [
            PROPERTIES[one - 1][4:] for one in expected
        ]
        assert [kind for kind, _, _ in found[number].properties] == [b"p%03d" % one for one in expected]
    assert found[1].properties == []


def test_properties_of_several_boxes_are_one_after_another() -> None:
    # GIVEN two boxes that associate, and a further one between them
    one, two = (sample.iprp(PROPERTIES[:2], {1: [number]})[8:] for number in (2, 1))
    size = int.from_bytes(one[:4], "big")
    iprp = sample.box(b"iprp", one[:size], sample.box(b"free", bytes(40)), one[size:], two[size:])
    found = read(sample.file(ONE, iprp=iprp))
    assert [kind for kind, _, _ in found[1].properties] == [b"p002", b"p001"]


@pytest.mark.parametrize("version", [0, 1])
def test_references_between_items(version: int) -> None:
    more = 0x00010000 * version
    references = [
        (b"dimg", 1 + more, [2, 0x0203 + more]), (b"cdsc", 1 + more, [9]), (b"auxl", 4 + more, [1 + more, 5]),
        (b"auxl", 6, [1 + more]), (b"thmb", 7, [1 + more]), (b"dimg", 1 + more, [2]), (b"dimg", 8, []),
    ]  # fmt: skip
    found = read(sample.file(ONE, iref=sample.iref(references, version)))
    assert found[1 + more].parts == [2, 0x0203 + more, 2]
    assert found[1 + more].auxiliaries == [4 + more, 6]
    assert (found[5].auxiliaries, found[5].parts, found[8].parts) == ([4 + more], [], [])


def test_boxes_that_must_be_there() -> None:
    for name in ("pitm", "iinf", "iloc", "iprp"):
        with pytest.raises(NotUnderstood, match="a box is missing"):
            _items(sample.file(ONE, **{name: b""}))
    assert read(sample.file(ONE, iref=b"", hdlr=b"", idat=b""))[1].kind == b"hvc1"
    with pytest.raises(NotUnderstood, match="no items"):
        _items(sample.file(ONE).replace(b"meta", b"mets"))
    # AND of two boxes with items, the first counts
    assert _items(sample.file(ONE) + sample.file(ONE, primary=2))[0] == 1


def shorter(data: bytes, less: int = 1) -> bytes:
    """A box without its end."""
    return sample.box(data[4:8], data[8:-less])


@pytest.mark.parametrize(
    "changed",
    [
        {"pitm": shorter(sample.pitm(1))},
        {"iinf": sample.iinf([shorter(sample.infe(1, b"hvc1"), 8)])},
        {"iloc": shorter(sample.iloc([Place(1, [(0, 0, 1)])]))},
        {"iprp": sample.box(b"iprp", shorter(sample.iprp([], {1: [1]})[16:]))},
        {"iref": sample.full(b"iref", 0, shorter(sample.iref([(b"dimg", 1, [2])])[12:]))},
        {"dinf": sample.box(b"dinf", shorter(sample.dinf(True)[8:]))},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_boxes_that_end_early(changed: dict[str, bytes]) -> None:
    with pytest.raises(Rejection, match="ends early") as found:
        _items(sample.file(ONE, **changed))
    assert found.value.code == "corrupt_image"


def test_a_version_is_within_the_file() -> None:
    data = sample.file(ONE)
    assert [heif._version(b"\0\7\3", at) for at in range(3)] == [0, 7, 3]
    with pytest.raises(Rejection, match="ends early"):
        heif._version(data, len(data))


def test_numbers_are_within_their_box_and_the_file() -> None:
    reader = heif._IntegerReader(b"\1\2\3\4\5\6\7", 1, 6)
    assert (reader.number(2), reader.some(1), reader.number(0), reader.at) == (0x0203, b"\4", 0, 4)
    with pytest.raises(Rejection, match="ends early"):
        reader.some(3)
    assert (reader.number(2), reader.some(0)) == (0x0506, b"")
    short = heif._IntegerReader(b"\1\2\3", 2, 9)
    assert short.number(1) == 3
    with pytest.raises(Rejection, match="ends early"):
        short.number(1)


def test_members_of_an_item_are_its_own() -> None:
    assert _Item() == _Item(b"", 0, 0, [], [], [], [])
    assert replace(_Item(), kind=b"grid") != _Item()
    first: Any = _Item()
    first.parts.append(1)
    assert _Item().parts == []
