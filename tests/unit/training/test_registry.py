"""The registry against moto: registered once, pending until approved, newest first; and what the requests hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from training.aws.container_images import image_uri
from training.aws.requests import AwsRequest
from training.errors import TrainingError
from training.registry import registry
from training.registry.model_packages import (
    list_request,
    model_quality,
    plan_decision,
    plan_register,
    read,
    read_folder,
)

BUCKET = "dropsort-artifacts-123456789012-us-east-1"
IMAGE = image_uri("pytorch-inference", "us-east-1")
METRICS = {
    "accuracy": 0.965,
    "ece": 0.0123456789,
    "coverage": 0.91,
    "threshold": 0.87,
    "familiarity_threshold": 0.02,
    "confusion": [[1, 2], [3, 4]],
}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"a model")
    return path


@pytest.fixture
def session() -> Iterator[Any]:
    with mock_aws():
        session = boto3.Session("key", "secret", region_name="us-east-1")
        session.client("s3").create_bucket(Bucket=BUCKET)
        yield session


def model(artifact: Path | str, **changes: Any) -> dict[str, Any]:
    return {
        "bucket": BUCKET,
        "artifact": artifact,
        "image": IMAGE,
        "labels": ["bicycle", "motorcycle"],
        "metrics": METRICS,
        **changes,
    }


def version_request(requests: list[AwsRequest]) -> dict[str, Any]:
    assert requests[-1].operation == "CreateModelPackage"
    return dict(requests[-1].parameters)


def test_a_version_waits_for_approval_with_metrics_labels_and_thresholds(artifact: Path) -> None:
    request = version_request(
        plan_register("bikes", **model(artifact), description="refit on 1,000 pictures")
    )
    assert request["ModelApprovalStatus"] == "PendingManualApproval"
    assert request["CustomerMetadataProperties"] == {
        "accuracy": "0.965",
        "ece": "0.0123457",
        "coverage": "0.91",
        "threshold": "0.87",
        "familiarity_threshold": "0.02",
    }
    [container] = request["InferenceSpecification"]["Containers"]
    assert container["Environment"] == {
        "DROPSORT_LABELS": "bicycle,motorcycle", "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    }  # fmt: skip
    specification = request["InferenceSpecification"]
    assert specification["SupportedContentTypes"] == ["application/x-image", "image/jpeg", "image/png"]
    assert specification["SupportedRealtimeInferenceInstanceTypes"] == [
        f"ml.{family}.{size}" for family in ("m5", "c5") for size in ("large", "xlarge", "2xlarge")
    ]
    assert request["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].endswith("/model-quality.json")


def test_the_same_artifact_has_the_same_key_and_another_another(artifact: Path, tmp_path: Path) -> None:
    def key(path: Path) -> str:
        return plan_register("bikes", **model(path))[1].parameters["Key"]

    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"another model")
    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(artifact.read_bytes())
    assert key(artifact) == key(copy) != key(other)
    assert key(artifact).startswith("models/bikes/")


def test_a_training_jobs_output_is_copied(session: Any) -> None:
    # GIVEN the model that a training job left
    key = "training/dropsort-train/a job+1/output/model.tar.gz"
    session.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"trained there")
    # WHEN it is registered by its address
    registered = registry.register("bikes", session, **model(f"s3://{BUCKET}/{key}"))
    # THEN a copy lies where the endpoint's role may read it
    assert registered.model_data.startswith(f"s3://{BUCKET}/models/bikes/")
    copy = registered.model_data.removeprefix(f"s3://{BUCKET}/")
    assert session.client("s3").get_object(Bucket=BUCKET, Key=copy)["Body"].read() == b"trained there"


def test_a_built_in_model_needs_no_script(artifact: Path) -> None:
    image = image_uri("image-classification", "us-east-1")
    request = version_request(plan_register("bikes", **model(artifact, image=image, metrics={})))
    [container] = request["InferenceSpecification"]["Containers"]
    assert container["Environment"] == {"DROPSORT_LABELS": "bicycle,motorcycle"}
    assert "CustomerMetadataProperties" not in request


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["one"]}, "two or more"),
        ({"labels": ["a,b", "c"]}, "without commas: 'a,b'"),
        ({"labels": ["", "c"]}, "without commas: ''"),
        ({"labels": [f"label{number:04}" for number in range(200)]}, "at most 1024"),
        ({"image": "an image"}, "Image"),
        ({"artifact": Path("nowhere/model.tar.gz")}, "nowhere/model.tar.gz cannot be read"),
        ({"artifact": "http://host/model.tar.gz"}, "not an S3 address"),
    ],
)
def test_what_cannot_be_registered(artifact: Path, changes: Any, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        plan_register("bikes", **{**model(artifact), **changes})


def test_a_group_name_that_sagemaker_rejects(artifact: Path) -> None:
    with pytest.raises(TrainingError, match="ModelPackageGroupName"):
        plan_register("my_bikes", **model(artifact))


def test_model_quality_is_json_for_the_console() -> None:
    assert json.loads(json.dumps(model_quality({"accuracy": 0.9, "curve": [1, 2]}))) == {
        "multiclass_classification_metrics": {"accuracy": {"value": 0.9, "standard_deviation": "NaN"}}
    }


def test_the_requests_of_a_registration_are_in_order(artifact: Path) -> None:
    assert [request.operation for request in plan_register("bikes", **model(artifact))] == [
        "CreateModelPackageGroup",
        "PutObject",
        "PutObject",
        "CreateModelPackage",
    ]


def test_register_approve_and_find(session: Any, artifact: Path, tmp_path: Path) -> None:
    # GIVEN a first version
    seen: list[AwsRequest] = []
    first = registry.register("bikes", session, on_request=seen.append, **model(artifact))
    assert (first.version, first.status) == (1, "PendingManualApproval")
    assert (first.labels, first.metrics["threshold"]) == (("bicycle", "motorcycle"), 0.87)
    assert [request.operation for request in seen] == [
        "CreateModelPackageGroup",
        "PutObject",
        "PutObject",
        "CreateModelPackage",
    ]
    # THEN the artifact is in S3 as it was, and nothing may be rolled out
    _, key = first.model_data.removeprefix("s3://").split("/", 1)
    assert session.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"a model"
    with pytest.raises(TrainingError, match="version 1 waits for `dropsort approve`"):
        registry.latest_approved(session, "bikes")
    # WHEN it is approved, and another one is registered
    seen.clear()
    approved = registry.approve("bikes", session, seen.append, note="0.965 on the test pictures")
    assert approved.status == "Approved"
    assert [request.parameters for request in seen] == [
        {"ModelPackageArn": first.arn, "ModelApprovalStatus": "Approved", "ApprovalDescription": "0.965 on the test pictures"}
    ]  # fmt: skip
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"another model")
    registry.register("bikes", session, **model(other))
    # THEN the approved one is the one to roll out, until the other is approved too
    assert registry.latest_approved(session, "bikes").version == 1
    with pytest.raises(TrainingError, match="PendingManualApproval, not approved"):
        registry.approved(session, "bikes", 2)
    registry.approve("bikes", session, version=2)
    assert registry.latest_approved(session, "bikes").version == 2
    assert registry.approved(session, "bikes", 1).version == 1
    # AND a rejected one is not
    registry.approve("bikes", session, version=2, reject=True)
    assert registry.latest_approved(session, "bikes").version == 1


def test_registering_the_same_artifact_again_changes_nothing(session: Any, artifact: Path) -> None:
    first = registry.register("bikes", session, **model(artifact))
    seen: list[AwsRequest] = []
    assert registry.register("bikes", session, on_request=seen.append, **model(artifact)) == first
    assert seen == []


def test_an_artifact_is_registered_again_where_its_image_is_another_or_it_was_rejected(
    session: Any, artifact: Path
) -> None:
    registry.register("bikes", session, **model(artifact))
    other = model(artifact, image=image_uri("pytorch-inference", "us-east-1", "ml.g4dn.xlarge"))
    assert registry.register("bikes", session, **other).version == 2
    assert registry.register("bikes", session, **other).version == 2
    registry.approve("bikes", session, version=2, reject=True)
    again = registry.register("bikes", session, **other)
    assert (again.version, again.status) == (3, "PendingManualApproval")


def test_a_version_that_is_not_there_is_none_of_those_that_are(session: Any, artifact: Path) -> None:
    registry.register("bikes", session, **model(artifact))
    with pytest.raises(TrainingError, match="group bikes has no version 9"):
        registry.approve("bikes", session, version=9)


def test_thresholds_are_registered_to_the_last_digit_and_outputs_of_two_jobs_apart() -> None:
    metrics = {"threshold": 0.123456789012, "familiarity_threshold": 0.0123456789, "accuracy": 0.123456789}
    one, other = (
        plan_register("bikes", **model(f"s3://{BUCKET}/{name}/model.tar.gz", metrics=metrics))
        for name in "ab"
    )
    assert version_request(one)["CustomerMetadataProperties"] == {
        "threshold": "0.123456789012", "familiarity_threshold": "0.0123456789", "accuracy": "0.123457",
    }  # fmt: skip
    assert one[1].parameters["Key"] != other[1].parameters["Key"]


def test_versions_come_from_every_page_of_the_registry_the_newest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "describe", lambda _session, arn: arn)
    pages = {
        None: {"ModelPackageSummaryList": [{"ModelPackageArn": "3"}], "NextToken": "second"},
        "second": {"ModelPackageSummaryList": [{"ModelPackageArn": "2"}, {"ModelPackageArn": "1"}]},
    }
    requested: list[dict[str, Any]] = []

    def listed(**given: Any) -> Any:
        requested.append(given)
        return pages[given.get("NextToken")]

    session: Any = SimpleNamespace(client=lambda _: SimpleNamespace(list_model_packages=listed))
    assert list(registry.packages(session, "bikes")) == ["3", "2", "1"]
    assert {(given["SortBy"], given["SortOrder"]) for given in requested} == {("CreationTime", "Descending")}


def test_registering_goes_on_after_a_run_that_was_killed_half_way(session: Any, artifact: Path) -> None:
    # GIVEN group and artifact are there, the version is not
    group, upload, *_ = plan_register("bikes", **model(artifact))
    session.client("sagemaker").create_model_package_group(**group.parameters)
    session.client("s3").put_object(Bucket=BUCKET, Key=upload.parameters["Key"], Body=b"a model")
    # WHEN THEN only what is missing is sent
    seen: list[AwsRequest] = []
    registry.register("bikes", session, on_request=seen.append, **model(artifact))
    assert [request.operation for request in seen] == ["PutObject", "CreateModelPackage"]


def test_an_artifact_that_cannot_be_looked_up_is_not_taken_for_missing() -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    session: Any = SimpleNamespace(client=lambda _: SimpleNamespace(head_object=denied))
    with pytest.raises(
        TrainingError, match=r"^s3://b/models/a/model\.tar\.gz cannot be looked up: .*Forbidden"
    ):
        registry._has_object(session, "b", "models/a/model.tar.gz")


def test_a_service_without_a_registry_is_named() -> None:
    # GIVEN a SageMaker without a registry, as the one of a service on this machine
    client = SimpleNamespace(list_model_packages=lambda **_: raise_unknown())
    session: Any = SimpleNamespace(client=lambda _: client)
    with pytest.raises(TrainingError, match=r"no model registry here: .*`dropsort up --model DIR`"):
        list(registry.packages(session, "dropsort"))


def raise_unknown() -> None:
    raise ClientError({"Error": {"Code": "UnknownOperationException"}}, "ListModelPackages")


def test_a_group_that_is_not_there(session: Any) -> None:
    with pytest.raises(TrainingError, match="register a model first"):
        registry.latest_approved(session, "none")
    with pytest.raises(TrainingError, match="no version at all"):
        registry.approve("none", session)
    with pytest.raises(TrainingError, match="no version 3"):
        registry.approve("none", session, version=3)


def test_reading_back_what_was_planned(artifact: Path) -> None:
    request = version_request(plan_register("bikes", **model(artifact)))
    package = read({**request, "ModelPackageArn": "arn:aws:sagemaker:us-east-1:1:model-package/bikes/4"})
    assert package.version == 4
    assert package.labels == ("bicycle", "motorcycle")
    assert package.metrics == {name: pytest.approx(METRICS[name], rel=1e-5) for name in package.metrics}
    json.dumps(package.document())
    assert dataclasses.replace(package, version=4) == package


def test_versions_that_somebody_else_registered_are_read_too() -> None:
    package = read(
        {
            "ModelPackageArn": "arn:aws:sagemaker:us-east-1:1:model-package/bikes/2",
            "ModelPackageVersion": 2,
            "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://b/m.tar.gz"}]},
        }
    )
    assert (package.labels, package.metrics, package.model_data) == ((), {}, "s3://b/m.tar.gz")


def test_requests_that_stand_alone_are_valid() -> None:
    from training.aws.requests import check

    check(list_request("bikes", "Approved"))
    check(plan_decision("arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1", "Approved", "why"))


def test_a_model_folder_gives_labels_and_metrics(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["bicycle", "motorcycle"]')
    (tmp_path / "metrics.json").write_text('{"accuracy": 0.9}')
    assert read_folder(tmp_path) == (["bicycle", "motorcycle"], {"accuracy": 0.9})


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "labels.json cannot be read"), ("[", "labels.json is not JSON"), ("{}", "must hold a JSON list")],
)
def test_a_model_folder_that_is_none(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "labels.json").write_text(content)
    with pytest.raises(TrainingError, match=words):
        read_folder(tmp_path)
