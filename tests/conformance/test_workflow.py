"""Step Functions and Lambda: names of errors, Retry, Catch, time limits, Map, and reserved concurrency."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import Account

pytestmark = pytest.mark.stack

Run = Callable[..., dict[str, Any]]
LAMBDA = "arn:aws:states:::lambda:invoke"


@pytest.fixture(scope="module")
def function(account: Account) -> str:
    """ARN of a function that does what its payload says."""
    return account.function("does", _function_role(account), Timeout=3)


@pytest.fixture(scope="module")
def stopped(account: Account) -> str:
    """ARN of a function with a reserved concurrency of 0."""
    functions, arn = account.client("lambda"), account.function("stopped", _function_role(account, "stopped"))
    functions.put_function_concurrency(FunctionName=arn, ReservedConcurrentExecutions=0)
    return arn


def _function_role(account: Account, name: str = "function") -> str:
    logs = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": "*",
    }
    return account.role(name, "lambda.amazonaws.com", [logs])


@pytest.fixture(scope="module")
def role(account: Account) -> str:
    """ARN of the state machines' role."""
    prefix = account.prefix
    statements = [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": f"arn:aws:lambda:*:*:function:{prefix}-*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
            "Resource": f"arn:aws:s3:::{prefix}-*",
        },
        {
            "Effect": "Allow",
            "Action": ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"],
            "Resource": [f"arn:aws:states:*:*:{kind}:{prefix}-*" for kind in ("stateMachine", "execution")],
        },
    ]
    return account.role("states", "states.amazonaws.com", statements)


def task(function: str, **fields: Any) -> dict[str, Any]:
    """A state that calls a function with the state's input and the number of tries so far."""
    return {
        "Type": "Task",
        "Resource": LAMBDA,
        "Parameters": {
            "FunctionName": function,
            "Payload": {"attempt.$": "$$.State.RetryCount", "busy.$": "$.busy", **fields.pop("Payload", {})},
        },
        "OutputPath": "$.Payload",
        "End": True,
        **fields,
    }


@pytest.fixture(scope="module")
def run(account: Account, role: str) -> Run:
    """Runs one state, with a Catch that adds the error to the input."""
    count = iter(range(1000))

    def run_state(state: dict[str, Any], started_with: Any = None, **of_machine: Any) -> dict[str, Any]:
        caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]}
        definition = {
            "StartAt": "State",
            "States": {"State": state | caught, "Caught": {"Type": "Pass", "End": True}},
            **of_machine,
        }
        machine = account.machine(f"machine-{next(count)}", role, definition)
        return account.run(machine, {"busy": 0, "started": "so"} if started_with is None else started_with)

    return run_state


def output(execution: dict[str, Any]) -> Any:
    """The output of an execution that succeeded."""
    assert execution["status"] == "SUCCEEDED", execution
    return json.loads(execution["output"])


