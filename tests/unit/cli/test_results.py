"""`dropsort results` and `redrive`: uploads without a result, filters, a prefix that matches nothing, and one image."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from click.testing import CliRunner, Result

from dropsort.cli import thumbnail
from dropsort.cli.drop import drop
from dropsort.cli.errors import sentence
from dropsort.cli.redrive import redrive
from dropsort.cli.results import results
from dropsort.client.errors import NotFoundError
from tests.unit.cli.conftest import TEMPLATE
from tests.unit.client.conftest import BUCKET
from tests.unit.handlers.sample_images import encoded, noise


@pytest.fixture
def run(s3: Any, deployed: None, write_result: Callable[..., str]) -> Callable[..., Result]:
    """Runs `results` against a service with two results in folders of labels and one upload without a result."""
    for name in ("bicycle/a.jpg", "motorcycle/b.jpg", "bicycle/waiting.jpg"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/cam/{name}", Body=name.encode())
    write_result("incoming/cam/bicycle/a.jpg")
    write_result("incoming/cam/motorcycle/b.jpg", "low-confidence")
    return lambda *arguments: CliRunner().invoke(results, list(arguments), catch_exceptions=False)


def test_uploads_without_a_result_are_counted(run: Callable[..., Result]) -> None:
    shown = run()
    assert "2 in s3://images" in shown.stdout
    assert "1 upload has no result yet." in shown.stdout


def test_only_what_gets_a_result_and_has_none_is_waited_for(
    run: Callable[..., Result], s3: Any, write_result: Callable[..., str]
) -> None:
    # GIVEN an image with two results, which a redrive puts right, and a file that the service gives none
    write_result("incoming/cam/motorcycle/b.jpg", "classified")
    s3.put_object(Bucket=BUCKET, Key="incoming/cam/notes.tmp", Body=b"x")
    parameters = {"IgnoredPatterns": {"Type": "String", "Default": "*.tmp"}}
    template = json.dumps(TEMPLATE | {"Parameters": parameters})
    boto3.client("cloudformation").create_stack(StackName="bikes", TemplateBody=template)
    # THEN neither is an upload without a result
    assert "1 upload has no result yet." in run("--stack", "bikes").stdout
    assert "2 uploads have no result yet." in run().stdout


def test_an_image_is_shown_where_the_terminal_can_unless_it_is_large(
    run: Callable[..., Result], s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, image = "cam/bicycle/a.jpg", encoded(noise(8, 8), "PNG")
    s3.put_object(Bucket=BUCKET, Key=f"incoming/{key}", Body=image)
    assert "▀" not in run(key).stdout
    monkeypatch.setattr(thumbnail, "possible", lambda _: True)
    for most, shown in ((len(image), True), (len(image) - 1, False)):
        monkeypatch.setattr(thumbnail, "MOST_BYTES", most)
        assert ("▀" in run(key).stdout) is shown


def test_accuracy_is_of_all_results_of_the_prefix_or_not_shown(run: Callable[..., Result]) -> None:
    assert "0.500 (1 of 2 in folders named like a label)" in run().stdout
    shown = run("--prefix", "cam/bicycle").stdout
    assert "1.000" in shown
    assert "of --prefix cam/bicycle alone" in shown
    for selection in (["--label", "bicycle"], ["--outcome", "classified"]):
        assert "accuracy" not in run(*selection).stdout


def test_a_label_that_no_result_has_gets_the_labels_that_there_are(run: Callable[..., Result]) -> None:
    assert "No result has the label Bicycle. Labels: bicycle." in run("--label", "Bicycle").stderr
    assert run("--label", "bicycle").stderr == ""
    # AND an empty one is another than none
    assert "0 in s3://images" in run("--label", "").stdout


def test_a_prefix_that_repeats_incoming_gets_a_hint(run: Callable[..., Result]) -> None:
    assert "try --prefix cam/bicycle" in run("--prefix", "incoming/cam/bicycle").stderr
    started = CliRunner().invoke(redrive, ["--dry-run", "--prefix", "incoming/cam"], catch_exceptions=False)
    assert "try --prefix cam" in started.stderr
    assert "Nothing to redrive." in started.stdout
    assert "leave it out for all" in run("--prefix", "incoming/").stderr
    for other in ("nothing", "cam/incoming/a"):
        assert "try --prefix" not in run("--prefix", other).stderr


def test_a_bucket_without_uploads_says_how_to_begin(s3: Any, deployed: None) -> None:
    assert "Nothing was uploaded yet: dropsort drop" in CliRunner().invoke(results).stderr


@pytest.mark.parametrize(
    "name",
    ["cam/motorcycle/b.jpg", "incoming/cam/motorcycle/b.jpg", "s3://images/incoming/cam/motorcycle/b.jpg"],
)
def test_one_image_is_shown_with_its_reason_and_the_versions_of_its_upload(
    run: Callable[..., Result], s3: Any, write_result: Callable[..., str], name: str
) -> None:
    # GIVEN an upload that was deleted once and uploaded again, and its result with a reason
    key = "incoming/cam/motorcycle/b.jpg"
    s3.delete_object(Bucket=BUCKET, Key=key)
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"second")
    s3.put_object(Bucket=BUCKET, Key=f"{key}.bak", Body=b"of another key")
    reason = {
        "code": "below_threshold",
        "message": "The confidence is below the threshold.",
        "retryable": False,
    }
    write_result(key, "low-confidence", reason=reason, threshold=0.98, inference_id="abc")

    shown = run(name).stdout

    assert "s3://images/low-confidence/cam/motorcycle/b.jpg.json" in shown
    assert "The confidence is below the threshold. (below_threshold)" in shown
    assert shown.index("bicycle 0.9700") < shown.index("motorcycle 0.0300")
    assert "abc" in shown
    assert "6 bytes" in shown
    assert shown.count("UTC, deleted") == 1
    assert "14 bytes" not in shown


def test_one_image_without_a_result_and_none_at_all(run: Callable[..., Result]) -> None:
    assert "none yet" in run("cam/bicycle/waiting.jpg").stdout
    with pytest.raises(NotFoundError, match="There is no upload incoming/cam/bicycle in s3://images"):
        run("cam/bicycle")
    # AND a folder, or the path of a file on this machine, gets a hint
    for folder in ("cam/bicycle", "cam/bicycle/"):
        with pytest.raises(NotFoundError, match=r"below it: dropsort results --prefix cam/bicycle/$"):
            run(folder)
    with pytest.raises(NotFoundError, match=r"There is incoming/cam/bicycle/a\.jpg: dropsort results cam/bi"):
        run("home/photos/cam/bicycle/a.jpg")
    with pytest.raises(NotFoundError, match=r"There is incoming/cam/bicycle/a\.jpg: dropsort results cam/bi"):
        run("photos/cam/bicycle/a.jpg")
    for nothing in ("/", "home/cam/bicycle/a.jp", "x.jpg"):
        with pytest.raises(NotFoundError, match=r"and no result of it\.$"):
            run(nothing)
    for option in ("--label", "--outcome", "--prefix", "--csv", "--parquet"):
        assert "KEY is one image" in run("cam/bicycle/a.jpg", option, "classified").stderr


def test_a_prefix_that_is_not_utf_8_is_an_error_that_shows_it(run: Callable[..., Result]) -> None:
    with pytest.raises(UnicodeEncodeError) as found:
        run("--prefix", "caf\udce9")
    assert sentence(found.value).endswith(
        "/caf\N{REPLACEMENT CHARACTER} is not UTF-8, which names in AWS are."
    )


def test_a_review_of_an_earlier_upload_is_named_so(
    s3: Any, record: Callable[..., None], write_result: Callable[..., str]
) -> None:
    # GIVEN an image whose result somebody has decided
    def shown() -> str:
        return CliRunner().invoke(results, ["007.jpg"], catch_exceptions=False).stdout

    record(7, "classified", "label", "tandem")
    assert "ann: label tandem (was classified bicycle)" in shown()
    # AND the label is that of the decision; what the model predicted follows
    assert re.search(r"(?m)^label +tandem \(reviewed\) *\n(predicted) +bicycle 0\.\d", shown())
    assert "earlier" not in shown()
    # WHEN it is uploaded again THEN the decision is of an earlier upload, before and after there is a new result
    s3.put_object(Bucket=BUCKET, Key="incoming/007.jpg", Body=b"again")
    s3.delete_object(Bucket=BUCKET, Key="classified/007.jpg.json")
    earlier = "ann: label tandem (was classified bicycle) (of an earlier upload)"
    assert earlier in shown()
    write_result("incoming/007.jpg", "low-confidence", inference_id="8" * 64)
    assert earlier in shown()


def test_results_are_tables_for_other_tools(run: Callable[..., Result], tmp_path: Path) -> None:
    # GIVEN results, WHEN they are written as both tables THEN these have the same rows, with numbers and times
    run("--csv", str(tmp_path / "t.csv"), "--parquet", str(tmp_path / "t.parquet"), "--limit", "0")

    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    columns = "* exclude (uploaded, reviewed_at) replace (epoch_us(recorded) as recorded)"
    table = duckdb.sql(f"select {columns} from '{tmp_path / 't.parquet'}'")
    parquet = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    assert [row["key"] for row in rows] == [row["key"] for row in parquet]
    assert [row["outcome"] for row in rows] == ["classified", "low-confidence"]
    assert [float(row["confidence"]) for row in rows] == [row["confidence"] for row in parquet] == [0.97] * 2
    assert datetime.fromisoformat(rows[0]["recorded"]).timestamp() * 1e6 == parquet[0]["recorded"]
    assert json.loads(parquet[0]["probabilities"])["bicycle"] == 0.97
    assert parquet[0]["reason"] is None


def test_a_table_goes_to_standard_output_alone(run: Callable[..., Result]) -> None:
    shown = run("--csv", "-")
    assert shown.stdout.startswith("key,outcome,")
    assert len(shown.stdout.splitlines()) == 3
    assert "2 in s3://images" in shown.stderr
    assert "one of --json, --csv and --parquet" in run("--csv", "-", "--json", "-").stderr


def test_a_spreadsheet_runs_nothing_of_other_people(
    run: Callable[..., Result], write_result: Callable[..., str]
) -> None:
    write_result("incoming/cam/bicycle/a.jpg", label='=HYPERLINK("http://x")', review={"by": "@SUM(1)"})
    text = run("--csv", "-", "--outcome", "classified").stdout
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["label"] == '\'=HYPERLINK("http://x")'
    assert row["reviewed_by"] == "'@SUM(1)"


def test_half_a_surrogate_pair_in_an_edited_result_is_replaced(
    run: Callable[..., Result], write_result: Callable[..., str]
) -> None:
    write_result("incoming/cam/bicycle/a.jpg", label="\ud800", probabilities={"\ud800": 0.97})
    row = next(csv.DictReader(io.StringIO(run("--csv", "-", "--outcome", "classified").stdout)))
    assert (row["label"], row["probabilities"]) == ("?", '{"?": 0.97}')


def test_a_result_that_cannot_be_read_is_named_and_the_exit_code_is_1(
    s3: Any, run: Callable[..., Result]
) -> None:
    def code() -> object:
        return CliRunner().invoke(results, [], catch_exceptions=False, standalone_mode=False).return_value

    assert code() == 0
    s3.put_object(Bucket=BUCKET, Key="classified/cam/damaged.jpg.json", Body=b"{")
    assert code() == 1
    assert "classified/cam/damaged.jpg.json" in run().stderr


def test_a_file_that_cannot_be_uploaded_makes_the_exit_code_1(
    s3: Any, deployed: None, tmp_path: Path
) -> None:
    def dropped() -> Result:
        return CliRunner().invoke(drop, [str(tmp_path)], catch_exceptions=False, standalone_mode=False)

    (tmp_path / "a.jpg").write_bytes(b"x")
    assert dropped().return_value == 0
    assert "0 uploaded to s3://images/incoming/, 1 was already there." in dropped().stdout
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = dropped()
    assert found.return_value == 1
    assert "gone.jpg" in found.stderr
