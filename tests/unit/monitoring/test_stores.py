"""Folders and buckets as stores: what they list, and that a bucket gives what a folder gives."""

from __future__ import annotations

import itertools
import os
import uuid

import boto3
import pytest

from monitoring.errors import MissingFileError, MonitoringError
from monitoring.incremental import run as aggregate
from monitoring.ingest import tasks, workers
from monitoring.storage import open_store
from monitoring.storage.base import BucketAccess
from monitoring.storage.local import LocalStore
from monitoring.storage.state import MANIFEST, AggregationState
from tests.unit.monitoring.capture_cases import LABELS, LINES, TREE, line
from tests.unit.monitoring.test_aggregate import TREE_LATE, files_of, same, write

LATER = f"captures/{TREE_LATE}".replace("/12/", "/13/")


@pytest.fixture
def bucket(server, monkeypatch):
    """A bucket of its own on an S3 over HTTP, found by the environment as any client finds it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    name = f"b-{uuid.uuid4()}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name, client


def put(bucket, name, rows):
    bucket[1].put_object(Bucket=bucket[0], Key=name, Body=b"".join(row + b"\n" for row in rows))


def test_bucket_gives_what_a_folder_gives(bucket, tmp_path):
    # GIVEN the same files in a folder and in a bucket, with odd lines and copies of records
    files = {f"captures/{name}": rows for name, rows in files_of().items()}
    files["captures/odd.jsonl"] = LINES
    files["captures/empty.jsonl"] = []
    for name, rows in files.items():
        write(tmp_path, name, *rows)
        put(bucket, name, rows)
    put(bucket, "elsewhere/x.jsonl", [line(event="other prefix")])
    put(bucket, "captures/notes.txt", [b"no capture file"])
    aggregate.run(tmp_path / "captures", tmp_path / "state", labels=LABELS)
    # WHEN it is aggregated into the bucket, in two steps
    url = f"s3://{bucket[0]}"
    first = aggregate.run(f"{url}/captures", f"{url}/monitoring/", labels=LABELS)
    put(bucket, LATER, files_of()[TREE_LATE])
    write(tmp_path, LATER, *files_of()[TREE_LATE])
    second = aggregate.run(f"{url}/captures", f"{url}/monitoring/", labels=LABELS)
    third = aggregate.run(f"{url}/captures", f"{url}/monitoring/", labels=LABELS)
    # THEN everything is what the folder gives
    assert (first.files_read, second.files_read, third.files_read) == (len(files), 1, 0)
    aggregate.run(tmp_path / "captures", tmp_path / "state", labels=LABELS)
    same(aggregate.load(tmp_path / "state"), aggregate.load(f"{url}/monitoring"))
    exported = [
        o["Key"]
        for o in bucket[1].list_objects_v2(Bucket=bucket[0], Prefix="monitoring/aggregates")["Contents"]
    ]
    assert "monitoring/aggregates/2026-11-21.parquet" in exported


def test_large_objects_are_streamed_in_stretches(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "TASK_BYTES", 300_000)
    rows = [line(f"[0.{10 + i}, 0.{90 - i}]", given="x" * 40_000, event=f"e{i}") for i in range(60)]
    put(bucket, f"{TREE}/a.jsonl", [*rows, b"broken", rows[0]])
    write(tmp_path, f"{TREE}/a.jsonl", *rows, b"broken", rows[0])
    aggregate.run(tmp_path, tmp_path / "state", labels=LABELS)
    aggregate.run(f"s3://{bucket[0]}", tmp_path / "remote", labels=LABELS)
    found = aggregate.load(tmp_path / "remote")
    same(aggregate.load(tmp_path / "state"), found)
    assert (found.health.records, found.health.duplicates, found.health.bad_lines) == (60, 1, 1)


def test_two_processes_read_a_bucket(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "TASK_FILES", 2)
    for name, rows in files_of().items():
        put(bucket, name, rows)
    aggregate.run(f"s3://{bucket[0]}", tmp_path / "one", labels=LABELS, processes=1)
    aggregate.run(f"s3://{bucket[0]}", tmp_path / "two", labels=LABELS, processes=2)
    same(aggregate.load(tmp_path / "one"), aggregate.load(tmp_path / "two"))


def test_only_recent_days_are_listed_on_request(bucket):
    days = ["2026/11/18/23", "2026/11/19/00", "2026/11/21/09", "2025/12/31/23", "2027/01/01/00"]
    for day in days:
        put(bucket, f"captures/e/v/{day}/a.jsonl", [line(event=day)])
    put(bucket, "captures/other/a.jsonl", [line()])
    store = open_store(f"s3://{bucket[0]}/captures")
    found = [folder.name for folder in store.folders({}, "2026/11/19")]
    assert found == ["e/v/2026/11/19/00", "e/v/2026/11/21/09", "e/v/2027/01/01/00", "other"]
    assert len(list(store.folders({}))) == len(days) + 1
    found = [folder.name for folder in store.folders({}, "2026/11/21/09")]
    assert found == ["e/v/2026/11/21/09", "e/v/2027/01/01/00", "other"]
    assert "e/v/2026/11/21/09" not in [folder.name for folder in store.folders({}, "2026/11/21/10")]


@pytest.mark.parametrize("days", [None, 3000])
def test_keys_that_obstore_has_no_name_for(bucket, tmp_path, monkeypatch, days):
    # GIVEN, among others, keys as a destination with one slash too many makes them, a large one too
    monkeypatch.setattr(tasks, "TASK_BYTES", 100_000)
    large = [line(given="x" * 40_000, event=f"large {i}") for i in range(6)]
    names = ["captures/a.jsonl", "captures//e/v/2026/11/21/09/b.jsonl", "captures/e//c.jsonl", "captures/z/d.jsonl",
             "captures/e/tab\t.jsonl", "captures/y%20 +#.jsonl"]  # fmt: skip
    for name in names:
        put(bucket, name, [line(event=name)])
    put(bucket, "captures/w//large.jsonl", large)
    # WHEN they are aggregated
    url = f"s3://{bucket[0]}/captures"
    summary = aggregate.run(url, tmp_path / "state", days=days)
    # THEN none is left out, and none is read again
    assert (summary.files_read, summary.health.records) == (len(names) + 1, len(names) + len(large))
    assert not summary.failed
    assert aggregate.run(url, tmp_path / "state", days=days).files_read == 0
    # AND the path still names endpoint and variant
    assert {(k.endpoint, k.variant) for k in aggregate.load(tmp_path / "state").cells} >= {("e", "v")}
    # AND one that expires is left out
    store = open_store(url)
    with pytest.raises(MissingFileError, match="gone"):
        store.read("e//gone.jsonl")
    with pytest.raises(MissingFileError), store.open("e//gone.jsonl", 0, 1) as fill:
        fill(memoryview(bytearray(1)))


def test_of_two_runs_at_once_one_wins_and_nothing_is_counted_twice(bucket):
    # GIVEN two runs that begin with the same state
    url = f"s3://{bucket[0]}"
    put(bucket, "captures/a.jsonl", [line(event="a")])
    slow = AggregationState(open_store(f"{url}/state"))
    # WHEN one finishes first
    aggregate.run(f"{url}/captures", f"{url}/state")
    slow.save("hours", "2026-11-21T09:00:00Z", b"{}")
    # THEN the other one gets an error, and the state is that of the first
    with pytest.raises(MonitoringError, match="Another run finished first"):
        slow.commit("now")
    assert aggregate.load(f"{url}/state").health.records == 1
    # AND the next run removes what it has left
    put(bucket, "captures/b.jsonl", [line(event="b")])
    aggregate.run(f"{url}/captures", f"{url}/state")
    assert not [n for n in open_store(f"{url}/state").names("hours") if slow._random in n]


def test_a_missing_bucket_is_reported_in_one_line(bucket):
    with pytest.raises(MonitoringError, match=r"There is no bucket no-such-bucket-"):
        aggregate.run(f"s3://no-such-bucket-{uuid.uuid4()}/x")


def test_object_that_expires_between_list_and_read_is_left_out(bucket, tmp_path, monkeypatch):
    for name in "abc":
        put(bucket, f"{name}.jsonl", [line(event=name)])
    store = open_store(f"s3://{bucket[0]}")
    files = [file for folder in store.folders({}) for file in folder.files]
    store.delete("b.jsonl")
    setting = workers.ReadOptions(store.name, BucketAccess(), (), False)
    [(_, batches)] = workers.read_tasks(setting, tasks.tasks(files))
    [batch] = batches
    assert ([counts.file for counts in batch.files], batch.failed) == (["a.jsonl", "c.jsonl"], [])


def test_objects_of_a_bucket(bucket):
    store = open_store(f"s3://{bucket[0]}/deep/prefix")
    for read in (store.read, store.read_manifest):
        with pytest.raises(
            MissingFileError, match=f"s3://{bucket[0]}/deep/prefix/{MANIFEST}: there is no such object"
        ):
            read(MANIFEST)
    store.write("kind/x", b"1")
    assert (store.read("kind/x"), store.names("kind")) == (b"1", ["kind/x"])
    store.delete("kind/x")
    store.delete("kind/x")
    assert store.names("kind") == []


def test_hidden_names_other_suffixes_and_links_to_folders_are_left_out(tmp_path):
    for name in ("a.jsonl", ".hidden.jsonl", ".git/b.jsonl", "c.json", "d.jsonl.gz", "sub/e.jsonl"):
        write(tmp_path, name, line())
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    (tmp_path / "broken.jsonl").symlink_to(tmp_path / "nowhere")
    found = itertools.chain.from_iterable(folder.files for folder in LocalStore(tmp_path).folders({}))
    assert [entry.name for entry in found] == ["a.jsonl", "link.jsonl", "sub/e.jsonl"]


def test_file_names_that_are_no_utf8(tmp_path):
    name = os.fsdecode(b"\xff.jsonl")
    try:
        write(tmp_path, name, b"broken", line())
    except OSError:
        pytest.skip("this file system only takes UTF-8")
    summary = aggregate.run(tmp_path, tmp_path / "state")
    assert [(b.file, b.line) for b in summary.health.bad] == [("?.jsonl", 1)]
    assert aggregate.run(tmp_path, tmp_path / "state").files_read == 0
