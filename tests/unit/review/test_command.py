"""`dropsort review` without its page: labels go out, come back, and are decisions (moto's S3)."""

from __future__ import annotations

import csv
import re
import webbrowser
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from dropsort.cli.review import review
from dropsort.client import deployed_service
from dropsort.contract import keys, reviews
from dropsort.review.server import Server
from dropsort.review.session import Session
from tests.unit.review.conftest import BUCKET, Upload, stored


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose bucket is that of the tests."""
    found = deployed_service.DeployedService("dropsort", BUCKET, "arn", "e", {}, {})
    monkeypatch.setattr(deployed_service, "find", lambda _client, _name: found)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(review, list(arguments), standalone_mode=False)


def test_labels_go_out_and_come_back(s3: Any, upload: Upload, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    upload("a.png")
    upload("b.png", outcome=keys.CLASSIFIED, reason=None)
    assert "labels.csv: 1 image." in run("--export", str(file)).stdout
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    rows[0]["review"] = "tandem"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows([*rows, rows[0] | {"key": "incoming/gone.png"}])
    done = run("--import", str(file), "--reviewer", "Ada")
    assert "1 decided, 0 unchanged, 0 conflict, 1 missing." in done.stdout
    assert "incoming/gone.png: there is no such image" in done.stderr
    assert done.return_value == 1
    (decision,) = stored(s3)[reviews.key("a.png")]["decisions"]
    assert (decision["by"], decision["label"]) == ("Ada", "tandem")


def test_a_file_without_labels_is_an_error_that_says_where_they_go(
    s3: Any, upload: Upload, tmp_path: Path
) -> None:
    # GIVEN files as they are exported, in which nobody has written a label
    upload("a.png")
    for suffix, words in (
        (".csv", "fill the column review"),
        (".json", "Label Studio"),
        (".manifest", "output manifest"),
    ):
        file = tmp_path / f"labels{suffix}"
        assert run("--export", str(file)).return_value == 0
        # WHEN one is imported THEN the error says what to do
        found = str(run("--import", str(file)).exception)
        assert found.startswith(f"{file} has no labels")
        assert words in found


def test_what_somebody_has_reviewed_is_exported_only_on_demand(
    s3: Any, upload: Upload, tmp_path: Path
) -> None:
    # GIVEN one image to review and one about which somebody has decided that no label fits
    upload("a.png")
    upload("b.png", review={"id": "1", "by": "Ada", "action": "none"})
    file = tmp_path / "labels.csv"
    # AND a result that cannot be read
    s3.put_object(Bucket=BUCKET, Key="low-confidence/c.png.json", Body=b"{")
    # WHEN both are exported THEN the first is there, and both if their outcome is named
    exported = run("--export", str(file))
    assert "labels.csv: 1 image." in exported.stdout
    assert "low-confidence/c.png.json" in exported.stderr
    assert [row["key"] for row in csv.DictReader(file.open(encoding="utf-8"))] == ["incoming/a.png"]
    assert "labels.csv: 2 images." in run("--export", str(file), "--outcome", "low-confidence").stdout
    assert [row["review"] for row in csv.DictReader(file.open(encoding="utf-8"))] == ["", "(none)"]


def test_wrong_usage_is_an_error_before_anything_happens(s3: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("key,review\n")
    assert "exclude each other" in str(run("--export", "b.csv", "--import", str(file)).exception)
    assert "--reviewer" in str(run("--reviewer", "\x1b[31m").exception)
    for option in ("--export", "--import"):
        wrong = tmp_path / "b.xlsx"
        wrong.write_text("key,review\n")
        found = run(option, str(wrong)).exception
        assert "the name has to end in" in str(found)
        assert isinstance(found, click.UsageError)  # exit code 2


def test_no_other_user_reads_the_token_from_the_browsers_arguments(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a browser that stores its arguments, and how it finds the file that they name
    script, seen = tmp_path / "browser", tmp_path / "seen"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$1" > {seen}\nfile="${{1#file://}}"\nstat -c %a "$file" >> {seen}\ncat "$file" >> {seen}\n'
    )
    script.chmod(0o755)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    monkeypatch.setattr(webbrowser, "_browsers", {})
    webbrowser.register("browser", None, webbrowser.GenericBrowser(str(script)))
    # WHEN the page is opened, and ends
    monkeypatch.setattr(Server, "run", lambda self: None)
    run("--open", "--reviewer", "Ada")
    # THEN the argument has no token; the file that it names is this user's alone, leads to the address, and is gone
    argument, mode, content = seen.read_text().split("\n", 2)
    assert re.search(r"/home/dropsort-review-\w+\.html$", argument)
    token = re.search(r"token=([\w-]{40,})", content)
    assert token
    assert token[1] not in argument
    assert mode == "600"
    assert list((tmp_path / "home").iterdir()) == []


def test_a_page_opens_no_browser_of_its_own_accord_and_ends_its_session(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, stopped = list[str](), list[Session]()
    stop = Session.stop

    def stopping(session: Session) -> None:
        stopped.append(session)
        stop(session)

    monkeypatch.setattr("dropsort.cli.review.open_in_browser", opened.append)
    monkeypatch.setattr(Session, "stop", stopping)
    monkeypatch.setattr(Server, "run", lambda _: 1 / 0)  # also where serving fails
    shown = run("--reviewer", "Ada")
    assert "Review s3://pictures as Ada: http://127.0.0.1:" in shown.stdout
    assert isinstance(shown.exception, ZeroDivisionError)
    assert opened == []
    (session,) = stopped
    assert session.thumbnails._pool is None
