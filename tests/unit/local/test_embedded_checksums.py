"""Values that can be no checksum of their kind are found by their form."""

from __future__ import annotations

import base64
import doctest

import pytest

from dropsort.local import embedded_checksums
from dropsort.local.embedded_checksums import PREFIX, SIZES, invalid


@pytest.mark.parametrize("kind", SIZES)
def test_only_a_value_of_the_right_length_is_a_checksum(kind: str) -> None:
    name, right = PREFIX + kind, base64.b64encode(bytes(SIZES[kind])).decode()
    assert invalid({name: right, "content-md5": "x"}) == ""
    among = f"{right[:2]}!{right[2:]}"
    for value in (
        "",
        "AAAA",
        "not base64",
        right[:-1],
        among,
        base64.b64encode(bytes(SIZES[kind] + 1)).decode(),
    ):
        assert invalid({name: value}) == name


def test_the_lengths_are_those_of_the_algorithms() -> None:
    bits = {"crc32": 32, "crc32c": 32, "crc64nvme": 64, "sha1": 160, "sha256": 256}
    assert {name: 8 * SIZES[name] for name in bits} == bits


def test_examples() -> None:
    assert doctest.testmod(embedded_checksums).failed == 0
