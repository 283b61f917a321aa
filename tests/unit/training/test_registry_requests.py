"""The requests of a registration, to the last member, what is read of a version, and the words of what goes wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from training.errors import TrainingError
from training.registry import registry
from training.registry.model_packages import ModelPackage, plan_decision, plan_register, read

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/4"
METRICS = {
    "accuracy": 0.9651234567,
    "coverage": 1,
    "ece": "none",
    "model": "bikes-2",
    "threshold": 0.8,
    "curve": [1],
}


def test_the_requests_of_a_registration(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"a model")
    group, upload, quality, version = plan_register(
        "bikes", bucket="b", artifact=tmp_path / "a.tar.gz", image="pytorch-x:1", labels=["a", "b"], metrics=METRICS, description="d"
    )  # fmt: skip
    folder = "models/bikes/97ff8a35544dcf40"  # of SHA-256
    assert (group.service, group.operation, group.note) == (
        "sagemaker", "CreateModelPackageGroup", "only if there is no such group"
    )  # fmt: skip
    assert group.parameters == {
        "ModelPackageGroupName": "bikes", "ModelPackageGroupDescription": "Image classifiers of Dropsort"
    }  # fmt: skip
    assert (upload.service, upload.operation, upload.note) == ("s3", "PutObject", "a.tar.gz, 7 bytes")
    assert upload.parameters == {
        "Bucket": "b",
        "Key": f"{folder}/model.tar.gz",
        "ContentType": "application/gzip",
    }
    assert (quality.service, quality.operation, quality.note) == ("s3", "PutObject", "")
    body = quality.parameters["Body"]
    assert quality.parameters == {
        "Bucket": "b", "Key": f"{folder}/model-quality.json", "ContentType": "application/json", "Body": body
    }  # fmt: skip
    assert body.startswith(
        '{\n "multiclass_classification_metrics": {\n  "accuracy": {\n   "value": 0.9651234567,\n'
    )
    assert (version.service, version.operation) == ("sagemaker", "CreateModelPackage")
    specification = version.parameters["InferenceSpecification"]
    assert version.parameters == {
        "ModelPackageGroupName": "bikes", "ModelApprovalStatus": "PendingManualApproval", "Domain": "COMPUTER_VISION",
        "Task": "IMAGE_CLASSIFICATION", "InferenceSpecification": specification, "ModelPackageDescription": "d",
        "ModelMetrics": {"ModelQuality": {"Statistics": {
            "ContentType": "application/json", "S3Uri": f"s3://b/{folder}/model-quality.json"
        }}},
        "CustomerMetadataProperties": {"accuracy": "0.965123", "coverage": "1", "threshold": "0.8", "model": "bikes-2"},
    }  # fmt: skip
    assert specification["SupportedResponseMIMETypes"] == ["application/json"]
    assert specification["Containers"] == [{
        "Image": "pytorch-x:1", "ModelDataUrl": f"s3://b/{folder}/model.tar.gz", "Framework": "PYTORCH",
        "Environment": {
            "DROPSORT_LABELS": "a,b", "SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"
        },
    }]  # fmt: skip
    # AND what is read of it is what was given
    assert read({**version.parameters, "ModelPackageArn": ARN, "ModelPackageVersion": 5}) == ModelPackage(
        ARN, 5, "PendingManualApproval", "pytorch-x:1", f"s3://b/{folder}/model.tar.gz", ("a", "b"),
        {"accuracy": 0.965123, "coverage": 1.0, "threshold": 0.8}, "bikes-2",
    )  # fmt: skip


def test_the_output_of_a_job_is_copied_to_the_folder_of_its_address() -> None:
    _, upload, _, version = plan_register(
        "bikes", bucket="b", artifact="s3://o/x/model.tar.gz", image="image:1", labels=["a", "b"], metrics={}
    )
    key = "models/bikes/696be6b833420675/model.tar.gz"
    assert (upload.operation, upload.note) == ("CopyObject", "")
    assert upload.parameters == {"Bucket": "b", "Key": key, "CopySource": "o/x/model.tar.gz"}
    assert not {"ModelPackageDescription", "CustomerMetadataProperties"} & set(version.parameters)


def test_a_version_without_most_members_is_read_and_shown() -> None:
    given = {
        "ModelPackageArn": ARN,
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {"Containers": [{"Image": "i"}]},
    }
    package = read(given)
    assert package == ModelPackage(ARN, 4, "Approved", "i", "")
    assert package.document() == {
        "arn": ARN, "version": 4, "status": "Approved", "image": "i", "model_data": "", "labels": [], "metrics": {}, "name": "",
    }  # fmt: skip


@pytest.mark.parametrize(("note", "more"), [("", {}), ("why", {"ApprovalDescription": "why"})])
def test_a_decision_has_its_reason_if_there_is_one(note: str, more: dict[str, str]) -> None:
    request = plan_decision(ARN, "Rejected", note)
    assert request.parameters == {"ModelPackageArn": ARN, "ModelApprovalStatus": "Rejected", **more}


def session_of(*versions: tuple[int, str], error: Exception | None = None) -> Any:
    """A session of a registry with these versions, which lists those of a status."""

    def listed(**given: Any) -> Any:
        if error:
            raise error
        found = [
            {"ModelPackageArn": f"{ARN[:-1]}{number}"}
            for number, status in versions
            if given.get("ModelApprovalStatus") in (None, status)
        ]
        return {"ModelPackageSummaryList": found}

    def described(ModelPackageName: str) -> Any:
        status = dict(versions)[int(ModelPackageName[-1])]
        container = {"Image": "i", "ModelDataUrl": "s3://b/m"}
        return {
            "ModelPackageArn": ModelPackageName, "ModelApprovalStatus": status, "InferenceSpecification": {"Containers": [container]}
        }  # fmt: skip

    def group(**_: Any) -> Any:
        raise error or AssertionError

    client = SimpleNamespace(
        list_model_packages=listed, describe_model_package=described, describe_model_package_group=group
    )
    return SimpleNamespace(client=lambda name: {"sagemaker": client}[name])


def test_the_version_to_roll_out_is_the_newest_approved_one_or_an_approved_one_that_is_named() -> None:
    session = session_of((4, "PendingManualApproval"), (3, "Approved"), (2, "Rejected"), (1, "Approved"))
    assert registry.approved(session, "bikes").version == 3
    assert registry.approved(session, "bikes", 1).version == 1
    with pytest.raises(TrainingError) as error:
        registry.approved(session, "bikes", 2)
    assert str(error.value) == "version 2 of group bikes is Rejected, not approved: `dropsort approve`"


@pytest.mark.parametrize(
    ("versions", "waiting"),
    [
        ([], "register a model first"),
        ([(2, "Rejected")], "register a model first"),
        ([(3, "PendingManualApproval"), (1, "PendingManualApproval")], "version 3, 1 waits for `dropsort approve`"),
    ],
)  # fmt: skip
def test_without_an_approved_version_the_next_step_is_named(
    versions: list[tuple[int, str]], waiting: str
) -> None:
    with pytest.raises(TrainingError) as error:
        registry.latest_approved(session_of(*versions), "bikes")
    assert str(error.value) == f"group bikes has no approved version: {waiting}"


@pytest.mark.parametrize("words", ["Does not exist", "not found", "Could not find"])
def test_a_group_that_is_missing_has_no_versions(words: str) -> None:
    session = session_of(
        error=ClientError({"Error": {"Code": "ValidationException", "Message": words}}, "List")
    )
    assert list(registry.packages(session, "bikes")) == []
    assert registry._has_group(session, "bikes") is False


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "List"),
        ClientError({"Error": {"Message": "no"}}, "List"),
        EndpointConnectionError(endpoint_url="https://sagemaker"),
    ],
)
def test_a_registry_that_does_not_respond_is_an_error(error: Exception) -> None:
    with pytest.raises(TrainingError) as found:
        list(registry.packages(session_of(error=error), "bikes"))
    assert str(found.value) == f"the registry did not list group bikes: {error}"
    if isinstance(error, ClientError):
        with pytest.raises(TrainingError) as found:
            registry._has_group(session_of(error=error), "bikes")
        assert str(found.value) == f"the registry did not return group bikes: {error}"