RETRY = {"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 2}


def test_a_retrier_knows_the_class_of_a_functions_exception(run: Run, function: str) -> None:
    wrong = {"ErrorEquals": ["ValueError"], "MaxAttempts": 0}
    more = {"JitterStrategy": "FULL", "MaxDelaySeconds": 2}
    state = task(function, Retry=[wrong, RETRY | more])
    assert output(run(state, {"busy": 2}))["attempt"] == 2


def test_a_catch_has_the_error_and_the_input(run: Run, function: str) -> None:
    # GIVEN a function that is busy once more than its retrier takes
    found = output(run(task(function, Retry=[RETRY]), {"busy": 3, "kept": [1]}))
    assert (found["busy"], found["kept"], found["error"]["Error"]) == (3, [1], "Busy")
    assert "at attempt 2" in found["error"]["Cause"]


def test_retriers_are_counted_one_by_one(run: Run, function: str) -> None:
    # GIVEN two retriers, of which the first takes the errors of the class and the second all others
    state = task(
        function, Retry=[RETRY, {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    )
    # WHEN the first has had enough THEN the second does not take over
    assert output(run(state, {"busy": 4}))["error"]["Error"] == "Busy"


def test_a_state_that_takes_too_long_is_a_timeout(run: Run, function: str) -> None:
    state = task(function, Payload={"seconds": 2}, TimeoutSeconds=1)
    assert output(run(state))["error"]["Error"] == "States.Timeout"


def test_a_throttled_function_has_its_name(run: Run, stopped: str) -> None:
    assert output(run(task(stopped)))["error"]["Error"] == "Lambda.TooManyRequestsException"


def test_a_function_that_exits_has_its_name(account: Account, run: Run, function: str) -> None:
    found = output(run(task(function, Payload={"exits": 1})))
    with account.differs("a function's exit is Runtime.HandlerError"):
        assert found["error"]["Error"] in ("Runtime.ExitError", "Lambda.Unknown")


def test_a_workflow_that_takes_too_long_ends(account: Account, role: str, function: str) -> None:
    state = task(function, Payload={"seconds": 2})
    machine = account.machine(
        "limited", role, {"StartAt": "State", "States": {"State": state}, "TimeoutSeconds": 1}
    )
    found = account.run(machine, {"busy": 0})
    with account.differs("TimeoutSeconds of a workflow is ignored"):
        assert found["status"] == "TIMED_OUT"


def test_reserved_concurrency_limits_a_function(account: Account) -> None:
    # GIVEN a function that may run once at a time
    functions = account.client("lambda")
    name = account.function("limited", _function_role(account, "limited"))
    try:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    except ClientError as error:
        if account.embedded:
            raise
        pytest.skip(f"the account's quota is too small to reserve: {error}")

    # WHEN two requests come at the same time
    def invoke(_: int) -> str:
        try:
            functions.invoke(FunctionName=name, Payload=json.dumps({"seconds": 1}))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(invoke, 0)
        time.sleep(0.3)
        second = pool.submit(invoke, 1)
    # THEN one is throttled
    assert sorted((first.result(), second.result())) == ["", "TooManyRequestsException"]


def test_an_exception_does_not_end_the_process_of_a_function(account: Account, function: str) -> None:
    # GIVEN a function that is invoked once at a time
    functions = account.client("lambda")

    def invoke(payload: dict[str, Any]) -> Any:
        answer = functions.invoke(FunctionName=function, Payload=json.dumps(payload))
        return json.loads(answer["Payload"].read())

    before = invoke({})["process"]
    # WHEN it raises THEN the next invocation is not a cold start
    assert invoke({"busy": 1})["errorType"] == "Busy"
    assert invoke({})["process"] == before


def distributed(reader: dict[str, Any] | None, function: str, item: str, **fields: Any) -> dict[str, Any]:
    """A Distributed Map that calls a function for each item; `item` is the path of what it gets."""
    state: dict[str, Any] = {
        "Type": "Map",
        "Label": "Items",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
            "StartAt": "One",
            "States": {"One": task(function, Payload={"item.$": "$.item", "fails.$": "$.fails"})},
        },
        "ItemSelector": {"item.$": item, "busy": 0, "fails": False},
        "MaxConcurrency": 2,
        "End": True,
        **fields,
    }
    if reader:
        state["ItemReader"] = reader
    return state


@pytest.fixture(scope="module")
def listed(account: Account) -> str:
    """A bucket with objects below two prefixes, and a list in a file."""
    bucket, s3 = account.bucket("items"), account.client("s3")
    for key in ("incoming/a b.png", "incoming/é.png", "incoming/z.png", "other/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    lines = "".join(json.dumps({"key": key}) + "\n" for key in ("one", "two words", "é"))
    s3.put_object(Bucket=bucket, Key="list.jsonl", Body=lines.encode())
    return bucket


def test_a_distributed_map_reads_a_listing(run: Run, function: str, listed: str) -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": listed, "Prefix": "incoming/"},
    }
    found = output(run(distributed(reader, function, "$$.Map.Item.Value.Key")))
    assert sorted(item["item"] for item in found) == ["incoming/a b.png", "incoming/z.png", "incoming/é.png"]


def test_a_distributed_map_reads_lines_of_a_file(run: Run, function: str, listed: str) -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": listed, "Key": "list.jsonl"},
    }
    found = output(run(distributed(reader, function, "$$.Map.Item.Value.key")))
    assert sorted(item["item"] for item in found) == ["one", "two words", "é"]


@pytest.mark.parametrize(("tolerated", "error"), [(50, None), (20, "States.ExceedToleratedFailureThreshold")])
def test_a_distributed_map_tolerates_failures_up_to_a_share(
    run: Run, function: str, tolerated: int, error: str | None
) -> None:
    # GIVEN three items of which one fails
    selector = {"item.$": "$$.Map.Item.Value", "busy": 0, "fails.$": "$$.Map.Item.Value"}
    state = distributed(
        None,
        function,
        "$",
        ItemsPath="$.items",
        ItemSelector=selector,
        ToleratedFailurePercentage=tolerated,
    )
    found = output(run(state, {"items": [0, 1, 0]}))
    assert (found["error"]["Error"] if isinstance(found, dict) else None) == error


def test_a_distributed_map_writes_its_results(account: Account, run: Run, function: str, listed: str) -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": listed, "Prefix": "results"},
    }
    state = distributed(None, function, "$$.Map.Item.Value", ItemsPath="$.items", ResultWriter=writer)
    found = output(run(state, {"items": [1, 2]}))
    with account.differs("ResultWriter is ignored"):
        assert "ResultWriterDetails" in found


def test_a_distributed_map_puts_items_into_batches(
    account: Account, run: Run, function: str, listed: str
) -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": listed, "Prefix": "incoming/"},
    }
    state = distributed(reader, function, "$", ItemBatcher={"MaxItemsPerBatch": 2})
    del state["ItemSelector"]
    state["ItemProcessor"]["States"]["One"] = task(function, Payload={"item.$": "$.Items", "busy": 0})
    del state["ItemProcessor"]["States"]["One"]["Parameters"]["Payload"]["busy.$"]
    items = output(run(state))
    with account.differs("ItemBatcher is ignored"):
        assert sorted(len(item["item"] or ()) for item in items) == [1, 2]
