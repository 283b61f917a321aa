"""Which files are meant, and their keys."""

from __future__ import annotations

import errno
import os
import socket
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from dropsort.client.errors import DropError
from dropsort.client.files import SkippedFile, walk


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def keys(folder: Path, prefix: str = "") -> list[str]:
    files, skipped, *_ = walk([folder], prefix)
    assert not skipped
    return [file.key for file in files]


def test_every_file_counts_whatever_its_name(tmp_path: Path) -> None:
    names = [
        ".hidden/.dot",
        "a b/c+d %2B.png",
        "no-extension",
        "ünï🚲.jpeg",
        "deep/er/..x",
        " lead",
        "trail ",
    ]
    make(tmp_path, *names)
    assert keys(tmp_path) == sorted(f"incoming/{name}" for name in names)


def test_names_that_no_key_can_have_are_escaped(tmp_path: Path) -> None:
    for name in (b"latin-\xff.png", b"new\nline", b"bell\x07", b"delete\x7f"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert keys(tmp_path) == [
        "incoming/bell\\x07",
        "incoming/delete\\x7f",
        "incoming/latin-\\xff.png",
        "incoming/new\\x0aline",
    ]


def test_a_file_is_dropped_under_its_name_and_a_folder_without_its_own(tmp_path: Path) -> None:
    make(tmp_path, "cam/a.jpg", "b.jpg")
    files, *_ = walk([tmp_path / "cam", tmp_path / "b.jpg"], "site//1/")
    assert [file.key for file in files] == ["incoming/site/1/a.jpg", "incoming/site/1/b.jpg"]


def test_two_files_of_one_key_are_rejected_before_anything_is_uploaded(tmp_path: Path) -> None:
    make(tmp_path, "one/a.jpg", "two/a.jpg")
    with pytest.raises(
        DropError, match=r"one/a\.jpg and .*two/a\.jpg would both become incoming/a\.jpg.*--prefix"
    ):
        walk([tmp_path / "one", tmp_path / "two"])


def test_the_same_file_named_twice_is_taken_once(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    files, *_ = walk([tmp_path, tmp_path / "a.jpg"])
    assert [file.key for file in files] == ["incoming/a.jpg"]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DropError, match="nowhere does not exist"):
        walk([tmp_path / "nowhere"])


def test_what_cannot_be_uploaded_is_reported(tmp_path: Path) -> None:
    # GIVEN a dangling link, a socket, a pipe and a name too long for a key next to a good file
    make(tmp_path, "good.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # names of sockets are short
    server.bind("socket")
    os.chdir(here)
    long = "/".join(["d" * 200] * 6) + "/x"
    make(tmp_path, long)

    # WHEN the folder is walked
    files, skipped, *_ = walk([tmp_path])
    server.close()

    # THEN the good one is taken and the others are named with a reason
    assert [file.key for file in files] == ["incoming/good.jpg"]
    reasons = {item.path.name: item.reason for item in skipped}
    assert reasons["dangling"] == "No such file or directory"
    assert reasons["socket"] == reasons["pipe"] == "not a regular file"
    assert "1024 are allowed" in reasons["x"]


def test_a_key_has_1024_bytes_at_most_however_many_letters_they_are(tmp_path: Path) -> None:
    folder = "/".join(["é" * 120] * 4)  # 963 bytes, and 18 of "incoming/" and a slash before the name
    make(tmp_path, f"{folder}/{'a' * 51}", f"{folder}/{'b' * 52}", f"{folder}/{'é' * 100}")
    found = walk([tmp_path])
    assert [len(file.key.encode()) for file in found.files] == [1024]
    assert [item.path.name[0] for item in found.skipped] == ["b", "é"]


def test_a_link_that_leads_nowhere_is_reported_also_if_it_is_named_itself(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    found = walk([tmp_path / "dangling"])
    assert (found.files, [item.path.name for item in found.skipped]) == ([], ["dangling"])


def test_links_are_followed_and_a_loop_is_entered_once(tmp_path: Path) -> None:
    make(tmp_path, "real/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "real" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "other").symlink_to(tmp_path / "elsewhere")
    assert keys(tmp_path / "real") == ["incoming/a.jpg", "incoming/other/b.jpg"]


def test_an_unreadable_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "secret.jpg")
    with monkeypatch.context() as patch:  # whoever runs the tests may be root, whom no permission stops
        patch.setattr(os, "access", lambda _path, mode: mode != os.R_OK)
        files, skipped, *_ = walk([tmp_path])
    assert not files
    assert skipped[0].reason == "no permission to read it"


@pytest.mark.parametrize("prefix", [".", "cam/..", "../cam", "cam/./1"])
def test_a_prefix_has_no_relative_folder(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(DropError, match=r"named \. or \.\."):
        walk([tmp_path], prefix)


LEFT_BY_SYSTEMS = [
    "._a.jpg", "cam/._b.jpg", "cam/Thumbs.db", "cam/thumbs.DB", ".DS_Store", "@eaDir/a.jpg/SYNOPHOTO.jpg", "desktop.ini", "a.jpg.part",
    "b.tmp", "c.crdownload", "__MACOSX/a.jpg", "$RECYCLE.BIN/x.jpg", "~$a.jpg", ".nfs0001", ".Trash-1000/files/a.jpg", "#recycle/a.jpg",
]  # fmt: skip


def test_what_systems_leave_next_to_images_is_left_out_and_counted(tmp_path: Path) -> None:
    make(tmp_path, *LEFT_BY_SYSTEMS, "a.jpg", "cam/b._c.jpg", "tmp", "part.jpg", ".hidden.jpg")
    found = walk([tmp_path])
    assert [file.key for file in found.files] == [
        "incoming/.hidden.jpg", "incoming/a.jpg", "incoming/cam/b._c.jpg", "incoming/part.jpg", "incoming/tmp",
    ]  # fmt: skip
    assert (found.left_out, found.skipped) == (len(LEFT_BY_SYSTEMS), [])


def test_patterns_of_ones_own(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.txt", "raw/b.jpg", "cam/._c.jpg", "cam/d.tmp")
    found = walk([tmp_path], exclude=["*.TXT", "raw/*"], include=["._*"])
    assert [file.key for file in found.files] == ["incoming/a.jpg", "incoming/cam/._c.jpg"]
    assert found.left_out == 3


def test_a_file_that_is_named_itself_is_taken(tmp_path: Path) -> None:
    make(tmp_path, "._a.jpg")
    assert [file.key for file in walk([tmp_path / "._a.jpg"]).files] == ["incoming/._a.jpg"]


def test_names_that_differ_in_their_composition_alone_are_named(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "größe.jpg") for form in ("NFC", "NFD")]
    make(tmp_path, *names, "grosse.jpg", "größe²", "größe2")  # the last two show differently
    if len(list(tmp_path.iterdir())) < 5:  # a file system that takes them for one
        return
    found = walk([tmp_path])
    assert len(found.files) == 5
    assert [{file.path.name for file in group} for group in found.look_alike] == [set(names)]


def test_a_folder_that_cannot_be_read_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"x")
    scan = os.scandir

    def scandir(path: str | int) -> Any:  # a descriptor, where a folder of another test is deleted meanwhile
        if Path(str(path)).name == "closed":  # whoever runs the tests may be root, whom no permission stops
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        found = walk([tmp_path])
    assert [file.key for file in found.files] == ["incoming/open/a.jpg"]
    assert found.skipped == [SkippedFile(tmp_path / "closed", "Permission denied")]
