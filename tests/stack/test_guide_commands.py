"""The commands of README and guides, run literally and in their order: against a running service, or until there is one."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dropsort.deployment import package
from dropsort.local.running import announced
from dropsort.local.service import LocalService
from tests import needs
from tests.unit.monitoring.capture_cases import line
from training.dataset import samples

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow(reason="types the guides' commands, training and two services among them"),
]

ROOT = Path(__file__).resolve().parents[2]
# `up` and `review` run until Ctrl-C; the first is the service of the tests here. `deploy` is for an account, and `pip` would change
# this environment.
ENV = 'eval "$(dropsort env)"'
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
    service: LocalService, tmp_path: Path, terminal: dict[str, str], page: str, section: str
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


@contextmanager
def up(line: str, model: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """What `dropsort up` starts, until Ctrl-C."""
    with subprocess.Popen(
        line.split(), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout
            assert any(shown.startswith(f"Model: {model}") for shown in service.stdout)
            assert any(shown.startswith("Ctrl-C stops it") for shown in service.stdout)
            yield
        finally:
            service.send_signal(signal.SIGINT)
    assert service.returncode == 130


def results(folder: Path) -> dict[str, Any]:
    """The results that `dropsort results` wrote, by key."""
    found = map(json.loads, (folder / "results.json").read_text().splitlines())
    return {result["source"]["key"]: result for result in found}


def test_the_guides_train_a_model_serve_it_and_learn_from_reviews(
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
    (serve,) = [line for line in lines if line.startswith("dropsort up")]
    at = lines.index(serve)
    assert [line.split()[:2] for line in lines[at + 1 :]][1:] == [
        ["dropsort", "drop"],
        ["dropsort", "results"],
    ]

    # WHEN they are typed, `up` and what follows in two terminals, THEN each one succeeds
    type_lines(lines[:at], tmp_path, terminal)
    # AND, so that there is something to review, images that are unlike all others
    random = np.random.default_rng(1)
    for number, label in enumerate(("speed-limit", "stop", "warning")):
        noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8))
        noise.save(tmp_path / "signs-test" / label / f"noise-{number}.png")
    with up(serve, "signs", tmp_path, terminal):
        type_lines([*lines[at + 1 :], "dropsort results --json results.json"], tmp_path, terminal)
        # AND the model of the guide classified the images
        labels = json.loads((tmp_path / "models/signs/labels.json").read_text())
        assert labels == ["speed-limit", "stop", "warning"]
        sure = {key: one for key, one in results(tmp_path).items() if one["outcome"] == "classified"}
        # WHEN all doubtful ones but one are reviewed by their true labels, and a second model learns from them
        type_lines([ENV, "dropsort review --export doubtful.csv"], tmp_path, terminal)
        with (tmp_path / "doubtful.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) >= 2
        assert not sure.keys() & {row["key"] for row in rows}
        unsure = rows.pop()["key"]
        for row in rows:
            row["review"] = row["key"].split("/")[-2]
        with (tmp_path / "reviewed.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        commands = [
            "dropsort review --import reviewed.csv",
            "dropsort dataset joined --images signs --model models/signs --test 0",
            "dropsort train --images joined --model models/signs-2 --no-mirror --epochs 1",
            "dropsort compare models/signs-2 --model models/signs --images signs-test --json compared.json",
        ]
        type_lines([ENV, *commands], tmp_path, terminal)
        compared = json.loads((tmp_path / "compared.json").read_text())
        assert compared["verdict"] in ("roll out", "do not roll out", "undecided")
    # AND it is rolled out, and what the first was unsure of is classified again
    with up(serve.replace("models/signs", "models/signs-2"), "signs-2", tmp_path, terminal):
        type_lines([ENV, "dropsort redrive --outcome low-confidence --min-age 0 --yes"], tmp_path, terminal)
        deadline = time.monotonic() + 120
        while True:
            type_lines([ENV, "dropsort results --json results.json"], tmp_path, terminal)
            after = results(tmp_path)
            if after[unsure]["model"]["version"].startswith("signs-2-"):
                break
            assert time.monotonic() < deadline, "the second model did not classify it"
            time.sleep(1)
    # THEN each reviewed image has the label of its review, and all others are as they were
    for row in rows:
        assert (after[row["key"]]["outcome"], after[row["key"]]["label"]) == ("classified", row["review"])
    assert {key: after[key] for key in sure} == sure
