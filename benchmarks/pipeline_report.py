"""The table of ``benchmarks.pipeline``: arms side by side, ratios, and what is of the embedded AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("images per second", "images_per_second", "{:.1f}", 1),
    ("p50, ms", "p50_seconds", "{:.0f}", 1000),
    ("p95, ms", "p95_seconds", "{:.0f}", 1000),
    ("CPU per image, ms", "cpu_milliseconds", "{:.0f}", 1),
    ("  of it the endpoint", "endpoint_cpu_milliseconds", "{:.1f}", 1),
    ("no result: below the threshold", "below_threshold", "{:d}", 1),
    ("no result: lost", "lost", "{:d}", 1),
    ("results written", "written", "{:d}", 1),
    ("prediction of another image", "other_prediction", "{:d}", 1),
    ("  with another class", "other_class", "{:d}", 1),
)
_NOTES = """\
What is of the embedded AWS: 150 ms of every latency are its fixed sleep before an execution; after an invocation that printed nothing it
waits 50 ms for a line (two of the baseline's three functions print none), after one that printed it still waits 5 ms; a function that
raised loses its process, so that below the threshold the next image is a cold start. The adapted baseline is spared the last two."""


def text(figures: Mapping[str, Any]) -> str:
    """The table as plain text."""
    arms = figures["arms"]
    names = list(arms)
    lines = [f"{figures['images']} images", ""]
    for key in arms[names[0]]:
        temperature, clients = key.split()
        lines.append(_line(f"{temperature}, {clients} client{'s' * (clients != '1')}", names))
        for title, name, form, factor in _ROWS:
            lines.append(_line(title, [form.format(arms[arm][key][name] * factor) for arm in names]))
        lines.append("")
    lines.append(
        _line(
            "functions only, CPU ms per image",
            [_or_dash(figures["alone"].get(arm), "{:.1f}") for arm in names],
        )
    )
    lines += ["", _line("import, CPU ms (with compiled modules)", names[:2])]
    for part in figures["imports"][names[0]]:
        cells = [figures["imports"][arm][part] for arm in names[:2]]
        lines.append(_line(part, [f"{cell['as_packaged']:.0f} ({cell['compiled']:.0f})" for cell in cells]))
    lines += ["", _NOTES, ""]
    lines += ["ratios to the baseline (to the adapted one):", *_ratios(arms, names)]
    return "\n".join(lines)


def _ratios(arms: Mapping[str, Any], names: list[str]) -> list[str]:
    ours, baseline, adapted = (arms[name] for name in names)
    lines = []
    for key in ours:
        rate, p50 = "images_per_second", "p50_seconds"
        lines.append(
            f"  {key.replace(' ', ', ')} clients: throughput {ours[key][rate] / baseline[key][rate]:.2f} "
            f"({ours[key][rate] / adapted[key][rate]:.2f}), p50 {ours[key][p50] / baseline[key][p50]:.2f} "
            f"({ours[key][p50] / adapted[key][p50]:.2f})"
        )
    return lines


def _line(title: str, cells: list[str]) -> str:
    return f"{title:40s}" + "".join(f"{cell:>18s}" for cell in cells)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
