"""Watching a folder: complete files are uploaded once, their results arrive, and copies survive a restart."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from dropsort.cli.watch import watch as command
from dropsort.client import deployed_service
from dropsort.client.deployed_service import DeployedService
from dropsort.client.drop import Uploaded
from dropsort.client.files import LocalFile
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload
from dropsort.client.watch import Watch, is_stored, overlapping, part_of, run, store
from dropsort.contract import ignored_paths
from tests.unit.client.conftest import BUCKET


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "cam").mkdir(parents=True)
    for name in ("a.jpg", "cam/b.jpg", "Thumbs.db"):
        (folder / name).write_bytes(name.encode())
    return folder


def versions(s3: Any) -> list[str]:
    return sorted(
        item["Key"] for item in s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/").get("Versions", [])
    )


def all_results(watch: Watch, **options: Any) -> list[FinishedUpload]:
    found: list[FinishedUpload] = []
    run(
        watch,
        threading.Event(),
        once=True,
        done=found.append,
        problem=pytest.fail,
        interval_seconds=0.01,
        **options,
    )
    return found


def test_every_file_gets_its_result_and_a_restart_uploads_nothing(
    s3: Any, service: set[str], folder: Path
) -> None:
    found = all_results(Watch(s3, BUCKET, folder))
    assert {item.result.key for item in found} == {"incoming/a.jpg", "incoming/cam/b.jpg"}

    # WHEN it is started again THEN all results are there again, without another upload
    assert len(all_results(Watch(s3, BUCKET, folder))) == 2
    assert versions(s3) == ["incoming/a.jpg", "incoming/cam/b.jpg"]


def test_an_upload_that_the_service_ignores_is_not_waited_for(
    s3: Any, service: set[str], folder: Path
) -> None:
    # GIVEN a service that gives b.jpg no result
    service.add("incoming/cam/b.jpg")
    watch = Watch(s3, BUCKET, folder, ignored=ignored_paths.parse("b.jpg"))
    # WHEN the folder is watched once THEN it ends, with the other's result, and both are uploaded
    assert [item.result.key for item in all_results(watch)] == ["incoming/a.jpg"]
    assert versions(s3) == ["incoming/a.jpg", "incoming/cam/b.jpg"]


def test_the_command_ends_although_the_service_ignores_an_upload(
    s3: Any, service: set[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add("incoming/cam/b.jpg")
    found = DeployedService("dropsort", BUCKET, "arn", "bikes", {}, {"IgnoredPatterns": "b.jpg"})
    monkeypatch.setattr(deployed_service, "find", lambda *_: found)
    result = CliRunner().invoke(command, [str(folder), "--once"], standalone_mode=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["a.jpg: classified, bicycle 0.970"]
    # AND copies are listed as made, and after a restart as there already
    arguments = [str(folder), "--once", "--sort-into", str(tmp_path / "sorted")]
    shown = [CliRunner().invoke(command, arguments, standalone_mode=False).stdout for _ in range(2)]
    line = f"a.jpg: classified, bicycle 0.970 → {tmp_path / 'sorted/bicycle/a.jpg'}"
    assert shown == [f"{line}\n", f"{line} (there already)\n"]


def test_a_file_is_uploaded_when_it_no_longer_changes(s3: Any, folder: Path) -> None:
    watch = Watch(s3, BUCKET, folder)
    watch.step()
    (folder / "a.jpg").write_bytes(b"a.jpg, and more")
    watch.step()
    assert versions(s3) == ["incoming/cam/b.jpg"]
    watch.step()
    assert versions(s3) == ["incoming/a.jpg", "incoming/cam/b.jpg"]
    assert s3.get_object(Bucket=BUCKET, Key="incoming/a.jpg")["Body"].read() == b"a.jpg, and more"
    assert watch.waiting == 2
    assert not watch.idle
    # AND again when it has changed since
    (folder / "a.jpg").write_bytes(b"another")
    watch.step()
    watch.step()
    watch.step()
    assert versions(s3) == ["incoming/a.jpg", "incoming/a.jpg", "incoming/cam/b.jpg"]
    assert watch.waiting == 2


def test_a_file_that_vanishes_and_a_service_that_is_away_are_reported_once(s3: Any, folder: Path) -> None:
    # GIVEN a bucket that does not exist
    problems: list[str] = []
    stop = threading.Event()
    watch = Watch(s3, "gone", folder)

    def problem(text: str) -> None:
        problems.append(text)
        threading.Timer(0.3, stop.set).start()

    run(watch, stop, done=pytest.fail, problem=problem, interval_seconds=0.01)

    assert len(problems) == 1
    assert "NoSuchBucket" in problems[0]


def test_it_goes_on_when_every_file_has_its_result(s3: Any, tmp_path: Path) -> None:
    watch, stop, steps = Watch(s3, BUCKET, tmp_path), threading.Event(), 0

    class Counting:
        """A watch that is stopped in its third step."""

        idle = property(lambda _: watch.idle)

        def step(self) -> list[FinishedUpload]:
            nonlocal steps
            steps += 1
            if steps == 3:
                stop.set()
            return watch.step()

    run(cast("Watch", Counting()), stop, done=pytest.fail, problem=pytest.fail, interval_seconds=0.01)
    assert watch.idle
    assert steps == 3


def finished_item(path: Path, label: str | None, outcome: str = "classified") -> FinishedUpload:
    file = LocalFile(path, f"incoming/{path.name}", path.stat().st_size)
    return FinishedUpload(Uploaded(file, "etag"), Result("", {"outcome": outcome, "label": label}))


def test_copies_are_complete_and_made_once(folder: Path, tmp_path: Path) -> None:
    into = tmp_path / "out"
    item = finished_item(folder / "cam" / "b.jpg", "bicycle")

    assert not is_stored(item, folder, into)
    target = store(item, folder, into)
    assert is_stored(item, folder, into)

    assert target == into / "bicycle" / "cam" / "b.jpg"
    assert target.read_bytes() == b"cam/b.jpg"
    inode = target.stat().st_ino
    assert store(item, folder, into) == target
    assert target.stat().st_ino == inode
    assert [path.name for path in into.rglob("*") if path.is_file()] == ["b.jpg"]
    assert (folder / "cam" / "b.jpg").is_file()


def test_a_name_of_a_copy_may_be_as_long_as_the_file_system_allows(folder: Path, tmp_path: Path) -> None:
    name = "長" * 83 + ".jpg"
    (folder / name).write_bytes(b"image")
    target = store(finished_item(folder / name, "bicycle"), folder, tmp_path / "out")
    assert target == tmp_path / "out" / "bicycle" / name
    assert target.read_bytes() == b"image"


def test_a_link_that_others_made_under_the_name_of_a_copy_is_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    # GIVEN the folder of a label in which others can write
    secret, into = tmp_path / "secret", tmp_path / "sorted"
    secret.write_text("former")
    (into / "b").mkdir(parents=True)
    path = folder / "a.png"
    path.write_bytes(b"image")
    for name in (f".a.png.{os.getpid()}.part", "a.png"):
        (into / "b" / name).symlink_to(secret)
    # WHEN a copy is made THEN it is a file, and what the links lead to is as it was
    assert store(finished_item(path, "b"), folder, into) == into / "b" / "a.png"
    assert not (into / "b" / "a.png").is_symlink()
    assert (secret.read_text(), (into / "b" / "a.png").read_bytes()) == ("former", b"image")


def test_no_copy_is_made_below_a_link_and_the_next_ones_are(folder: Path, tmp_path: Path) -> None:
    # GIVEN the folder of copies, itself a link, in which others have made the folder of an outcome a link to elsewhere
    elsewhere, into = tmp_path / "elsewhere", tmp_path / "sorted"
    for name in ("elsewhere", "real"):
        (tmp_path / name).mkdir()
    into.symlink_to(tmp_path / "real")
    (into / "failed").symlink_to(elsewhere)
    (folder / "c.jpg").write_bytes(b"c.jpg")
    items = [
        finished_item(folder / "cam" / "b.jpg", None, "failed"),
        finished_item(folder / "a.jpg", None, "failed"),
        finished_item(folder / "c.jpg", "bicycle"),
    ]

    class Once(Watch):
        idle = True  # type: ignore[assignment]

        def step(self) -> list[FinishedUpload]:
            return [items.pop(0) for _ in items[:]]

    # WHEN results arrive together
    problems: list[str] = []
    run(
        Once(None, "b", folder),  # type: ignore[arg-type]
        threading.Event(),
        once=True,
        done=lambda item: store(item, folder, into),
        problem=problems.append,
        interval_seconds=0.01,
    )
    # THEN what leads elsewhere is named, nothing is written there, and the others are copied
    assert [problem.partition(" is a link")[0] for problem in problems] == [
        str(into / "failed" / "cam"),
        str(into / "failed"),
    ]
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "real" / "bicycle" / "c.jpg").read_bytes() == b"c.jpg"


def test_a_file_that_has_changed_since_its_upload_is_not_copied(folder: Path, tmp_path: Path) -> None:
    item = finished_item(folder / "a.jpg", "bicycle")
    (folder / "a.jpg").write_bytes(b"something else")
    assert store(item, folder, tmp_path / "out") is None
    (folder / "a.jpg").unlink()
    assert store(item, folder, tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("label", "outcome", "expected"),
    [
        ("bicycle", "classified", "bicycle"),
        ("bicycle", "low-confidence", "low-confidence"),
        (None, "failed", "failed"),
        ("../../etc", "classified", ".._.._etc"),
        ("..", "classified", "_.."),
        ("/", "classified", "_"),
        ("a\x1b[31m\n", "classified", "a�[31m�"),
        ("ü" * 300, "classified", "ü" * 100),
        ("a" * 300, "classified", "a" * 200),
        ("\ud800", "classified", "�"),
    ],
)
def test_any_label_is_one_folder(label: str | None, outcome: str, expected: str) -> None:
    assert part_of(Result("", {"outcome": outcome, "label": label})) == expected


def test_copies_are_not_watched_in_turn(folder: Path, tmp_path: Path) -> None:
    assert overlapping(folder, folder / "sorted")
    assert overlapping(folder / "cam", folder)
    assert not overlapping(folder, tmp_path / "sorted")
    (tmp_path / "link").symlink_to(folder / "cam")
    assert overlapping(folder, tmp_path / "link")
    result = CliRunner().invoke(command, [str(folder), "--sort-into", str(folder / "sorted")])
    assert result.exit_code == 2
    assert "contain one another" in result.stderr


def test_a_copy_keeps_the_time_of_its_image(folder: Path, tmp_path: Path) -> None:
    os.utime(folder / "a.jpg", (1, 1))
    target = store(finished_item(folder / "a.jpg", "bicycle"), folder, tmp_path / "out")
    assert target is not None
    assert target.stat().st_mtime == 1
