"""Capture files into aggregates: what is new since the last run, exactly once.

    summary = run("captures/", "monitoring-state/")

A run lists the source, reads the files that it has not read in this version, drops records whose event id it has seen
(in any file, in any run), adds the rest to the hours they were inferred in, and then replaces the state in one step.
Late files, copies of files, files that grew and killed runs all end in what one run over everything would give.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from monitoring.aggregates.cells import UNKNOWN, Aggregate
from monitoring.aggregation.stages import Progress, Run
from monitoring.aggregation.summary import Summary
from monitoring.errors import MonitoringError
from monitoring.storage import open_store
from monitoring.storage.base import Access
from monitoring.storage.state import State


def run(
    source: str | os.PathLike[str],
    state: str | os.PathLike[str] | None = None,
    *,
    labels: Sequence[str] | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    seconds: float | None = None,
    days: float | None = None,
    images: bool = False,
    access: Access | None = None,
) -> Summary:
    """Aggregate what is new in a folder or below a prefix.

    Parameters
    ----------
    source, state
        A folder or ``s3://bucket/prefix`` each. Without `state` nothing is remembered.
    labels
        Labels by class index (the content of labels.json), for endpoints that answer a bare list.
    processes
        That read at the same time; by default one, or as many as there are processors if there is much to read.
    progress
        Is called with the numbers of files and bytes that were read.
    seconds
        Time to stop after; what was read by then is kept, and the next run goes on from there.
    days
        Leave hour folders out that are more than so many days back, fractions too: with years of captures in a bucket,
        listing them all is what an hourly run would mostly do.
    images
        Decode the inputs for image statistics (needs Pillow; slower by far).

    Raises
    ------
    MonitoringError
        Nothing can be read or written there, or the state is of another source or of other labels.
    """
    if state is None:
        with tempfile.TemporaryDirectory(prefix="dropsort-") as folder:
            return run(
                source, folder, labels=labels, processes=processes, progress=progress, seconds=seconds, days=days,
                images=images, access=access,
            )  # fmt: skip
    store, keep = open_store(source, access), open_store(state, access)
    with keep.lock():
        return Run(store, State(keep), labels or (), images, access or Access(), progress).go(
            processes, seconds, days
        )


def load(
    state: str | os.PathLike[str],
    *,
    start: str | None = None,
    end: str | None = None,
    access: Access | None = None,
) -> Aggregate:
    """Get what was aggregated, for all hours or those in [start, end) (as in `Key.hour`).

    Raises
    ------
    MonitoringError
        There is no state, or it is damaged.
    """
    found = State(open_store(state, access))
    if not found.exists:
        raise MonitoringError(
            f"Nothing was aggregated into {found.store.name} yet: run `dropsort monitor` first."
        )
    whole = Aggregate()
    for hour in sorted(found.manifest.hours):
        if hour != UNKNOWN and ((start and hour < start) or (end and hour >= end)):
            continue
        if hour == UNKNOWN and (start or end):
            continue
        whole.merge(Aggregate.from_json(found.load("hours", hour) or b""))
    whole.health = found.manifest.health
    return whole
