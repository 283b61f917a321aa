"""What `dropsort results` and `drop` show and write: every line of a table, of one image and of an upload, with stand-ins for S3."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Shown

from dropsort.cli import drop as dropping
from dropsort.cli import results as showing
from dropsort.cli.drop import drop
from dropsort.cli.results import results
from dropsort.client import deployed_service, drop_and_wait, files, image_history
from dropsort.client import drop as uploading
from dropsort.client import results as reading
from dropsort.client.errors import MissingResultsError
from dropsort.client.image_history import ImageHistory, UploadVersion
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload
from dropsort.contract import reconciliation
from tests.unit.client.test_summary import finished
from tests.unit.contract.test_reviews import decided

MARK = "\N{REPLACEMENT CHARACTER}"


def ignored(path: str) -> bool:
    """What the service gives no result."""
    return path == "b.txt"


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(bucket="images", ignored=ignored)
    monkeypatch.setattr(deployed_service, "find", lambda _client, stack: {"bikes": found}[stack])
    monkeypatch.setenv("DROPSORT_STACK", "bikes")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def run(command: Any, *arguments: str | Path) -> Shown:
    return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)


def rows(shown: str) -> list[tuple[str, ...]]:
    """The lines of a table: names and values."""
    return [tuple(re.split(r"\s{2,}", line.strip())) for line in shown.splitlines() if line.strip()]


def result(name: str, outcome: str = "classified", label: str | None = "bicycle", **members: Any) -> Result:
    source = {"key": f"incoming/{name}"}
    shares = {"bicycle": 0.9, "motorcycle": 0.1}
    document = {
        "source": source,
        "outcome": outcome,
        "label": label,
        "confidence": 0.9,
        "probabilities": shares,
    }
    return Result(f"{outcome}/{name}.json", document | members)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is listed, and what was requested."""
    found: dict[str, Any] = {"results": [], "whys": [], "unreadable": []}

    def iterate(_s3: Any, bucket: str, *, outcomes: Any, prefix: str, unreadable: Any) -> Any:
        found["requested"] = (bucket, tuple(outcomes), prefix)
        for sentence in found["unreadable"]:
            unreadable(sentence)
        return iter(found["results"])

    def check(_s3: Any, bucket: str, **options: Any) -> Any:
        found["checked"] = (bucket, options)
        return [SimpleNamespace(why=why) for why in found["whys"]]

    monkeypatch.setattr(reading, "iterate", iterate)
    monkeypatch.setattr(reconciliation, "check", check)
    return found


def test_results_are_a_table_counts_and_accuracy(listed: dict[str, Any], tmp_path: Path) -> None:
    busy = {"reason": {"code": "throttled", "retryable": True}, "label": None, "confidence": None}
    person = {
        "review": {"by": "ada", "action": "label", "was": {"outcome": "classified", "label": "bicycle"}}
    }
    listed["results"] = [
        result("bicycle/a.jpg"), result("motorcycle/b.jpg", "low-confidence", reason={"code": "below_threshold"}),
        result("bicycle/c.jpg", "failed", **busy), result("bicycle/d.jpg", **person),
    ]  # fmt: skip
    listed["whys"] = [reconciliation.NO_RESULT, reconciliation.RETRYABLE, "", reconciliation.NO_RESULT]
    shown = run(results, "--limit", "2", "--json", tmp_path / "r.jsonl")
    assert shown.return_value == 0
    assert listed["requested"] == ("images", ("classified", "low-confidence", "failed"), "")
    assert listed["checked"] == ("images", {"prefix": "", "failures": False, "ignored": ignored})
    found = rows(shown.stdout)
    assert [row[0] for row in found[:3]] == ["image", "motorcycle/b.jpg", "bicycle/c.jpg"]
    assert found[3:] == [
        ("… and 2 more",), ("results", "4 in s3://images"), ("classified", "2"), ("low-confidence", "1"),
        ("waiting", "1 retryable: the service starts them again by itself"),
        ("accuracy", "0.500 (2 of 4 in folders named like a label; of these, people decided 1, counted as the model predicted)"),
        ("2 uploads have no result yet.",),
    ]  # fmt: skip
    assert shown.stderr == ""
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [one.document for one in listed["results"]]


