"""A folder as a store, part by part: which files it lists with which sizes, what it reads and writes, and its errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monitoring.errors import MissingFileError, StorageError
from monitoring.storage import local
from monitoring.storage.base import CaptureFile, Folder
from monitoring.storage.local import LocalStore

HOUR = "e/v/2026/11/21/09"
OLD = 10**18  # nanoseconds


def put(root: Path, name: str, data: bytes = b"") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def changed(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


def listed(root: Path, known: dict[str, int] | None = None, since: str = "", sizes: bool = True) -> list[Any]:
    return [
        (one.name, [(file.name.rpartition("/")[2], file.size, file.version) for file in one.files], one.stamp)
        for one in LocalStore(root).folders(known or {}, since, sizes=sizes)
    ]


def test_files_are_listed_in_order_with_their_sizes_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in (
        "b.jsonl",
        "a.jsonl",
        ".c.jsonl",
        "d.json",
        "z/f.jsonl",
        "y/e.jsonl",
        ".x/g.jsonl",
        f"{HOUR}/h.jsonl",
    ):
        changed(put(tmp_path, name, name.encode()), OLD)  # fmt: skip
    (tmp_path / "loop").symlink_to(tmp_path / "y")
    (tmp_path / "dead.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "empty").mkdir()
    changed(tmp_path / HOUR, OLD)
    assert listed(tmp_path) == [
        ("", [("a.jsonl", 7, str(OLD)), ("b.jsonl", 7, str(OLD))], 0),
        (HOUR, [("h.jsonl", len(HOUR) + 8, "")], OLD),
        ("y", [("e.jsonl", 9, str(OLD))], 0), ("z", [("f.jsonl", 9, str(OLD))], 0),
    ]  # fmt: skip
    # AND a root that is an hour's folder itself
    assert listed(tmp_path / HOUR) == [("", [("h.jsonl", len(HOUR) + 8, "")], OLD)]
    assert listed(tmp_path / HOUR, {"": OLD}) == []


def test_an_hour_that_has_not_changed_is_not_listed_again(tmp_path: Path) -> None:
    put(tmp_path, f"{HOUR}/a.jsonl")
    changed(tmp_path / HOUR, OLD)
    assert listed(tmp_path, {HOUR: OLD}) == []
    assert listed(tmp_path, {HOUR: OLD - 1}) == [(HOUR, [("a.jsonl", 0, "")], OLD)]
    assert listed(tmp_path, {"e": OLD}) == [(HOUR, [("a.jsonl", 0, "")], OLD)]
    # AND an hour without files has its stamp, but one with folders has none
    (tmp_path / HOUR / "a.jsonl").unlink()
    changed(tmp_path / HOUR, OLD)
    assert listed(tmp_path) == [(HOUR, [], OLD)]
    (tmp_path / HOUR / "below").mkdir()
    changed(tmp_path / HOUR, OLD)
    assert listed(tmp_path) == []


@pytest.mark.parametrize(("more", "settled"), [(-1, False), (0, True), (1, True)])
def test_a_folder_is_settled_a_minute_after_its_last_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, settled: bool
) -> None:
    put(tmp_path, f"{HOUR}/a.jsonl")
    changed(tmp_path / HOUR, OLD)
    monkeypatch.setattr(local, "time", SimpleNamespace(time_ns=lambda: OLD + 60 * 10**9 + more))
    assert listed(tmp_path) == [(HOUR, [("a.jsonl", 0, "")], OLD if settled else 0)]


@pytest.mark.parametrize(
    ("since", "hours"),
    [
        ("", ["20/23", "21/08", "21/09"]), ("2026/11/21", ["21/08", "21/09"]), ("2026/11/21/08", ["21/08", "21/09"]),
        ("2026/11/21/09", ["21/09"]), ("2026/11/21/10", []),
    ],
)  # fmt: skip
def test_hours_from_the_first_on_are_listed(tmp_path: Path, since: str, hours: list[str]) -> None:
    for hour in ("20/23", "21/08", "21/09"):
        put(tmp_path, f"2026/11/{hour}/a.jsonl")
    put(tmp_path, "2025/a.jsonl")
    assert [name for name, _, _ in listed(tmp_path, since=since)] == [
        "2025", *(f"2026/11/{hour}" for hour in hours)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(0, [-1, -1]), (1, [-1, -1]), (7, [-7, -7]), (128 * 1024 - 1, [1 - 128 * 1024] * 2), (128 * 1024, [128 * 1024, 3])],
)  # fmt: skip
def test_sizes_of_an_hour_may_be_that_of_its_first_file(tmp_path: Path, size: int, sizes: list[int]) -> None:
    put(tmp_path, f"{HOUR}/a.jsonl", b"x" * size)
    put(tmp_path, f"{HOUR}/b.jsonl", b"abc")
    put(tmp_path, "c.jsonl", b"abc")
    changed(tmp_path / HOUR, OLD)
    other, hour = listed(tmp_path, sizes=False)
    assert hour == (HOUR, [("a.jsonl", sizes[0], ""), ("b.jsonl", sizes[1], "")], OLD)
    assert other[1][0][:2] == ("c.jsonl", 3)
    # AND they are looked up later, without those that are gone
    store = LocalStore(tmp_path)
    files = [CaptureFile(f"{HOUR}/{name}.jsonl", -1, "") for name in "axb"]
    assert store.sized(files) == [
        CaptureFile(f"{HOUR}/a.jsonl", size, ""),
        CaptureFile(f"{HOUR}/b.jsonl", 3, ""),
    ]
    assert store.sized([CaptureFile("c.jsonl", -1, "")]) == [CaptureFile("c.jsonl", 3, "")]
    assert store.sized([]) == []
    with pytest.raises(MissingFileError, match=rf"^Cannot read {tmp_path}/no/: No such file or directory\.$"):
        store.sized([CaptureFile("no/a.jsonl", -1, "")])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "gone")])
def test_a_folder_that_cannot_be_listed_is_named_and_one_that_is_gone_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    for name in ("a/a.jsonl", "b/b.jsonl", "c/c.jsonl"):
        put(tmp_path, name)
    scan = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("/b"):
            raise error
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list(LocalStore(tmp_path).folders({}))
    denied = [Folder("b", [], 0, "Permission denied")] if isinstance(error, PermissionError) else []
    assert [one.name for one in found] == ["a", *(["b"] if denied else []), "c"]
    assert [one for one in found if one.failed] == denied


def test_a_store_needs_a_folder(tmp_path: Path) -> None:
    file = put(tmp_path, "a.jsonl")
    for path in (tmp_path / "none", file):
        with pytest.raises(
            StorageError, match=rf"^There is no folder {path}: name one with capture files \(\*\.jsonl\)\.$"
        ):
            list(LocalStore(path).folders({}))


def test_files_are_read_from_any_byte_on(tmp_path: Path) -> None:
    put(tmp_path, "f/x", b"abcde")
    put(tmp_path, "y", b"fg")
    store = LocalStore(tmp_path)
    assert (store.read("f/x"), store.path("f/x"), store.name) == (b"abcde", f"{tmp_path}/f/x", str(tmp_path))
    buffer = bytearray(3)
    for start, parts in ((0, [b"abc", b"de"]), (1, [b"bcd", b"e"]), (5, [])):
        with store.open("f/x", start, 5) as fill:
            found = []
            while count := fill(memoryview(buffer)):
                found.append(bytes(buffer[:count]))
        assert found == parts
    for folder, name, data in (("f", "f/x", b"abc"), ("", "y", b"fg")):
        with store.open_folder(folder) as read:
            assert read(name, memoryview(buffer)) == len(data)
            assert buffer[: len(data)] == data


def test_handles_are_closed(tmp_path: Path) -> None:
    put(tmp_path, "f/x.jsonl", b"a")
    store, buffer = LocalStore(tmp_path), memoryview(bytearray(1))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with store.open("f/x.jsonl", 0, 1) as fill:
            fill(buffer)
        with store.open_folder("f") as read:
            read("f/x.jsonl", buffer)
        list(store.folders({}))
        with store.lock():
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_objects_are_written_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    synced: list[int] = []
    moved: list[Any] = []
    replace = os.replace

    def moves(*paths: Any) -> None:
        moved.append(paths)
        replace(*paths)

    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    monkeypatch.setattr(os, "replace", moves)
    store.write("k/l/x", b"1")
    store.write("k/l/x", b"2")
    assert (store.read("k/l/x"), synced) == (b"2", [])
    hidden = tmp_path / "k" / "l" / f".x.{os.getpid()}.partial"
    assert moved == [(hidden, tmp_path / "k/l/x")] * 2
    # AND the manifest is on the disk before it is there
    assert (store.write_manifest("m", b"123", "any"), store.read_manifest("m"), synced) == (
        "",
        (b"123", ""),
        [3],
    )
    (tmp_path / "k" / "folder").mkdir()
    assert (store.names("k/l"), store.names("k"), store.names("none"), store.names("m")) == (
        ["k/l/x"],
        [],
        [],
        [],
    )
    store.write("k/l/a", b"")
    assert store.names("k/l") == ["k/l/a", "k/l/x"]
    store.delete("k/l/x")
    store.delete("k/l/x")
    assert store.names("k/l") == ["k/l/a"]

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=rf"^Cannot write {tmp_path}/k/l/a: No space left on device\.$"):
        store.write("k/l/a", b"new")
    assert (store.read("k/l/a"), sorted(os.listdir(tmp_path / "k" / "l"))) == (b"", ["a"])


ACTIONS: dict[str, Callable[[LocalStore, str], Any]] = {
    "read": lambda store, name: store.read(name),
    "read ": lambda store, name: store.open(name, 0, 1).__enter__(),
    "read  ": lambda store, name: store.open_folder(name).__enter__(),
    "read   ": lambda store, name: store.read_manifest(name),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_not_there_is_named(tmp_path: Path, action: str) -> None:
    with pytest.raises(MissingFileError) as found:
        ACTIONS[action](LocalStore(tmp_path), "x")
    reason = "No such file or directory"
    assert (str(found.value), found.value.reason) == (f"Cannot read {tmp_path}/x: {reason}.", reason)


def test_what_fails_in_another_way_is_an_error_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "f/x")
    store, buffer = LocalStore(tmp_path), memoryview(bytearray(1))
    with pytest.raises(StorageError, match=rf"^Cannot read {tmp_path}/f: Is a directory\.$") as found:
        store.read("f")
    assert type(found.value) is StorageError
    with store.open("f", 0, 1) as fill, pytest.raises(StorageError, match=rf"^Cannot read {tmp_path}/f: Is "):
        fill(buffer)
    with (
        store.open_folder("f") as read,
        pytest.raises(MissingFileError, match=rf"^Cannot read {tmp_path}/f/y: No such "),
    ):
        read("f/y", buffer)
    with pytest.raises(StorageError, match=rf"^Cannot delete {tmp_path}/f: "):
        store.delete("f")
    assert str(store._error("read", "x", OSError("why"))) == f"Cannot read {tmp_path}/x: why."


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "new" / "state")
    for _ in range(2):
        with (
            store.lock(),
            pytest.raises(
                StorageError, match=rf"^Another run is writing to {store.root}: wait for it to end\.$"
            ),
            LocalStore(store.root).lock(),
        ):
            pass
    file = put(tmp_path, "file")
    with (
        pytest.raises(StorageError, match=rf"^Cannot keep state in {file}: File exists\.$"),
        LocalStore(file).lock(),
    ):
        pass
