"""The folder of a service, without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dropsort.local import folder as module
from dropsort.local.errors import InUseError, LocalError
from dropsort.local.folder import ServiceFolder

HOLD = """
import sys
from pathlib import Path
from dropsort.local.folder import ServiceFolder
folder = ServiceFolder(Path(sys.argv[1]))
folder.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def deploy(folder: ServiceFolder, state: str = '{"a": 1}') -> None:
    """What a finished deployment leaves."""
    (folder.aws / "state").mkdir(parents=True)
    (folder.aws / "state" / "iam.json").write_text(state)
    folder.set_deployed({"key": "x"})


def test_one_process_at_a_time(tmp_path: Path) -> None:
    # GIVEN another process that uses the folder
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    other.stdout.readline()
    folder = ServiceFolder(tmp_path)
    # THEN it is an error as long as it does
    with pytest.raises(InUseError, match=f"process {other.pid}"):
        folder.acquire()
    other.communicate()
    folder.acquire()
    folder.release()


def test_the_process_that_is_named_is_this_one(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path / "data")
    (tmp_path / "data" / "lock").write_text("9" * 30)
    folder.acquire()
    assert (tmp_path / "data" / "lock").read_text() == str(os.getpid())
    folder.release()


def test_a_killed_services_processes_are_waited_for(tmp_path: Path) -> None:
    # GIVEN a lock whose owner is dead, held still by a process of its (a shell that ends in a moment)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    holder.stdout.readline()
    (tmp_path / "lock").write_text(str(dead.pid))
    folder = ServiceFolder(tmp_path)
    # WHEN that process ends, THEN we get in
    assert holder.stdin
    holder.stdin.close()
    folder.acquire()
    folder.release()
    holder.wait()


def test_a_holder_that_stays_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    first, second = ServiceFolder(tmp_path), ServiceFolder(tmp_path)
    first.acquire()
    (tmp_path / "lock").write_text("not a number")
    with pytest.raises(InUseError, match=str(tmp_path)):
        second.acquire()
    first.release()


def test_a_temporary_folder_is_removed_but_for_logs_that_were_named() -> None:
    gone, kept = ServiceFolder(None), ServiceFolder(None)
    for folder in (gone, kept):
        (folder.aws / "s3").mkdir(parents=True)
    kept.keep_logs = True
    gone.release()
    kept.release()
    assert not gone.path.exists()
    assert kept.path.exists()
    assert not (kept.aws / "s3").exists()


def test_temporary_folders_of_killed_services_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN one that a kill left, and one in use
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, used = tmp_path / f"{module._PREFIX}left", ServiceFolder(None)
    used.acquire()
    left.mkdir()
    (left / "lock").touch()
    # WHEN another begins
    ServiceFolder(None).release()
    # THEN
    assert not left.exists()
    assert used.path.exists()
    used.release()


def test_what_no_finished_deployment_stands_for_is_removed(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    (folder.aws / "s3" / "bucket").mkdir(parents=True)
    assert folder.prepare() is False
    assert list(folder.aws.iterdir()) == []
    folder.release()


def test_a_deployment_is_remembered_with_its_state(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    deploy(folder)
    (folder.aws / "s3").mkdir()
    assert folder.prepare() is True
    assert folder.deployed() == {"key": "x"}
    assert (folder.aws / "s3").exists()
    folder.release()


@pytest.mark.parametrize("damage", ["", '{"a": ', None])
def test_a_damaged_state_goes_back_to_the_deployments(tmp_path: Path, damage: str | None) -> None:
    folder = ServiceFolder(tmp_path)
    deploy(folder)
    if damage is None:
        (folder.aws / "state" / "iam.json").unlink()
    else:
        (folder.aws / "state" / "iam.json").write_text(damage)
    assert folder.prepare() is True
    assert json.loads((folder.aws / "state" / "iam.json").read_text()) == {"a": 1}
    folder.release()


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_memory_of_the_deployment_counts_as_none(tmp_path: Path, content: str) -> None:
    folder = ServiceFolder(tmp_path)
    (tmp_path / "deployed.json").write_text(content)
    assert folder.deployed() == {}
    folder.release()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="file"):
        ServiceFolder(tmp_path / "file")


def test_a_folder_of_images_is_rejected_and_not_changed(tmp_path: Path) -> None:
    # GIVEN a folder with images of a user, and one with nothing but what a system leaves there
    images, empty = tmp_path / "images", tmp_path / "empty"
    for folder, name in ((images, "a.jpg"), (empty, ".DS_Store")):
        folder.mkdir(mode=0o755)
        (folder / name).write_bytes(b"x")

    # WHEN the first is named for the data THEN the error names a file, and nothing was written or changed
    with pytest.raises(LocalError, match=r"contains a\.jpg and is not the folder of a service"):
        ServiceFolder(images)
    assert [item.name for item in images.iterdir()] == ["a.jpg"]
    assert images.stat().st_mode & 0o777 == 0o755

    # AND the second is used, also after a run that was killed before it was complete
    ServiceFolder(empty)
    (empty / "aws").mkdir()
    ServiceFolder(empty)


def test_a_folder_is_for_its_owner_alone_whatever_it_was_before(tmp_path: Path) -> None:
    # GIVEN a folder that others may read, and one that is not there yet
    for name, made in (("before", True), ("new", False)):
        if made:
            (tmp_path / name).mkdir(mode=0o755)
        ServiceFolder(tmp_path / name).release()
        # THEN images, results and credentials in it are for nobody else
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert (tmp_path / name / "lock").stat().st_mode & 0o777 == 0o600


def test_a_repository_around_the_folder_ignores_it(tmp_path: Path) -> None:
    # GIVEN a repository with the folder of a service, which has credentials
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    folder = ServiceFolder(tmp_path / "data")
    folder.credentials.write_text("{}")
    # THEN nothing of it would be committed
    status = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True).stdout == b""
