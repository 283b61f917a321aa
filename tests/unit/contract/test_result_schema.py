"""The published schema of a result: for each member what it takes and what not, at each bound; and what goes with which outcome."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs" / "reference" / "result.schema.json").read_text()
)
WAS = {"outcome": "low-confidence", "label": "a", "confidence": 0.5, "reason": "unfamiliar", "model": "1"}
CLASSIFIED: dict[str, Any] = {
    "schema": "dropsort/result/1",
    "outcome": "classified",
    "source": {
        "bucket": "b", "key": "incoming/a", "version_id": "v", "etag": "e", "size": 5, "sequencer": "1f"
    },
    "label": "a", "confidence": 0.9, "probabilities": {"a": 0.9}, "familiarity": 0.5,
    "threshold": 0.9, "familiarity_threshold": 0.1, "reason": None,
    "model": {"endpoint": "bikes", "variant": "main", "version": "1"},
    "image": {"format": "JPEG", "width": 10, "height": 10},
    "review": None,
    "inference_id": "0" * 64,
    "times": {"uploaded": "2026-11-21T09:00:00Z", "recorded": "2026-11-21T09:00:01.000Z"},
    "execution": "arn", "trace": "Root=1",
}  # fmt: skip
REVIEW = {"id": "1", "by": "eva", "at": "2026-11-21T10:00:00Z", "action": "label", "was": WAS}
NOTHING: dict[str, Any] = dict.fromkeys(
    ("confidence", "probabilities", "threshold", "familiarity_threshold", "model", "image")
)
LOW = CLASSIFIED | {
    "outcome": "low-confidence",
    "reason": {"code": "below_threshold", "message": "Low.", "retryable": False},
}
FAILED = CLASSIFIED | NOTHING | {
    "outcome": "failed", "label": None, "reason": {"code": "throttled", "message": "Later.", "retryable": True}
}  # fmt: skip
REVIEWED = CLASSIFIED | NOTHING | {"review": REVIEW}
NONE_FITS = LOW | NOTHING | {
    "label": None, "review": REVIEW, "reason": {"code": "no_label_fits", "message": "None.", "retryable": False}
}  # fmt: skip
UNUSABLE = FAILED | {
    "review": REVIEW,
    "reason": {"code": "unusable_image", "message": "No.", "retryable": False},
}

CODES_OF_FAILURES = [
    "empty_object", "object_too_large", "object_not_found", "object_archived", "unreadable_encryption", "not_an_image",
    "unsupported_format", "too_many_pixels", "too_complex", "truncated_image", "corrupt_image", "blank_image",
    "refused_by_model", "invalid_prediction", "tied_prediction", "throttled", "endpoint_misconfigured",
    "endpoint_unavailable", "timeout", "service_error", "function_crashed",
]  # fmt: skip
SHARE = ([0, 1, 0.5], [-0.01, 1.01, -1, 2, "0.5", True])
TEXT = (["x"], ["", 5, {}])
# By document and path, the values that are taken, and those that are not.
VALUES: list[tuple[dict[str, Any], str, list[Any], list[Any]]] = [
    (CLASSIFIED, "schema", ["dropsort/result/1"], ["dropsort/result/2", None]),
    (CLASSIFIED, "outcome", ["classified"], ["lost", "low-confidence", "failed", None]),
    (CLASSIFIED, "source", [], [None, {}, []]),
    (CLASSIFIED, "source.bucket", TEXT[0], [*TEXT[1], None]),
    (CLASSIFIED, "source.key", ["incoming/a", "incoming/"], ["failed/a", "a/incoming/b", None, 5]),
    (CLASSIFIED, "source.version_id", [*TEXT[0], None], TEXT[1]),
    (CLASSIFIED, "source.etag", [*TEXT[0], None], [*TEXT[1], '"a"', 'a"']),
    (CLASSIFIED, "source.size", [0, 1, None], [-1, 0.5, "5"]),
    (CLASSIFIED, "source.sequencer", ["0", "9", "a", "f", "A", "F", None], ["", "g", "G", "1 ", 5]),
    (CLASSIFIED, "label", TEXT[0], [*TEXT[1], None]),
    (CLASSIFIED, "confidence", SHARE[0], [*SHARE[1], None]),
    (CLASSIFIED, "probabilities", [{"a": 0}, {"a": 1, "b": 0.5}],
     [{}, {"a": -0.01}, {"a": 1.01}, {"a": 2}, {"a": "1"}, [1], None]),
    (CLASSIFIED, "familiarity", [*SHARE[0], None], SHARE[1]),
    (CLASSIFIED, "threshold", SHARE[0], [*SHARE[1], None]),
    (CLASSIFIED, "familiarity_threshold", SHARE[0], [*SHARE[1], None]),
    (CLASSIFIED, "reason", [None], [LOW["reason"], "x"]),
    (CLASSIFIED, "model", [], [None, "bikes", {}]),
    (CLASSIFIED, "model.endpoint", [""], [None, 5]),
    (CLASSIFIED, "model.variant", ["", None], [5]),
    (CLASSIFIED, "model.version", ["", "x" * 256, None], ["x" * 257, 5]),
    (CLASSIFIED, "image", [], [None, {}, "x"]),
    (CLASSIFIED, "image.format",
     ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "ICO", "PPM", "HEIF"], ["SVG", None]),
    (CLASSIFIED, "image.width", [1, 2], [0, 1.5, None, "1"]),
    (CLASSIFIED, "image.height", [1, 2], [0, 1.5, None, "1"]),
    (CLASSIFIED, "inference_id", ["0123456789abcdef" * 4], ["0" * 63, "0" * 65, "g" * 64, "A" * 64, None, 5]),
    (CLASSIFIED, "times", [], [None, {}, "now"]),
    (CLASSIFIED, "times.uploaded", ["2026-11-21T09:00:00Z", "2026-11-21T09:00:00.5Z", None],
     ["2026-11-21T09:00:00", "2026-11-21", "26-11-21T09:00:00Z", "2026-11-21T09:00:00.Z", " 2026-11-21T09:00:00Z", 5,
      "2026-11-21T09:00:00Z "]),
    (CLASSIFIED, "times.recorded", ["2026-11-21T09:00:01.123Z"],
     ["2026-11-21T09:00:01Z", "2026-11-21T09:00:01.12Z", "2026-11-21T09:00:01.1234Z", "2026-11-21T09:00:01.123", None, 5,
      "26-11-21T09:00:01.123Z", " 2026-11-21T09:00:01.123Z", "2026-11-21T09:00:01.123Z "]),
    (CLASSIFIED, "execution", ["", None], [5]),
    (CLASSIFIED, "trace", ["", None], [5]),
    (LOW, "outcome", [], ["lost", "classified", "failed"]),
    (LOW, "reason", [], [None, {}, "x"]),
    (LOW, "reason.code", ["below_threshold", "unfamiliar"], ["no_label_fits", "throttled", "x", None]),
    (LOW, "reason.message", TEXT[0], [*TEXT[1], None]),
    (LOW, "reason.retryable", [False], [True, "no", None]),
    *((LOW, name, [], [None]) for name in ("label", *NOTHING)),
    (FAILED, "reason", [], [None, {}, "x"]),
    (FAILED, "reason.code", CODES_OF_FAILURES,
     ["below_threshold", "unfamiliar", "no_label_fits", "unusable_image", "x"]),
    (FAILED, "reason.retryable", [True, False], ["no", None, 1]),
    *((FAILED, name, [None], [CLASSIFIED[name]])
      for name in ("label", "confidence", "threshold", "familiarity_threshold")),
    *((FAILED, name, [None, CLASSIFIED[name]], ["x"]) for name in ("probabilities", "model", "image")),
    *((REVIEWED, name, [None, CLASSIFIED[name]], ["x"]) for name in NOTHING),
    (REVIEWED, "label", TEXT[0], [*TEXT[1], None]),
    (REVIEWED, "review", [], ["eva", {}]),
    (REVIEWED, "review.id", ["a", "0aZ-" * 16], ["", "a" * 65, "a_b", None, 5]),
    (REVIEWED, "review.by", ["x", "x" * 128], ["", "x" * 129, None]),
    (REVIEWED, "review.at", ["now"], [None, 5]),
    (REVIEWED, "review.action", ["label", "none", "unusable"], ["x", None]),
    (REVIEWED, "review.was", [], [None, {}, "x"]),
    (REVIEWED, "review.was.outcome", ["classified", "low-confidence", "failed"], ["x", None]),
    (REVIEWED, "review.was.label", ["x", None], [5]),
    (REVIEWED, "review.was.confidence", [0.5, None], ["x"]),
    (REVIEWED, "review.was.reason", ["x", None], [5]),
    (REVIEWED, "review.was.model", ["x", None], [5]),
    (NONE_FITS, "label", ["x", None], [5]),
    (NONE_FITS, "reason.code", ["no_label_fits", "below_threshold", "unfamiliar"], ["unusable_image", "timeout"]),
    (UNUSABLE, "reason.code", ["unusable_image", "timeout"], ["no_label_fits", "below_threshold", "unfamiliar"]),
    (UNUSABLE, "review", [REVIEW], [None]),
    (NONE_FITS, "review", [REVIEW], [None]),
]  # fmt: skip


def valid(document: Mapping[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def with_value(document: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the document in which this stands at the path."""
    copied: dict[str, Any] = copy.deepcopy(dict(document))
    *parents, name = path.split(".")
    node = copied
    for parent in parents:
        node = node[parent]
    node[name] = value
    return copied


def test_each_member_takes_what_is_listed() -> None:
    for document, path, taken, _ in VALUES:
        assert valid(document), document["outcome"]
        for value in taken:
            assert valid(with_value(document, path, value)), (path, value)


def test_each_member_takes_nothing_else() -> None:
    for document, path, _, rejected in VALUES:
        for value in rejected:
            assert not valid(with_value(document, path, value)), (path, value)


def objects(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object in the document whose members are fixed."""
    for name, value in document.items():
        if isinstance(value, dict) and name != "probabilities":
            yield f"{path}{name}", value
            yield from objects(value, f"{path}{name}.")


def test_each_object_has_all_of_its_members_and_no_other() -> None:
    assert not valid({})
    assert not valid([])  # type: ignore[arg-type]
    for document in (CLASSIFIED, LOW, REVIEWED):
        for name in document:
            assert not valid({key: value for key, value in document.items() if key != name}), name
        assert not valid(document | {"extra": None})
        for path, value in objects(document):
            assert not valid(with_value(document, path, value | {"extra": None})), path
            for name in value:
                less = {key: one for key, one in value.items() if key != name}
                assert not valid(with_value(document, path, less)), (path, name)
