"""Both state machines: their states with time-outs and retries, and why; their logs and tracing.

That all retries of all states fit into an Express execution is computed in test_template_workflow.py.
"""

from __future__ import annotations

from typing import Any

from handlers.endpoint_errors import EndpointBusy, EndpointUnavailable
from handlers.uploads import InvalidInput
from tests.unit.infra.specification.canonical import STACK, one_of, resource
from tests.unit.infra.specification.functions import log

THROTTLES = [f"Lambda.{name}Exception" for name in ("TooManyRequests", "Service", "AWSLambda", "SdkClient")]
CRASHES = ["Lambda.Unknown", "Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"]
# All calls at once would be throttled at once again.
JITTER = {"JitterStrategy": "FULL"}


def never(error: str) -> dict[str, Any]:
    """An error that comes again with each try."""
    return {"ErrorEquals": [error], "MaxAttempts": 0}


def once(error: str, seconds: int) -> dict[str, Any]:
    """An error after which one more try is spread over some seconds."""
    return {"ErrorEquals": [error], "IntervalSeconds": seconds, "MaxAttempts": 1, **JITTER}


def throttled(attempts: int, longest: int, *more: str) -> dict[str, Any]:
    """Retries of calls that did not run."""
    wait = {"IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": attempts, "MaxDelaySeconds": longest}
    return {"ErrorEquals": [*more, *THROTTLES], **wait, **JITTER}


# A crash or time-out may be of this image, which a few tries show.
OTHERS = [
    {"ErrorEquals": CRASHES, "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 2, **JITTER},
    {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1, **JITTER},
    {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 3, **JITTER},
]
TO_FILTER = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Filter"}
# Perhaps for want of memory.
TO_LARGE = {"ErrorEquals": [*CRASHES, "States.Timeout"], "ResultPath": "$.error", "Next": "SerializeLarge"}


def task(function: str, seconds: int, retry: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A state that invokes a function with the whole state, and goes on with what it returns."""
    parameters = {"FunctionName": f"${{{function}}}", "Payload.$": "$"}
    return {
        "Type": "Task",
        "Resource": "${Invoke}",
        "Parameters": parameters,
        "OutputPath": "$.Payload",
        "TimeoutSeconds": seconds,
        "Retry": [*retry, *OTHERS],
        **more,
    }


def states(payload: dict[str, str]) -> dict[str, Any]:
    """The states of one upload; time-outs are five seconds longer than those of the functions."""
    return {
        # Throttles for half a minute on average.
        "Serialize": task(
            "Serialize", 60, [never(InvalidInput.__name__), throttled(20, 3)], Catch=[TO_LARGE, TO_FILTER], Next="IsImage"
        ),
        "SerializeLarge": task(
            "SerializeLarge", 60, [never(InvalidInput.__name__), throttled(10, 3)], Catch=[TO_FILTER], Next="IsImage"
        ),
        "IsImage": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.image_data", "IsPresent": True, "Next": "Classify"},
                {"Variable": "$.large", "IsPresent": True, "Next": "SerializeLarge"},
                {"Variable": "$.ignored", "IsPresent": True, "Next": "Ignored"},
            ],
            "Default": "Filter",
        },
        "Ignored": {"Type": "Pass", "End": True},
        # A busy endpoint has two minutes, in one retrier with the function's throttles: their waits must not add up. With an
        # open circuit breaker the backlog waits, not the execution; but all images that wait must not reach Filter at once.
        "Classify": task(
            "Classify", 70, [once(EndpointUnavailable.__name__, 10), throttled(32, 8, EndpointBusy.__name__)],
            Catch=[TO_FILTER], Next="Filter",
        ),
        # The longest retries, as a failure here leaves no result.
        "Filter": {
            **task("Filter", 30, [never(InvalidInput.__name__), throttled(30, 3)], End=True),
            "Parameters": {"FunctionName": "${Filter}", "Payload": payload},
        },
    }  # fmt: skip


FUNCTIONS = {
    name: f"${{{name}Function.Arn}}" for name in ("Serialize", "SerializeLarge", "Classify", "Filter")
}
INTEGRATION = "arn:${AWS::Partition}:states:::"
STATE, INPUT = {"state.$": "$", "execution.$": "$$.Execution.Id"}, {"input.$": "$$.Execution.Input"}

UPLOAD = {
    "StartAt": "Serialize",
    "TimeoutSeconds": 300,  # as Express has it, so that Standard behaves the same
    "States": states(STATE | INPUT),
}
RUN = {
    "StartAt": "Uploads",
    "States": {
        "Uploads": {
            "Type": "Map",
            "MaxConcurrencyPath": "$.max_concurrency",
            "ToleratedFailurePercentage": 100,  # a failed upload has no result and is found again
            "ItemReader": {
                "Resource": "${Read}",
                "ReaderConfig": {"InputType": "JSONL"},
                "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.uploads"},
            },
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "Serialize",
                "States": states(STATE),
            },
            "ResultWriter": {
                "Resource": "${Write}",
                "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "$.results"},
            },
            "ResultPath": "$.report",
            "OutputPath": "$.uploads",
            "End": True,
        }
    },
}


def machine(
    name: str, definition: dict[str, Any], substitutions: dict[str, str], **more: str
) -> dict[str, Any]:
    """A state machine: logging ALL can cost more than the workflow."""
    destination = {"CloudWatchLogsLogGroup": {"LogGroupArn": f"${{{name}LogGroup.Arn}}"}}
    properties = {
        **more,
        "RoleArn": f"${{{name}Role.Arn}}",
        "TracingConfiguration": {"Enabled": one_of("Traces", True, False)},
        "LoggingConfiguration": {
            "Level": "ERROR",
            "IncludeExecutionData": True,
            "Destinations": [destination],
        },
        "DefinitionSubstitutions": {"Invoke": f"{INTEGRATION}lambda:invoke", **substitutions, **FUNCTIONS},
        "Definition": definition,
    }
    return resource("AWS::StepFunctions::StateMachine", properties)


LISTS = {"Read": f"{INTEGRATION}s3:getObject", "Write": f"{INTEGRATION}s3:putObject"}

RESOURCES = {
    "StateMachine": machine("StateMachine", UPLOAD, {}, StateMachineType="${WorkflowType}"),
    # Its role names it; a run may take days.
    "BacklogStateMachine": machine(
        "BacklogStateMachine", RUN, LISTS, StateMachineName=f"{STACK}-backlog", StateMachineType="STANDARD"
    ),
    # The prefix spares the account's resource policy of logs, which has a small limit.
    "StateMachineLogGroup": log(f"/aws/vendedlogs/states/{STACK}"),
    "BacklogStateMachineLogGroup": log(f"/aws/vendedlogs/states/{STACK}-backlog"),
}
