"""Many uploads at once: as many results, none twice, memory of our own processes flat.

``DROPSORT_UPLOADS`` says how many (80); ``python -m benchmarks.load`` prints the table for 1,000.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import load
from dropsort.local.service import LocalService
from tests.stack.upload_folder import drawn

pytestmark = [pytest.mark.stack, pytest.mark.slow(reason="sends many uploads at once")]

UPLOADS = int(os.environ.get("DROPSORT_UPLOADS", "80"))
CLIENTS = 16
# Space for what an allocator does not return: 200,000 bytes per upload, so that fewer uploads show a leak as well.
GROWTH_BYTES = min(40_000_000, 200_000 * UPLOADS)


def test_every_upload_has_one_result(
    service: LocalService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN a service
    pictures = drawn(tmp_path, 8)
    # WHEN 16 clients upload as fast as they can
    found = load.run(service, pictures, UPLOADS, CLIENTS, patience_seconds=120)
    with capsys.disabled():
        print(f"\n{load.text(found)}")
    # THEN there are as many results, none twice, and no execution failed
    assert (found.results, found.missing, found.twice, found.failed_executions) == (UPLOADS, 0, 0, 0)
    # AND our own processes have not grown since half of the results were there
    assert found.after.own - found.half.own < GROWTH_BYTES
    assert found.after.endpoint - found.half.endpoint < GROWTH_BYTES
