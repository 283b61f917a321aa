"""The totals of a run, as `dropsort demo` and `dropsort drop --wait` show them below the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dropsort.contract.text import printable


def totals(summary: Mapping[str, Any], *, started: bool = False) -> list[tuple[str, str]]:
    """Names and values of a summary of `dropsort.client.summary.summarise`, and of what `demo` and `drop` add to it.

    Parameters
    ----------
    started
        Whether the service was started for this run, so that cold starts are known and not derived.
    """
    latency = summary["latency_seconds"]
    final = summary["results"] - summary.get("retryable", 0)
    facts = [("images", str(summary["images"])), ("results", str(final))]
    facts += [(name, str(number)) for name, number in summary["outcomes"].items() if number]
    if summary.get("retryable"):
        facts.append(
            ("waiting", f"{summary['retryable']} retryable: the service starts them again by itself")
        )
    facts += [("not uploaded", str(len(summary["skipped"])))] if summary.get("skipped") else []
    facts += [("lost", ", ".join(map(printable, summary["lost"][:5])))] if summary.get("lost") else []
    facts += [("twice", ", ".join(map(printable, summary["twice"][:5])))] if summary.get("twice") else []
    if summary["accuracy"] is not None:
        by_folder = summary["by_folder"]
        facts.append(
            (
                "accuracy",
                f"{summary['accuracy']:.3f} ({by_folder['right']} of {by_folder['images']} in folders named like a label)",
            )
        )
        if by_folder.get("reviewed"):
            facts.append(("", f"people decided {by_folder['reviewed']}, counted as the model predicted"))
        if by_folder["classified"]:
            share = f"{by_folder['classified_accuracy']:.3f} of the {by_folder['classified']} classified"
            facts.append(("", share))
    if summary["images_per_second"]:
        facts.append(("rate", f"{summary['images_per_second']:.1f} images/s, first upload to last result"))
    if latency["p50"] is not None:
        facts.append(
            (
                "latency",
                f"p50 {latency['p50']:.2f} s, p95 {latency['p95']:.2f} s, upload to result at this rate",
            )
        )
    if summary.get("cold_starts"):
        warm, count = summary["warm_latency_seconds"], summary["cold_starts"]
        waited = f"{'' if started else 'probably '}waited for functions to start (cold start)"
        if warm["p50"] is None:
            facts.append(("", f"{'it' if count == 1 else 'all of them'} {waited}"))
        else:
            first = "the first, which" if count == 1 else f"the first {count}, which"
            facts.append(("", f"p50 {warm['p50']:.2f} s, p95 {warm['p95']:.2f} s without {first} {waited}"))
    return facts
