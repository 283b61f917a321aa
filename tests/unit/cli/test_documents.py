"""Writing where ``--json FILE`` says: regular files in one step, everything else as it is."""

from __future__ import annotations

import ast
import inspect
import io
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import numpy as np
import pytest

from dropsort.cli.documents import is_standard_output, read_json, write_json, write_json_lines, writing
from dropsort.contract.errors import DropsortError
from dropsort.pages import html
from dropsort.review import labels
from tests.unit.cli.no_account import ENVIRONMENT
from tests.unit.cli.test_documented import VERBS, command
from training.evaluation import reference_file
from training.evaluation.figures import Predictions

DOCUMENT = {"images": 3, "label": "オートバイ"}


def test_a_regular_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "new" / "summary.json"
    write_json(target, DOCUMENT)
    target.chmod(0o640)
    before = target.stat().st_ino
    write_json(target, DOCUMENT | {"images": 4})
    assert json.loads(target.read_text())["images"] == 4
    assert (target.stat().st_ino != before, stat.S_IMODE(target.stat().st_mode)) == (True, 0o640)
    assert [path.name for path in target.parent.iterdir()] == ["summary.json"]


def test_a_document_that_cannot_be_encoded_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "lines.jsonl"
    write_json_lines(target, [DOCUMENT])
    with pytest.raises(TypeError):
        write_json_lines(target, [DOCUMENT, {"bad": object()}])
    assert json.loads(target.read_text()) == DOCUMENT
    assert [path.name for path in tmp_path.iterdir()] == ["lines.jsonl"]


def test_times_have_the_form_that_they_have_in_results(tmp_path: Path) -> None:
    there = datetime(2026, 11, 26, 15, 33, 15, 141_000, timezone(timedelta(hours=1)))
    write_json(tmp_path / "status.json", {"oldest_uploaded": there, "page": tmp_path})
    found = json.loads((tmp_path / "status.json").read_text())
    assert found == {"oldest_uploaded": "2026-11-26T14:33:15.141Z", "page": str(tmp_path)}


def test_a_fifo_gets_the_document(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_text()))
    reader.start()
    write_json(fifo, DOCUMENT)
    reader.join(60)
    assert json.loads(received[0]) == DOCUMENT
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_standard_output_has_it_all_when_the_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a pipe that is closed is an error of the command, not one after its end."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    write_json(Path("-"), DOCUMENT)
    assert json.loads(written.getvalue()) == DOCUMENT


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(tmp_path / "link.json", DOCUMENT)
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == DOCUMENT


def test_devices_stay_devices() -> None:
    write_json(Path("/dev/null"), DOCUMENT)
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)
    with pytest.raises(
        click.ClickException, match=r"^/dev/full cannot be written: No space left on device\.$"
    ):
        write_json(Path("/dev/full"), DOCUMENT)
    assert stat.S_ISCHR(os.lstat("/dev/full").st_mode)


