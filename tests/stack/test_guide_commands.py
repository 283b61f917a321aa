"""The commands of README and of the guide for one machine, run literally and in their order against a running service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dropsort.local.running import announced
from dropsort.local.service import Service
from training.dataset import samples

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
# `up` runs until Ctrl-C: it is the service of the tests here. `deploy` is for an account.
NOT_HERE = ("dropsort up", "dropsort deploy")


def script(page: str, section: str) -> list[str]:
    """The shell lines of a section of a page."""
    text = (ROOT / page).read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    lines = [line.partition(" #")[0].replace(".venv/bin/", "").strip() for line in lines]
    return [
        line + (" --once" if "dropsort watch" in line else "")
        for line in lines
        if not line.startswith(NOT_HERE)
    ]


@pytest.mark.parametrize(("page", "section"), [("README.md", "Use it"), ("docs/guides/local.md", "Start")])
def test_every_command_of_the_page_succeeds_in_its_order(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, section: str
) -> None:
    # GIVEN a service that runs, a folder of images, and a terminal without any AWS setting
    samples.drawn(tmp_path / "photos", 4, seed=5)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    lines = script(page, section)
    assert lines[0].startswith("eval ")
    assert len(lines) >= 5

    # WHEN its lines are typed one after another
    with announced(service.running):
        done = subprocess.run(
            ["sh", "-exc", "\n".join(lines)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    # THEN each one succeeds
    assert done.returncode == 0, done.stderr + done.stdout