def test_a_selection_has_no_accuracy_and_a_prefix_is_named_with_it(listed: dict[str, Any]) -> None:
    listed["results"] = [result("bicycle/a.jpg"), result("bicycle/b.jpg", label="motorcycle")]
    listed["whys"] = [reconciliation.NO_RESULT]
    shown = run(results, "--label", "motorcycle", "--limit", "0")
    assert rows(shown.stdout) == [
        ("results", "1 in s3://images"), ("classified", "1"), ("1 upload has no result yet.",)
    ]  # fmt: skip
    shown = run(results, "--outcome", "failed", "--limit", "0")
    assert listed["requested"][1] == ("failed",)
    assert "accuracy" not in shown.stdout
    shown = run(results, "--prefix", "bi", "--limit", "0")
    assert (listed["requested"][2], listed["checked"][1]["prefix"]) == ("bi", "bi")
    assert ("accuracy", "0.500 (1 of 2 in folders named like a label, of --prefix bi alone)") in rows(
        shown.stdout
    )


def test_nothing_has_a_hint(listed: dict[str, Any]) -> None:
    nothing = (
        "Nothing was uploaded yet: dropsort drop FOLDER --wait uploads images and shows their results.\n"
    )
    assert run(results).stderr == nothing
    for arguments in (["--label", "a"], ["--outcome", "failed"], ["--prefix", "a"]):
        assert run(results, *arguments).stderr == ""
    assert (
        run(results, "--prefix", "incoming/a").stderr == "--prefix is relative to incoming/: try --prefix a\n"
    )
    listed["whys"] = [reconciliation.NO_RESULT]
    assert run(results).stderr == ""
    listed["results"] = [result("a.jpg"), result("b.jpg", label="ape"), result("c.jpg", "failed", None)]
    assert run(results, "--label", "cat").stderr == "No result has the label cat. Labels: ape, bicycle.\n"
    assert run(results, "--label", "ape").stderr == ""


def test_what_is_not_a_result_is_named_and_makes_it_fail(listed: dict[str, Any]) -> None:
    listed["unreadable"] = ["a.json is damaged", "b.json is damaged"]
    shown = run(results)
    assert (shown.return_value, shown.stderr.splitlines()[:2]) == (1, listed["unreadable"])


@pytest.mark.parametrize(
    "options", [["--json", "-", "--csv", "-"], ["--csv", "-", "--parquet", "/dev/stdout"]]
)
def test_standard_output_takes_one_format(listed: dict[str, Any], options: list[str]) -> None:
    result_ = CliRunner().invoke(results, options)
    assert (result_.exit_code, "Standard output takes one of" in result_.output) == (2, True)
    assert "requested" not in listed


@pytest.mark.parametrize(
    "option",
    [("--outcome", "failed"), ("--label", "a"), ("--prefix", "a"), ("--csv", "a"), ("--parquet", "a")],
)
def test_one_image_excludes_what_is_for_several(option: tuple[str, str]) -> None:
    result_ = CliRunner().invoke(results, ["a.jpg", *option])
    assert (result_.exit_code, "KEY is one image" in result_.output) == (2, True)


WRITTEN = datetime(2026, 11, 26, 9, 5, 7, tzinfo=UTC)


