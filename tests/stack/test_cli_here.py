"""`dropsort demo` and `up` from start to end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stack.helpers import PROXIES
from training.dataset import samples

# What the first start on a machine installs is there before: it takes minutes on a busy one.
pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow(reason="starts services as a user does"),
    pytest.mark.usefixtures("embedded_python", "host_packages"),
]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "dropsort.cli"]
ENVIRONMENT = {**os.environ, **PROXIES, "PYTHONPATH": str(ROOT)}


def processes(mark: str) -> list[str]:
    """Command lines and folders of running processes that hold this text."""
    found = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in found if mark in line and "ps -eo" not in line]


def test_demo_takes_every_file_and_leaves_its_captures_for_a_report(tmp_path: Path) -> None:
    # GIVEN a folder with images under all sorts of names, and files that are not images
    images = tmp_path / "images"
    samples.drawn(images, 6, seed=1)
    picture = next((images / "bicycle").iterdir()).read_bytes()
    for name in (".hidden", "no-extension", "a b+c%2B.png", "ünï 🚲.jpg", "new\nline.gif", "deep/er/x.jpeg"):
        path = images / "bicycle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    (images / "empty").write_bytes(b"")
    (images / "notes.txt").write_text("not a picture")
    count = sum(path.is_file() for path in images.rglob("*"))

    # WHEN the demo sorts them
    result = subprocess.run(
        [*COMMAND, "demo", "--images", str(images), "--json", "summary.json"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )

    # THEN every file has one result, the figures are there, and nothing is left running
    assert result.returncode == 0, result.stderr + result.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["images"] == summary["results"] == count
    assert sum(summary["outcomes"].values()) == count
    assert summary["reasons"]["empty_object"] == 1
    assert 0 < summary["latency_seconds"]["p50"] <= summary["latency_seconds"]["p95"]
    # AND the figures say which of the images waited for the functions to start
    assert 0 < summary["cold_starts"] <= 8
    assert summary["warm_latency_seconds"]["p50"] > 0
    assert "without the first" in result.stdout
    assert summary["images_per_second"] > 0
    assert summary["by_folder"]["images"] == 12
    assert summary["lost"] == summary["twice"] == []

    # AND the report is about that run
    report = subprocess.run(
        [*COMMAND, "report", "--no-open"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stderr
    page = (tmp_path / report.stdout.strip()).read_text()
    assert "the last demo" in page
    assert "Compared with the evaluation set of bikes-1.0.0, 200 predictions." in page


def test_up_says_how_to_reach_it_and_leaves_nothing_behind(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # GIVEN a running service, started by a shell that makes its background jobs ignore Ctrl-C
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND, "up", "--data", str(tmp_path / "data")],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=out,
            stderr=err,
        )
    request.addfinalizer(process.kill)  # its own processes end with it
    deadline = time.monotonic() + 240
    while "Ctrl-C stops it" not in (tmp_path / "out").read_text():
        assert process.poll() is None, (tmp_path / "err").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    said = (tmp_path / "out").read_text()
    # AND every file of its folder is in the guide
    documented = set(
        re.findall(r"^\| `([\w.-]+)/?` \|", (ROOT / "docs/guides/local.md").read_text(), re.MULTILINE)
    )
    assert {path.name for path in (tmp_path / "data").iterdir()} <= documented

    # WHEN the plain client uses what it says
    exports = dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", said))
    url = re.search(r"--endpoint-url (\S+)", said)
    assert url is not None
    listed = subprocess.run(
        [str(Path(sys.executable).with_name("aws")), "s3", "ls", "--endpoint-url", url[1]],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        | {name: value for name, value in exports.items() if "ENDPOINT" not in name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "dropsort" in listed.stdout, listed.stderr

    # AND a second service on its folder is rejected
    second = subprocess.run(
        [*COMMAND, "up", "--data", str(tmp_path / "data")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "Another service runs on" in second.stderr

    # THEN Ctrl-C ends it with the usual code, and no process of it is left
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 128 + signal.SIGINT
    assert processes(str(tmp_path)) == []
    # AND its steps are lines where there is no terminal, the last one that it has ended
    steps = (tmp_path / "err").read_text().splitlines()
    assert "Starting the embedded AWS and the endpoint" in steps
    assert "Restarting the embedded AWS, which saves what was deployed" in steps
    assert list(filter(None, steps))[-2:] == ["Stopping ...", "Stopped."]
