"""What training writes as the reference of drift, monitoring reads: neither knows the other, so it is held together here."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import numpy as np
import pytest

from dropsort.contract.reference import FILE, KEY, STATE_PREFIX
from monitoring.aggregates.histograms import BINS
from monitoring.drift.assess import assess
from monitoring.drift.reference import read_reference
from monitoring.drift.sample import Sample
from monitoring.storage.documents import JsonDocuments
from training.dataset import LabelledImage
from training.evaluation import reference_file
from training.evaluation.figures import Predictions

MODEL = Path(__file__).resolve().parents[2] / "models" / "bikes"


def predictions(count: int, judged: bool = True) -> Predictions:
    random = np.random.default_rng(count)
    probabilities = random.dirichlet((0.4, 0.3, 0.2), count).round(6)
    return Predictions(
        [LabelledImage(Path(f"{i}.png"), "a") for i in range(count)],
        probabilities,
        random.random(count).round(6) if judged else np.ones(count),
        has_familiarity=judged,
    )


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("count", [1, 250])
def test_monitoring_counts_the_numbers_that_training_wrote(tmp_path: Path, count: int, judged: bool) -> None:
    # GIVEN a model's predictions for images, with labels that are any text
    labels, given = ["bicycle", "vélo 🚲", 'a "b"\n'], predictions(count, judged)

    # WHEN training writes them and monitoring reads them
    reference_file.write(tmp_path / "model" / FILE, given, labels)
    found = read_reference(tmp_path / "model" / FILE)

    # THEN they are the same predictions, counted
    best = given.probabilities.argmax(1)
    assert found.count == count
    assert found.labels == {label: n for i, label in enumerate(labels) if (n := int((best == i).sum()))}
    bins = np.minimum((given.confidence * BINS).astype(int), BINS - 1)
    assert np.array_equal(found.confidence, np.bincount(bins, minlength=BINS))
    assert (found.familiarity is not None) is judged
    if found.familiarity is not None:
        bins = np.minimum(
            (given.familiarity * len(found.familiarity)).astype(int), len(found.familiarity) - 1
        )
        assert np.array_equal(found.familiarity, np.bincount(bins, minlength=len(found.familiarity)))
    again = Sample.of([labels[i] for i in best], given.confidence.tolist(), given.familiarity.tolist())
    assert assess(again, again).to_json()["alarms"] == []


def test_the_committed_model_has_the_reference_of_its_figures() -> None:
    found, figures = read_reference(MODEL / FILE), json.loads((MODEL / "metrics.json").read_text())

    # THEN predictions by label, confidence and what the thresholds keep are those of the evaluation
    assert found.count == figures["images"]
    predicted = [sum(column) for column in zip(*figures["confusion"], strict=True)]
    assert found.labels == dict(zip(figures["labels"], predicted, strict=True))
    assert found.familiarity is not None
    rows = json.loads((MODEL / FILE).read_text())
    sure = [row for row in rows if row["confidence"] >= figures["threshold"]]
    kept = [row for row in sure if row["familiarity"] >= figures["familiarity_threshold"]]
    assert len(sure) / len(rows) == figures["coverage"]
    assert len(kept) / len(rows) == figures["coverage_with_guard"]
    assert {key for row in rows for key in row} == {"label", "confidence", "familiarity"}


def test_the_service_puts_it_where_the_hourly_function_reads_it() -> None:
    client = boto3.client("s3", region_name="us-east-1")

    assert JsonDocuments(client, "bucket", STATE_PREFIX).address(FILE) == f"s3://bucket/{KEY}"
