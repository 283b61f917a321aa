"""HEIF: which coded images an image is made of, what is shown of each, and where their data is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from handlers.imaging import heif, limits
from handlers.imaging.heif import CodedImage
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers import sample_heif as sample
from tests.unit.handlers.sample_heif import Item, Place, clap, colr, hvcc, ispe

ALL = (1 << 31, 1 << 31)
CONFIGURATION = b"configuration"
GREEN, NARROW, FULL = (0, True), (6, False), (1, True)


def coded(name: bytes, *properties: bytes, kind: bytes = b"hvc1", of: Sequence[int] = ()) -> Item:
    """An image of one unit."""
    content = sample.numbers(4, len(name)) + name
    return Item(kind, content, [hvcc([CONFIGURATION]), *properties], of=of)


def grid(
    parts: Sequence[int], columns: int, size: tuple[int, int], *properties: bytes, wide: bool = False
) -> Item:
    content = bytes((7, 0xFE | wide, len(parts) // columns - 1, columns - 1))
    return Item(b"grid", content + sample.numbers(4 if wide else 2, *size), properties, parts)


def images(data: bytes) -> dict[bytes, CodedImage]:
    """Each coded image by its unit, after that of its configuration."""
    found = list(heif.coded_images(data))
    assert all(one.units[:-1] == [CONFIGURATION] for one in found)
    names = {one.units[-1]: one for one in found}
    assert len(names) == len(found)
    return names


def shown(data: bytes) -> dict[bytes, tuple[int, int]]:
    return {name: (one.width, one.height) for name, one in images(data).items()}


@pytest.mark.parametrize("kind", [b"hvc1", b"hev1"])
def test_one_image(kind: bytes) -> None:
    data = sample.file({2: coded(b"one", colr(6, 0), ispe(64, 48), kind=kind), 3: coded(b"two")}, primary=2)
    assert list(heif.coded_images(data)) == [CodedImage([CONFIGURATION, b"one"], *ALL, NARROW)]
    assert list(heif.coded_images(sample.file({1: coded(b"one", kind=b"av01")}))) == []
    assert list(heif.coded_images(sample.file({2: coded(b"one")}))) == []


def tiles(*properties: bytes) -> dict[int, Item]:
    return {number: coded(b"%d" % number, ispe(64, 48), *properties) for number in range(2, 8)}


GRID = {b"%d" % (2 + x + 3 * y): (150 - 64 * x, 90 - 48 * y) for y in (0, 1) for x in (0, 1, 2)}


@pytest.mark.parametrize("wide", [False, True])
def test_tiles_of_a_grid_are_row_by_row(wide: bool) -> None:
    items = {1: grid(range(2, 8), 3, (150, 90), wide=wide), **tiles()}
    assert shown(sample.file(items)) == GRID
    assert heif.grid(sample.file(items)) == ([2, 3, 4, 5, 6, 7], 3)
    assert heif.grid(sample.file(items, primary=4)) == ([4], 1)


def test_of_a_grid_that_is_cropped_less_of_its_tiles_is_shown() -> None:
    # The size of the grid counts for its tiles
    items = {1: grid(range(2, 8), 3, (150, 90), ispe(150, 90), clap(70, 1, 60, 1, -80, 2, -30, 2)), **tiles()}
    assert shown(sample.file(items)) == GRID


UNKNOWN = dict.fromkeys(GRID, (0, 0))


def test_tiles_of_which_it_is_not_known_what_is_shown() -> None:
    whole = {1: grid(range(2, 8), 3, (150, 90)), **tiles()}
    # The grid is cropped at its left, or of unknown size
    left = {1: grid(range(2, 8), 3, (150, 90), ispe(150, 90), clap(70, 1, 90, 1, -40, 2, 0, 2))}
    unsized = {1: grid(range(2, 8), 3, (150, 90), clap(70, 1, 90, 1, -80, 2, 0, 2))}
    for changed in (left, unsized):
        assert shown(sample.file(whole | changed)) == UNKNOWN
    # The first tile has no size, or no width
    assert shown(sample.file(whole | {2: coded(b"2")})) == UNKNOWN
    assert shown(sample.file(whole | {2: coded(b"2", ispe(0, 48))})) == UNKNOWN
    # Others have it, or there are as many as the header says
    assert shown(sample.file(whole | {3: coded(b"3")})) == GRID
    wrong = Item(b"grid", bytes((0, 0, 1, 1)) + sample.numbers(2, 150, 90), parts=range(2, 8))
    assert shown(sample.file(whole | {1: wrong})) == UNKNOWN
    # The first is none that is there
    other = sample.file(whole | {1: grid([9, *range(3, 8)], 3, (150, 90))})
    assert shown(other) == dict.fromkeys(list(UNKNOWN)[1:], (0, 0))
    assert shown(sample.file(whole | {1: grid([3, 2, 9, 4, 5, 6], 3, (150, 90))}))[b"2"] == (86, 90)


def test_a_grid_without_parts_has_none() -> None:
    alpha = coded(b"alpha", sample.ALPHA, of=[1])
    assert shown(sample.file({1: Item(b"grid"), 2: alpha})) == {b"alpha": ALL}


@pytest.mark.parametrize(("size", "columns"), [((64, 9), 2), ((9, 48), 1)])
def test_of_parts_beyond_the_edge_nothing_is_shown(size: tuple[int, int], columns: int) -> None:
    # GIVEN a grid, or a part with a clean aperture, as the second part of a grid that ends before it
    cropped = coded(b"3", ispe(64, 48), clap(40, 1, 30, 1, -24, 2, -18, 2))
    for part in (grid([4], 1, (64, 48)), cropped):
        items = {
            1: grid([2, 3], columns, size),
            2: coded(b"2", ispe(64, 48)),
            3: part,
            4: coded(b"4", ispe(64, 48)),
        }
        found = shown(sample.file(items))
        assert found == {b"2": size, b"3" if part is cropped else b"4": (0, 0)}


@pytest.mark.parametrize(("kind", "size"), [(b"iden", ALL), (b"iovl", ALL), (b"tmap", (0, 0))])
def test_parts_of_other_images(kind: bytes, size: tuple[int, int]) -> None:
    items = {1: Item(kind, b"", parts=[2, 3]), 2: coded(b"2", ispe(64, 48)), 3: coded(b"3")}
    assert shown(sample.file(items)) == {b"2": size, b"3": size}
    cropped = Item(kind, b"", [ispe(64, 48), clap(40, 1, 30, 1, -24, 2, -18, 2)], parts=[2, 3])
    known = (40, 30) if any(size) else (0, 0)
    assert shown(sample.file(items | {1: cropped})) == {b"2": known, b"3": known}


def test_each_image_once() -> None:
    # GIVEN items that are parts of each other, and some that are not there
    items = {1: Item(b"iovl", parts=[2, 9, 3, 1]), 2: coded(b"2"), 3: Item(b"iden", parts=[2, 1])}
    assert shown(sample.file(items)) == {b"2": ALL}
    # AND whose image is itself its alpha channel
    assert shown(sample.file({1: coded(b"1", sample.ALPHA, of=[1])})) == {b"1": ALL}


def test_colours_of_what_an_image_is_made_of() -> None:
    # GIVEN parts with colours of their own, and some without
    items = {
        1: Item(b"iovl", b"", [colr(0, 0x80)], [2, 3, 4]),
        2: coded(b"2", colr(6, 0x7F)),
        3: coded(b"3"),
        4: Item(b"iden", b"", [], [5]),
        5: coded(b"5"),
        6: coded(b"alpha", sample.ALPHA, of=[1]),
        7: coded(b"of a part", sample.ALPHA, colr(1, 0xFF), of=[3]),
    }
    found = images(sample.file(items))
    assert {name: one.colour for name, one in found.items()} == {
        b"2": NARROW, b"3": GREEN, b"5": GREEN, b"alpha": None, b"of a part": FULL,
    }  # fmt: skip


def test_alpha_channels() -> None:
    kinds = {
        b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha": True,
        b"urn:mpeg:hevc:2015:auxid:1": True,
        b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth": False,
        b"urn:mpeg:hevc:2015:auxid:12": False,
        b"": False,
    }
    for kind, counts in kinds.items():
        items = {
            1: coded(b"1"),
            2: coded(b"2", ispe(6, 4), sample.auxc(kind), of=[1]),
            3: coded(b"3", of=[1]),
        }
        assert set(shown(sample.file(items))) == ({b"1", b"2"} if counts else {b"1"})
    with_more = sample.full(b"auxC", 0, b"urn:mpeg:hevc:2015:auxid:1\0more")
    assert b"2" in shown(sample.file({1: coded(b"1"), 2: coded(b"2", with_more, of=[1])}))
    # AND what is not there, or no property of that kind
    references = sample.iref([(b"auxl", 9, [1])])
    assert set(shown(sample.file({1: coded(b"1")}, iref=references))) == {b"1"}
    other = sample.box(b"auxX", sample.ALPHA[8:])
    assert set(shown(sample.file({1: coded(b"1"), 2: coded(b"2", other, of=[1])}))) == {b"1"}
    # AND of an image that is cropped, as much is shown as of that
    whole = coded(b"1", ispe(64, 48), clap(40, 1, 30, 1, -24, 2, -18, 2))
    assert shown(sample.file({1: whole, 2: coded(b"2", sample.ALPHA, of=[1])})) == {
        b"1": (40, 30),
        b"2": (40, 30),
    }


# Width and height of 64 x 48, and the distances of the centre, each with its divisor.
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((64, 1, 48, 1, 0, 1, 0, 1), (64, 48)),
        ((64, 1, 48, 1, 0, 7, 0, 9), (64, 48)),
        ((40, 1, 30, 1, -24, 2, -18, 2), (40, 30)),
        ((40, 1, 30, 1, -12, 1, -9, 1), (40, 30)),
        ((80, 2, 90, 3, -48, 4, -54, 6), (40, 30)),
        ((1, 1, 1, 1, -63, 2, -47, 2), (1, 1)),
        ((40, 1, 30, 1, -22, 2, -18, 2), (0, 0)),  # not at the left
        ((40, 1, 30, 1, -24, 2, -16, 2), (0, 0)),  # not at the top
        ((40, 1, 30, 1, 24, 2, 18, 2), (0, 0)),  # at the right and the bottom
        ((40, 1, 30, 1, 26, 2, 18, 2), None),
        ((40, 1, 30, 1, 24, 2, 20, 2), None),
        ((40, 1, 30, 1, -26, 2, -18, 2), None),
        ((40, 1, 30, 1, -24, 2, -20, 2), None),
        ((40, 1, 30, 1, -23, 2, -18, 2), None),
        ((40, 1, 30, 1, -24, 2, -17, 2), None),
        ((65, 1, 48, 1, 1, 2, 0, 1), None),
        ((64, 1, 49, 1, 0, 1, 1, 2), None),
        ((0, 1, 30, 1, -64, 2, -18, 2), None),
        ((40, 1, 0, 1, -24, 2, -48, 2), None),
        ((81, 2, 30, 1, -24, 2, -18, 2), None),
        ((40, 1, 91, 3, -24, 2, -18, 2), None),
        ((40, 0, 30, 1, -24, 2, -18, 2), None),
        ((40, 1, 30, 0, -24, 2, -18, 2), None),
        ((40, 1, 30, 1, -24, 0, -18, 2), None),
        ((40, 1, 30, 1, -24, 2, -18, 0), None),
    ],
)
def test_clean_apertures(values: Sequence[int], found: tuple[int, int] | None) -> None:
    data = sample.file({1: coded(b"1", ispe(64, 48), clap(*values))})
    if found:
        assert shown(data) == {b"1": found}
        assert all(type(one) is int for one in shown(data)[b"1"])
    else:
        with pytest.raises(
            Rejection, match=r" HEIF: what it shows of its pixels is not within them\.$"
        ) as rejected:
            list(heif.coded_images(data))
        assert rejected.value.code == "corrupt_image"


def test_clean_apertures_of_parts() -> None:
    # GIVEN a part that is cropped, of an image of which less is shown
    part = coded(b"2", ispe(64, 48), clap(50, 1, 20, 1, -14, 2, -28, 2))
    outer = Item(b"iden", b"", [ispe(64, 48), clap(40, 1, 30, 1, -24, 2, -18, 2)], [2])
    assert shown(sample.file({1: outer, 2: part})) == {b"2": (40, 20)}
    # AND without a size, or of one that is not known
    assert shown(sample.file({1: coded(b"1", clap(50, 1, 20, 1, -14, 2, -28, 2))})) == {b"1": (0, 0)}
    for size in ((0, 48), (64, 0)):
        assert shown(sample.file({1: coded(b"1", ispe(*size), clap(50, 1, 20, 1, -14, 2, -28, 2))})) == {
            b"1": (0, 0)
        }
    # AND of a grid that ends before it
    ends = {1: grid([3, 2], 2, (64, 90)), 2: part, 3: coded(b"3", ispe(64, 48))}
    assert shown(sample.file(ends)) == {b"2": (0, 0), b"3": (64, 90)}
    unknown = {1: Item(b"tmap", b"", [], [2]), 2: part}
    assert shown(sample.file(unknown)) == {b"2": (0, 0)}


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ([], None),
        ([colr(5, 0x80)], (5, True)),
        ([colr(0x0102, 0x7F)], (0x0102, False)),
        ([colr(5, 0x80, b"prof")], None),
        ([sample.box(b"colX", colr(5, 0x80)[8:])], None),
        ([colr(5, 0x80, b"prof"), colr(6, 0), colr(7, 0)], (6, False)),
    ],
)
def test_colours_of_the_primary_item(properties: list[bytes], found: tuple[int, bool] | None) -> None:
    assert (
        heif.colour(sample.file({2: coded(b"2", *properties), 1: coded(b"1", colr(9, 0))}, primary=2))
        == found
    )


def units_of(content: bytes, configuration: bytes) -> list[bytes]:
    (found,) = heif.coded_images(sample.file({1: Item(b"hvc1", content, [configuration])}))
    return found.units


def test_units_of_the_configuration_and_of_the_data() -> None:
    for size in (1, 2, 3, 4):
        content = b"".join(sample.numbers(size, len(unit)) + unit for unit in (b"e", b"", b"f" * 200))
        found = units_of(content, hvcc([b"a", b"bc"], [], [b"d" * 300], size=size))
        assert found == [b"a", b"bc", b"d" * 300, b"e", b"", b"f" * 200]
    for content in (b"\0\0\0\2a", b"\0\0\0\1ab", b"\0\0\0"):
        with pytest.raises(Rejection, match="ends early"):
            units_of(content, hvcc([b"a"]))
    with pytest.raises(Rejection, match="no configuration") as found_none:
        units_of(b"\0\0\0\1a", sample.box(b"hvcX", hvcc([b"a"])[8:]))
    assert found_none.value.code == "corrupt_image"


def test_not_too_many_units(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b"\1" + bytes((number,)) for number in range(20))
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 20)
    assert len(units_of(content, hvcc([b"a"], size=1))) == 21
    with pytest.raises(Rejection, match="NAL units") as found:
        units_of(content + b"\1a", hvcc([b"a"], size=1))
    assert found.value.code == "too_complex"


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (Place(1, [(0, sample.BEGIN, 5)]), None),
        (Place(1, [(0, sample.BEGIN, 3), (0, sample.BEGIN + 3, 2)]), None),
        (Place(1, [(0, sample.BEGIN, 5)], method=2), ("unsupported_format", "within other items")),
        (Place(1, [(0, sample.BEGIN, 5)], method=3), ("unsupported_format", "within other items")),
        (Place(1, [(0, sample.BEGIN, 5)], reference=1), ("corrupt_image", "another file")),
        (Place(1, []), ("corrupt_image", "nowhere")),
        (Place(1, [(0, sample.BEGIN, 5), (0, 5000, 0)]), ("corrupt_image", "nowhere")),
    ],
)
def test_where_the_data_of_an_image_is(place: Place, found: tuple[str, str] | None) -> None:
    data = sample.file(
        {1: Item(b"hvc1", b"", [hvcc([CONFIGURATION])])}, payload=b"\0\0\0\1a", iloc=sample.iloc([place])
    )
    if found is None:
        assert shown(data) == {b"a": ALL}
        return
    code, words = found
    with pytest.raises(Rejection, match=words) as rejected:
        list(heif.coded_images(data))
    assert rejected.value.code == code


def test_data_within_the_file() -> None:
    def extents(*places: tuple[int, int, int]) -> bytes:
        iloc = sample.iloc([Place(1, places)])
        return sample.file({1: Item(b"av01")}, iloc=iloc)

    size = len(extents((0, 0, 0)))
    assert [one[:2] for one in heif.av1_extents(extents((0, size - 5, 5)))] == [(size - 5, 5)]
    with pytest.raises(Rejection, match="ends within") as rejected:
        list(heif.av1_extents(extents((0, size - 5, 6))))
    assert rejected.value.code == "truncated_image"
    # As much as the file has, but not more
    size = len(extents((0, 0, 0), (0, 0, 0)))
    assert list(heif.av1_extents(extents((0, 0, size - 5), (0, 9, 5)))) == []
    with pytest.raises(Rejection, match="several times") as rejected:
        list(heif.av1_extents(extents((0, 0, size - 5), (0, 9, 6))))
    assert rejected.value.code == "corrupt_image"


AV1C = sample.box(b"av1C", bytes((0x81, 5, 0xFF, 0, 9)))
AV01 = 0b0111_1100  # its depth, planes and sampling


def test_data_of_av1() -> None:
    items = {
        1: Item(b"grid", b"abc", parts=[2, 3, 9, 1]),
        2: Item(b"av01", b"two", [AV1C, ispe(64, 48)]),
        3: Item(b"av01", b"three", [ispe(6, 4), sample.box(b"lsel", b"\0\0")]),
        4: Item(b"av01", b"alpha", [sample.ALPHA], of=[2]),
        5: Item(b"av01", b"depth", [AV1C], of=[2]),
        6: Item(b"av01", b"layers", [AV1C, sample.box(b"a1op", b"\0"), sample.ALPHA], of=[1]),
        7: Item(b"hvc1", b"another", [sample.ALPHA], of=[1]),
        8: Item(b"av01", b"others", [AV1C]),
    }
    data = sample.file(items, iref=sample.iref([
        (b"dimg", 1, [2, 3, 9, 1]), (b"auxl", 4, [2]), (b"auxl", 5, [2]), (b"auxl", 6, [1]), (b"auxl", 7, [1]), (b"auxl", 10, [1]),
    ]))  # fmt: skip
    two, alpha = data.index(b"idatabctwo") + 7, data.index(b"threealpha") + 5
    assert sorted(heif.av1_extents(data)) == [(two, 3, (64, 48), AV01), (alpha, 5, (0, 0), -1)]


def test_data_in_several_pieces_is_left_out() -> None:
    for places, count in (([(0, 0, 2)], 1), ([(0, 0, 2), (0, 2, 1)], 0)):
        iloc = sample.iloc([Place(1, places, method=1)])
        assert len(list(heif.av1_extents(sample.file({1: Item(b"av01", b"abc")}, iloc=iloc)))) == count


@pytest.mark.parametrize(
    ("properties", "size"),
    [
        ([], None),
        ([ispe(64, 48)], (64, 48)),
        ([ispe(0x01020304, 0x05060708)], (0x01020304, 0x05060708)),
        ([ispe(64, 48), sample.box(b"irot", b"\0")], (64, 48)),
        ([ispe(64, 48), sample.box(b"irot", b"\1")], (48, 64)),
        ([ispe(64, 48), sample.box(b"irot", b"\2")], (64, 48)),
        ([ispe(64, 48), sample.box(b"irot", b"\3")], (48, 64)),
        ([ispe(64, 48), sample.box(b"imir", b"\1")], (64, 48)),
        ([ispe(64, 48), clap(40, 1, 30, 1, 0, 1, 0, 1)], (40, 30)),
        ([ispe(64, 48), clap(81, 2, 95, 3, 0, 1, 0, 1)], (40, 31)),
        ([ispe(64, 48), clap(40, 0, 30, 0, 0, 1, 0, 1)], (40, 30)),
        ([ispe(64, 48), clap(40, 1, 30, 1, 0, 1, 0, 1), sample.box(b"irot", b"\1")], (30, 40)),
        ([ispe(64, 0)], None),
        ([ispe(0, 48)], None),
    ],
)
def test_the_primary_item_is_shown_in_its_size(properties: list[bytes], size: tuple[int, int] | None) -> None:
    data = sample.file({1: coded(b"1", ispe(6, 4)), 2: coded(b"2", *properties)}, primary=2)
    heif.check_shown(data, *(size or (5, 5)))
    for more in ((1, 0), (-1, 0), (0, 1), (0, -1)) if size else ():
        with pytest.raises(Rejection, match="cannot be read") as rejected:
            heif.check_shown(data, size[0] + more[0], size[1] + more[1])  # type: ignore[index]
        assert rejected.value.code == "corrupt_image"


def test_parts_that_are_missing() -> None:
    whole = {1: grid([2, 3], 2, (9, 9)), 2: coded(b"2"), 3: coded(b"3")}
    heif.check_shown(sample.file(whole), 9, 9)
    del whole[3]
    with pytest.raises(Rejection, match="is missing") as rejected:
        heif.check_shown(sample.file(whole), 9, 9)
    assert rejected.value.code == "corrupt_image"
    heif.check_shown(sample.file(whole, pitm=b""), 9, 9)
    with pytest.raises(NotUnderstood):
        list(heif.coded_images(sample.file(whole, pitm=b"")))
