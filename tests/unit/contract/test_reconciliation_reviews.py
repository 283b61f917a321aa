"""Which reviews a comparison reads, and up to what size (moto's S3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropsort.contract import reconciliation, result, reviews
from tests.unit.contract.conftest import BUCKET
from tests.unit.contract.test_reconciliation import review, upload, write

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Counting:
    """S3 that notes which objects are read."""

    def __init__(self, s3: Any) -> None:
        self._s3, self.read = s3, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_object(self, **request: Any) -> Any:
        self.read.append(request["Key"])
        return self._s3.get_object(**request)


def test_only_reviews_of_the_period_and_of_images_of_low_confidence_are_read(s3: Any) -> None:
    for name, outcome in (("classified.png", "classified"), ("doubtful.png", "low-confidence")):
        source = upload(s3, name)
        write(s3, source, outcome)
        review(s3, source, "none")
    for period, expected in (
        ((NOW - DAY, NOW + DAY), ["reviews/classified.png.json", "reviews/doubtful.png.json"]),
        ((NOW - 2 * DAY, NOW - DAY), ["reviews/doubtful.png.json"]),
    ):
        counting: Any = Counting(s3)
        assert len(list(reconciliation.check(counting, BUCKET, reviewed=period))) == 2
        assert sorted(key for key in counting.read if key.startswith("reviews/")) == expected


@pytest.mark.parametrize(("size", "counts"), [(reviews.MAX_BYTES, True), (reviews.MAX_BYTES + 1, False)])
def test_a_review_is_read_whole_up_to_its_longest(s3: Any, size: int, counts: bool) -> None:
    source = upload(s3, "a.png")
    write(s3, source, "low-confidence")
    review(s3, source, "none")
    body = s3.get_object(Bucket=BUCKET, Key="reviews/a.png.json")["Body"].read()
    s3.put_object(Bucket=BUCKET, Key="reviews/a.png.json", Body=body.rjust(size))
    (found,) = reconciliation.check(s3, BUCKET, reviewed=(NOW - DAY, NOW + DAY))
    assert (found.review is not None, found.unreviewed is None) == (counts, counts)


@pytest.mark.parametrize(("size", "counts"), [(result.MAX_BYTES, True), (result.MAX_BYTES + 1, False)])
def test_a_result_is_read_whole_up_to_its_longest(s3: Any, size: int, counts: bool) -> None:
    location = write(s3, upload(s3, "a.png"), "failed", retryable=True)
    body = s3.get_object(Bucket=BUCKET, Key=location)["Body"].read()
    assert json.loads(body)
    s3.put_object(Bucket=BUCKET, Key=location, Body=body.rjust(size))
    (found,) = reconciliation.check(s3, BUCKET)
    assert found.why == (reconciliation.RETRYABLE if counts else reconciliation.NO_RESULT)
