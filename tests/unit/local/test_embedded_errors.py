"""The embedded AWS reports errors by the names that Step Functions has for them on AWS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.local import embedded_errors

TRACE = """Traceback (most recent call last):
  File "handlers/classify.py", line 70, in _invoke
botocore.errorfactory.ModelError: An error occurred

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "handlers/classify.py", line 72, in _invoke
handlers.endpoint_errors.EndpointBusy: The container responded 503: no worker
  is available
"""


@pytest.mark.parametrize(
    ("trace", "name"),
    [
        (TRACE, "EndpointBusy"),
        ("", ""),
        ("Traceback:\nValueError", "ValueError"),
        ("Task timed out after 3.00 seconds", ""),
    ],
)
def test_the_class_of_a_traceback(trace: str, name: str) -> None:
    assert embedded_errors.name_of(trace) == name


def test_class_and_throttle_reach_the_workflow() -> None:
    # GIVEN the two functions of the embedded AWS that lose them
    class Worker:
        def invoke(self, event: Any) -> dict[str, Any]:
            if event == "died":
                return {"status": "error", "error": event}
            return {"status": "ok", "raised": True, "error": event, "trace": TRACE}

    def execute(event: str) -> dict[str, Any]:
        result = Worker().invoke(event)
        return {"body": {"errorMessage": result["error"], "errorType": "Runtime.HandlerError"}, "error": True}

    functions = SimpleNamespace(
        _execute_function_warm=execute,
        _throttle_response=lambda code: {"body": {"__type": "TooManyRequestsException"}, "error": True},
    )
    # WHEN they are put right
    embedded_errors._keep_class(Worker, functions)
    embedded_errors._name_throttles(functions)
    # THEN an exception has its class, what has none is as it was, and a throttle has its name
    assert functions._execute_function_warm("503")["body"] == {
        "errorType": "EndpointBusy",
        "errorMessage": "503",
    }
    assert functions._execute_function_warm("died")["body"]["errorType"] == "Runtime.HandlerError"
    assert functions._throttle_response("x")["body"]["errorType"] == "Lambda.TooManyRequestsException"


def test_an_exception_is_reported_without_ending_the_process() -> None:
    # GIVEN the program of a worker, which ends after a status of "error"
    report = 'json.dumps({"status": "error", "error": str(e), "trace": format_exc()})'
    runtime = SimpleNamespace(_PYTHON_WORKER_SCRIPT=f"except Exception as e:\n    print({report})")
    # WHEN it is corrected THEN it reports one of "ok", with what `_keep_class` knows it by
    embedded_errors._keep_process(runtime)
    assert '{"status": "ok", "raised": True, "error": str(e), "trace"' in runtime._PYTHON_WORKER_SCRIPT
    # AND a program of another version is no surprise
    with pytest.raises(LookupError):
        embedded_errors._keep_process(runtime)