def test_one_image_is_shown_with_its_results_its_reviews_and_its_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    review = decided(("label", "motorcycle"), ("none", None))
    one = result(
        "a.jpg", reason={"code": "below_threshold", "message": "0.6 < 0.9."}, threshold=0.9, familiarity=0.5, familiarity_threshold=0.0,
        inference_id="i", execution="arn", trace=None, image={"format": "PNG", "width": 1920, "height": 1080},
        model={"version": "m", "variant": None, "endpoint": "e"}, times={"uploaded": None, "recorded": "now"},
    )  # fmt: skip
    versions = [UploadVersion("v2", WRITTEN, None), UploadVersion("v1", WRITTEN, 1234)]
    history = ImageHistory("incoming/a.jpg", versions, [one], review.decisions, True)
    requested: list[Any] = []
    monkeypatch.setattr(image_history, "find", lambda _s3, *given: requested.append(given) or history)
    shown = run(results, "s3://images/incoming/a.jpg", "--json", tmp_path / "r.json")
    assert requested == [("images", "incoming/a.jpg")]
    first, second = review.decisions
    assert rows(shown.stdout) == [
        ("image", "s3://images/incoming/a.jpg"), ("result", "s3://images/classified/a.jpg.json"), ("outcome", "classified"),
        ("reason", "0.6 < 0.9. (below_threshold)"), ("label", "bicycle 0.9000"), ("motorcycle 0.1000",), ("threshold", "0.9"),
        ("familiarity", "0.5"), ("familiarity threshold", "0.0"), ("inference id", "i"), ("execution", "arn"),
        ("format", "PNG, 1,920 × 1,080 pixels"), ("model", "version m, endpoint e"), ("times", "recorded now"),
        ("review", f"{first.at} Ada: label motorcycle (was low-confidence bicycle) (of an earlier"),
        ("upload)",),
        (f"{second.at} Ada: none (was classified motorcycle) (of an earlier upload)",),
        ("uploads", "2026-11-26 09:05:07 UTC, deleted, v2"), ("2026-11-26 09:05:07 UTC, 1,234 bytes, v1",),
    ]  # fmt: skip
    assert json.loads((tmp_path / "r.json").read_text()) == one.document
    assert shown.return_value == 0


def test_one_image_without_a_result_and_one_that_a_person_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    history = ImageHistory("incoming/a.jpg", [], [])
    monkeypatch.setattr(image_history, "find", lambda *_: history)
    assert rows(run(results, "a.jpg").stdout) == [
        ("image", "s3://images/incoming/a.jpg"), ("result", "none yet; if it does not arrive: dropsort redrive")
    ]  # fmt: skip
    reviewed = result("a.jpg", label="tandem", review={"by": "ada"})
    assert showing._facts(reviewed, "b")[2:] == [
        ("label", "tandem (reviewed)"), ("predicted", "bicycle 0.9000"), ("", "motorcycle 0.1000")
    ]  # fmt: skip
    assert (
        showing._facts(result("a.jpg", "failed", None, review={"by": "ada"}, probabilities=None), "b")[2:]
        == []
    )


