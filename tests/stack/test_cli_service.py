"""The commands against a running service: drop, results, redrive, deploy, report, dashboard."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropsort.contract import stack as stacks
from dropsort.local.service import LocalService
from tests.commands import ROOT, Run, runner
from tests.stack.helpers import PROXIES
from training.dataset import samples

pytestmark = pytest.mark.stack


@pytest.fixture
def run(service: LocalService, tmp_path: Path) -> Run:
    """Runs `dropsort` in an empty folder, with the variables that `dropsort up` prints, on a machine with a proxy."""
    return runner(tmp_path, {**os.environ, **PROXIES, **service.environment})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    samples.drawn(folder, 6, seed=3)
    return folder


def test_drop_waits_and_shows_what_results_shows(run: Run, images: Path, tmp_path: Path) -> None:
    # GIVEN images in folders that are labels, and a file that is not an image
    names = {path.relative_to(images).as_posix() for path in images.rglob("*") if path.is_file()}

    # AND files that are ignored by default, but included, which the service ignores
    (images / "._ignored.jpg").write_bytes(b"x")

    # WHEN they are dropped
    dropped = run("drop", str(images), "--prefix", "cli", "--include", "._*", "--wait", "--json", "drop.json")

    # THEN each has a result, and both commands say the same of it
    summary = json.loads((tmp_path / "drop.json").read_text())
    assert "1 file is uploaded, but the service ignores such names" in dropped.stderr
    assert (summary["uploaded"], summary["images"], summary["results"]) == (
        len(names) + 1,
        len(names),
        len(names),
    )
    assert "no result yet" not in run("results", "--prefix", "cli/", "--json", "results.jsonl").stdout
    documents = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {item["source"]["key"] for item in documents} == {f"incoming/cli/{name}" for name in names}
    assert all(f"cli/{name}" in dropped.stdout for name in names)
    assert summary["outcomes"]["failed"] == 1
    assert summary["accuracy"] is not None
    assert 0 <= summary["cold_starts"] <= len(names)

    # AND dropping them again uploads nothing
    run("drop", str(images), "--prefix", "cli", "--json", "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["uploaded"] == 0


def test_an_interrupted_drop_says_what_is_there_and_goes_on(
    run: Run, service: LocalService, tmp_path: Path
) -> None:
    # GIVEN more files than are uploaded at once
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number}.txt").write_text(f"no picture {number}")
    command = [sys.executable, "-m", "dropsort.cli", "drop", str(folder), "--prefix", "interrupted"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **service.environment}
    s3 = service.session().client("s3")

    # WHEN it is interrupted once some are there
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not s3.list_objects_v2(Bucket=service.bucket, Prefix="incoming/interrupted/", MaxKeys=1)[
            "KeyCount"
        ]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()

    # THEN it says how far it came, in one line
    assert process.returncode == 130
    assert re.fullmatch(
        r"\d+ of 3000 files are uploaded and will be classified; run the same command again to upload the rest\.",
        said.strip(),
    )


def test_json_on_standard_output_is_nothing_but_json(run: Run, images: Path) -> None:
    assert json.loads(run("drop", str(images), "--prefix", "cli-json", "--json", "-").stdout)["uploaded"] > 0


def test_redrive_sorts_what_has_lost_its_result(
    run: Run, s3: Any, service: LocalService, wait_for_result: Callable[[str], str], tmp_path: Path
) -> None:
    # GIVEN an upload whose result is gone
    Image.linear_gradient("L").resize((40, 40)).save(tmp_path / "lost.png")
    run("drop", str(tmp_path / "lost.png"), "--prefix", "redrive", "--wait")
    s3.delete_object(Bucket=service.bucket, Key=wait_for_result("incoming/redrive/lost.png"))

    # WHEN the command runs dry THEN it lists the upload, and starts nothing
    dry = run("redrive", "--prefix", "redrive/", "--min-age", "0", "--dry-run")
    assert "incoming/redrive/lost.png  (no result)" in dry.stdout

    # WHEN it is started again THEN it has its result
    run("redrive", "--prefix", "redrive/", "--min-age", "0", "--json", "redrive.json", "--yes")
    assert json.loads((tmp_path / "redrive.json").read_text())["started"] == 1
    assert wait_for_result("incoming/redrive/lost.png")


def test_monitor_report_and_dashboard_read_the_service(
    run: Run, service: LocalService, images: Path, tmp_path: Path
) -> None:
    # GIVEN captures of the service, and ground truth of one of them in its bucket
    run("drop", str(images), "--prefix", "cli-monitor", "--wait")
    service.flush()
    s3 = service.session().client("s3")
    keys = [
        item["Key"]
        for prefix in ("classified", "low-confidence")
        for item in s3.list_objects_v2(Bucket=service.bucket, Prefix=f"{prefix}/cli-monitor/").get(
            "Contents", []
        )
    ]
    result = json.loads(s3.get_object(Bucket=service.bucket, Key=keys[0])["Body"].read())
    truth = {
        "groundTruthData": {"data": result["label"], "encoding": "CSV"},
        "eventMetadata": {"eventId": result["inference_id"]},
        "eventVersion": "0",
    }
    s3.put_object(Bucket=service.bucket, Key="ground-truth/cli.jsonl", Body=json.dumps(truth).encode())

    # WHEN they are aggregated and shown
    run("monitor", "--stack", "dropsort", "--state", "state", "--json", "monitor.json")
    page = run(
        "report", "--stack", "dropsort", "--state", "state", "--no-open", "--out", "report.html"
    ).stdout.strip()
    s3.delete_object(Bucket=service.bucket, Key="ground-truth/cli.jsonl")
    board = run("dashboard", "--no-open", "--out", "board.html").stdout.strip()

    # THEN every response of the endpoint was read, and both pages are there
    assert json.loads((tmp_path / "monitor.json").read_text())["records"] >= 6
    text = (tmp_path / page).read_text()
    assert "Compared with s3://dropsort/monitoring/reference.json, 200 predictions." in text
    # AND the ground truth of the bucket was used, and images name their keys
    assert "1 of 1 with ground truth" in text
    assert "<span>incoming/" in text
    assert "<!doctype html>" in (tmp_path / board).read_text()


def test_a_stack_that_does_not_exist_is_reported_in_one_line(run: Run) -> None:
    result = run("results", "--stack", "nowhere", code=1)
    assert result.stderr.startswith("dropsort: There is no stack nowhere at http://127.0.0.1:")
    assert result.stderr.count("\n") == 1
    assert "nothing to destroy" in run("destroy", "--stack", "nowhere", code=1).stderr


@pytest.mark.parametrize("verb", ["monitor", "report"])
def test_a_bucket_that_does_not_exist_is_reported_in_one_line(run: Run, tmp_path: Path, verb: str) -> None:
    result = run(verb, "s3://no-such-bucket/captures", code=1)
    assert result.stderr.startswith("dropsort: ")
    assert "no-such-bucket" in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_cannot_be_dropped_is_named_and_the_rest_is(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "good.txt").write_text("x")
    (folder / "dangling").symlink_to(tmp_path / "gone")
    result = run("drop", str(folder), "--prefix", "cli-some", code=1)
    assert "dangling: No such file or directory" in result.stderr
    assert "1 uploaded" in result.stdout


@pytest.mark.slow(reason="deploys and deletes a second stack")
def test_deploy_and_destroy_a_second_service_in_the_same_account(
    run: Run, s3: Any, service: LocalService, tmp_path: Path
) -> None:
    # WHEN the endpoint is none of this machine THEN nothing is created
    assert (
        "no endpoint nope in this region; it has dropsort"
        in run("deploy", "--stack", "second", "--endpoint", "nope", code=1).stderr
    )

    # WHEN a service is deployed, changed and deployed again
    created = run(
        "deploy",
        "--stack",
        "second",
        "--endpoint",
        "dropsort",
        "-p",
        "RequireTls=false",
        "--json",
        "out.json",
    )
    assert "A probe upload had its result" in created.stderr
    outputs = json.loads((tmp_path / "out.json").read_text())["outputs"]
    # THEN its workers share the libraries of the service that is there: none unpacks them for itself
    cloudformation = service.session().client("cloudformation")
    one, other = (stacks.find(cloudformation, name) for name in (service.stack, "second"))
    assert one
    assert other
    assert other.parameters["LibrariesKey"] == one.parameters["LibrariesKey"]
    assert "shared" in other.parameters["LibrariesKey"]
    changed = run("deploy", "--stack", "second", "-p", "Threshold=0.5", "--no-probe")
    assert "Updating stack second" in changed.stderr
    assert "probe" not in changed.stderr
    assert "up to date" in run("deploy", "--stack", "second", "--no-probe").stderr

    # THEN a wrong value is rejected with CloudFormation's message, and destroy asks for confirmation
    rejected = run("deploy", "--stack", "second", "-p", "Threshold=7", code=1)
    assert "Threshold" in rejected.stderr
    unknown = run("deploy", "--stack", "second", "-p", "threshold=0.7", code=1)
    assert "has no parameter threshold. It has AlarmEmail," in unknown.stderr
    s3.put_object(Bucket=outputs["BucketName"], Key="notes.txt", Body=b"x")
    unconfirmed = run("destroy", "--stack", "second", code=1)
    assert "Confirmation is needed" in unconfirmed.stderr
    assert f"Keeps bucket {outputs['BucketName']} with 1 object version" in unconfirmed.stdout
    run("destroy", "--stack", "second", "--delete-images", "--yes")
    assert outputs["BucketName"] not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_keys_that_would_act_on_a_terminal_are_shown_harmlessly(
    run: Run, s3: Any, service: LocalService, wait_for_result: Callable[[str], str], tmp_path: Path
) -> None:
    # GIVEN uploads of another client whose keys hold escape sequences, C1 codes, a line feed and a reversed name; and one of slashes
    names = ("a\x1b]0;title\x07\x1b[31m.png", "b\x9b31m\u202egpj.png", "c\nd\r.png", "//")
    Image.linear_gradient("L").resize((40, 40)).save(tmp_path / "a.png")
    for name in names:
        s3.put_object(
            Bucket=service.bucket, Key=f"incoming/cli-keys/{name}", Body=(tmp_path / "a.png").read_bytes()
        )
    # THEN each has its result
    locations = [wait_for_result(f"incoming/cli-keys/{name}") for name in names]
    # WHEN they are shown, in every way there is
    shown = [
        run("results", "--prefix", "cli-keys/").stdout,
        run("results", "--prefix", "cli-keys/", "--json", "-").stdout,
    ]
    for location in locations[:3]:
        s3.delete_object(Bucket=service.bucket, Key=location)
    shown.append(run("redrive", "--prefix", "cli-keys/", "--min-age", "0", "--dry-run", "--json", "-").stdout)
    (tmp_path / names[0].replace("/", "")).write_bytes(b"x")
    shown.append(
        run("drop", str(tmp_path / names[0].replace("/", "")), "--prefix", "cli-keys-dropped").stderr
    )
    # THEN no character acts, and the JSON means the keys
    for text in shown:
        assert set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"} == set()
    keys = {json.loads(line)["source"]["key"] for line in shown[1].splitlines()}
    assert keys == {f"incoming/cli-keys/{name}" for name in names}
    assert (
        "incoming/cli-keys/c\ufffdd\ufffd.png  (no result)"
        in run("redrive", "--prefix", "cli-keys/", "--min-age", "0", "--dry-run").stdout
    )
