"""A bucket as a store, part by part: the keys that it lists, reads and writes, its client, and its errors."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import boto3
import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import MemoryStore

from monitoring.errors import MissingFileError, StorageError, UnsupportedKeyError
from monitoring.storage import s3
from monitoring.storage.base import BucketAccess, CaptureFile
from monitoring.storage.s3 import S3Store


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


def opened(memory: MemoryStore, prefix: str = "deep/p") -> S3Store:
    return S3Store(memory, "b", prefix)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "name", "key"),
    [
        ("s3://b", "s3://b", "x"), ("s3://b/", "s3://b", "x"), ("s3://b/p", "s3://b/p", "p/x"),
        ("s3://b//p/q/", "s3://b/p/q", "p/q/x"),
    ],
)  # fmt: skip
def test_an_address_names_bucket_and_prefix(
    url: str, name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[Any] = []
    monkeypatch.setattr(s3, "_client", lambda *given: reached.append(given))
    access = BucketAccess(region="r")
    store = S3Store.connect(url, access)
    assert (store.name, store.path("x"), store.bucket, reached) == (name, key, "b", [("b", access)])
    assert store._any_keys is not None
    assert store._access is access


def test_an_address_without_a_bucket_is_rejected() -> None:
    with pytest.raises(StorageError, match=r"^s3:///p names no bucket: write s3://bucket/prefix\.$"):
        S3Store.connect("s3:///p", BucketAccess())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jsonl", True), ("x/a.jsonl", True), ("a.json", False), ("a.jsonl.gz", False), (".a.jsonl", False),
        (".x/a.jsonl", False), ("y/.x/a.jsonl", False), ("x./a.jsonl", True),
    ],
)  # fmt: skip
def test_capture_files_have_their_suffix_and_no_hidden_part(name: str, wanted: bool) -> None:
    assert s3._wanted(name) is wanted


@pytest.mark.parametrize("below", ["", "e/", "c/e/v/"])
@pytest.mark.parametrize(
    ("date", "before"),
    [
        ("2025", True), ("2026", False), ("2027", False), ("2026/10", True), ("2026/11", False), ("2026/12", False),
        ("2025/12", True), ("2026/11/20", True), ("2026/11/21", False), ("2026/11/22", False), ("202", False), ("20251", False),
        ("2025/1", False), ("2026/11/2", False), ("year", False), ("1234567", False), ("12345/7", False), ("123/567", False),
        ("2026/ab", False),
    ],
)  # fmt: skip
def test_a_folder_of_a_date_before_the_first_hour_is_left_out(below: str, date: str, before: bool) -> None:
    assert s3._before(below + date, "2026/11/21/09") is before


def test_all_keys_are_listed_by_folder(memory: MemoryStore) -> None:
    store = opened(memory)
    for name in ("a.jsonl", "x/b.jsonl", "x/c.jsonl", "x/d.txt", "y/.hidden.jsonl", "y/e.jsonl"):
        store.write(name, b"1" * len(name))
    obstore.put(memory, "deep/pp/z.jsonl", b"")
    found = list(store.folders({"x": 7}))
    assert [(one.name, [file.name for file in one.files], one.stamp) for one in found] == [
        ("", ["a.jsonl"], 0), ("x", ["x/b.jsonl", "x/c.jsonl"], 0), ("y", ["y/e.jsonl"], 0)
    ]  # fmt: skip
    file = found[1].files[0]
    assert (file.size, file.version) == (9, obstore.head(memory, "deep/p/x/b.jsonl")["e_tag"])
    assert store.sized(found[1].files) == found[1].files
    (whole, *_) = opened(memory, "").folders({})
    assert (whole.name, [one.name for one in whole.files]) == ("deep/p", ["deep/p/a.jsonl"])


@pytest.mark.parametrize(
    ("since", "hours"),
    [
        ("2026/11/21/09", ["21/09", "21/10", "22/00"]), ("2026/11/21/10", ["21/10", "22/00"]), ("2026/11/22", ["22/00"]),
        ("2026/11/21", ["21/08", "21/09", "21/10", "22/00"]), ("2026/11/23", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "p", "e/v"])
def test_hours_from_the_first_on_are_listed(
    memory: MemoryStore, prefix: str, since: str, hours: list[str]
) -> None:
    store = opened(memory, prefix)
    for hour in ("20/23", "21/08", "21/09", "21/10", "22/00"):
        store.write(f"2026/11/{hour}/a.jsonl", b"")
        store.write(f"2026/11/{hour}/a.txt", b"")
        store.write(f".x/2026/11/{hour}/a.jsonl", b"")
    store.write("2026/11/notes.jsonl", b"")
    found = {one.name: [file.name for file in one.files] for one in store.folders({}, since)}
    assert found.pop("2026/11") == ["2026/11/notes.jsonl"]
    assert found == {f"2026/11/{hour}": [f"2026/11/{hour}/a.jsonl"] for hour in hours}


def test_a_version_is_the_entity_tag_or_else_the_time() -> None:
    meta = {"size": "7", "e_tag": "t", "last_modified": "m"}
    assert s3._file("a", meta) == CaptureFile("a", 7, "t")
    assert s3._file("a", meta | {"e_tag": None}) == CaptureFile("a", 7, "m")


@pytest.mark.parametrize("start", [0, 1, 4])
def test_an_object_is_streamed_into_buffers_of_any_size(memory: MemoryStore, start: int) -> None:
    store = opened(memory)
    store.write("x", b"abcde")
    with store.open("x", start, 5) as fill:
        found, buffer = b"", bytearray(2)
        while count := fill(memoryview(buffer)):
            found += buffer[:count]
    assert found == b"abcde"[start:]
    with store.open_folder("") as read:
        for size in (3, 5, 9):
            buffer = bytearray(size)
            assert read("x", memoryview(buffer)) == min(5, size)
            assert buffer == b"abcde"[:size].ljust(size, b"\0")
    assert s3._CHUNK == 1024 * 1024


def test_objects_are_written_read_listed_and_removed(memory: MemoryStore) -> None:
    store = opened(memory)
    store.write("k/b", b"1")
    store.write("k/a", b"2")
    assert (store.read("k/b"), store.names("k"), store.names("none")) == (b"1", ["k/a", "k/b"], [])
    store.delete("k/b")
    store.delete("k/b")
    assert store.names("k") == ["k/a"]
    with pytest.raises(MissingFileError, match=r"^Cannot read s3://b/deep/p/k/b: there is no such object\.$"):
        store.read("k/b")
    with pytest.raises(MissingFileError, match=r"^Cannot read s3://b/deep/p/k/b: "), store.open("k/b", 0, 1):
        pass
    with store.lock():
        pass


def test_the_manifest_is_replaced_if_no_other_run_did(memory: MemoryStore) -> None:
    store = opened(memory)
    first = store.write_manifest("m", b"1", "")
    assert store.read_manifest("m") == (b"1", first)
    second = store.write_manifest("m", b"2", first)
    assert store.read_manifest("m") == (b"2", second)
    for token in ("", first):
        with pytest.raises(
            StorageError,
            match=r"^Another run finished first and wrote s3://b/deep/p/m: run again to continue from there\.$",
        ):
            store.write_manifest("m", b"3", token)
    assert store.read_manifest("m")[0] == b"2"


@pytest.mark.parametrize(
    ("verb", "error", "kind", "message"),
    [
        ("read", FileNotFoundError("x"), MissingFileError, "Cannot read s3://b/deep/p/x: there is no such object."),
        ("read", ValueError("bad\nmore"), UnsupportedKeyError, "Cannot read s3://b/deep/p/x: bad"),
        ("list", BaseError("invalid path: a//b"), UnsupportedKeyError, "Cannot list s3://b/deep/p/x: invalid path: a//b"),
        ("read", OSError("\n late\nmore"), StorageError, "Cannot read s3://b/deep/p/x: late"),
        ("write", BaseError("y" * 301), StorageError, "Cannot write s3://b/deep/p/x: " + "y" * 300),
        ("list", BaseError("got 404 Not Found"), StorageError, "There is no bucket b: write s3://bucket/prefix."),
        ("list", BaseError("first\nNoSuchBucket"), StorageError, "There is no bucket b: write s3://bucket/prefix."),
        ("read", BaseError("404 Not Found"), StorageError, "Cannot read s3://b/deep/p/x: 404 Not Found"),
        ("list", BaseError("denied\n404 Not Found"), StorageError, "Cannot list s3://b/deep/p/x: denied"),
    ],
)  # fmt: skip
def test_an_error_names_the_object(
    memory: MemoryStore, verb: str, error: Exception, kind: type[StorageError], message: str
) -> None:
    with pytest.raises(StorageError) as found, opened(memory)._errors(verb, "x"):
        raise error
    assert (type(found.value), str(found.value)) == (kind, message)


def test_errors_of_conditional_writes_and_of_the_code_pass(memory: MemoryStore) -> None:
    for error in (AlreadyExistsError("x"), KeyError("x")):
        with pytest.raises(type(error)), opened(memory)._errors("write", "x"):
            raise error


def test_the_operation_and_the_object_are_named(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise OSError("late")

    for name in ("get", "put", "delete", "list", "list_with_delimiter"):
        monkeypatch.setattr(obstore, name, fails)
    store = opened(memory)
    for action, address in (
        (lambda: store.read("x"), "read s3://b/deep/p/x"), (lambda: store.write("x", b""), "write s3://b/deep/p/x"),
        (lambda: store.delete("x"), "delete s3://b/deep/p/x"), (lambda: store.names("x"), "list s3://b/deep/p/"),
        (lambda: store.read_manifest("x"), "read s3://b/deep/p/x"), (lambda: list(store.folders({})), "list s3://b/deep/p/"),
        (lambda: store.write_manifest("x", b"", ""), "write s3://b/deep/p/x"),
        (lambda: store.open("x", 0, 1).__enter__(), "read s3://b/deep/p/x"),
        (lambda: list(store.folders({}, "2026")), "list s3://b/deep/p/"),
    ):  # fmt: skip
        with pytest.raises(StorageError) as found:
            action()
        assert str(found.value) == f"Cannot {address}: late"


KEYED = {"AWS_ACCESS_KEY_ID": "k"}
PLAIN = {"region": "us-east-1", "client_options": {"allow_http": False}}


def at(endpoint: str) -> dict[str, Any]:
    http = endpoint.startswith("http://")
    return PLAIN | {
        "endpoint": endpoint, "virtual_hosted_style_request": False, "client_options": {"allow_http": http}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "access", "options"),
    [
        ({}, {}, PLAIN),
        ({"AWS_ENDPOINT_URL": "http://a"}, {}, at("http://a")),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "https://b"}, {}, at("https://b")),
        ({"AWS_ENDPOINT_URL_S3": "http://b"}, {"endpoint_url": "https://c"}, at("https://c")),
        ({"AWS_DEFAULT_REGION": "d"}, {}, PLAIN | {"region": "d"}),
        ({"AWS_DEFAULT_REGION": "d", "AWS_REGION": "r"}, {}, PLAIN | {"region": "r"}),
        ({"AWS_REGION": "r"}, {"region": "own"}, PLAIN | {"region": "own"}),
    ],
)  # fmt: skip
def test_a_bucket_is_reached_as_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], access: dict[str, str], options: Any
) -> None:
    monkeypatch.setattr(os, "environ", KEYED | environment)
    monkeypatch.setattr(s3, "Client", lambda *given, **named: (given, named))
    assert s3._client("b", BucketAccess(**access)) == (("b",), options)


@pytest.mark.parametrize(("environment", "profile"), [({}, None), (KEYED, "p"), ({}, "p")])
@pytest.mark.parametrize(("own", "region"), [(None, "of-profile"), ("own", "own")])
def test_credentials_that_are_not_in_the_environment_come_from_a_profile_or_role(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], profile: str | None, own: str | None, region: str
) -> None:  # fmt: skip
    sessions: list[Any] = []
    credentials: list[Any] = [object(), None]

    def session(**given: Any) -> Any:
        sessions.append(given)
        return SimpleNamespace(region_name="of-profile", get_credentials=lambda: credentials.pop(0))

    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(boto3, "Session", session)
    monkeypatch.setattr("obstore.auth.boto3.Boto3CredentialProvider", lambda given: ("of", given.region_name))
    monkeypatch.setattr(s3, "Client", lambda *_, **named: named)
    access = BucketAccess(profile=profile, region=own)
    assert s3._client("b", access) == PLAIN | {"region": region, "credential_provider": ("of", "of-profile")}
    assert sessions == [{"profile_name": profile, "region_name": own}]
    with pytest.raises(
        StorageError,
        match=r"^No AWS credentials were found to reach s3://b: set a profile or AWS_\* variables\.$",
    ):
        s3._client("b", access)


def test_a_client_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise BaseError("no such option")

    monkeypatch.setattr(os, "environ", KEYED)
    monkeypatch.setattr(s3, "Client", fails)
    with pytest.raises(StorageError, match=r"^Cannot reach s3://b: no such option$"):
        s3._client("b", BucketAccess())


@pytest.mark.parametrize(
    ("pages", "after"), [([], ""), ([["a", "b"]], "deep/p/b"), ([["a"], ["c", "d"]], "deep/p/d")]
)
def test_keys_that_obstore_does_not_support_are_listed_from_the_last_one_on(
    memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, pages: list[list[str]], after: str
) -> None:
    given: list[Any] = []

    def listed(*_: Any, **__: Any) -> Any:
        for page in pages:
            yield [{"path": f"deep/p/{name}"} for name in page]
        raise BaseError("invalid path")

    def objects(prefix: str, after: str) -> Any:
        given.append((prefix, after))
        return iter([{"path": "deep/p/x//y"}])

    monkeypatch.setattr(obstore, "list", listed)
    monkeypatch.setattr(S3Store, "_any_keys", lambda _: SimpleNamespace(objects=objects))
    names = [one["path"].removeprefix("deep/p/") for one in opened(memory)._objects()]
    assert names == [*(name for page in pages for name in page), "x//y"]
    assert given == [("deep/p/", after)]


def test_objects_that_obstore_does_not_support_are_read_by_their_chunks(
    memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(key: str, start: int) -> Any:
        return iter([f"{key} "[start:].encode(), b"xy"])

    monkeypatch.setattr(S3Store, "_any_keys", lambda _: SimpleNamespace(chunks=chunks))
    store = opened(memory)
    assert store.read("a//b") == b"deep/p/a//b xy"
    with store.open("a//b", 5, 0) as fill:
        buffer = bytearray(20)
        assert (fill(memoryview(buffer)), fill(memoryview(buffer)), bytes(buffer[:2])) == (7, 2, b"xy")
