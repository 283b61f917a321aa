"""The review page with many images, in a real browser: ``python -m benchmarks.review --images 20000``.

The bucket is one of the embedded AWS, without the workflow: images and results are written directly. Measured are the time to the first
thumbnails, frames while scrolling, the time until a decision is acknowledged, as the browser sees it, a review of 200 images by keyboard
alone, and what is left after the page's server and then the browser are killed in the middle.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from dropsort.contract import keys, reviews
from dropsort.local import credentials, venv
from dropsort.local.clients import EmbeddedSession
from dropsort.local.embedded import HOST, EmbeddedAws
from dropsort.review.decisions import Decisions, now
from dropsort.review.server import Server
from dropsort.review.session import Session
from handlers import results

BUCKET = "review"
LABELS = ("bicycle", "motorcycle")
OPENINGS = 5  # each by another process of the server


def fill(s3: Any, count: int) -> None:
    """Images of 64 x 64 pixels with results of all outcomes; seven of ten are to review."""
    pictures = []
    for _ in range(100):
        content = io.BytesIO()
        Image.effect_noise((64, 64), 60).save(content, "PNG")
        pictures.append(content.getvalue())

    def write(number: int) -> None:
        chance = random.Random(number)
        key = f"{keys.INCOMING}cam{number % 20}/{number:06}.png"
        put = s3.put_object(Bucket=BUCKET, Key=key, Body=pictures[number % 100])
        source = {
            "bucket": BUCKET,
            "key": key,
            "version_id": put["VersionId"],
            "etag": put["ETag"].strip('"'),
        }
        source |= {"size": len(pictures[number % 100]), "sequencer": "1f"}
        low = chance.random() < 0.7
        confidence = chance.uniform(0.5, 0.88) if low else chance.uniform(0.88, 1)
        reason = {"code": "below_threshold", "message": "Below.", "retryable": False} if low else None
        document = {
            "schema": keys.RESULT_SCHEMA,
            "outcome": keys.LOW_CONFIDENCE if low else keys.CLASSIFIED,
            "source": source,
            "label": LABELS[0],
            "confidence": confidence,
            "probabilities": {LABELS[0]: confidence, LABELS[1]: 1 - confidence},
            "familiarity": chance.random(),
            "threshold": 0.88,
            "familiarity_threshold": 0.01,
            "reason": reason,
            "model": {"endpoint": "e", "variant": "v", "version": "benchmark"},
            "image": {"format": "PNG", "width": 64, "height": 64},
            "review": None,
            "inference_id": keys.inference_id(BUCKET, key, put["VersionId"]),
            "times": {"uploaded": now(), "recorded": now()},
            "execution": None,
            "trace": None,
        }
        outcome = str(document["outcome"])
        order = {
            "version-id": source["version_id"],
            "etag": source["etag"],
            "sequencer": "1f",
            "recorded": now(),
        }
        s3.put_object(
            Bucket=BUCKET,
            Key=keys.result_keys(keys.path_of(key))[outcome],
            Body=results.encode(document),
            Metadata=order | {"outcome": outcome, "key-digest": keys.digest(key)},
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(count)))


def serve(folder: Path, port: int) -> None:
    """The page's server, as a process that can be killed."""
    stored = credentials.read(folder / credentials.FILE)
    s3 = EmbeddedSession(stored, f"http://{HOST}:{port}", "").client("s3")
    session = Session(s3, BUCKET, "benchmark")
    session.start()
    server = Server(session)
    print(server.address, flush=True)
    server.run()
    session.stop()


