"""Parameters of the stack survive the end of a service that saves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from dropsort.local.parameters import ParameterRecord, lost, read, without_archives

TEMPLATE = json.dumps(
    {
        "Parameters": {name: {"Type": "String", "Default": "0.9"} for name in ("Threshold", "Tracing")},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
)


def test_what_somebody_sets_is_recorded_and_compared_with_what_a_stack_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        # GIVEN a stack that is recorded
        client = boto3.client("cloudformation", region_name="us-east-1")
        file = tmp_path / "parameters.json"
        record = ParameterRecord(client, "dropsort", file, ["Tracing"])
        record.check()
        assert not file.exists()
        client.create_stack(StackName="dropsort", TemplateBody=TEMPLATE)
        record.check()
        assert read(file) == {"Threshold": "0.9"}

        # WHEN somebody sets a parameter THEN the record has it, without those that every start sets itself
        client.update_stack(
            StackName="dropsort",
            TemplateBody=TEMPLATE,
            Parameters=[{"ParameterKey": "Threshold", "ParameterValue": "0.5"}],
        )
        record.check()
        assert read(file) == {"Threshold": "0.5"}

    # AND nothing is recorded while an update is in progress, which may be rolled back
    states = [{"StackStatus": "UPDATE_IN_PROGRESS"}, {"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}]
    stack = {
        "StackName": "dropsort",
        "StackId": "arn",
        "Parameters": [{"ParameterKey": "Threshold", "ParameterValue": "0.7"}],
    }
    client = SimpleNamespace(describe_stacks=lambda **_: {"Stacks": [stack | states.pop(0)]})
    record = ParameterRecord(client, "dropsort", file, ["Tracing"])  # type: ignore[arg-type]
    record.check()
    assert read(file) == {"Threshold": "0.5"}
    # AND a file is replaced as a whole: who has opened it reads the one of before
    with file.open() as opened:
        record.check()
        assert json.load(opened) == {"Threshold": "0.5"}
    assert read(file) == {"Threshold": "0.7"}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    file.write_text('{"Threshold": "0.5"}')

    # AND a stack of before gets it again; a parameter that its template no longer has is left out
    assert lost(read(file), {"Threshold": "0.9", "Tracing": "x"}) == {"Threshold": "0.5"}
    assert lost(read(file), {"Threshold": "0.5"}) == {}
    assert lost({"Gone": "1"}, {"Threshold": "0.5"}) == {}
    # AND packages are never those of an earlier start, but a layer that was left out is not added
    recorded = {"FunctionsKey": "functions-old.zip", "HeicLibrariesKey": "", "Threshold": "0.5"}
    archives = ["FunctionsKey", "HeicLibrariesKey"]
    assert without_archives(recorded, archives) == {"HeicLibrariesKey": "", "Threshold": "0.5"}
    # AND a damaged record is none
    file.write_text("[1")
    assert read(file) == {}
