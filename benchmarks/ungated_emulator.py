"""The process of the embedded AWS without the gate, for ``benchmarks.gate``: everything else is as in `dropsort.local.emulator`.

It is run by the interpreter of the embedded AWS's environment, which has nothing of ours. Nothing but a benchmark may run it: any user of
the machine and any web page can use what it serves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

LOCAL = Path(__file__).resolve().parents[1] / "dropsort" / "local"


def ungated(gate: Any) -> Any:
    """A class in place of the gate: it passes everything on but requests for readiness, which have to be proved."""

    class Ungated(gate):  # type: ignore[misc]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == self._ready:
                await super().__call__(scope, receive, send)
            else:
                await self._application(scope, receive, send)

    return Ungated


if __name__ == "__main__":
    sys.path.insert(0, str(LOCAL))
    import emulator  # type: ignore[import-not-found]

    sys.path.remove(str(LOCAL))
    emulator._reach_own_package()
    from dropsort.local import gate

    gate.Gate = ungated(gate.Gate)  # type: ignore[misc]
    emulator.main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
