"""The model's reference in the service's bucket: put there, exchanged, and never over somebody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.local.reference_object import KEY, put


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="images")
        yield client


def model(tmp_path: Path, name: str, reference: str | None) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    if reference is not None:
        (folder / "reference.json").write_text(reference)
    return folder


def kept(s3: Any) -> str | None:
    found = s3.list_objects_v2(Bucket="images", Prefix=KEY).get("Contents")
    return s3.get_object(Bucket="images", Key=KEY)["Body"].read().decode() if found else None


def test_it_follows_the_model(s3: Any, tmp_path: Path) -> None:
    one, two, none = (model(tmp_path, n, r) for n, r in (("one", "[1]"), ("two", "[2]"), ("none", None)))
    for folder, expected in ((none, None), (one, "[1]"), (one, "[1]"), (two, "[2]"), (none, None)):
        put(s3, "images", folder)
        assert kept(s3) == expected


def test_it_names_the_model(s3: Any, tmp_path: Path) -> None:
    folder = model(tmp_path, "one", '[{"label": "a", "confidence": 0.9}]')
    put(s3, "images", folder, "bikes-1")
    assert json.loads(kept(s3) or "") == {
        "model": "bikes-1",
        "predictions": [{"label": "a", "confidence": 0.9}],
    }


def test_one_that_is_an_object_stays_as_it_is(s3: Any, tmp_path: Path) -> None:
    content = '{"schema": "x", "labels": {}}'
    put(s3, "images", model(tmp_path, "one", content), "bikes-1")
    assert kept(s3) == content


def test_where_it_cannot_be_looked_up_nothing_is_written(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: Any) -> None:
        response = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise s3.exceptions.ClientError(response, "HeadObject")

    monkeypatch.setattr(s3, "head_object", denied)
    with pytest.raises(s3.exceptions.ClientError):
        put(s3, "images", model(tmp_path, "one", "[1]"))
    assert kept(s3) is None


def test_what_somebody_else_put_there_stays(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="images", Key=KEY, Body=b"[0]")
    put(s3, "images", model(tmp_path, "one", "[1]"))
    put(s3, "images", model(tmp_path, "none", None))
    assert kept(s3) == "[0]"
