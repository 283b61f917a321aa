"""The benchmark of the gate: its ratios, and that one of its services really has none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks import gate as benchmark
from benchmarks import gate_cost
from benchmarks.ungated_emulator import ungated
from dropsort.local import embedded, endpoint_process
from dropsort.local.credentials import make
from dropsort.local.gate import Gate

MADE = make()


@pytest.mark.parametrize(
    ("kind", "path", "status"),
    [(Gate, "/", 403), (ungated(Gate), "/", 200), (Gate, "/ready", 200), (ungated(Gate), "/ready", 200)],
)
def test_without_the_gate_what_is_not_signed_is_served(kind: type[Gate], path: str, status: int) -> None:
    sent: list[Any] = []

    async def behind(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1")],
    }
    made = kind(behind, 1, MADE.secret_of, "/ready", lambda nonce: MADE.proof(1, nonce))
    asyncio.run(made(scope, receive, send))
    assert sent[0]["status"] == status
    # AND readiness is proved in both, as the service starts with nothing else
    assert any(name == b"x-dropsort-proof" for name, _ in sent[0]["headers"]) is (path == "/ready")


def test_services_of_the_block_have_programs_without_the_gate() -> None:
    before = embedded.PROGRAM, endpoint_process.MODULE
    with benchmark.without_gate():
        assert embedded.PROGRAM.name == "ungated_emulator.py"
        assert embedded.PROGRAM.is_file()
        assert endpoint_process.MODULE == "benchmarks.ungated_endpoint"
    assert before == (embedded.PROGRAM, endpoint_process.MODULE)


def test_the_median_its_interval_and_the_quartiles() -> None:
    found = benchmark.ratios([0.9, 1.0, 1.1, 1.2, 5.0])
    assert (found.median, found.first, found.third, found.rounds) == (1.1, 1.0, 1.2, 5)
    assert 0.9 <= found.low < found.median < found.high <= 5.0
    assert "1 client, throughput" in benchmark.text({"1 client": {"throughput": found}})


def test_the_cost_of_the_gate_is_measured_on_requests_that_it_lets_in() -> None:
    figures = gate_cost.measure(rounds=1, count=1)
    assert len(figures) == 9
    # AND one that it rejects is no measurement
    gate = Gate(gate_cost._application, gate_cost.PORT, make().secret_of, "/ready", lambda nonce: nonce)
    with pytest.raises(RuntimeError, match="was rejected"):
        gate_cost._seconds(gate, gate_cost.requests(MADE)["PutObject"], 1)
