"""Files that commands write: whole or not at all, with their permissions; what is no regular file stays what it is."""

from __future__ import annotations

import locale
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropsort.contract.written_files import descriptor, replaceable, writing


@pytest.fixture
def ascii_only() -> Iterator[None]:
    """The encoding of the locale has ASCII alone."""
    former = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, former)


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    # GIVEN a file in a folder that does not exist yet
    target = tmp_path / "new" / "folder" / "file.txt"
    with writing(target) as output:
        output.write("é")
        # THEN nothing of that name is there before the end, but a hidden part in its folder
        assert [one.name for one in target.parent.iterdir()] == [f".file.txt.{os.getpid()}.part"]
    assert target.read_bytes() == "é".encode()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    "name",
    ["a" * 251 + ".txt", "é" * 127, "\N{BICYCLE}" * 63, os.fsdecode(b"\xff" * 255)],
    ids=["one byte", "two", "four", "not UTF-8"],
)
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    with writing(tmp_path / name) as output:
        output.write("whole")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "whole")]


def test_an_error_leaves_the_former_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("former")

    def fail_midway() -> None:
        with writing(target) as output:
            output.write("half")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail_midway()
    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_that_others_made_under_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    # GIVEN a folder in which others can write, who know the name of the file that is written first
    secret, target = tmp_path / "secret", tmp_path / "shared" / "file.json"
    secret.write_text("former")
    target.parent.mkdir()
    hidden = target.with_name(f".file.json.{os.getpid()}.part")
    hidden.symlink_to(secret)
    # WHEN the file is written THEN it is whole, and what the link leads to is as it was
    with writing(target) as output:
        output.write("new")
    assert (secret.read_text(), target.read_text(), target.is_symlink()) == ("former", "new", False)
    # AND a link that comes between is an error
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: hidden.symlink_to(secret))
        with pytest.raises(FileExistsError), writing(target) as output:
            output.write("newer")
    assert (secret.read_text(), target.read_text()) == ("former", "new")


def test_a_file_that_is_replaced_has_the_former_permissions(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("former")
    target.chmod(0o640)
    with writing(target) as output:
        output.write("new")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o640)


@pytest.mark.usefixtures("ascii_only")
@pytest.mark.parametrize("kind", ["regular", "link", "descriptor"])
def test_text_without_an_encoding_is_treated_alike_everywhere(kind: str, tmp_path: Path) -> None:
    real, target = tmp_path / "real", tmp_path / "real"
    opened = os.open(real, os.O_WRONLY | os.O_CREAT)
    try:
        if kind == "link":
            target = tmp_path / "link"
            target.symlink_to(real)
        if kind == "descriptor":
            target = Path(f"/dev/fd/{opened}")
        with writing(target, "surrogateescape") as output:
            output.write("é\udcff")
        assert real.read_bytes() == "é".encode() + b"\xff"
        assert target == real or not real.is_symlink()
        with pytest.raises(UnicodeEncodeError), writing(target) as output:
            output.write("\udcff")
    finally:
        os.close(opened)


def test_what_is_open_is_written_to_at_its_position_and_stays_open(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        file.write("before\n")
        file.flush()
        with writing(Path(f"/proc/self/fd/{file.fileno()}")) as output:
            output.write("é\n")
        file.write("after\n")
    assert log.read_text(encoding="utf-8") == "before\né\nafter\n"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/3", 3),
        ("/proc/self/fd/123456789", 123456789),
        ("/dev/fd/1234567890", None),  # no number that a file can have
        ("/dev/fd/x", None),
        ("/dev/fd/", None),
        ("/dev/stdin", None),
        ("/dev/fd/3/x", None),
        ("x/dev/fd/3", None),
        ("file", None),
    ],
)
def test_names_of_open_files(name: str, number: int | None) -> None:
    assert descriptor(Path(name)) == number


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    found = {name: replaceable(tmp_path / name) for name in ("file", "link", "fifo", "none", ".")}
    assert found == {"file": True, "link": False, "fifo": False, "none": True, ".": False}
