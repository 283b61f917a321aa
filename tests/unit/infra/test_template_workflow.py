"""The state machine's definition: valid, every state reachable, faults retried and caught, and within Express' limits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from handlers import endpoint_response, imaging
from tests.unit.infra.template import RESOURCES, definition, resolve

DEFINITION = definition()
BACKLOG = definition("BacklogStateMachine")
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
EXPRESS_SECONDS = 300
THROTTLES = {"Lambda.TooManyRequestsException"}
CRASHES = {"Lambda.Unknown", "Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"}
TRANSIENT = {"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"}


def test_a_parser_of_the_language_accepts_it() -> None:
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    program, _ = AmazonStateLanguageParser.parse(json.dumps(DEFINITION))
    assert program
    # This parser knows neither Express executions of a Distributed Map nor its tolerance, and no JSON lines.
    found = json.loads(json.dumps(BACKLOG))
    (run,) = found["States"].values()
    del run["ToleratedFailurePercentage"]
    run["ItemReader"]["ReaderConfig"]["InputType"] = "JSON"
    run["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "STANDARD"
    program, _ = AmazonStateLanguageParser.parse(json.dumps(found))
    assert program


def test_an_item_of_the_backlog_goes_through_the_states_of_the_workflow() -> None:
    (run,) = BACKLOG["States"].values()
    item = run["ItemProcessor"]
    assert item["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    assert item["StartAt"] == DEFINITION["StartAt"]
    expected = json.loads(json.dumps(STATES))
    # Its input is a part of every state: an execution's input here is the item, and in the embedded AWS that of the run.
    del expected["Filter"]["Parameters"]["Payload"]["input.$"]
    assert item["States"] == expected


def test_a_run_of_the_backlog_is_bounded_ends_whatever_fails_and_returns_no_results() -> None:
    (run,) = BACKLOG["States"].values()
    assert (run["MaxConcurrencyPath"], run["ToleratedFailurePercentage"]) == ("$.max_concurrency", 100)
    assert run["ItemReader"]["ReaderConfig"] == {"InputType": "JSONL"}
    assert "ResultWriter" in run, "the outputs of all items together would be larger than a state"
    assert (run["ResultPath"], run["OutputPath"]) == ("$.report", "$.uploads")
    assert "TimeoutSeconds" not in BACKLOG
    assert RESOURCES["BacklogStateMachine"]["Properties"]["StateMachineType"] == "STANDARD"


@pytest.mark.parametrize(
    "change",
    [{"Resource": 5}, {"Retry": {"ErrorEquals": []}}, {"Catch": [{"Next": 1}]}, {"TimeoutSeconds": "soon"}],
)
def test_the_parser_is_one_that_says_no(change: dict[str, Any]) -> None:
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser, ASLParserException

    broken = json.loads(json.dumps(DEFINITION))
    broken["States"]["Classify"] |= change
    with pytest.raises(ASLParserException):
        AmazonStateLanguageParser.parse(json.dumps(broken))


def following(state: dict[str, Any]) -> set[str]:
    targets = {state[name] for name in ("Next", "Default") if name in state}
    return targets | {rule["Next"] for name in ("Choices", "Catch") for rule in state.get(name, [])}


def test_every_state_is_reached_and_each_execution_ends_in_filter_or_is_ignored() -> None:
    reached, waiting = set(), [DEFINITION["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += following(STATES[name])
    assert reached == set(STATES)
    assert [name for name, state in STATES.items() if state.get("End")] == ["Ignored", "Filter"]
    assert all(following(state) or state.get("End") for state in STATES.values())


@pytest.mark.parametrize("name", TASKS)
def test_every_task_retries_throttles_and_faults_with_backoff_and_full_jitter(name: str) -> None:
    retriers = TASKS[name]["Retry"]
    handled = [set(retrier["ErrorEquals"]) for retrier in retriers]
    throttles = next(retrier for retrier in retriers if set(retrier["ErrorEquals"]) >= THROTTLES)
    assert set(throttles["ErrorEquals"]) >= TRANSIENT
    assert throttles["MaxAttempts"] >= 5
    assert handled[-1] == {"States.ALL"}, "States.ALL must be the last, alone"
    assert sum("States.ALL" in errors for errors in handled) == 1
    for retrier in retriers:
        if retrier.get("MaxAttempts") == 0:
            continue
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier.get("BackoffRate", 2) >= 1.5


def test_a_busy_endpoint_and_a_throttled_function_share_one_retrier_of_minutes() -> None:
    retrier = next(item for item in TASKS["Classify"]["Retry"] if "EndpointBusy" in item["ErrorEquals"])
    assert set(retrier["ErrorEquals"]) >= THROTTLES
    mean, _ = statistics_of(retrier)
    assert 100 <= mean <= 150


def statistics_of(retrier: dict[str, Any]) -> tuple[float, float]:
    """Mean and variance of all waits of a retrier together, in seconds: each is uniform between 0 and its longest."""
    longest = [
        min(
            retrier["IntervalSeconds"] * retrier.get("BackoffRate", 2) ** n,
            retrier.get("MaxDelaySeconds", 1e9),
        )
        for n in range(retrier["MaxAttempts"])
    ]
    return sum(wait / 2 for wait in longest), sum(wait**2 / 12 for wait in longest)


def test_throttles_in_every_state_together_leave_time_to_record() -> None:
    # GIVEN each state's retrier of throttles used up but for its last try
    retriers = [
        next(item for item in state["Retry"] if set(item["ErrorEquals"]) >= THROTTLES)
        for state in TASKS.values()
    ]
    retriers.append(TASKS["Classify"]["Retry"][0])  # and the circuit breaker's
    mean = sum(statistics_of(retrier)[0] for retrier in retriers)
    deviation = sum(statistics_of(retrier)[1] for retrier in retriers) ** 0.5
    tries = sum(1 + retrier["MaxAttempts"] for retrier in retriers)
    # THEN not one execution in 10,000 runs out of its five minutes, at a tenth of a second a try and ten seconds of work
    assert mean + 4 * deviation + 0.1 * tries + 10 < EXPRESS_SECONDS


@pytest.mark.parametrize("name", TASKS)
def test_every_fault_before_filter_is_caught_and_kept_next_to_the_state(name: str) -> None:
    if TASKS[name].get("End"):
        assert "Catch" not in TASKS[name], (
            "there is nobody to record that recording failed: the execution fails, which is the alarm"
        )
        return
    *special, last = TASKS[name]["Catch"]
    assert last == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Filter"}
    # A crash of the first function may be for want of memory, of which the second has more.
    crashed = {
        "ErrorEquals": [*sorted(CRASHES), "States.Timeout"],
        "ResultPath": "$.error",
        "Next": "SerializeLarge",
    }
    assert [one | {"ErrorEquals": sorted(one["ErrorEquals"])} for one in special] == [crashed] * (
        name == "Serialize"
    )


def waits(retrier: dict[str, Any]) -> float:
    """The longest that a retrier waits altogether, in seconds."""
    first, rate = retrier.get("IntervalSeconds", 1), retrier.get("BackoffRate", 2)
    attempts = retrier.get("MaxAttempts", 3)
    return float(sum(min(first * rate**n, retrier.get("MaxDelaySeconds", 1e9)) for n in range(attempts)))


def function_timeout(name: str) -> int:
    return int(RESOURCES[f"{name}Function"]["Properties"]["Timeout"])


def test_each_state_waits_longer_than_its_function_runs_and_all_fit_into_an_express_execution() -> None:
    for name, state in TASKS.items():
        assert function_timeout(name) < state["TimeoutSeconds"]
    assert sum(state["TimeoutSeconds"] for state in TASKS.values()) < EXPRESS_SECONDS
    assert DEFINITION["TimeoutSeconds"] <= EXPRESS_SECONDS


@pytest.mark.parametrize("name", TASKS)
def test_one_state_in_trouble_still_leaves_time_to_record_it(name: str) -> None:
    # GIVEN that the others take their usual second or two, with a cold start
    others = 5 * (len(TASKS) - 1)
    for retrier in TASKS[name]["Retry"]:
        tries = 1 + retrier.get("MaxAttempts", 3)
        # A function that runs into its own timeout each time
        if set(retrier["ErrorEquals"]) == {"States.ALL"}:
            assert tries * function_timeout(name) + waits(retrier) + others < EXPRESS_SECONDS
        elif set(retrier["ErrorEquals"]) == {"States.Timeout"}:
            assert tries * TASKS[name]["TimeoutSeconds"] + waits(retrier) + others < EXPRESS_SECONDS
        else:  # a throttled call returns at once
            assert tries * 1 + waits(retrier) + others < EXPRESS_SECONDS


def test_the_largest_state_is_far_below_the_limit() -> None:
    """256 KiB is the limit; what is counted is UTF-8, but the worst that an encoder makes of it is ASCII."""
    key = "incoming/" + "写" * 338
    event = {
        "detail": {"bucket": {"name": "b" * 63}, "object": {"key": key, "version-id": "v" * 32}},
        "id": "x" * 1000,
    }
    upload = {
        "version_id": "v" * 32,
        "etag": "e" * 36,
        "size": 10**9,
        "sequencer": "f" * 18,
        "uploaded": "2026-11-21T09:00:00Z",
    }
    state = {
        "s3_bucket": "b" * 63,
        "s3_key": key,
        "upload": upload,
        "inferences": [],
        "content_type": "image/jpeg",
    }
    image = base64.b64encode(bytes(imaging.MAX_IMAGE_BYTES)).decode()
    failed_classify = state | {"image_data": image, "error": {"Error": "x" * 256, "Cause": "x" * 32_768}}
    answered = state | {"inferences": "x" * endpoint_response.MAX_PREDICTION_BYTES, "model": "m" * 256}
    sizes = {
        name: len(json.dumps({"state": worst, "input": event, "execution": "a" * 300}))
        for name, worst in {
            "image": state | {"image_data": image},
            "failed": failed_classify,
            "answered": answered,
        }.items()
    }
    print("largest states in bytes:", sizes)
    assert max(sizes.values()) < 200_000


def test_every_function_is_filled_in_and_called_by_its_alias_free_arn() -> None:
    for machine in ("StateMachine", "BacklogStateMachine"):
        substitutions = dict(RESOURCES[machine]["Properties"]["DefinitionSubstitutions"])
        text = json.dumps(RESOURCES[machine]["Properties"]["Definition"])
        assert set(re.findall(r"\$\{(\w+)\}", text)) == set(substitutions)
        for name, value in substitutions.items():
            if name in TASKS:
                assert resolve(value) == f"{name}Function.Arn"
            else:
                assert value["Fn::Sub"].startswith("arn:${AWS::Partition}:states:::")
