"""`dropsort audit`: results and reviews of a bucket become an estimate; what was predicted counts, not what it became."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import click
import pytest
from click.testing import CliRunner, Result

from dropsort.api import connect
from dropsort.cli.audit import audit
from tests.unit.cli.conftest import TEMPLATE
from tests.unit.client.conftest import BUCKET


def run(*arguments: str) -> Result:
    return CliRunner().invoke(
        audit, [*arguments, "--json", "-"], catch_exceptions=False, standalone_mode=False
    )


def test_what_was_predicted_is_judged_whatever_it_became(record: Callable[..., None], s3: Any) -> None:
    # GIVEN classified images, one confirmed, one of another label, one of none, one unusable, two not reviewed
    record(0, action="label", label="bicycle")
    record(1, action="label", label="motorcycle")
    record(2, action="none")
    record(3, action="unusable")
    record(4)
    record(5)
    # and a doubtful one that the reviewer moved to classified/, and something else below reviews/
    record(6, "low-confidence", "label", "bicycle")
    s3.put_object(Bucket=BUCKET, Key="reviews/notes.txt", Body=b"call Ann")

    shown = run("--next", "1")

    found = json.loads(shown.stdout)
    assert found["outcomes"]["classified"] == found["outcomes"]["classified"] | {
        "size": 5, "reviewed": 3, "unusable": 1, "elsewhere": 0,
    }  # fmt: skip
    assert found["outcomes"]["low-confidence"]["reviewed"] == 1
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["next"] == ["incoming/004.jpg"]
    assert "reviews/notes.txt is not a review" in shown.stderr


def test_only_the_model_that_the_service_runs_is_judged(
    record: Callable[..., None], write_result: Callable[..., str], s3: Any
) -> None:
    # GIVEN a review of the first model's prediction, and a prediction of the second, which the service runs
    record(0, action="label", label="motorcycle")
    s3.put_object(Bucket=BUCKET, Key="incoming/001.jpg", Body=b"")
    for number, model in ((0, "first"), (1, "second")):
        key = f"incoming/{number:03}.jpg"
        s3.delete_object(Bucket=BUCKET, Key=f"reviews/{number:03}.jpg.json")
        write_result(key, inference_id=f"{number:064x}", review=None, model={"version": model})
    template = {**TEMPLATE, "Parameters": {"ModelVersion": {"Type": "String", "Default": "second"}}}
    boto3.client("cloudformation").create_stack(StackName="two", TemplateBody=json.dumps(template))

    found = json.loads(run("--stack", "two", "--next", "5").stdout)

    assert (found["model"], found["other_models"], found["outcomes"]["classified"]["size"]) == (
        "second",
        1,
        1,
    )
    assert found["next"] == ["incoming/001.jpg"]
    assert connect("two").audit().other_models == 1


def test_a_missed_target_is_an_exit_code(record: Callable[..., None]) -> None:
    for number in range(4):
        record(number, action="label", label="motorcycle")
    assert run().return_value == 1
    assert run("--precision", "0").return_value == 0


def test_the_target_is_that_of_the_model_that_is_deployed(record: Callable[..., None]) -> None:
    for number in range(4):
        record(number, action="label", label="motorcycle")
    # GIVEN a stack whose model was trained for another precision than the default
    template = {**TEMPLATE, "Parameters": {"Precision": {"Type": "Number", "Default": 0.99}}}
    boto3.client("cloudformation").update_stack(
        StackName="dropsort",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "Precision", "ParameterValue": "0"}],
    )
    shown = run()
    assert (json.loads(shown.stdout)["target"], shown.return_value) == (0, 0)
    assert connect().audit().target == 0


def test_the_findings_are_stored_for_the_hourly_function(record: Callable[..., None], s3: Any) -> None:
    record(0, action="label", label="motorcycle")

    found = json.loads(run("--store").stdout)

    stored = json.loads(s3.get_object(Bucket=BUCKET, Key="monitoring/audit.json")["Body"].read())
    assert stored == {name: value for name, value in found.items() if name != "next"}
    with pytest.raises(click.UsageError, match="leave --prefix out"):
        run("--store", "--prefix", "a")
