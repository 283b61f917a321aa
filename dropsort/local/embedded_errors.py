"""Errors of functions in the embedded AWS, corrected to what they are on AWS; part of its process (`dropsort.local.emulator`).

The embedded AWS loses the class of an exception that a function raises (every one is ``Runtime.HandlerError``), and calls a throttled
invocation ``Lambda.Unknown``, which on AWS is a function that ran out of memory. The workflow's retriers go by these names, so they
are put right here, in the functions that lose them; the version is pinned, and a test fails where it no longer has them.

It also ends the process of a function whenever its handler raises: behind a busy endpoint nearly every invocation would then be a cold
start. On AWS an exception leaves the environment as it is, and so it does here.
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
        if isinstance(result, dict) and result.get(_RAISED):
            result["status"] = "error"
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


_RAISED = "raised"
_REPORT = '"status": "error", "error": str(e), "trace"'  # what a worker prints of its handler's exception


def _keep_process(runtime: Any) -> None:
    """Have a worker report an exception of its handler in a way that does not end it; `_keep_class` makes it an error again.

    Raises
    ------
    LookupError
        The worker's program is another one than that of the pinned version.
    """
    program = runtime._PYTHON_WORKER_SCRIPT
    if program.count(_REPORT) != 1:
        raise LookupError("the program of the embedded AWS's workers has changed")
    kept = _REPORT.replace('"error", "error"', f'"ok", "{_RAISED}": True, "error"')
    runtime._PYTHON_WORKER_SCRIPT = program.replace(_REPORT, kept)


def _name_throttles(functions: Any) -> None:
    """Give a throttled invocation the name that Step Functions gives it on AWS."""
    respond = functions._throttle_response

    def with_type(*arguments: Any, **options: Any) -> Any:
        response = respond(*arguments, **options)
        response["body"]["errorType"] = "Lambda.TooManyRequestsException"
        return response

    functions._throttle_response = with_type


def patch() -> None:
    """Patch them, before the embedded AWS serves."""
    functions, runtime = (
        import_module("ministack.services.lambda_svc"),
        import_module("ministack.core.lambda_runtime"),
    )
    _keep_process(runtime)
    _keep_class(runtime.Worker, functions)
    _name_throttles(functions)
