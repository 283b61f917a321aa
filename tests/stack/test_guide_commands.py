"""The commands of README and guides, run literally and in their order: against a running service, or until there is one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dropsort.deployment import package
from dropsort.local.running import announced
from dropsort.local.service import Service
from tests import needs
from tests.unit.monitoring.capture_cases import line
from training.dataset import samples

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
# `up` and `review` run until Ctrl-C; the first is the service of the tests here. `deploy` is for an account, and `pip` would change
# this environment.
NOT_HERE = ("dropsort up", "dropsort review", "dropsort deploy", "pip install")


def script(page: str, section: str) -> list[str]:
    """The shell lines of a section of a page; of all of it, if the section is empty."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if section:
        text = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    lines = [line.partition(" #")[0].replace(".venv/bin/", "").strip() for line in lines]
    return [line + (" --once" if "dropsort watch" in line else "") for line in lines]


def type_lines(lines: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Type lines one after another; each one has to succeed."""
    done = subprocess.run(
        ["sh", "-exc", "\n".join(lines)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a terminal without any AWS setting."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DISPLAY", "WAYLAND"))
    }
    return environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.parametrize(
    ("page", "section"),
    [("README.md", "Use it"), ("docs/guides/local.md", "Start"), ("docs/guides/monitoring.md", "")],
)
def test_every_command_of_the_page_succeeds_in_its_order(
    service: Service, tmp_path: Path, terminal: dict[str, str], page: str, section: str
) -> None:
    # GIVEN a service that runs, a folder of images, and one of captures
    samples.drawn(tmp_path / "photos", 4, seed=5)
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "a.jsonl").write_bytes(line())
    lines = [line for line in script(page, section) if not line.startswith(NOT_HERE)]
    assert len(lines) >= 4

    # WHEN its lines are typed one after another, THEN each one succeeds
    with announced(service.running):
        type_lines(lines, tmp_path, terminal)


def test_the_dry_runs_of_the_sagemaker_guide_need_no_account(
    tmp_path: Path, terminal: dict[str, str]
) -> None:
    lines = [line for line in script("docs/guides/sagemaker.md", "") if "--dry-run" in line]
    assert len(lines) >= 4
    type_lines(lines, tmp_path, terminal)


def test_the_training_guide_ends_in_a_service_with_the_own_model(
    embedded_python: Path, host_packages: package.Packages, tmp_path: Path, terminal: dict[str, str]
) -> None:
    for name in ("torch", "onnx"):
        needs.module("training", name)
    # GIVEN the guide's script, with fewer images, and its commands, with one epoch
    page = "docs/guides/training.md"
    (code,) = re.findall(
        r"^```python\n(# signs.py.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "signs.py").write_text(code.replace("range(100)", "range(20)").replace("< 80", "< 16"))
    lines = [
        line + (" --epochs 1" if line.startswith("dropsort train") else "")
        for line in script(page, "From folders to a running service")
        if "pip install" not in line
    ]
    (up,) = [line for line in lines if line.startswith("dropsort up")]
    at = lines.index(up)
    assert [line.split()[:2] for line in lines[at + 1 :]][1:] == [
        ["dropsort", "drop"],
        ["dropsort", "results"],
    ]

    # WHEN they are typed, `up` and what follows in two terminals, THEN each one succeeds
    type_lines(lines[:at], tmp_path, terminal)
    with subprocess.Popen(
        up.split(), cwd=tmp_path, env=terminal, stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout
            assert any(shown.startswith("Model: signs") for shown in service.stdout)
            assert any(shown.startswith("Ctrl-C stops it") for shown in service.stdout)
            type_lines(lines[at + 1 :], tmp_path, terminal)
        finally:
            service.send_signal(signal.SIGINT)
    assert service.returncode == 130
    # AND the model of the guide classified the images
    labels = json.loads((tmp_path / "models/signs/labels.json").read_text())
    assert labels == ["speed-limit", "stop", "warning"]