@pytest.mark.parametrize(("size", "fetched"), [(None, False), (20_000_000, True), (20_000_001, False)])
def test_the_newest_version_is_fetched_if_it_is_not_large(
    monkeypatch: pytest.MonkeyPatch, size: int | None, fetched: bool
) -> None:
    requests: list[Any] = []
    body = SimpleNamespace(read=lambda: b"image")
    s3 = SimpleNamespace(get_object=lambda **request: requests.append(request) or {"Body": body})
    monkeypatch.setattr(showing.thumbnail, "draw", lambda content: content)
    versions = [UploadVersion("v2", WRITTEN, size), UploadVersion("v1", WRITTEN, 1)]
    found = showing._image(s3, "images", ImageHistory("incoming/a", versions, []))  # type: ignore[arg-type]
    assert (found, requests) == (
        (b"image", [{"Bucket": "images", "Key": "incoming/a"}]) if fetched else (None, [])
    )
    assert showing._image(s3, "images", ImageHistory("incoming/a", [], [])) is None  # type: ignore[arg-type]


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Three files, of which the service ignores one and one is there already, and what was given to upload them."""
    found: dict[str, Any] = {}
    items = [files.LocalFile(Path(name), f"incoming/{name}", 1) for name in ("a.jpg", "b.txt", "c\n.jpg")]
    walk = SimpleNamespace(files=items, skipped=[], left_out=1, look_alike=[[items[0], items[2]]])

    def upload(_s3: Any, bucket: str, given: Any, *, again: bool, done: Any) -> None:
        found["uploaded"] = (bucket, given, again)
        for number, file in enumerate(given):
            done(uploading.Uploaded(file, "e", finished=None if number == 2 else WRITTEN))

    def wait(_s3: Any, bucket: str, given: Any, **options: Any) -> None:
        found["waited"] = (bucket, given, options["again"], options["patience_seconds"], options["ignored"])
        upload(_s3, bucket, given, again=options["again"], done=options["uploaded"])
        for item in found.get("finished", []):
            options["done"](item)
        if found.get("missing"):
            raise MissingResultsError("2 uploads have no result.", ["incoming/a.jpg"])

    monkeypatch.setattr(
        files, "walk", lambda paths, prefix, **options: found.update(walk=(paths, prefix, options)) or walk
    )
    monkeypatch.setattr(uploading, "drop", upload)
    monkeypatch.setattr(drop_and_wait, "drop_and_wait", wait)
    return found


def test_an_upload_counts_what_is_new_and_what_was_there(walked: dict[str, Any], tmp_path: Path) -> None:
    shown = run(
        drop,
        tmp_path,
        "--prefix",
        "p",
        "--exclude",
        "x",
        "--include",
        "y",
        "--again",
        "--json",
        tmp_path / "d.json",
    )
    assert shown.return_value == 0
    assert walked["walk"] == ((tmp_path,), "p", {"exclude": ("x",), "include": ("y",)})
    bucket, given, again = walked["uploaded"]
    assert (bucket, len(given), again) == ("images", 3, True)
    assert shown.stdout == "2 uploaded to s3://images/incoming/, 1 was already there.\n"
    document = {"bucket": "images", "uploaded": 2, "unchanged": 1, "left_out": 1, "ignored": 1, "skipped": []}
    assert json.loads((tmp_path / "d.json").read_text()) == document
    lines = shown.stderr.splitlines()
    assert lines[0] == "1 file is left out: files of operating systems and programs, or --exclude."
    assert f"a.jpg, c{MARK}.jpg" in lines[1]
    assert "1 file is" in lines[2]
    assert "waited" not in walked


def test_results_that_are_waited_for_are_shown_with_their_totals(
    walked: dict[str, Any], tmp_path: Path
) -> None:
    walked["finished"] = [finished("b/z.jpg"), finished("b/y.jpg", "low-confidence")]
    shown = run(drop, tmp_path, "--wait", "--timeout", "7", "--json", tmp_path / "d.json")
    bucket, given, again, patience, chosen = walked["waited"]
    assert (bucket, len(given), again, patience, chosen) == ("images", 3, False, 7.0, ignored)
    found = rows(shown.stdout)
    assert [row[0] for row in found[:3]] == ["image", "b/y.jpg", "b/z.jpg"]
    assert ("images", "2") in found
    assert found[-1] == ("2 uploaded to s3://images/incoming/, 1 was already there.",)
    document = json.loads((tmp_path / "d.json").read_text())
    assert (document["images"], document["results"], document["cold_starts"]) == (2, 2, 0)
    assert document["warm_latency_seconds"]["p50"] == 1.0


def test_results_that_do_not_come_are_an_error_after_what_came(
    walked: dict[str, Any], tmp_path: Path
) -> None:
    walked["missing"] = True
    shown = run(drop, tmp_path, "--wait", "--json", tmp_path / "d.json")
    assert isinstance(shown.exception, MissingResultsError)
    assert "already there" in shown.stdout
    assert json.loads((tmp_path / "d.json").read_text())["results"] == 0


def test_ctrl_c_says_what_is_uploaded(
    walked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, done: Any, **__: Any) -> None:
        done(uploading.Uploaded(files.LocalFile(Path("a"), "incoming/a", 1), "e"))
        raise KeyboardInterrupt

    monkeypatch.setattr(uploading, "drop", interrupted)
    shown = CliRunner().invoke(drop, [str(tmp_path)])
    assert dropping.interrupted(1, 3) in shown.stderr


def test_what_is_not_there_is_wrong_usage_but_for_a_link(walked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert run(drop, tmp_path / "link").return_value == 0
    shown = CliRunner().invoke(drop, [str(tmp_path / "nothing")])
    assert (shown.exit_code, "does not exist." in shown.output) == (2, True)


def test_a_finished_upload_that_waits_is_a_failure(walked: dict[str, Any], tmp_path: Path) -> None:
    busy: FinishedUpload = finished("b/z.jpg", "failed", None, retryable=True)
    walked["finished"] = [busy]
    shown = run(drop, tmp_path, "--wait")
    assert shown.return_value == 1
    assert "1 of 3 images have no result yet. To wait for them, run the same command again; " in shown.stderr
