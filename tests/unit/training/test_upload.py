"""The upload of a dataset: what is there is skipped, an interruption is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from training import dataset
from training.dataset import Dataset, LabelledImage, channels
from training.errors import TrainingError


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        yield client


def test_upload_writes_what_the_channels_need_and_then_skips_it(
    client: Any, image_tree: Callable[..., Path]
) -> None:
    data = dataset.split(dataset.read(image_tree(10)), validation=0.2, test=0.2)
    seen: list[tuple[int, int, str]] = []

    client.put_object(Bucket="pictures", Key="X/notes.txt", Body=b"of somebody else")
    listed: list[str] = []
    client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: listed.append(params["Prefix"])
    )

    first = channels.upload(data, client, "pictures", "/X/", progress=lambda *step: seen.append(step))
    again = channels.upload(data, client, "pictures", "X")

    assert listed == ["X/", "X/"]
    keys = {o["Key"] for o in client.list_objects_v2(Bucket="pictures", Prefix="X/")["Contents"]}
    assert {"X/train_lst/train.lst", "X/validation_lst/validation.lst", "X/labels.json"} <= keys
    index = client.get_object(Bucket="pictures", Key="X/train_lst/train.lst")["Body"].read().decode()
    assert {f"X/train/{line.split(chr(9))[2]}" for line in index.splitlines()} <= keys
    assert (first.skipped, again.sent) == (0, 0)
    assert again.skipped == first.sent == len(keys) - 1
    assert seen[-1][0] == seen[-1][1] == first.sent


def test_upload_goes_on_after_an_interruption(client: Any, image_tree: Callable[..., Path]) -> None:
    data = dataset.split(dataset.read(image_tree(10)))

    class Killed(Exception):
        pass

    def kill(done: int, total: int, key: str) -> None:
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        channels.upload(data, client, "pictures", progress=kill)
    rest = channels.upload(data, client, "pictures")
    assert client.list_objects_v2(Bucket="pictures", Prefix="training/images/")["KeyCount"] == 7 + rest.sent

    assert rest.skipped == 7


def test_an_object_that_cannot_be_written_is_named(image_tree: Callable[..., Path]) -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    pages = SimpleNamespace(paginate=lambda **_: [{}])
    client: Any = SimpleNamespace(
        get_paginator=lambda _: pages, put_object=denied, exceptions=SimpleNamespace(ClientError=ClientError)
    )
    data = Dataset(["a"], [LabelledImage(image_tree(1) / "red" / "0.png", "a", "train")])
    with pytest.raises(
        TrainingError, match=r"^training/images/train/a/0\.png could not be uploaded to b: .*AccessDenied"
    ):
        channels.upload(data, client, "b")


def test_a_bucket_that_is_not_there_is_an_error(client: Any, image_tree: Callable[..., Path]) -> None:
    with pytest.raises(TrainingError, match="gone"):
        channels.upload(dataset.split(dataset.read(image_tree(10))), client, "gone")
