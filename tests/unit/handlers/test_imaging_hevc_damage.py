"""HEVC: what counts as damage of what the decoder reports, with results of the decoder that a test sets."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from handlers.imaging import heif, hevc
from handlers.imaging.heif import CodedImage
from handlers.imaging.hevc import _Decoding, _decoding_damaged, _Work
from handlers.rejections import NotUnderstood, Rejection

PARAMETERS, DEPENDENT = b"\x44\1\xc0", b"\x44\1\xe0"
SLICE, OTHER = b"\x26\1slice\x80", b"\x4e\1other\x80"
WHOLE = _Decoding([], 5, False, 100, 1, 1)
ENDS = "a slice does not end where its data does"


class Decoder:
    """Returns one result after another."""

    def __init__(self, *results: _Decoding) -> None:
        self.results = list(results)
        self.calls: list[tuple[list[bytes], bool]] = []

    def __call__(self, library: object, coded: CodedImage, units: list[bytes], check_hash: bool) -> _Decoding:
        assert library == "library"
        self.calls.append((units, check_hash))
        return self.results.pop(0)


def damage(
    monkeypatch: pytest.MonkeyPatch,
    results: Sequence[_Decoding],
    units: Sequence[bytes] = (PARAMETERS, SLICE),
    colour: tuple[int, bool] | None = None,
    work: _Work | None = None,
) -> tuple[str, list[tuple[list[bytes], bool]]]:
    """What is found, and the calls of the decoder."""
    decoder = Decoder(*results)
    monkeypatch.setattr(hevc, "_decode", decoder)
    found = _decoding_damaged("library", CodedImage(list(units), 64, 48, colour), work or _Work())
    assert not decoder.results
    return found, decoder.calls


def longer(*codes: int, pixels: int = 5) -> _Decoding:
    return replace(WHOLE, codes=list(codes), pixels=pixels)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((4,), "coefficients outside"), ((5,), "the checksum of its pixels is another"), ((6, 1004), "blocks outside"),
        ((8, 1035), "a value out of range"), ((16,), "its first slice is missing"), ((17, 1002), "a slice ends early"),
        ((18,), "undecodable"), ((1003,), "a row of blocks does not begin where it should"), ((1005, 1010), "sequence header"),
        ((1006, 1009), "picture header"), ((1007, 1033), "slice header"),
        ((1017,), "a row of blocks does not end where it should"), ((1020, 1021, 1037), "slice address"), ((1027,), "bit depth"),
        ((1034,), "block sizes"),
    ],
)  # fmt: skip
def test_codes_of_the_decoder(codes: Sequence[int], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in codes:
        assert damage(monkeypatch, [longer(code, 18)])[0] == words


def test_codes_that_are_no_damage() -> None:
    # OK, memory, limits, threads, and messages that are not understood
    damaged = {
        4,
        5,
        6,
        8,
        16,
        17,
        18,
        1002,
        1003,
        1004,
        1005,
        1006,
        1007,
        1009,
        1010,
        1017,
        1020,
        1021,
        1027,
        1033,
        1034,
        1035,
        1037,
    }
    assert hevc._DAMAGE.keys() == damaged  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "colour", "words"),
    [
        ({"unwritten": True}, None, "blocks are missing"),
        ({"samples": 0}, None, "blocks are missing"),
        ({"samples": 1, "images": 2}, None, "several images are in the place of one"),
        ({"chroma": 1}, (0, True), "colours that cannot be sampled down"),
        ({"chroma": 2}, (0, False), "colours that cannot be sampled down"),
    ],
)
def test_damage_of_what_is_decoded(
    changed: dict[str, Any], colour: tuple[int, bool] | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert damage(monkeypatch, [replace(WHOLE, **changed)], colour=colour)[0] == words


@pytest.mark.parametrize(
    ("chroma", "colour"),
    [(0, (0, False)), (3, (0, True)), (1, (1, True)), (3, (1, False)), (2, (2, False)), (1, None)],
)
def test_colours_that_are_decoded(
    chroma: int, colour: tuple[int, bool] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(WHOLE, chroma=chroma)
    assert damage(monkeypatch, [whole, longer(1004)], colour=colour)[0] == ""


def test_green_blue_and_red_of_limited_range(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Rejection, match="limited range") as found:
        damage(monkeypatch, [replace(WHOLE, chroma=3)], colour=(0, False))
    assert found.value.code == "unsupported_format"


def test_one_image_of_a_sample_is_decoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN an image of one slice WHEN it is decoded with other ends THEN first with the same number, then with less, without filters
    found, calls = damage(monkeypatch, [replace(WHOLE, samples=1), longer(1004)])
    assert found == ""
    assert calls == [
        ([PARAMETERS, hevc._with_end(SLICE, 0)], False),
        ([PARAMETERS, hevc._with_end(SLICE, 2)], False),
    ]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (longer(1004), ""), (longer(1017), ""), (longer(1003, 1004), ""), (longer(1017, 1003, 1003), ""),
        (longer(), ENDS), (longer(1003), ENDS), (longer(1004, 1004), ENDS), (longer(1004, 1017), ENDS), (longer(17), ENDS),
        (longer(1004, 17), ENDS), (longer(1005), ENDS), (longer(1004, pixels=6), ENDS),
    ],
)  # fmt: skip
def test_where_a_slice_ends(second: _Decoding, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert damage(monkeypatch, [WHOLE, second])[0] == words


@pytest.mark.parametrize(("count", "last"), [(2, False), (16, False), (17, True), (30, True)])
@pytest.mark.parametrize("parameters", [PARAMETERS, DEPENDENT])
def test_each_slice_goes_on(
    count: int, last: bool, parameters: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    last |= parameters == DEPENDENT
    slices = [b"\x26\1slice%d\x80" % number for number in range(count)]
    units = [parameters, *slices, OTHER]
    codes = [1004] if last else [1017] * count
    found, calls = damage(monkeypatch, [WHOLE, longer(*codes)], units)
    changed = slices[-1:] if last else slices
    assert found == ""
    assert calls[0][0] == [parameters, *(hevc._with_end(one, 0) for one in slices), OTHER]
    assert calls[1][0] == [hevc._with_end(one, 2) if one in changed else one for one in units]
    assert damage(monkeypatch, [WHOLE, longer(*codes, 1004)], units)[0] == ENDS


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17])
def test_how_much_is_decoded_in_addition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # About half of each slice's values, as it goes on to the last block, and all of the first
    units = [PARAMETERS, *[SLICE] * count]
    count = count if count < 17 else 1
    work, values = _Work(7), 101 * (count + 1) // 2
    monkeypatch.setattr(hevc, "_MOST_SAMPLES", 7 + values)
    whole = replace(WHOLE, samples=101)
    assert damage(monkeypatch, [whole, longer(*[1004] * count)], units, work=work)[0] == ""
    assert work.samples == 7 + values
    assert damage(monkeypatch, [whole], units, work=work)[0] == ""
    assert work.samples == 7 + 2 * values
    assert _Work().samples == 0


def test_the_most_values_that_are_decoded_in_addition() -> None:
    assert hevc._MOST_SAMPLES == 80_000_000 * 3 // 2 == 40_000_000 * 3


@pytest.mark.parametrize(
    ("unit", "hashed"),
    [
        (b"\x50\1\x84\x31\0", True), (b"\x50\1\x84\x31\2more", True), (b"\x50\n\x84\n\2", True), (b"\x50\1\x84\x31\1", False),
        (b"\x50\1\x84\x31\3", False), (b"\x50\1\x85\x31\0", False), (b"\x4e\1\x84\x31\0", False), (b"a\x50\1\x84\x31\0", False),
        (b"\x50\1\x84", False),
    ],
)  # fmt: skip
def test_a_checksum_of_the_pixels(unit: bytes, hashed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [WHOLE] if hashed else [WHOLE, longer(1004)]
    found, calls = damage(monkeypatch, results, [PARAMETERS, SLICE, unit])
    assert (found, calls[0][1]) == ("", hashed)
    assert not any(check_hash for _, check_hash in calls[1:])


def test_an_image_without_slices_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert damage(monkeypatch, [WHOLE], [PARAMETERS, OTHER]) == ("", [([PARAMETERS, OTHER], False)])


def test_each_coded_image_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [CodedImage([b"one"], 1, 1), CodedImage([b"two"], 1, 1)]
    works: list[_Work] = []

    def check(slices: dict[bytes, str], decoding: dict[bytes, str], images: Any = images) -> None:
        def decoded(library: object, coded: CodedImage, work: _Work) -> str:
            assert library == "library"
            works.append(work)
            return decoding.get(coded.units[0], "")

        monkeypatch.setattr(hevc, "_slices_damaged", lambda units: slices.get(units[0], ""))
        monkeypatch.setattr(hevc, "_decoding_damaged", decoded)
        monkeypatch.setattr(heif, "coded_images", lambda data: images)
        monkeypatch.setattr(hevc, "_library", lambda: "library")
        hevc.check(b"data")

    check({}, {})
    assert works == [_Work(), _Work()]
    assert works[0] is works[1]
    for slices, decoding in (
        ({b"two": "words"}, {b"two": "others"}),
        ({}, {b"two": "words"}),
        ({}, {b"one": "words"}),
    ):
        with pytest.raises(Rejection, match=r"HEIF: its data is damaged \(words\)\.") as found:
            check(slices, decoding)
        assert found.value.code == "corrupt_image"

    def not_understood() -> Any:
        yield images[0]
        raise NotUnderstood("a form")

    check({}, {}, not_understood())
    # AND nothing without the library
    monkeypatch.setattr(heif, "coded_images", lambda data: [][1])
    monkeypatch.setattr(hevc, "_library", lambda: None)
    hevc.check(b"data")


class Loaded:
    """A library, of a version, as ctypes loads it."""

    def __init__(self, version: int, without: str = "") -> None:
        self.functions: dict[str, Any] = {}
        self.version, self.without = version, without

    def __getattr__(self, name: str) -> Any:
        if name == "de265_get_version_number":
            return lambda: self.version
        if name == self.without:
            raise AttributeError(name)
        return self.functions.setdefault(name, type(name, (), {})())


@pytest.mark.parametrize(
    ("version", "without", "found"),
    [
        (0x01000000, "", True),
        (0x01FFFFFF, "", True),
        (0x00FFFFFF, "", False),
        (0x02000000, "", False),
        (0x01000000, "de265_get_warning", False),
    ],
)
def test_the_library_of_the_decoder(
    version: int, without: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type("module", (), {"__file__": "a file"})
    names: list[str] = []
    library = Loaded(version, without)
    monkeypatch.setattr(hevc.importlib, "import_module", lambda name: names.append(name) or module)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: names.append(path) or library)
    hevc._library.cache_clear()
    try:
        assert (hevc._library() is library) == found
        assert (hevc._library() is None) == (not found)
    finally:
        hevc._library.cache_clear()
    assert names == ["_pillow_heif", "a file"]
    if not found:
        return
    # THEN its functions have the types of de265.h
    p, i = ctypes.c_void_p, ctypes.c_int
    assert {
        name.removeprefix("de265_"): (one.restype, list(one.argtypes))
        for name, one in library.functions.items()
    } == {
        "new_decoder": (p, []), "free_decoder": (i, [p]), "set_parameter_bool": (None, [p, i, i]),
        "push_NAL": (i, [p, ctypes.c_char_p, i, ctypes.c_int64, p]), "flush_data": (i, [p]), "decode": (i, [p, p]),
        "get_next_picture": (p, [p]), "get_warning": (i, [p]), "get_chroma_format": (i, [p]), "get_image_width": (i, [p, i]),
        "get_image_height": (i, [p, i]), "get_bits_per_pixel": (i, [p, i]), "get_image_plane": (p, [p, i, p]),
    }  # fmt: skip


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_without_the_extension_there_is_no_library(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise error(name)

    monkeypatch.setattr(hevc.importlib, "import_module", missing)
    hevc._library.cache_clear()
    try:
        assert hevc._library() is None
    finally:
        hevc._library.cache_clear()
