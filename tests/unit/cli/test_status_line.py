"""The line of `dropsort up`: its words, and when it is drawn; and what the command itself prints."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from dropsort.cli import local, status_line
from dropsort.cli.status_line import StatusLine, row, sentence
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.local import running, service
from dropsort.local.activity import ExecutionCounts, RecordedResult


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (ExecutionCounts(), "Waiting for images."),
        (ExecutionCounts(1, 1), "1 image in · 1 classified"),
        (ExecutionCounts(1), "1 image in · 1 waiting"),
        (ExecutionCounts(2000, 1000, 900, 50, 40, 7),
         "2,000 images in · 1,000 classified · 900 low-confidence · 50 failed · 40 replaced or ignored · 10 waiting, 7 of them tried again"
         " soon"),
        (ExecutionCounts(3, 0, 3), "3 images in · 3 low-confidence"),
    ],
)  # fmt: skip
def test_the_counts_in_one_line(counts: ExecutionCounts, words: str) -> None:
    assert sentence(counts) == words


@pytest.mark.parametrize(
    ("one", "words", "style"),
    [
        (RecordedResult("incoming/a.jpg", "classified", "bicycle", 0.98765), "a.jpg  classified  bicycle 0.988", "green"),
        (RecordedResult("incoming/a.jpg", "failed", reason="not_an_image"), "a.jpg  failed  not_an_image", "red"),
        (RecordedResult("incoming/a.jpg", "low-confidence", "b", 0.5, "below_threshold"),
         "a.jpg  low-confidence  b 0.500 below_threshold", "yellow"),
        (RecordedResult("incoming/a.jpg", "failed", reason="throttled", retryable=True), "a.jpg  waiting  throttled", "cyan"),
        (RecordedResult("incoming/a.jpg", "classified", "b"), "a.jpg  classified  b", "green"),
    ],
)  # fmt: skip
def test_a_result_in_one_line(one: RecordedResult, words: str, style: str) -> None:
    before = datetime.now().replace(microsecond=0)
    found = row(one)
    moment, rest = found.plain.split("  ", 1)
    assert rest == words
    shown = datetime.combine(before, datetime.strptime(moment, "%H:%M:%S").time())
    assert abs((shown - before).total_seconds()) < 60 or before.hour in (0, 23)
    assert [span.style for span in found.spans] == [style]


class Live:
    """Instead of rich's: what it was given, and what was drawn."""

    made: ClassVar[list[Live]] = []

    def __init__(self, text: Any, **options: Any) -> None:
        self.text, self.options, self.calls = text, options, list[Any]()
        self.made.append(self)

    def start(self, **options: Any) -> None:
        self.calls.append(("start", options))

    def update(self, text: Any, **options: Any) -> None:
        self.calls.append((text.plain, options))

    def stop(self) -> None:
        self.calls.append("stop")


