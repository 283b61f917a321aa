"""The deployer against the embedded AWS: create, no change, update, failed update with rollback, replace, delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.contract import stack as stacks
from dropsort.contract import stack_update
from dropsort.contract.clients import Clients
from dropsort.contract.errors import StackError
from dropsort.deployment import artifacts, destroy, package
from dropsort.deployment.deploy import deploy
from dropsort.deployment.errors import DeployError, DestroyError
from dropsort.local.embedded import EmbeddedAws

pytestmark = pytest.mark.stack

TEMPLATE = package.ROOT / "infra" / "cloudformation.yaml"
SETTINGS = {"CreateEndpoint": "false", "EndpointName": "bikes"}

SMALL: dict[str, Any] = {
    "Parameters": {
        "ArtifactBucket": {"Type": "String"},
        "FunctionsKey": {"Type": "String"},
        "LibrariesKey": {"Type": "String"},
        "Images": {"Type": "String"},
        "Days": {"Type": "Number", "Default": 4},
        "Role": {"Type": "String", "Default": "arn:aws:iam::000000000000:role/none"},
    },
    "Resources": {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "Properties": {"BucketName": {"Ref": "Images"}, "VersioningConfiguration": {"Status": "Enabled"}},
        },
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"MessageRetentionPeriod": {"Fn::Sub": "${Days}0000"}},
        },
    },
    "Outputs": {"BucketName": {"Value": {"Ref": "Bucket"}}, "Queue": {"Value": {"Ref": "Queue"}}},
}


@pytest.fixture
def client(embedded_aws: EmbeddedAws) -> Clients:
    return embedded_aws.session().client


@pytest.fixture
def packages(tmp_path: Path) -> package.Packages:
    """Two tiny zips: the deployer does not read them."""
    archives = {}
    for parameter, name in (("FunctionsKey", "code-1.zip"), ("LibrariesKey", "libraries-1.zip")):
        archives[parameter] = tmp_path / name
        archives[parameter].write_bytes(b"PK\x05\x06" + b"\0" * 18)
    return package.Packages(archives)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "t-" + "".join(sign if sign.isalnum() else "-" for sign in request.node.name.lower())[5:50].strip(
        "-"
    )


def small(folder: Path, **changes: Any) -> Path:
    """The small template with other queue properties, or none of them."""
    template = json.loads(json.dumps(SMALL))
    template["Resources"]["Queue"]["Properties"].update(changes)
    path = folder / "small.json"
    path.write_text(json.dumps(template))
    return path


def status(client: Clients, name: str) -> str:
    found = stacks.find(client("cloudformation"), name)
    return found.status if found else "none"


def test_create_then_no_change_then_update(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    # GIVEN a stack that was created, with progress reported
    progress: list[str] = []
    outputs = deploy(client, name, small(tmp_path), {"Images": name}, packages, progress.append)
    assert outputs["BucketName"] == name
    assert any("CREATE_COMPLETE" in line and "Queue" in line for line in progress)

    # WHEN the same is deployed again, parameters left out
    progress.clear()
    again = deploy(client, name, small(tmp_path), {}, packages, progress.append)

    # THEN nothing happens, nothing is uploaded, and that is a success
    assert again == outputs
    assert progress == [f"Stack {name} is up to date"]

    # WHEN one parameter changes
    deploy(client, name, small(tmp_path), {"Days": "5"}, packages, progress.append)

    # THEN it has changed and the others have kept their values
    found = stacks.find(client("cloudformation"), name)
    assert found is not None
    assert (found.status, found.parameters["Days"], found.parameters["Images"]) == (
        "UPDATE_COMPLETE",
        "5",
        name,
    )
    queue = client("sqs").get_queue_attributes(QueueUrl=outputs["Queue"], AttributeNames=["All"])[
        "Attributes"
    ]
    assert queue["MessageRetentionPeriod"] == "50000"


def test_artifact_bucket_is_private_encrypted_and_tls_only(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    deploy(client, name, small(tmp_path), {"Images": name}, packages)
    s3, bucket = client("s3"), "dropsort-artifacts-000000000000-us-east-1"
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert s3.head_object(Bucket=bucket, Key="packages/code-1.zip")


def test_failed_update_is_rolled_back_and_named(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    # GIVEN a stack
    outputs = deploy(client, name, small(tmp_path), {"Images": name}, packages)

    # WHEN an update cannot work: an address for a function that does not exist
    template = json.loads(small(tmp_path).read_text())
    function = "arn:aws:lambda:us-east-1:000000000000:function:missing"
    template["Resources"]["Address"] = {
        "Type": "AWS::Lambda::Url",
        "Properties": {"AuthType": "AWS_IAM", "TargetFunctionArn": function},
        "DependsOn": "Queue",
    }
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(template))
    with pytest.raises(StackError) as failure:
        deploy(client, name, broken, {"Days": "9"}, packages)

    # THEN the resource and the reason are named, and the stack is as it was
    assert "Address (AWS::Lambda::Url)" in str(failure.value)
    assert "UPDATE_ROLLBACK_COMPLETE" in str(failure.value)
    queue = client("sqs").get_queue_attributes(QueueUrl=outputs["Queue"], AttributeNames=["All"])[
        "Attributes"
    ]
    assert queue["MessageRetentionPeriod"] == "40000"

    # AND the next good update goes through
    deploy(client, name, small(tmp_path), {"Days": "6"}, packages)
    assert status(client, name) == "UPDATE_COMPLETE"


def test_failed_creation_is_replaced_by_the_next(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    # GIVEN a creation that failed, because the bucket's name is taken
    client("s3").create_bucket(Bucket=name)
    with pytest.raises(StackError, match=rf"Bucket \(AWS::S3::Bucket\).*{name}.*already exists"):
        deploy(client, name, small(tmp_path), {"Images": name, "Days": "7"}, packages)
    assert status(client, name) == "ROLLBACK_COMPLETE"

    # WHEN it is deployed with a free name THEN the remains are replaced
    progress: list[str] = []
    deploy(client, name, small(tmp_path), {"Images": f"{name}-2"}, packages, progress.append)
    assert any("replacing it" in line for line in progress)

    # AND what is not given again keeps its value, as in an update
    found = stacks.find(client("cloudformation"), name)
    assert found is not None
    assert (found.status, found.parameters["Images"], found.parameters["Days"]) == (
        "CREATE_COMPLETE",
        f"{name}-2",
        "7",
    )


def test_unknown_parameter_and_broken_template_are_rejected_with_the_message_of_aws(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{ not a template")
    with pytest.raises(ClientError, match=r"(?i)template"):
        deploy(client, name, broken, {}, packages)
    with pytest.raises(DeployError, match=r"no parameter Dayz\. It has ArtifactBucket, Days,"):
        deploy(client, name, small(tmp_path), {"Images": name, "Dayz": "5"}, packages)
    assert status(client, name) == "none"


def test_large_template_goes_through_the_bucket(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    large = tmp_path / "large.json"
    large.write_text(small(tmp_path).read_text() + " " * artifacts.INLINE_TEMPLATE_BYTES)
    progress: list[str] = []
    assert deploy(client, name, large, {"Images": name}, packages, progress.append)["BucketName"] == name
    assert any(line.startswith("Uploading large.json") for line in progress)


def test_ctrl_c_says_what_goes_on(
    client: Clients,
    packages: package.Packages,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stack_update, "follow", interrupted)
    progress: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        deploy(client, name, small(tmp_path), {"Images": name}, packages, progress.append)
    assert "CloudFormation continues" in progress[-1]


def test_destroy_keeps_the_images_unless_they_are_to_be_deleted(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    # GIVEN a stack with several versions of images and a delete marker
    deploy(client, name, small(tmp_path), {"Images": name}, packages)
    s3 = client("s3")
    for number in range(30):
        s3.put_object(Bucket=name, Key=f"incoming/{number % 20}", Body=b"x")
    s3.delete_object(Bucket=name, Key="incoming/3")
    plan = destroy.plan(client, name)
    assert plan.buckets == {name: 31}
    assert "Keeps bucket" in plan.sentences(delete_images=False)[1]
    assert "31 object versions" in plan.sentences(delete_images=True)[1]

    # WHEN it is destroyed THEN the images stay
    assert destroy.destroy(client, plan) == [name]
    assert status(client, name) == "none"
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 19

    # WHEN a second stack is destroyed with its images THEN nothing of it is left
    deploy(client, name, small(tmp_path), {"Images": f"{name}-2"}, packages)
    s3.put_object(Bucket=f"{name}-2", Key="incoming/a", Body=b"x")
    assert destroy.destroy(client, destroy.plan(client, name), delete_images=True) == []
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=f"{name}-2")
    with pytest.raises(DestroyError, match="There is no stack"):
        destroy.plan(client, name)


def test_emptying_goes_over_many_pages(client: Clients, name: str) -> None:
    s3 = client("s3")
    # GIVEN more versions than a page of a listing and a request to delete take: delete markers, which a request makes by the thousand
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=name, Key="0", Body=b"")
    for numbers in (range(1000), range(1000, 1004)):
        s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": f"{number}"} for number in numbers]})
    # THEN all of them go
    assert destroy.empty(s3, name) == 1005
    s3.delete_bucket(Bucket=name)


def test_a_bucket_that_is_named_is_imported_by_a_new_stack_if_it_is_there(
    client: Clients, packages: package.Packages, name: str, tmp_path: Path
) -> None:
    """CloudFormation would fail on the bucket that a deleted stack left; the embedded AWS ignores the wish."""
    template = json.loads(small(tmp_path).read_text())
    template["Parameters"]["BucketName"] = {"Type": "String", "Default": ""}
    path = tmp_path / "named.json"
    path.write_text(json.dumps(template))
    asked: list[bool] = []

    def recording(service: str) -> Any:
        made = client(service)
        made.meta.events.register(
            "provide-client-params.cloudformation.CreateChangeSet",
            lambda params, **_: asked.append(params["ImportExistingResources"]),
        )
        return made

    deploy(recording, name, path, {"Images": name, "BucketName": "kept"}, packages)  # type: ignore[arg-type]
    deploy(recording, name, path, {"Days": "5"}, packages)  # type: ignore[arg-type]
    # An update imports nothing that it did not make itself.
    assert asked == [True, False]


@pytest.mark.slow(reason="creates, updates and deletes the whole stack")
def test_the_real_template_is_created_updated_and_deleted(
    client: Clients, host_packages: package.Packages
) -> None:
    # WHEN the template is deployed as it is, with the real packages, then a threshold is changed, then it is destroyed
    outputs = deploy(client, "real", TEMPLATE, SETTINGS, host_packages)
    deploy(client, "real", TEMPLATE, {"Threshold": "0.8"}, host_packages)
    configuration = client("lambda").get_function_configuration(FunctionName=outputs["FilterFunction"])
    assert "0.8" in configuration["Environment"]["Variables"].values()
    destroy.destroy(client, destroy.plan(client, "real"), delete_images=True)

    # THEN nothing is left
    assert status(client, "real") == "none"
    assert client("lambda").list_functions()["Functions"] == []
    assert [
        bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"] if "real" in bucket["Name"]
    ] == []
