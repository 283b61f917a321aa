"""Inject faults into the embedded service: ``python -m benchmarks.faults``.

Each kind of fault gets images of its own. It goes on for some seconds, then it is over, and without a person every image must come out
with one result of its newest upload. Its last line is ``lost N, doubled N, stale N``; the exit code is 0 only if all of them, and what
waits, are 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.kinds import SHARED, FaultKind
from benchmarks.faults.run import PATIENCE_SECONDS, FaultResult, run_alone, run_shared
from benchmarks.faults.service_kinds import ALONE, Alone
from benchmarks.faults.target import PARAMETERS, FaultTarget, check_often
from dropsort.local.service import LocalService


def _table(rows: Sequence[FaultResult]) -> str:
    head = ("kind", "images", "lost", "doubled", "stale", "waiting", "injected", "finished", "invocations")
    lines = ["{:24s}{:>8s}{:>6s}{:>9s}{:>7s}{:>9s}{:>10s}{:>9s}{:>13s}".format(*head)]
    for row in rows:
        found = row.verdict
        if row.skipped:
            lines.append(f"{row.kind:24s}  skipped: {row.skipped}")
            continue
        lines.append(
            f"{row.kind:24s}{found.images:8d}{found.lost:6d}{found.doubled:9d}{found.stale:7d}{found.waiting:9d}"
            f"{row.injected_seconds:8.1f} s{row.drained_seconds:7.1f} s"
            + (f"{row.invocations:13d}" if row.invocations else "")
        )
        lines += [f"    {name}: {example[:200]}" for name, example in found.examples.items()]
    return "\n".join(lines)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--images", type=int, default=100, metavar="N", help="images of each kind (100)")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="these kinds alone; --list names them")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS",
                        help="how long to wait for results after a fault, in addition to twice as long as it went on (240)")  # fmt: skip
    parser.add_argument("--usual-interval", action="store_true",
                        help="let the automatic redrive check every 30 seconds, as usual, not every 2")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--list", action="store_true", help="print the kinds, run nothing")
    options = parser.parse_args(arguments)
    if options.images < 1:
        parser.error("--images: at least 1")
    known = [*SHARED, *ALONE]
    unknown = set(options.only or ()) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; --list names all kinds")
    options.kinds = [name for name in known if name in (options.only or known)]
    return options


def _run(options: argparse.Namespace, add: Callable[[FaultResult], None]) -> None:
    """Run the kinds, those of one service first."""
    shared = [name for name in options.kinds if name in SHARED]
    if shared:
        with LocalService(parameters=PARAMETERS) as service:
            target = FaultTarget(service)
            for name in shared:
                add(run_shared(target, name, options.images, options.patience))
            target.close()
    for name in options.kinds:
        if name in ALONE:
            add(run_alone(name, options.images))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if an image was lost, doubled, stale or waits, or if not every kind was run."""
    options = _arguments(arguments)
    if options.list:
        kinds: list[FaultKind | Alone] = [*SHARED.values(), *ALONE.values()]
        for kind in kinds:
            print(f"{kind.name:24s}{kind.sentence}")
        return 0
    if not options.usual_interval:
        check_often()
    rows: list[FaultResult] = []

    def add(row: FaultResult) -> None:
        rows.append(row)
        print(_table([row]).partition("\n")[2], file=sys.stderr, flush=True)

    try:
        _run(options, add)
    except KeyboardInterrupt:
        print("Interrupted: this is what was run.", file=sys.stderr)
    print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    verdicts = [row.verdict for row in rows]
    waiting = sum(verdict.waiting for verdict in verdicts)
    if waiting:
        print(f"waiting {waiting}")
    lost, doubled, stale = (sum(getattr(v, name) for v in verdicts) for name in ("lost", "doubled", "stale"))
    print(f"lost {lost}, doubled {doubled}, stale {stale}")
    complete = len(rows) == len(options.kinds)
    return int(bool(lost or doubled or stale or waiting or not complete))


if __name__ == "__main__":
    sys.exit(main())
