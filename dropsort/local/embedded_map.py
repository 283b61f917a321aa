"""``MaxConcurrencyPath`` of a Distributed Map, which the embedded AWS does not support; part of its process.

Without it a run of the backlog would take 64 executions at once, whatever its input says.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def patch() -> None:
    """Patch it to read the path, before the embedded AWS serves."""
    states: Any = import_module("ministack.services.stepfunctions")
    run = states._run_distributed_map

    def with_path(
        state: dict[str, Any], raw: Any, effective: Any, iterator: Any, execution: Any, context: Any
    ) -> Any:
        path = state.get("MaxConcurrencyPath")
        if path:
            state = state | {"MaxConcurrency": states._resolve_path_or_ctx(path, effective, context)}
        return run(state, raw, effective, iterator, execution, context)

    states._run_distributed_map = with_path
