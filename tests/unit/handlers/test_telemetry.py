"""What the functions print: one valid EMF line, declared names alone, few dimensions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import tracing

from dropsort.contract import metrics
from dropsort.local import emf_parser
from handlers import telemetry
from handlers.telemetry import emit, emit_by, note, observed


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]


def metric_names(line: dict[str, Any]) -> set[str]:
    return {metric["Name"] for block in line["_aws"]["CloudWatchMetrics"] for metric in block["Metrics"]}


def test_one_line_an_invocation(capsys: pytest.CaptureFixture[str], context: SimpleNamespace) -> None:
    # GIVEN a key with a line separator that a log may take for the end of a line
    @observed
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        emit(**{metrics.CLASSIFIED: 1, metrics.CONFIDENCE: 0.98})
        note(s3_key="incoming/a\u2028.jpg", label=None)
        return event

    assert handler({"a": 1}, context) == {"a": 1}
    (line,) = lines(capsys)
    assert metric_names(line) == {"Classified", "Confidence"}
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Dropsort"
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stack"]]
    assert line["Stack"] == "dropsort"
    assert line["s3_key"] == "incoming/a\u2028.jpg"


def test_metrics_of_one_invocation_do_not_reach_the_next(
    capsys: pytest.CaptureFixture[str], context: SimpleNamespace
) -> None:
    @observed
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        note(**event)
        if "s3_key" in event:
            raise RuntimeError("no metric yet")
        emit(**{metrics.REJECTED: 1})
        return {}

    with pytest.raises(RuntimeError):
        handler({"s3_key": "incoming/a.jpg"}, context)
    capsys.readouterr()
    handler({}, context)
    (line,) = lines(capsys)
    assert "s3_key" not in line


def test_an_exception_is_one_line_of_json_and_goes_on(
    capsys: pytest.CaptureFixture[str], context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry.logger().registered_handler, "stream", sys.stdout)

    @observed
    def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
        note(s3_key="incoming/é\x85a.jpg")
        raise RuntimeError("S3 is away")

    with pytest.raises(RuntimeError):
        handler({}, context)
    text = capsys.readouterr().out
    assert '"level":"ERROR","' in text  # CloudWatch bills what is written
    (line,) = map(json.loads, text.splitlines())
    assert (line["level"], line["exception_name"], line["s3_key"]) == (
        "ERROR",
        "RuntimeError",
        "incoming/é\x85a.jpg",
    )


def test_every_name_has_a_unit_and_is_emitted_somewhere() -> None:
    source = "".join(path.read_text() for path in Path(telemetry.__file__).parent.glob("*.py"))
    declared = {
        name: value
        for name, value in vars(metrics).items()
        if name.isupper() and isinstance(value, str) and value in metrics.WORKFLOW
    }
    assert set(declared.values()) == set(metrics.WORKFLOW)
    for name in declared:
        assert source.count(name) >= 1, f"{name} is declared and never emitted"


def test_a_name_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"not in dropsort/contract/metrics\.py: Another, Surprise"):
        emit(Surprise=1, Another=2, **{metrics.CLASSIFIED: 1})


@pytest.mark.parametrize("label", ["bicycle", "Fahrrad für Kinder", "自転車", "x" * 2000])
def test_a_label_is_a_dimension_that_cloudwatch_takes(
    label: str, capsys: pytest.CaptureFixture[str], context: SimpleNamespace
) -> None:
    @observed
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        emit_by(metrics.LABEL, label, **{metrics.LABELLED: 1})
        return event

    handler({}, context)
    (line,) = lines(capsys)
    assert metric_names(line) == {"Labelled"}
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stack", "Label"]]
    assert line["Label"].isascii()
    assert 0 < len(line["Label"]) <= 1024


def test_metrics_of_several_dimensions_are_one_line_that_gives_each_its_own(
    capsys: pytest.CaptureFixture[str], context: SimpleNamespace
) -> None:
    @observed
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        emit(**{metrics.CLASSIFIED: 1, metrics.CONFIDENCE: 0.5})
        emit_by(metrics.LABEL, "bicycle", **{metrics.LABELLED: 1})
        emit_by(metrics.MODEL, "bikes-1.0.0", **{metrics.CLASSIFIED: 1})
        return event

    handler({}, context)
    found = [
        (datum.name, dict(datum.dimensions), datum.values)
        for datum in emf_parser.parse(capsys.readouterr().out.strip())
    ]
    assert found == [
        ("Classified", {"Stack": "dropsort"}, (1.0,)),
        ("Confidence", {"Stack": "dropsort"}, (0.5,)),
        ("Labelled", {"Stack": "dropsort", "Label": "bicycle"}, (1.0,)),
        ("Classified", {"Stack": "dropsort", "Model": "bikes-1.0.0"}, (1.0,)),
    ]


def test_a_trace_has_no_responses(
    monkeypatch: pytest.MonkeyPatch, context: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN traces, which others may read than those who may read images and results
    captured: list[object] = []

    class Watched(tracing.Tracer):
        def capture_lambda_handler(self, *given: Any, capture_response: bool | None = None) -> Any:  # type: ignore[override]
            assert self.service == "dropsort"
            captured.append(capture_response)
            return super().capture_lambda_handler(*given, capture_response=capture_response)

    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
    monkeypatch.setattr(tracing, "Tracer", Watched)
    # WHEN a handler is traced THEN its response is not among what is sent
    assert observed(lambda event, _: event)({"image_data": "a"}, context) == {"image_data": "a"}
    assert captured == [False]
    # AND without traces nothing of it is made
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "TRUE")
    observed(lambda event, _: event)
    assert captured == [False]


def test_a_function_that_writes_no_line_of_its_own_does_not_import_the_logger() -> None:
    # GIVEN a cold start without traces WHEN the last function is imported and a handler ends without an exception
    program = (
        "import sys; from handlers import filter, telemetry; telemetry.observed(lambda event, _: event)({}, None)\n"
        "print(sorted(name for name in sys.modules if name.startswith('aws_lambda_powertools')))"
    )
    environment = {"PATH": os.environ["PATH"], "POWERTOOLS_TRACE_DISABLED": "true"}
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    # THEN Powertools is not among what was imported
    assert found.stdout == "[]\n"
