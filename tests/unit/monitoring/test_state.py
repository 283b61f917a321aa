"""The state between runs: what is damaged, when objects are replaced and removed, and what a killed run has left."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import pytest

from monitoring.errors import MissingFileError, MonitoringError
from monitoring.storage import state
from monitoring.storage.state import MANIFEST, AggregationState, StoredObject


class Store:
    """Objects by name; `tokens` are those that the manifest was replaced with."""

    name = "store"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.tokens: list[str] = []

    def read(self, name: str) -> bytes:
        if name not in self.held:
            raise MissingFileError(name)
        return self.held[name]

    def write(self, name: str, data: bytes) -> None:
        self.held[name] = data

    def delete(self, name: str) -> None:
        del self.held[name]

    def names(self, prefix: str) -> list[str]:
        return [name for name in self.held if name.startswith(f"{prefix}/")]

    def read_manifest(self, name: str) -> tuple[bytes, str]:
        return self.read(name), f"read {len(self.tokens)}"

    def write_manifest(self, name: str, data: bytes, token: str) -> str:
        self.tokens.append(token)
        self.held[name] = data
        return f"written {len(self.tokens)}"


def begun(store: Any) -> AggregationState:
    found = AggregationState(store)
    found.manifest.source = "captures"
    return found


def test_names_and_versions_are_those_that_were_written_before() -> None:
    assert (state.MANIFEST, state.EXPORTS, state.KINDS, state.SCHEMA) == (
        "state.json", "aggregates", ("hours", "ids", "ledgers"), 1
    )  # fmt: skip
    assert {"state.json", "hours", "ids", "ledgers", "aggregates", ".lock"} == state.OBJECTS


def test_what_was_saved_is_there_after_the_commit() -> None:
    store = Store()
    first = begun(store)
    assert (first.exists, first.load("hours", "h")) == (False, b"")
    first.save("hours", "2026-11-21T09:00:00Z", b"abc")
    (name,) = store.held
    stem, _, random = name.rpartition("-")
    assert (stem, len(random)) == ("hours/2026-11-21T090000Z.1", 8)
    assert first.manifest.hours == {"2026-11-21T09:00:00Z": StoredObject(name, 3, zlib.crc32(b"abc"))}
    assert (first.load("hours", "2026-11-21T09:00:00Z"), first.load("ids", "2026-11-21T09:00:00Z")) == (
        b"abc",
        b"",
    )
    assert not AggregationState(store).exists  # type: ignore[arg-type]
    first.commit("then")
    assert (first.exists, first.manifest.generation, first.manifest.updated) == (True, 1, "then")
    second: Any = AggregationState(store)  # type: ignore[arg-type]
    assert (second.exists, second.manifest.updated, second.manifest.generation) == (True, "then", 1)
    assert second.load("hours", "2026-11-21T09:00:00Z") == b"abc"
    second.commit("later")
    second.commit("later still")
    assert store.tokens == ["", "read 1", "written 2"]


def test_an_object_is_removed_one_run_after_it_was_replaced() -> None:
    store = Store()
    found = begun(store)
    found.save("hours", "h", b"1")
    found.save("hours", "h", b"12")
    assert len(store.held) == 1
    found.commit("a")
    found.save("hours", "h", b"123")
    assert len(store.held) == 3
    found.save("hours", "h", b"1234")
    assert sorted(map(len, (store.held[name] for name in store.names("hours")))) == [2, 4]
    found.commit("b")
    (former,) = found.manifest.garbage
    assert former in store.held
    found.commit("c", keep_garbage=True)
    assert found.manifest.garbage == [former]
    found.commit("d")
    assert (found.manifest.garbage, former in store.held) == ([], False)
    assert found.load("hours", "h") == b"1234"


def test_an_object_that_this_run_saved_before_a_commit_is_removed_when_it_is_replaced_after() -> None:
    store = Store()
    found = begun(store)
    found.save("ids", "h", b"1")
    found.commit("a", keep_garbage=True)
    assert found.manifest.garbage == []
    found.save("ids", "h", b"2")
    found.save("ids", "h", b"3")
    assert sorted(store.held[name] for name in store.names("ids")) == [b"1", b"3"]
    other = begun(store)
    other.save("ids", "h", b"4")
    assert sorted(store.held[name] for name in store.names("ids")) == [b"1", b"3", b"4"]


def test_what_a_killed_run_has_left_is_removed() -> None:
    store = Store()
    found = begun(store)
    for kind in state.KINDS:
        found.save(kind, "h", b"1")
    found.commit("a")
    found.save("hours", "h", b"2")
    found.commit("b")
    kept = set(store.held)
    left = {f"{kind}/h.{number}-0123abcd" for kind in state.KINDS for number in (1, 2)} | {"ids/odd"}
    following = {"hours/h.3-0123abcd", "aggregates/h.1-0123abcd"}
    store.held |= dict.fromkeys([*left, *following], b"")
    found.sweep()
    assert set(store.held) == kept | following


@pytest.mark.parametrize("data", [b"", b"{", b'{"source": 7}', b'"\xff"', b"{}", b'{"schema": 2}'])
def test_a_manifest_that_is_damaged_is_named(data: bytes) -> None:
    store: Any = Store()
    store.held[MANIFEST] = data
    with pytest.raises(MonitoringError) as found:
        AggregationState(store)
    assert str(found.value) == (
        "store/state.json is damaged or missing: remove store/state.json and aggregate again."
    )


@pytest.mark.parametrize("schema", [0, 2])
def test_a_manifest_of_another_version_is_left_alone(schema: int) -> None:
    store: Any = Store()
    store.held[MANIFEST] = msgspec.json.encode({"source": "captures", "schema": schema})
    with pytest.raises(MonitoringError) as found:
        AggregationState(store)
    assert str(found.value) == "store/state.json is of another version: aggregate into a new location."


@pytest.mark.parametrize("data", [None, b"", b"1234", b"124"])
def test_an_object_that_is_missing_or_not_what_was_saved_is_damaged(data: bytes | None) -> None:
    store = Store()
    found = begun(store)
    found.save("ledgers", "d", b"123")
    (name,) = store.held
    if data is None:
        del store.held[name]
    else:
        store.held[name] = data
    with pytest.raises(MonitoringError) as error:
        found.load("ledgers", "d")
    assert str(error.value) == (
        f"store/{name} is damaged or missing: remove store/state.json and aggregate again."
    )