@contextmanager
def served(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of `serve`, and its address."""
    # Not as a module: the processes that decode would import it again.
    program = "import sys; from pathlib import Path; from benchmarks.review import serve; serve(Path(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", program, str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    try:
        yield process, address
    finally:
        process.terminate()
        process.wait(60)


class Page:
    """The page in a browser."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
        self.page.set_default_timeout(120_000)
        self.begun = time.perf_counter()
        self.page.goto(address)

    def press(self, number: int) -> None:
        """Press the key of a decision, each in turn: a label, the other, none, undo."""
        self.page.keyboard.press("12nu"[number % 4])

    def until(self, expression: str, seconds: float = 600) -> float:
        """Wait until an expression holds; the time since the page was opened."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(expression)
            time.sleep(0.02)
        return time.perf_counter() - self.begun

    def acknowledged(self) -> list[str]:
        """Ids of the decisions that the page knows to be stored."""
        sent = "page.undo.flat().filter((one) => !page.queue.some((other) => other.id === one.id))"
        stored = "(page.status.get(one.image) || {}).kind !== 'conflict'"
        found: list[str] = self.page.evaluate(f"{sent}.filter((one) => {stored}).map((one) => one.id)")
        return found


THUMBNAILS = "[...document.querySelectorAll('.cell img')].filter((one) => one.naturalWidth).length >= 6"
DURATIONS = """performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/decide'))
  .map((one) => one.duration)"""
SCROLL = """async () => {
  const grid = document.getElementById('grid'), times = []; let last = performance.now();
  for (let frame = 0; frame < 240; frame++) {
    grid.scrollTop += 60; await new Promise(requestAnimationFrame);
    const now = performance.now(); times.push(now - last); last = now;
  }
  return times; }"""


def by_keyboard(page: Page, count: int) -> float:
    """Decide by keys alone, each when the one before is on its way; seconds."""
    begun = time.perf_counter()
    for number in range(count):
        page.press(number)
    page.until("!page.queue.length && ![...page.status.values()].some((one) => one.busy)")
    return time.perf_counter() - begun


def held(s3: Any, ids: Sequence[str]) -> dict[str, int]:
    """How many of these decisions are stored never, once, more often; and how many reviews are not results."""
    found: dict[str, int] = {}
    decisions, unapplied = Decisions(s3, BUCKET, "check"), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=reviews.PREFIX):
        for item in page.get("Contents", ()):
            review = reviews.parse(s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
            for one in review.decisions:
                found[one.id] = found.get(one.id, 0) + 1
            if reviews.in_force(review):
                unapplied += not decisions.is_applied(keys.path_of(review.source.key))
    counts = [found.get(one, 0) for one in ids]
    return {
        "acknowledged": len(ids),
        "lost": counts.count(0),
        "doubled": sum(count > 1 for count in counts),
        "not_results": unapplied,
    }


def measure(aws: EmbeddedAws, folder: Path, images: int, decisions: int, program: str) -> dict[str, Any]:
    """All figures."""
    from playwright.sync_api import sync_playwright

    s3 = aws.session().client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    begun = time.perf_counter()
    fill(s3, images)
    outcome: dict[str, Any] = {"images": images, "fill_seconds": time.perf_counter() - begun}
    print(f"filled in {outcome['fill_seconds']:.0f} s", flush=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        openings = []
        for _ in range(OPENINGS - 1):
            with served(folder, aws.port) as (_, address):
                time.sleep(1)
                openings.append(Page(chromium, address).until(THUMBNAILS))
        with served(folder, aws.port) as (process, address):
            time.sleep(1)
            page = Page(chromium, address)
            openings.append(page.until(THUMBNAILS))
            outcome["first_thumbnails_seconds"] = sorted(openings)
            outcome["all_read_seconds"] = page.until("page.state && !page.state.loading")
            page.page.click("#refresh")
            page.until("grid.length > 100 && grid.item(0)")
            frames = page.page.evaluate(SCROLL)
            outcome["frames_a_second"] = 1000 * len(frames) / sum(frames)
            outcome["frame_p95_ms"] = statistics.quantiles(frames, n=20)[18]
            page.page.keyboard.press("Home")
            page.page.evaluate("performance.clearResourceTimings()")
            # One after another, as a person does: the time of each is its own.
            for number in range(50):
                page.press(number)
                page.until("!page.queue.length")
            durations = page.page.evaluate(DURATIONS)
            outcome["acknowledged_median_ms"] = statistics.median(durations)
            outcome["acknowledged_p95_ms"] = statistics.quantiles(durations, n=20)[18]
            outcome["keyboard_decisions"], outcome["keyboard_seconds"] = (
                decisions,
                by_keyboard(page, decisions),
            )
            # The server is killed in the middle, then another one starts.
            for number in range(60):
                page.press(number)
                if number == 40:
                    process.send_signal(signal.SIGKILL)
            ids = page.acknowledged()
        with served(folder, aws.port) as (_, address):
            page = Page(chromium, address)
            page.until("page.state && !page.state.loading")
            outcome["server_killed"] = held(s3, ids)
            # The browser is killed in the middle.
            for number in range(40):
                page.press(number)
            ids = page.acknowledged()
            chromium.close()
            time.sleep(5)
            outcome["browser_killed"] = held(s3, ids)
    return outcome


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="in the bucket (default: %(default)s)")
    parser.add_argument("--decisions", type=int, default=200, help="by keyboard (default: %(default)s)")
    parser.add_argument("--browser", default="/usr/bin/chromium", help="program (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the outcome")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        aws = EmbeddedAws(venv.ensure(), folder)
        aws.start()
        try:
            outcome = measure(aws, folder, options.images, options.decisions, options.browser)
        finally:
            aws.stop()
    outcome["load_average"] = os.getloadavg()[0]
    print(json.dumps(outcome, indent=1))
    if options.json:
        options.json.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
