"""The names of errors in the embedded AWS, corrected to those of AWS; part of its process (`dropsort.local.emulator`).

The embedded AWS loses the class of an exception that a function raises (every one is ``Runtime.HandlerError``), and calls a throttled
invocation ``Lambda.Unknown``, which on AWS is a function that ran out of memory. The workflow's retriers go by these names, so they
are put right here, in the functions that lose them; the version is pinned, and a test fails where it no longer has them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MARK = "\0"  # between the class and the message, on the way from the worker to the workflow


def name_of(trace: str) -> str:
    """The class of the exception that a traceback ends with, without its module; "" if there is none.

    Examples
    --------
    >>> name_of("Traceback (most recent call last):\\n  ...\\nhandlers.classify.EndpointBusy: 503")
    'EndpointBusy'
    """
    for line in reversed(trace.splitlines()):
        name = line.split(":", 1)[0].strip().rpartition(".")[2]
        if line[:1].strip() and name.isidentifier():
            return name
    return ""


def _keep_class(worker: Any, functions: Any) -> None:
    """Carry the class of a handler's exception from its worker to the invocation's response, as ``errorType``."""
    invoke, execute = worker.invoke, functions._execute_function_warm

    def with_class(self: Any, *arguments: Any, **options: Any) -> Any:
        result = invoke(self, *arguments, **options)
        if isinstance(result, dict) and result.get("status") == "error":
            name = name_of(str(result.get("trace") or ""))
            if name:
                result["error"] = f"{name}{_MARK}{result.get('error', '')}"
        return result

    def with_type(*arguments: Any, **options: Any) -> Any:
        result = execute(*arguments, **options)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict):
            name, mark, message = str(body.get("errorMessage", "")).partition(_MARK)
            if mark:
                body |= {"errorType": name, "errorMessage": message}
        return result

    worker.invoke, functions._execute_function_warm = with_class, with_type


def _name_throttles(functions: Any) -> None:
    """Give a throttled invocation the name that Step Functions gives it on AWS."""
    respond = functions._throttle_response

    def with_type(*arguments: Any, **options: Any) -> Any:
        response = respond(*arguments, **options)
        response["body"]["errorType"] = "Lambda.TooManyRequestsException"
        return response

    functions._throttle_response = with_type


def correct() -> None:
    """Correct the names, before the embedded AWS serves."""
    functions = import_module("ministack.services.lambda_svc")
    _keep_class(import_module("ministack.core.lambda_runtime").Worker, functions)
    _name_throttles(functions)
