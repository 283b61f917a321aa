"""`dropsort results` and `redrive`: what they say of uploads without a result, of filters, and of a prefix that matches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from dropsort.cli.redrive import redrive
from dropsort.cli.results import results
from tests.unit.client.conftest import BUCKET

TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {
        "BucketName": {"Value": BUCKET},
        "StateMachineArn": {"Value": "arn:aws:states:us-east-1:123456789012:stateMachine:sort"},
        "EndpointName": {"Value": "dropsort"},
    },
}


@pytest.fixture
def run(s3: Any, write_result: Callable[..., str]) -> Callable[..., Result]:
    """Runs `results` against a service with two results in folders of labels and one upload without a result."""
    boto3.client("cloudformation").create_stack(StackName="dropsort", TemplateBody=json.dumps(TEMPLATE))
    for name in ("bicycle/a.jpg", "motorcycle/b.jpg", "bicycle/waiting.jpg"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/cam/{name}", Body=name.encode())
    write_result("incoming/cam/bicycle/a.jpg")
    write_result("incoming/cam/motorcycle/b.jpg", "low-confidence")
    return lambda *arguments: CliRunner().invoke(results, list(arguments), catch_exceptions=False)


def test_uploads_without_a_result_are_counted(run: Callable[..., Result]) -> None:
    shown = run()
    assert "2 in s3://images" in shown.stdout
    assert "1 upload has no result yet." in shown.stdout


def test_accuracy_is_of_all_results_of_the_prefix_or_not_shown(run: Callable[..., Result]) -> None:
    assert "0.500 (1 of 2 in folders named like a label)" in run().stdout
    assert "1.000" in run("--prefix", "cam/bicycle").stdout
    for selection in (["--label", "bicycle"], ["--outcome", "classified"]):
        assert "accuracy" not in run(*selection).stdout


def test_a_prefix_that_repeats_incoming_gets_a_hint(run: Callable[..., Result]) -> None:
    assert "try --prefix cam/bicycle" in run("--prefix", "incoming/cam/bicycle").stderr
    started = CliRunner().invoke(redrive, ["--dry-run", "--prefix", "incoming/cam"], catch_exceptions=False)
    assert "try --prefix cam" in started.stderr
    assert "try --prefix" not in run("--prefix", "nothing").stderr
