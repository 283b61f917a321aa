"""Damage within the coded data of HEIC: slices, their headers and ends, checksums, and what the decoder's library reports."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import heif, hevc, slice_header
from handlers.rejections import NotUnderstood, Rejection
from tests import needs
from tests.unit.handlers.sample_images import drawn, noise, prepare, rejection
from tests.unit.handlers.test_imaging_heic import SMALL, heic

needs.module("libraries", "pillow_heif")


def _units(data: bytes) -> list[bytes]:
    (coded,) = heif.coded_images(data)
    return coded.units


def test_changed_bits_inside_the_coded_data() -> None:
    # GIVEN an image, and single bits of its slice changed, at random places
    begin, rng = SMALL.index(_units(SMALL)[-1]), random.Random(1)
    codes = []
    for _ in range(20):
        data = bytearray(SMALL)
        data[rng.randrange(begin + 8, len(data))] ^= 1 << rng.randrange(8)
        try:
            prepare(bytes(data))
        except Rejection as found:
            codes.append(found.code)
    # THEN they are found, but for a few that another valid image has
    assert set(codes) == {"corrupt_image"}
    assert len(codes) >= 17


def test_bytes_that_were_lost_within_the_coded_data() -> None:
    at = SMALL.index(_units(SMALL)[-1]) + 500
    refused = rejection(SMALL[:at] + bytes(32) + SMALL[at + 32 :])
    assert refused.code == "corrupt_image"
    assert "no encoder writes" in str(refused)


def _with_slice(data: bytes, new: bytes) -> bytes:
    """The file with a shorter slice in the place of its own, and a unit that decoders skip behind it."""
    old = _units(data)[-1]
    filler = b"\x4c\1" + b"\xff" * (len(old) - len(new) - 6)
    at = data.index(old)
    changed = data[: at - 4] + b"".join(len(unit).to_bytes(4, "big") + unit for unit in (new, filler))
    assert len(changed) == at + len(old)
    return changed + data[at + len(old) :]


def test_a_slice_that_ends_before_the_last_block() -> None:
    # GIVEN the slice of an image of one block in the place of a slice of two
    two = heic(Image.blend(drawn(128, 64), noise(128, 64), 0.5))
    refused = rejection(_with_slice(two, _units(heic(drawn(64, 64)))[-1]))
    assert refused.code == "corrupt_image"
    assert "blocks are missing" in str(refused)


def test_a_tile_whose_slice_belongs_to_another_layer() -> None:
    # GIVEN a layer of its own in the header of a slice, which the decoder leaves out, and libheif shows the other tiles
    data = heic(drawn(300, 200), tile_size=128)
    at = data.index([coded.units[-1] for coded in heif.coded_images(data)][1]) + 1
    assert data[at] == 1
    assert rejection(data[:at] + b"\x81" + data[at + 1 :]).code == "corrupt_image"


def test_a_slice_that_does_not_end_where_its_data_does() -> None:
    # GIVEN the slice of another image of the same size, which is whole
    other = heic(drawn(200, 150))
    short = _units(other)[-1]
    assert prepare(_with_slice(SMALL, short)).data == prepare(other).data
    # WHEN its data goes on behind its last block, or ends within that
    longer = [short + more for more in (b"\x80", b"\1", b"\x55" * 9, short[50:250])]
    cut = [short[:-size] for size in (1, 2, 3, 20)]
    # THEN it is damaged, although each decodes to an image
    found = [rejection(_with_slice(SMALL, unit)) for unit in (*longer, *cut)]
    assert {refused.code for refused in found} == {"corrupt_image"}
    assert all("does not end where its data does" in str(refused) for refused in found[: len(longer)])


def test_where_the_ends_of_many_values_are_not_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = _with_slice(SMALL, _units(heic(drawn(200, 150)))[-1] + b"\x55" * 9)
    (coded,) = heif.coded_images(damaged)
    samples = hevc._decode(hevc._library(), coded, coded.units, check_hash=False).samples
    assert 200 * 150 * 3 // 2 <= samples <= 256 * 192 * 3 // 2
    monkeypatch.setattr(hevc, "_MOST_SAMPLES", samples - 1)
    assert prepare(damaged).format == "HEIF"
    monkeypatch.setattr(hevc, "_MOST_SAMPLES", samples)
    assert rejection(damaged).code == "corrupt_image"


def test_zero_bytes_behind_a_slice_are_no_damage() -> None:
    short = _units(heic(drawn(200, 150)))[-1]
    assert prepare(_with_slice(SMALL, short + b"\0\0\3" * 2)).format == "HEIF"


def test_where_rows_of_blocks_begin() -> None:
    # GIVEN bits of a slice's first bytes changed, which hold where the data of each row of blocks begins
    at, messages = SMALL.index(_units(SMALL)[-1]), set()
    for bit in range(8 * 4, 8 * 10):
        data = bytearray(SMALL)
        data[at + bit // 8] ^= 128 >> bit % 8
        try:
            prepare(bytes(data))
        except Rejection as found:
            messages.add(str(found))
    assert any("a row of blocks does not begin where it should" in message for message in messages)


def test_the_header_of_a_slice_ends_with_one_bit_and_zeros() -> None:
    # GIVEN an image of three slices, and a bit changed that ends the header of the second
    data = heic(Image.blend(drawn(330, 250), noise(330, 250), 0.1), enc_params={"x265:slices": "3"})
    units = _units(data)
    assert slice_header.is_aligned(units)
    at, found = data.index(units[-2]), set()
    for bit in range(16, 64):
        changed = bytearray(units[-2])
        changed[bit // 8] ^= 128 >> bit % 8
        if not slice_header.is_aligned([*units[:-2], bytes(changed), units[-1]]):
            found.add(bit)
    # THEN it is damaged: some decoders decode it all the same, others do not
    assert found
    for bit in found:
        file = bytearray(data)
        file[at + bit // 8] ^= 128 >> bit % 8
        refused = rejection(bytes(file))
        assert refused.code == "corrupt_image"
        assert "slice header" in str(refused)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chroma": 444},
        {"quality": -1},
        {"enc_params": {"x265:wpp": "0"}},
        {"enc_params": {"x265:sao": "0", "x265:deblock": "false"}},
        {"enc_params": {"x265:ctu": "16", "x265:cbqpoffs": "3"}},
    ],
    ids=str,
)
def test_headers_of_slices_that_encoders_write(options: dict[str, Any]) -> None:
    assert slice_header.is_aligned(_units(heic(drawn(330, 250), **options)))


def test_headers_that_are_not_understood_are_left_to_the_decoder() -> None:
    units = _units(SMALL)
    (parameters,) = (unit for unit in units if unit[0] >> 1 == 34)
    for others in ([*units, parameters], [unit for unit in units if unit != parameters]):
        with pytest.raises(NotUnderstood, match="parameter sets"):
            slice_header.is_aligned(others)
    for size in (3, 4, 5):
        with pytest.raises(NotUnderstood, match="ends early"):
            slice_header.is_aligned([parameters[:size] if unit == parameters else unit for unit in units])
    # Twice the same parameters are not damage.
    assert not hevc._slices_damaged([parameters, *units])


def test_the_setting_of_dependent_slices_is_found() -> None:
    (parameters,) = (unit for unit in _units(SMALL) if unit[0] >> 1 == 34)
    assert not hevc._has_dependent_slices(parameters)
    # Numbers 0 and 0, 2 and 0, 6 and 3, in Exp-Golomb code, then the bit.
    for bits in ("11", "0111", "00111" + "00100"):
        for setting in "01":
            content = int((bits + setting).ljust(16, "1"), 2).to_bytes(2, "big")
            assert hevc._has_dependent_slices(b"\x44\1" + content) == (setting == "1")
            assert not hevc._has_dependent_slices(b"\x42\1" + content)


@pytest.mark.parametrize("kind", ["MD5", "checksum"])
def test_a_checksum_of_the_pixels_is_checked(kind: str) -> None:
    data = heic(drawn(), enc_params={"x265:hash": {"MD5": "1", "checksum": "3"}[kind]})
    at = data.index(_units(data)[-1]) + 8
    assert prepare(data).format == "HEIF"
    refused = rejection(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert refused.code == "corrupt_image"
    assert "checksum" in str(refused)


def test_a_crc_that_is_not_that_of_the_standard_is_no_damage() -> None:
    assert prepare(heic(drawn(), enc_params={"x265:hash": "2"})).format == "HEIF"


@pytest.fixture
def damaged() -> Iterator[bytes]:
    """A file whose damage only the decoder's warnings show; the library is searched again, before and after."""
    data = bytearray(SMALL)
    data[data.index(_units(SMALL)[-1]) + 600] ^= 16
    assert rejection(bytes(data)).code == "corrupt_image"
    hevc._library.cache_clear()
    yield bytes(data)
    hevc._library.cache_clear()


def test_without_the_decoders_library_nothing_more_is_checked(
    damaged: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert hevc._library() is None
    assert prepare(damaged).format == "HEIF"


def test_another_version_of_the_decoder_is_not_called(
    damaged: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Second:
        def __init__(self, name: str) -> None:
            self.de265_get_version_number = lambda: 0x02000000

    monkeypatch.setattr(ctypes, "CDLL", Second)
    assert hevc._library() is None
    assert prepare(damaged).format == "HEIF"
