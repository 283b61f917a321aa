"""The simulation of a burst follows the template's limits, and shows that the template drains what its documentation states."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import capacity, capacity_embedded, capacity_template
from benchmarks.capacity_figures import Assumptions, SimulationResult
from benchmarks.capacity_simulation import MOST_SAMPLES, Simulation
from benchmarks.faults import proxy
from dropsort.deployment.quotas import PER_INSTANCE
from monitoring.bill import Traffic, per_million
from monitoring.prices import INSTANCES, price

DEPLOYMENT = capacity_template.read()


def simulated(uploads: int, seconds: float, **assumed: float) -> SimulationResult:
    options = {"concurrency": PER_INSTANCE, **assumed}
    return Simulation(DEPLOYMENT, Assumptions(**options), uploads, seconds).run()  # type: ignore[arg-type]


def test_what_is_read_is_the_templates() -> None:
    unavailable, retrier = DEPLOYMENT.states["Classify"].retriers[:2]
    assert (unavailable.errors, unavailable.attempts) == ({"EndpointUnavailable"}, 1)
    assert (unavailable.interval, unavailable.full_jitter) == (10.0, True)
    assert (DEPLOYMENT.backlog_concurrency, DEPLOYMENT.backlog_seconds) == (40, 300.0)
    assert {"EndpointBusy", "Lambda.TooManyRequestsException"} <= retrier.errors
    assert (retrier.attempts, retrier.longest, retrier.full_jitter) == (32, 8.0, True)
    assert DEPLOYMENT.workflow_timeout == 300
    assert DEPLOYMENT.states["Serialize"].memory_gb == pytest.approx(0.5)


def test_a_burst_of_ten_thousand_in_five_seconds_has_all_its_results(tmp_path: Path) -> None:
    # GIVEN one instance that takes 150 images per second WHEN the command simulates with what `dropsort deploy` proposes
    file = tmp_path / "capacity.json"
    capacity.main(["--uploads", "10000", "--seconds", "5", "--rate", "150", "--json", str(file)])
    # THEN all have their result, within the parameter's concurrency, at the endpoint's pace
    outcome = json.loads(file.read_text())
    assert (outcome["results"], outcome["failed"], outcome["without_result"]) == (10_000, 0, 0)
    assert outcome["max_concurrency"] <= outcome["assumptions"]["concurrency"] == PER_INSTANCE
    assert 10_000 / 150 <= outcome["drained_seconds"] < 1.5 * 10_000 / 150
    assert 0 < outcome["dollars"] < 1


def test_a_page_shows_it(tmp_path: Path) -> None:
    # GIVEN a burst that one instance cannot take at once WHEN its page is written
    page = tmp_path / "capacity.html"
    capacity.main(["--uploads", "600", "--seconds", "2", "--rate", "20", "--html", str(page)])
    text = page.read_text(encoding="utf-8")
    # THEN it has the charts and the assumptions, and nothing from elsewhere
    for title in ("Results", "Functions at once", "Cost", "Assumptions", "new environments"):
        assert title in text
    assert "up to 1 instance<" in text
    assert "http" not in text.replace("http-equiv", "")


def test_samples_end_at_the_outcome_and_stay_few() -> None:
    simulation = Simulation(DEPLOYMENT, Assumptions(concurrency=PER_INSTANCE), 900, 900.0)
    outcome = simulation.run()
    assert len(simulation.samples) <= MOST_SAMPLES + 1
    last = simulation.samples[-1]
    assert (last.results, last.waiting, last.without_result) == (900, 0, 0)
    assert last.seconds == outcome.drained_seconds
    assert max(sample.functions for sample in simulation.samples) == outcome.max_concurrent_functions


def test_more_uploads_than_are_simulated_are_extrapolated(tmp_path: Path) -> None:
    # GIVEN ten images per second, of which a tenth is simulated THEN the figures are about those of all
    whole = simulated(4000, 400.0)
    file = tmp_path / "capacity.json"
    capacity.main(
        [
            "--uploads",
            "4000",
            "--seconds",
            "400",
            "--most",
            "1000",
            "--concurrency",
            "20",
            "--json",
            str(file),
        ]
    )
    found = json.loads(file.read_text())
    assert (found["results"], found["failed"], found["simulated"]) == (4000, 0, 1000)
    assert found["drained_seconds"] == pytest.approx(whole.drained_seconds, rel=0.02)
    assert found["dollars"] == pytest.approx(whole.dollars, rel=0.02)
    assert found["endpoint_dollars"] == pytest.approx(400 / 3600 * INSTANCES["ml.m5.xlarge"], rel=0.02)


def test_an_even_stream_costs_what_the_bill_says() -> None:
    outcome = simulated(3000, 300.0)
    million = sum(per_million(Traffic()).values())
    assert outcome.dollars / 3000 * 1e6 == pytest.approx(million, rel=0.1)
    # AND what is classified again costs its requests again
    failing = simulated(1200, 600.0, outage_seconds=300.0)
    again = failing.redriven * (price("s3-put") + price("states-standard-transition"))
    assert failing.dollars > 1200 * million / 1e6 + again


def test_the_simulation_is_compared_with_what_was_measured() -> None:
    runs = capacity_embedded.simulate(capacity_embedded.CASES[0], 30, 1.0, 3)
    simulated = runs[len(runs) // 2]
    assert all((run.results, run.max_concurrent_functions <= 8) == (30, True) for run in runs)
    assert runs[0].drained_seconds < simulated.drained_seconds < runs[-1].drained_seconds
    # Tries come at the same time, so the endpoint waits between two of them.
    assert 30 / capacity_embedded.RATE <= simulated.drained_seconds < 90 / capacity_embedded.RATE
    seconds = simulated.drained_seconds
    assert not capacity_embedded.compare(capacity_embedded.MeasuredBurst(30, 1.1 * seconds, 60), simulated)
    assert capacity_embedded.compare(capacity_embedded.MeasuredBurst(30, 1.3 * seconds, 60), simulated)
    assert capacity_embedded.compare(capacity_embedded.MeasuredBurst(29, seconds, 60), simulated)
    # AND each case has an effect of its own
    times = [
        capacity_embedded.simulate(case, 30, 1.0, 1)[0].drained_seconds for case in capacity_embedded.CASES
    ]
    assert times[1] < times[0] < times[2] > 40


def test_an_endpoint_with_a_queue_rejects_what_it_does_not_hold() -> None:
    request = proxy.Request("endpoint", "POST", "/endpoints/e/invocations")
    endpoint = capacity_embedded.OneAtATime(0.2, queue=2)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(endpoint, [request] * 6))
    assert sorted(one.status if one else 200 for one in found) == [200, 200, 200, 424, 424, 424]
    # AND one that is unavailable rejects all for its time, from the first request on
    dead = capacity_embedded.DeadAtFirst(0.3, capacity_embedded.OneAtATime(0.0))
    first = dead(request)
    assert first is not None
    assert (first.status, b"500" in first.body) == (424, True)
    deadline = time.monotonic() + 120
    while dead(request) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert dead(request) is None


def test_an_idle_service_waits_for_nothing() -> None:
    outcome = simulated(300, 300.0)
    assert (outcome.results, outcome.throttles, outcome.busy) == (300, 0, 0)
    assert outcome.drained_seconds < 303


def test_without_reserved_concurrency_the_containers_queue_rejects() -> None:
    outcome = simulated(2000, 2.0, concurrency=0)
    assert outcome.busy > 0
    assert outcome.max_concurrency > PER_INSTANCE
    assert outcome.results == 2000


def test_fewer_tries_in_the_template_lose_images() -> None:
    # GIVEN retriers of five tries in the place of the template's
    states = {
        name: replace(
            state,
            retriers=tuple(replace(retrier, attempts=min(5, retrier.attempts)) for retrier in state.retriers),
        )
        for name, state in DEPLOYMENT.states.items()
    }
    deployment = replace(DEPLOYMENT, states=states)
    assumed = Assumptions(concurrency=PER_INSTANCE, no_backlog=True)
    outcome = Simulation(deployment, assumed, 3000, 2.0).run()
    assert outcome.failed + outcome.without_result > 500
    assert outcome.results + outcome.failed + outcome.without_result == 3000


@pytest.mark.parametrize("hangs", [False, True])
def test_an_unavailable_endpoint_takes_no_more_functions_than_are_reserved(hangs: bool) -> None:
    # GIVEN an endpoint that is unavailable for the first five of ten minutes
    outcome = simulated(1200, 600.0, outage_seconds=300.0, hangs=hangs)
    assert outcome.max_concurrency <= PER_INSTANCE
    assert outcome.max_concurrent_functions < 100
    # THEN every upload has its result in the end, at most one interval of the backlog and a few seconds after the last
    assert (outcome.results, outcome.failed, outcome.without_result) == (1200, 0, 0)
    assert outcome.redriven >= 500
    assert outcome.drained_seconds < 600 + 300 + 60


def test_a_new_account_runs_ten_functions_at_once() -> None:
    outcome = simulated(200, 5.0, account_concurrency=10, concurrency=0)
    assert outcome.max_concurrent_functions <= 10
    assert (outcome.results, outcome.failed, outcome.without_result) == (200, 0, 0)


def test_autoscaling_adds_instances_and_loses_less() -> None:
    # GIVEN twice the uploads that one instance takes, for a quarter of an hour
    deployment = replace(DEPLOYMENT, invocations_per_instance=60.0)
    options = {"rate": 2.0, "concurrency": PER_INSTANCE}
    alone = Simulation(deployment, Assumptions(**options), 3600, 900.0).run()  # type: ignore[arg-type]
    scaled = Simulation(deployment, Assumptions(**options, max_instances=4), 3600, 900.0).run()  # type: ignore[arg-type]
    assert (alone.max_instances, scaled.max_instances) == (1, 4)
    assert (alone.results, scaled.results) == (3600, 3600)
    assert scaled.drained_seconds < alone.drained_seconds
