"""The process of the embedded endpoint without the gate, for ``benchmarks.gate``: ``python -m benchmarks.ungated_endpoint CONFIG``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

from benchmarks.ungated_emulator import ungated
from dropsort.local import serve

if __name__ == "__main__":
    with mock.patch.object(serve, "Gate", ungated(serve.Gate)):
        serve.main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
