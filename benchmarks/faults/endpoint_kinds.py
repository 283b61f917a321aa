"""Faults of the endpoint: what it responds, how late, and whether it is there at all."""

from __future__ import annotations

import signal
import time
from functools import partial

from benchmarks.faults import proxy
from benchmarks.faults.batch import ImageBatch
from benchmarks.faults.kinds import kind
from benchmarks.faults.target import (
    INVOCATION_TIMEOUT_SECONDS,
    FaultTarget,
    endpoint_processes,
    send,
    wait_until,
)


def _for_a_while(target: FaultTarget, batch: ImageBatch, response: proxy.Fault) -> None:
    """Upload while the endpoint does nothing but this, and for some seconds more."""
    target.upload_during(batch, proxy.of("endpoint", response))


for _status, _sentence in (
    (500, "the container responds 500"),
    (429, "the container responds 429"),
    (503, "the container responds 503"),
    (415, "the container takes no image: 415"),
):
    _response = proxy.always(proxy.model_error(_status))
    kind(f"endpoint-{_status}", _sentence)(partial(_for_a_while, response=_response))


@kind("endpoint-400", "the container says of every image that it is bad: 400")
def _refusing(target: FaultTarget, batch: ImageBatch) -> None:
    batch.final.add("refused_by_model")  # what a container says of an image is final
    _for_a_while(target, batch, proxy.always(proxy.model_error(400)))


@kind("throttled-without-text", "SageMaker throttles above 2 requests per second: 400 without any text")
def _throttled(target: FaultTarget, batch: ImageBatch) -> None:
    _for_a_while(target, batch, proxy.Limited(2, proxy.runtime_error(400, "")))


@kind("rate-limited", "the endpoint takes 2 images per second and responds 503 above")
def _limited(target: FaultTarget, batch: ImageBatch) -> None:
    # Not lifted: all of the images have to get through at this rate.
    target.proxy.inject(proxy.of("endpoint", proxy.Limited(2, proxy.model_error(503))))
    batch.put_all(target.site)


@kind("endpoint-slow", "the endpoint responds after the read timeout")
def _slow(target: FaultTarget, batch: ImageBatch) -> None:
    _for_a_while(target, batch, proxy.after(INVOCATION_TIMEOUT_SECONDS * 1.5, None))


@kind("endpoint-hanging", "the endpoint's process is stopped: it accepts and never responds")
def _hanging(target: FaultTarget, batch: ImageBatch) -> None:
    pids = endpoint_processes()
    send(pids, signal.SIGSTOP)
    try:
        batch.put_all(target.site)
        time.sleep(target.seconds)
    finally:
        send(pids, signal.SIGCONT)


@kind("endpoint-half-a-body", "the response breaks off in the middle")
def _half(target: FaultTarget, batch: ImageBatch) -> None:
    _for_a_while(target, batch, proxy.always(proxy.InjectedResponse(200, b'{"predictions": [0.', length=900)))


@kind("endpoint-garbage", "the endpoint responds 200 with a page of HTML")
def _garbage(target: FaultTarget, batch: ImageBatch) -> None:
    page = b"<!doctype html><title>Welcome to nginx!</title>"
    _for_a_while(
        target, batch, proxy.always(proxy.InjectedResponse(200, page, {"Content-Type": "text/html"}))
    )


@kind("endpoint-wrong", "the endpoint responds 200 with nothing, or with what is not a prediction")
def _wrong(target: FaultTarget, batch: ImageBatch) -> None:
    bodies = (
        b"",
        b"[]",
        b"[NaN, NaN]",
        b"[0.1, 0.1]",
        b"[[0.5, 0.5], [1, 0]]",
        b"null",
        b'{"error": "oops"}',
        b"[1.0]",
        b"\xff\xfe",
    )
    turn = iter(range(10**9))

    def one(_: proxy.Request) -> proxy.InjectedResponse:
        return proxy.InjectedResponse(
            200, bodies[next(turn) % len(bodies)], {"Content-Type": "application/json"}
        )

    _for_a_while(target, batch, one)


@kind("endpoint-gone", "the endpoint's process is killed, and started again later")
def _gone(target: FaultTarget, batch: ImageBatch) -> None:
    send(endpoint_processes(), signal.SIGKILL)
    batch.put_all(target.site)
    time.sleep(target.seconds)
    target.service.restart_endpoint()


@kind(
    "endpoint-flapping",
    "the endpoint breaks every connection, comes back, and breaks them again, three times",
)
def _flapping(target: FaultTarget, batch: ImageBatch) -> None:
    begin = time.monotonic()

    def every_other_second(request: proxy.Request) -> proxy.InjectedResponse | None:
        return proxy.reset(request) if int(time.monotonic() - begin) % 2 == 0 else None

    with target.injected(proxy.of("endpoint", every_other_second)):
        batch.put_all(target.site)
        wait_until(lambda: time.monotonic() - begin > 6, 10)