@pytest.mark.parametrize("target", ["/dev/stdout", ">(cat)", "-"])
def test_commands_write_to_what_a_shell_gives_them(target: str) -> None:
    # GIVEN a shell that passes standard output by name, or a process to write to
    command = f"{sys.executable} -m dropsort.cli cost --json {target}; sleep 0.3"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    begin = result.stdout.index("{")  # before or after the table, where that goes to standard output, too
    assert json.JSONDecoder().raw_decode(result.stdout, begin)[0]["uploads_a_month"], result.stderr


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_what_a_shell_has_redirected_is_not_emptied(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # GIVEN standard output that is appended to a file
    log = tmp_path / "log"
    log.write_text("before\n")
    saved = os.dup(1)
    with log.open("a") as appending:
        os.dup2(appending.fileno(), 1)
    try:
        write_json(Path(name), DOCUMENT)
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
    # THEN what was there stays
    text = log.read_text() if name != "-" else "before\n" + capfd.readouterr().out
    assert (text[:7], json.loads(text[7:] or log.read_text()[7:])) == ("before\n", DOCUMENT)
    assert is_standard_output(Path(name))
    assert not is_standard_output(Path("/dev/fd/2"))


# What writes a file of an option, with the file; each goes through dropsort.contract.written_files.writing.
WRITERS: dict[str, Callable[[Path], object]] = {
    "write_json": lambda path: write_json(path, DOCUMENT),
    "write_json_lines": lambda path: write_json_lines(path, [DOCUMENT]),
    "writing": lambda path: write_through(path),
    "write_page": lambda path: html.save(path, "<p>"),
    "write": lambda path: reference_file.write(path, Predictions([], np.eye(2), np.zeros(2)), ["a", "b"]),
    "_export": lambda path: labels.export([], "images", path),
}
PAGES = {"report", "dashboard"}  # --out is a folder or a page: dropsort.pages.html.page_file and save
WRITTEN = [
    (verb, item)
    for verb in VERBS
    for item in command(verb).params
    if isinstance(item.type, click.Path) and item.type.file_okay and not item.type.exists and item.name != "paths"
]  # fmt: skip


def write_through(path: Path) -> None:
    with writing(path) as output:
        output.write("a")


@pytest.mark.parametrize(("verb", "option"), [(verb, str(item.name)) for verb, item in WRITTEN])
def test_every_command_writes_its_files_through_one_function(verb: str, option: str) -> None:
    # GIVEN an option of any command that names a file to write
    callback = inspect.unwrap(command(verb).callback)  # type: ignore[arg-type]
    tree = ast.parse(Path(inspect.getfile(callback)).read_text(encoding="utf-8"))
    # THEN it is handed to a function that is tested below, whatever the command is
    given = {
        ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(isinstance(value, ast.Name) and value.id == option for value in node.args)
    }
    assert given & WRITERS.keys() or verb in PAGES, f"{verb}: {option} is written by {given}"
    # AND no module of commands opens a file to write by itself
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name != "open"
            assert not name.endswith((".write_text", ".write_bytes"))


@pytest.mark.parametrize("writer", WRITERS)
def test_no_writer_replaces_what_is_no_regular_file(writer: str, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    for target in ("/dev/null", "/dev/full", "/dev/fd/{}"):
        # GIVEN a device, or a pipe that is open, by a link whose name is that of any file
        read, write = os.pipe()
        file.unlink(missing_ok=True)
        file.symlink_to(target.format(write))
        with suppress(OSError, DropsortError, click.ClickException):
            WRITERS[writer](file)
        os.close(write)
        # THEN it is written to, and stays what it was
        assert file.is_symlink()
        assert bool(os.read(read, 10)) == (target == "/dev/fd/{}")
        os.close(read)
    assert all(stat.S_ISCHR(os.lstat(device).st_mode) for device in ("/dev/null", "/dev/full"))
    # AND a FIFO, with somebody who reads it
    file.unlink()
    os.mkfifo(file)
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    WRITERS[writer](file)
    assert os.read(reader, 10)
    assert stat.S_ISFIFO(file.lstat().st_mode)
    os.close(reader)


def test_damaged_json_is_named_with_advice(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(click.ClickException, match=r"labels\.json is not JSON .*: give a list\.$"):
        read_json(tmp_path / "labels.json", "give a list")


def test_json_is_two_spaces_deep_and_lines_are_compact_both_with_the_signs_of_every_language(
    tmp_path: Path,
) -> None:
    write_json(tmp_path / "a", DOCUMENT)
    assert (tmp_path / "a").read_text(encoding="utf-8") == '{\n  "images": 3,\n  "label": "オートバイ"\n}\n'
    write_json_lines(tmp_path / "b", [DOCUMENT, {}])
    assert (tmp_path / "b").read_text(encoding="utf-8") == '{"images": 3, "label": "オートバイ"}\n{}\n'


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(None, DOCUMENT)
    write_json_lines(None, [DOCUMENT])
    assert list(tmp_path.iterdir()) == []
    assert [is_standard_output(one) for one in (None, Path("-"), Path("a"))] == [False, True, False]


@pytest.mark.parametrize("content", ["{", "[" * 100_000, b"\xff"], ids=["cut", "nested", "no UTF-8"])
def test_what_is_no_json_is_named_with_advice(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "a").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(click.ClickException, match=r"a is not JSON \(.*\): give another\.$"):
        read_json(tmp_path / "a", "give another")


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (BrokenPipeError(), BrokenPipeError, ""),
        (
            OSError(28, "No space left on device"),
            click.ClickException,
            "a cannot be written: No space left on device.",
        ),
        (OSError("odd"), click.ClickException, "a cannot be written: odd."),
    ],
)
def test_a_reader_that_has_had_enough_is_no_error_of_the_file(
    error: OSError, raised: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropsort.contract.written_files.writing", nullcontext)
    with pytest.raises(raised) as found, writing(Path("a")):
        raise error
    assert words == (found.value.format_message() if isinstance(found.value, click.ClickException) else "")
