"""The probe of `dropsort deploy`: it waits for S3's events, for real, and leaves nothing behind."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dropsort.contract import keys
from dropsort.deployment import probe
from dropsort.deployment.errors import DeployError
from dropsort.local.service import LocalService

pytestmark = pytest.mark.stack


def left(s3: Any, bucket: str) -> list[str]:
    """Every version of probes and their results."""
    return [
        item["Key"]
        for prefix in (keys.INCOMING, *(f"{outcome}/" for outcome in keys.OUTCOMES))
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=f"{prefix}{probe.FOLDER}"
        )
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]


def test_uploads_that_start_the_workflow_are_noticed(service: LocalService, s3: Any) -> None:
    said: list[str] = []
    assert probe.run(s3, service.bucket, said.append, again_seconds=60) < 60
    assert left(s3, service.bucket) == []


def test_it_waits_for_events_that_are_not_on_yet(service: LocalService, s3: Any) -> None:
    # GIVEN a bucket that sends no events, as a new one for some minutes
    before = s3.get_bucket_notification_configuration(Bucket=service.bucket)
    before.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=service.bucket, NotificationConfiguration={})
    waiting = threading.Event()

    def on() -> None:
        waiting.wait(60)
        s3.put_bucket_notification_configuration(Bucket=service.bucket, NotificationConfiguration=before)

    switch = threading.Thread(target=on)
    switch.start()
    # WHEN the probe waits, and they come on after its first upload
    said: list[str] = []

    def heard(sentence: str) -> None:
        said.append(sentence)
        waiting.set()

    try:
        probe.run(s3, service.bucket, heard, patience_seconds=120, again_seconds=1)
    finally:
        waiting.set()
        switch.join()
    # THEN it has reported what it waits for, and a later upload came through
    assert "S3's events, which take some minutes" in said[0]
    assert left(s3, service.bucket) == []


def test_it_gives_up_and_says_what_may_be_missed(service: LocalService, s3: Any) -> None:
    # GIVEN a bucket without events at all
    s3.create_bucket(Bucket="no-events")
    with pytest.raises(DeployError, match=r"may not start the workflow yet.*redrive"):
        probe.run(s3, "no-events", patience_seconds=1, again_seconds=0.4)
    assert left(s3, "no-events") == []
    s3.delete_bucket(Bucket="no-events")
