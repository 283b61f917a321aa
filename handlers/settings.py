"""Every setting of the functions, one tuple: name, default, help. The template sets them as environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dropsort.contract import defaults, ignored_paths

# That the function for large images has: with less, an image may go there
LARGE_DECODING_BYTES = 1_300_000_000


class Setting(NamedTuple):
    """One environment variable of the functions."""

    name: str
    default: str
    help: str


SETTINGS = (
    Setting("STACK_NAME", defaults.STACK, "Name of the stack: the dimension `Stack` of every metric."),
    Setting("ENDPOINT_NAME", "", "Name of the SageMaker endpoint."),
    Setting(
        "ENDPOINT_ACCEPT",
        defaults.ENDPOINT_ACCEPT,
        "Accept header of InvokeEndpoint requests; the built-in algorithm requires application/json.",
    ),
    Setting(
        "INVOCATION_TIMEOUT_SECONDS",
        str(defaults.INVOCATION_TIMEOUT_SECONDS),
        "Timeout of one endpoint invocation in seconds, 1 to 60.",
    ),
    Setting(
        "LABELS", "", "Labels by class index, separated by commas, for an endpoint that returns a bare list."
    ),
    Setting(
        "THRESHOLD",
        str(defaults.THRESHOLD),
        "Minimum confidence for the outcome classified, 0 to 1.",
    ),
    Setting("LABEL_THRESHOLDS", "", "Thresholds of single labels: bicycle=0.9,motorcycle=0.95."),
    Setting(
        "FAMILIARITY_THRESHOLD",
        str(defaults.FAMILIARITY_THRESHOLD),
        "Minimum familiarity for the outcome classified, 0 to 1; 0 disables the check.",
    ),
    Setting(
        "IMAGE_SIDE",
        str(defaults.IMAGE_SIDE),
        "Maximum side length, in pixels, of images sent to the endpoint.",
    ),
    Setting(
        "MAX_OBJECT_MEGABYTES",
        str(defaults.MAX_OBJECT_MEGABYTES),
        "Maximum object size, in units of 1,000,000 bytes.",
    ),
    Setting(
        "DECODING_MEGABYTES",
        str(LARGE_DECODING_BYTES // 1_000_000),
        "Memory for decoding an image, in units of 1,000,000 bytes.",
    ),
    Setting(
        "MAX_MEGAPIXELS",
        str(defaults.MAX_MEGAPIXELS),
        "Maximum number of pixels, in units of 1,000,000.",
    ),
    Setting(
        "MODEL_VERSION",
        "",
        "Version that the model returns; results of the same version are renewed when an object was copied onto itself.",
    ),
    Setting(
        "IGNORED_PATTERNS",
        ignored_paths.DEFAULT,
        "Names of files and folders that get no result, separated by commas; a single comma ignores folder markers alone.",
    ),
    Setting("EVENT_BUS_NAME", "", "Name of the EventBridge bus that gets an event for each recorded result."),
)


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """The settings, parsed and checked once, when a function starts."""

    stack: str
    endpoint: str
    accept: str
    invocation_timeout: float
    labels: tuple[str, ...]
    threshold: float
    label_thresholds: dict[str, float]
    familiarity_threshold: float
    image_side: int
    max_bytes: int
    max_pixels: int
    decoding_bytes: int
    ignored_patterns: str
    model_version: str
    event_bus: str


def load(environment: Mapping[str, str] = os.environ) -> WorkflowSettings:
    """Read the settings.

    Raises
    ------
    ValueError
        A value has the wrong form; the message names the variable.
    """
    text = {setting.name: environment.get(setting.name) or setting.default for setting in SETTINGS}

    def number(name: str, low: float, high: float, value: str | None = None) -> float:
        value = text[name] if value is None else value
        try:
            parsed = float(value)
        except ValueError:
            parsed = float("nan")
        if not low <= parsed <= high:
            raise ValueError(f"{name}={text[name]!r}: {value!r} is not a number from {low:g} to {high:g}")
        return parsed

    def per_label(name: str) -> dict[str, float]:
        pairs = [pair.rpartition("=") for pair in text[name].split(",") if pair.strip()]
        if not all(label.strip() for label, _, _ in pairs):
            raise ValueError(f"{name}={text[name]!r}: expected pairs like bicycle=0.9,motorcycle=0.95")
        return {label.strip(): number(name, 0, 1, value) for label, _, value in pairs}

    return WorkflowSettings(
        stack=text["STACK_NAME"],
        endpoint=text["ENDPOINT_NAME"],
        accept=text["ENDPOINT_ACCEPT"],
        invocation_timeout=number("INVOCATION_TIMEOUT_SECONDS", 1, 60),
        labels=tuple(label.strip() for label in text["LABELS"].split(",") if label.strip()),
        threshold=number("THRESHOLD", 0, 1),
        label_thresholds=per_label("LABEL_THRESHOLDS"),
        familiarity_threshold=number("FAMILIARITY_THRESHOLD", 0, 1),
        image_side=int(number("IMAGE_SIDE", 32, 1024)),
        max_bytes=int(number("MAX_OBJECT_MEGABYTES", 1, 200) * 1e6),
        max_pixels=int(number("MAX_MEGAPIXELS", 1, 100) * 1e6),
        decoding_bytes=int(number("DECODING_MEGABYTES", 100, 1300) * 1e6),
        ignored_patterns=text["IGNORED_PATTERNS"],
        model_version=text["MODEL_VERSION"],
        event_bus=text["EVENT_BUS_NAME"],
    )