class Console:
    """A console that records what is printed."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.printed = is_terminal, list[Any]()

    def print(self, text: Any, **options: Any) -> None:
        self.printed.append((getattr(text, "plain", text), options))


class Activity:
    def __init__(self, *found: list[RecordedResult]) -> None:
        self.counts, self.found = ExecutionCounts(1), list(found)

    def take_recent(self) -> list[RecordedResult]:
        return self.found.pop(0)


def lines(monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool, *found: list[RecordedResult]) -> Any:
    """What is drawn and printed while results arrive."""
    shown, requested = Console(terminal), list[Any]()
    Live.made.clear()
    monkeypatch.setattr("rich.live.Live", Live)
    monkeypatch.setattr(status_line, "console", lambda **options: requested.append(options) or shown)
    with StatusLine(Activity(*found), quiet) as live:  # type: ignore[arg-type]
        for _ in found:
            live.show()
    assert requested == [{"stderr": True}]
    return shown, list(Live.made)


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True), (False, True)])
def test_where_it_is_quiet_or_there_is_no_terminal_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool
) -> None:
    shown, made = lines(monkeypatch, terminal, quiet, [RecordedResult("incoming/a", "failed")])
    assert (shown.printed, made) == ([], [])


def test_a_terminal_has_a_line_that_is_drawn_when_something_is_new_and_goes_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [RecordedResult(f"incoming/{number}", "failed") for number in range(6)]
    shown, (live,) = lines(monkeypatch, True, False, results[:5], results)
    assert (live.text.plain, live.text.style) == ("1 image in · 1 waiting", "bold")
    assert live.options == {
        "console": shown, "auto_refresh": False, "transient": True, "redirect_stdout": False
    }  # fmt: skip
    update = ("1 image in · 1 waiting", {"refresh": True})
    assert live.calls == [("start", {"refresh": True}), update, update, "stop"]
    assert len(shown.printed) == 5 + 1 + 5
    assert shown.printed[5] == ("  … 1 more", {"style": "dim"})
    assert all(options == {"soft_wrap": True} for _, options in (*shown.printed[:5], *shown.printed[6:]))
    assert [text.split()[1] for text, _ in shown.printed[6:]] == ["1", "2", "3", "4", "5"]


class Service:
    """A service that is up, and what it was made with."""

    bucket, endpoint_url, running = f"images-{'x' * 120}", "http://127.0.0.1:1", "running"
    model = f"bikes [1] {'x ' * 80}end"
    changes, environment, activity = [f"Threshold\n0.9 {'x ' * 80}end"], {"A": f"b {'c ' * 80}"}, None
    given: tuple[Any, ...] = ()

    def __init__(self, *given: Any, on_step: Any, **options: Any) -> None:
        type(self).given = (given, options)
        on_step("Starting")

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        local.note("ended")

    def wait(self, show: Any) -> None:
        show()
        raise KeyboardInterrupt


@pytest.mark.parametrize("data", [None, "data"])
def test_up_prints_how_to_reach_the_service_and_what_becomes_of_its_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str | None
) -> None:
    announced: list[Any] = []
    monkeypatch.setattr(service, "LocalService", Service)
    monkeypatch.setattr(running, "announced", lambda found: announced.append(found) or nullcontext())
    monkeypatch.setattr(local, "invoked_as", lambda: "/venv/dropsort")
    monkeypatch.setattr(
        local,
        "StatusLine",
        lambda activity, quiet: nullcontext(SimpleNamespace(show=lambda: local.note(str(quiet)))),
    )
    arguments = ["--port", "4566", "--quiet", *(["--data", str(tmp_path / data)] if data else [])]
    shown = CliRunner().invoke(local.up, arguments)
    folder = tmp_path / data if data else None
    bucket = Service.bucket
    assert Service.given == (
        (folder, 4566),
        {"model": DEFAULT_MODEL, "parameters": local.thresholds(DEFAULT_MODEL)},
    )
    assert announced == ["running"]
    stored = f"everything is stored in {folder}" if data else "everything is deleted (--data DIR stores it)"
    assert shown.stdout.splitlines() == [
        f"Dropsort is up: s3://{bucket} at http://127.0.0.1:1",
        f"Model: {Service.model}",
        f"Threshold\N{REPLACEMENT CHARACTER}0.9 {'x ' * 80}end",
        "In another terminal:",
        "",
        f"  export A='b {'c ' * 80}'",
        '  eval "$(/venv/dropsort env)"    # the same, without copying',
        "  /venv/dropsort drop FOLDER --wait",
        f"  aws s3 cp --recursive FOLDER s3://{bucket}/incoming/ --endpoint-url http://127.0.0.1:1",
        f"  aws s3 ls --recursive s3://{bucket}/classified/ --endpoint-url http://127.0.0.1:1",
        "",
        f"Ctrl-C stops it; {stored}.",
    ]
    assert [line for line in shown.stderr.splitlines() if line] == [
        "Starting",
        "True",
        "Stopping ...",
        "ended",
        "Stopped.",
        "Aborted!",
    ]
