"""Where captures are: a folder, a bucket, the last demo or a service, with every setting of each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from dropsort.cli import locations
from dropsort.cli.locations import locate
from dropsort.client import deployed_service
from dropsort.client.aws import Aws
from dropsort.client.captures import CaptureLocation, of_service
from dropsort.client.deployed_service import DeployedService
from dropsort.contract import defaults

AWS = Aws(None, "eu-west-1")


def deployed(**parameters: str) -> DeployedService:
    return DeployedService("bikes", "images", "arn", "bikes", {}, parameters)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which no demo ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(deployed_service, "find", lambda *_: pytest.fail("a service is not searched for"))
    return tmp_path


def test_a_folder_has_aggregates_of_its_own(folder: Path) -> None:
    (folder / "captures").mkdir()
    found = locate("captures/../captures", None, None, None, AWS)
    assert found == CaptureLocation(str(folder / "captures"), found.state, "captures/../captures")
    assert re.fullmatch(r"\.dropsort/monitoring/captures-[0-9a-f]{8}", found.state)
    # AND another folder of the same name has others, while the same one has the same
    (folder / "other" / "captures").mkdir(parents=True)
    assert locate("other/captures", None, None, None, AWS).state != found.state
    assert locate("captures", None, None, None, AWS).state == found.state
    assert locate("captures", "mine", None, None, AWS).state == "mine"


def test_a_bucket_is_taken_as_it_is_written() -> None:
    found = locate("s3://b/captures", None, "a,b", None, AWS)
    assert (found.source, found.name, found.labels) == ("s3://b/captures", "s3://b/captures", ("a", "b"))
    assert found.state.startswith(".dropsort/monitoring/captures-")


@pytest.mark.parametrize(
    ("source", "words"),
    [("nothing", "There is no folder nothing: name one"), ("file", "file is a file: name the folder")],
)
def test_what_is_not_a_folder_is_named(folder: Path, source: str, words: str) -> None:
    (folder / "file").touch()
    with pytest.raises(click.BadParameter, match=words):
        locate(source, None, None, None, AWS)


def test_a_source_and_a_service_exclude_each_other(folder: Path) -> None:
    with pytest.raises(click.UsageError, match="Either SOURCE or --stack"):
        locate(str(folder), None, None, "bikes", AWS)


@pytest.mark.parametrize(
    ("given", "found"),
    [("a,b", ("a", "b")), (" a , b c ", ("a", "b c")), ("a,b,c", ("a", "b", "c")), (None, ())],
)
def test_labels_are_separated_by_commas(given: str | None, found: tuple[str, ...]) -> None:
    assert locations._labels(given) == found


def test_labels_may_be_in_a_file(folder: Path) -> None:
    file = folder / "labels.json"
    for content, found in (('["a"]', ("a",)), ("[]", ())):
        file.write_text(content)
        assert locations._labels("labels.json") == found
    for content in ('{"a": 1}', '["a", 5]', "5"):
        file.write_text(content)
        with pytest.raises(
            click.ClickException, match=r"labels\.json is not a list of labels: give the labels\.json of"
        ):
            locations._labels("labels.json")
    file.write_text("[")
    with pytest.raises(click.ClickException, match=r"is not JSON .*: give the labels\.json of a model\."):
        locations._labels("labels.json")


def demo(summary: Any = None) -> Path:
    """The captures of a demo in this folder."""
    made = Path(".dropsort/last-demo")
    (made / "captures").mkdir(parents=True, exist_ok=True)
    if summary is not None:
        (made / "summary.json").write_text(summary if isinstance(summary, str) else json.dumps(summary))
    return made


def test_the_last_demo_has_the_settings_of_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {
        "finished": "2026-11-26 10:00 UTC", "threshold": 0.7, "familiarity_threshold": 0.05, "invoked": 36, "reference": "the set of m"
    }  # fmt: skip
    made = demo(summary)
    expected = CaptureLocation(
        str(made / "captures"), str(made / "monitoring"), "the last demo, 2026-11-26 10:00 UTC", (), 0.7, 0.05, invoked=36, images=True,
        compared="the set of m",
    )  # fmt: skip
    assert locate(None, None, None, None, AWS) == expected
    (made / "reference.json").touch()
    found = locate(None, "mine", "a,b", None, AWS)
    assert (found.reference, found.state, found.labels) == (str(made / "reference.json"), "mine", ("a", "b"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("summary", [None, {}, "[", "[]"])
def test_a_demo_without_a_summary_has_the_defaults(summary: Any) -> None:
    made = demo(summary)
    assert locate(None, None, None, None, AWS) == CaptureLocation(
        str(made / "captures"), str(made / "monitoring"), "the last demo", (), defaults.THRESHOLD, defaults.FAMILIARITY_THRESHOLD,
        images=True, compared="the model's reference.json",
    )  # fmt: skip


def test_where_a_service_runs_the_demo_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    locate(None, None, None, None, AWS)
    assert capsys.readouterr().err == (
        "This is about the last demo in this folder; --stack dropsort is about the service that runs.\n"
    )


def test_a_service_is_found_by_its_stack_also_after_a_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(deployed_service, "find", lambda _client, name: names.append(name) or deployed())
    assert locate(None, None, None, None, AWS).stack == "bikes"
    demo()
    found = locate(None, "mine", "a,b", "bikes", AWS)
    assert (found.state, found.labels, names) == ("mine", ("a", "b"), ["dropsort", "bikes"])


def test_without_a_demo_and_a_service_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: Any) -> Any:
        raise ConnectionError("S3 is away")

    monkeypatch.setattr(deployed_service, "find", find)
    with pytest.raises(click.ClickException) as error:
        locate(None, None, None, None, AWS)
    assert error.value.format_message().startswith(
        "No demo ran in this folder, and no service was found: ConnectionError: S3 is away"
    )
    with pytest.raises(ConnectionError):
        locate(None, None, None, "bikes", AWS)


def test_captures_of_a_service_have_its_settings() -> None:
    given = {
        "Labels": " a, b ,", "Threshold": "0.7", "FamiliarityThreshold": "0.05", "CaptureSamplingPercentage": "25", "ModelVersion": "m-1",
        "Precision": "0.9",
    }  # fmt: skip
    assert of_service(deployed(**given)) == CaptureLocation(
        "s3://images/captures", "s3://images/monitoring", "stack bikes, s3://images/captures", ("a", "b"), 0.7, 0.05, precision=0.9,
        reference="s3://images/monitoring/reference.json", stack="bikes", bucket="images", model="m-1", capture_percent=25.0,
    )  # fmt: skip
    plain = of_service(deployed(), "state", ("x", "y"))
    assert (plain.state, plain.labels, plain.capture_percent) == ("state", ("x", "y"), 100.0)
    assert (plain.threshold, plain.familiarity_threshold) == (
        defaults.THRESHOLD,
        defaults.FAMILIARITY_THRESHOLD,
    )
    assert of_service(deployed(**given), None, ("x", "y")).labels == ("x", "y")
    assert of_service(deployed(Labels="")).labels == ()


def test_a_location_alone_has_the_defaults() -> None:
    found = SimpleNamespace(**vars(CaptureLocation("s", "t", "n")))
    assert vars(found) == {
        "source": "s", "state": "t", "name": "n", "labels": (), "threshold": defaults.THRESHOLD, "precision": defaults.PRECISION,
        "familiarity_threshold": defaults.FAMILIARITY_THRESHOLD, "invoked": None, "images": False, "reference": "", "compared": "",
        "stack": "", "bucket": "", "model": "", "capture_percent": 100.0,
    }  # fmt: skip
