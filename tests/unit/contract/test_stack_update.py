"""Waiting for CloudFormation ends: at its deadline with what is in progress and what to do."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from dropsort.contract import stack_update
from dropsort.contract.errors import StackError


def test_a_change_set_that_is_never_computed_ends_at_the_deadline() -> None:
    client = boto3.Session("key", "secret", region_name="us-east-1").client("cloudformation")
    with Stubber(client) as stub:
        for _ in range(2):
            stub.add_response("describe_change_set", {"Status": "CREATE_PENDING"}, {"ChangeSetName": "arn:1"})
        stub.add_response("delete_change_set", {}, {"ChangeSetName": "arn:1"})
        # The first poll is within the time, the second is not
        with pytest.raises(
            StackError, match=r"still CREATE_PENDING after 0\.02 seconds: nothing was changed"
        ):
            stack_update.await_change_set(client, "arn:1", patience_seconds=0.02)
        stub.assert_no_pending_responses()
