"""Writing where ``--json FILE`` says: regular files in one step, everything else as it is."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from dropsort.cli.documents import read_json, write_json, write_json_lines
from tests.unit.cli.nowhere import ENVIRONMENT

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


def test_a_fifo_gets_the_document(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_text()))
    reader.start()
    write_json(fifo, DOCUMENT)
    reader.join(10)
    assert json.loads(received[0]) == DOCUMENT
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


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


def test_damaged_json_is_named_with_advice(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(click.ClickException, match=r"labels\.json is not JSON .*: give a list\.$"):
        read_json(tmp_path / "labels.json", "give a list")
