"""What is requested of CloudFormation, one request after another; what comes of it is tested on the embedded AWS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY

from dropsort.contract.errors import StackError
from dropsort.deployment import deploy as module
from dropsort.deployment.deploy import deploy
from dropsort.deployment.errors import DeployError
from dropsort.deployment.package import Packages
from tests.unit.deployment.conftest import ARN, Aws

CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/c/1"
TEMPLATE = "Resources: {}"
CHANGES = [{"ResourceChange": {"Action": one}} for one in ("Modify", "Add", "Modify")]
FORMER = [
    {"ParameterKey": "Days", "ParameterValue": "4"},
    {"ParameterKey": "Gone", "ParameterValue": "1"},
    {"ParameterKey": "FunctionsKey", "ParameterValue": "packages/old.zip"},
]


class Run:
    """A deployment of a stack with a zip, to a bucket that is there."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws, self.steps = aws, list[str]()
        self.template, zipped = folder / "t.yaml", folder / "code-1.zip"
        self.template.write_text(TEMPLATE)
        zipped.write_bytes(b"PK")
        self.packages = Packages({"FunctionsKey": zipped})
        aws.s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def __call__(self, parameters: dict[str, str], **options: Any) -> dict[str, str]:
        self.steps.clear()
        return deploy(self.aws, "bikes", self.template, parameters, self.packages, self.steps.append,
                      artifact_bucket="mine", **options)  # fmt: skip

    def declares(self, *names: str) -> None:
        """The template has these parameters."""
        declared = {"Parameters": [{"ParameterKey": name} for name in names]}
        self.aws.expect("get_template_summary", declared, TemplateBody=TEMPLATE)

    def change_set(self, kind: str, parameters: Sequence[dict[str, Any]], imports: bool = False,
                   tags: Sequence[dict[str, str]] = ()) -> None:  # fmt: skip
        """A change set is created with exactly this."""
        self.aws.expect(
            "create_change_set", {"Id": CHANGE_SET, "StackId": ARN}, StackName="bikes", ChangeSetName=ANY, ChangeSetType=kind,
            Parameters=list(parameters), Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"], Tags=list(tags),
            ImportExistingResources=imports, TemplateBody=TEMPLATE,
        )  # fmt: skip

    def executed(self, changes: Sequence[dict[str, Any]] = CHANGES) -> None:
        """The change set has changes, and is executed until the stack is complete."""
        computed = {"Status": "CREATE_COMPLETE", "Changes": list(changes)}
        for _ in range(2):  # to wait, and to read
            self.aws.expect("describe_change_set", computed, ChangeSetName=CHANGE_SET)
        self.aws.events(("1", "OLD", ""))
        self.aws.expect("execute_change_set", {}, ChangeSetName=CHANGE_SET)
        outputs = [{"OutputKey": "BucketName", "OutputValue": "images"}]
        self.aws.stack(ARN, "UPDATE_COMPLETE", Outputs=outputs)
        self.aws.events(("2", "UPDATE_COMPLETE", ""), ("1", "OLD", ""))


@pytest.fixture
def run(aws: Aws, tmp_path: Path) -> Run:
    return Run(aws, tmp_path)


def given(**values: str) -> list[dict[str, Any]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


@pytest.mark.parametrize(("named", "imports"), [({}, False), ({"BucketName": "kept"}, True), ({"BucketName": ""}, False)])  # fmt: skip
@pytest.mark.parametrize("status", ["", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"])
def test_a_stack_that_is_not_there_is_created(
    run: Run, named: dict[str, str], imports: bool, status: str
) -> None:
    run.aws.stack("bikes", status)
    run.declares("Days", "BucketName", "ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes", status)
    values = given(Days="5", **named, ArtifactBucket="mine", FunctionsKey="packages/code-1.zip")
    run.change_set("CREATE", values, imports, [{"Key": "team", "Value": "shop"}])
    run.executed()
    assert run({"Days": "5", **named}, tags={"team": "shop"}) == {"BucketName": "images"}
    assert run.steps[:2] == [
        "Uploading code-1.zip (1 kB)",
        "Creating stack bikes: 1 to add, 2 to modify",
    ]
    assert [step for step in run.steps if "→" in step] == []
    assert run.aws.s3.get_object(Bucket="mine", Key="packages/code-1.zip")["Body"].read() == b"PK"


def test_an_update_keeps_what_is_not_given_and_uploads_no_zip_that_is_named(run: Run) -> None:
    # GIVEN a stack, one of whose parameters the template has no longer
    for _ in range(2):
        run.aws.stack("bikes", "UPDATE_COMPLETE", Parameters=FORMER)
        run.declares("Days", "ArtifactBucket", "FunctionsKey")
        run.aws.stack("bikes", "UPDATE_COMPLETE", Parameters=FORMER, Outputs=[{"OutputKey": "a", "OutputValue": "b"}])  # fmt: skip
        kept = [{"ParameterKey": "Days", "UsePreviousValue": True}]
        run.change_set("UPDATE", given(FunctionsKey="own.zip", ArtifactBucket="mine") + kept)
        if not run.steps:
            run.executed([{"ResourceChange": {}}])
            # THEN it is updated
            assert run({"FunctionsKey": "own.zip"}) == {"BucketName": "images"}
            assert run.steps[0] == "Updating stack bikes: 1 to change"
            # AND what changes is named, with the former value
            changed = {"FunctionsKey: packages/old.zip → own.zip", "ArtifactBucket: (none) → mine"}
            assert {step for step in run.steps if "→" in step} == changed
    # AND without changes it is left alone
    reason = "The submitted information didn't contain changes."
    run.aws.expect("describe_change_set", {"Status": "FAILED", "StatusReason": reason}, ChangeSetName=CHANGE_SET)  # fmt: skip
    run.aws.expect("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    assert run({"FunctionsKey": "own.zip"}) == {"a": "b"}
    assert run.steps == ["Stack bikes is up to date"]


def test_a_bucket_that_is_named_is_imported_by_a_new_stack_alone(run: Run) -> None:
    names = ("BucketName", "ArtifactBucket", "FunctionsKey")
    values = given(BucketName="kept", ArtifactBucket="mine", FunctionsKey="packages/code-1.zip")
    run.aws.stack("bikes", "UPDATE_COMPLETE")
    run.declares(*names)
    run.aws.stack("bikes", "UPDATE_COMPLETE")
    run.change_set("UPDATE", values, imports=False)
    run.executed()
    run({"BucketName": "kept"})
    # AND a new stack is made even if its change set names no resources
    run.aws.stack("bikes")
    run.declares(*names)
    run.aws.stack("bikes")
    run.change_set("CREATE", values, imports=True)
    run.executed([])
    assert run({"BucketName": "kept"}) == {"BucketName": "images"}
    assert "Creating stack bikes: " in run.steps


def test_a_busy_stack_is_waited_for(run: Run) -> None:
    run.aws.stack("bikes", "UPDATE_IN_PROGRESS", Parameters=FORMER)
    run.declares("ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes", "UPDATE_IN_PROGRESS")
    run.aws.events(("1", "OLD", ""))
    run.aws.stack(ARN, "UPDATE_IN_PROGRESS")
    run.aws.events(("1", "OLD", ""))
    with pytest.raises(StackError, match="still UPDATE_IN_PROGRESS after 0 seconds"):
        run({}, patience_seconds=0)
    assert run.steps[-1] == "Stack bikes is UPDATE_IN_PROGRESS: waiting for that first"


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
@pytest.mark.parametrize("gone", ["DELETE_COMPLETE", "DELETE_FAILED", "ROLLBACK_FAILED", "busy"])
def test_a_failed_creation_is_replaced_by_one_with_its_parameters(run: Run, status: str, gone: str) -> None:
    run.aws.stack("bikes", status, Parameters=FORMER)
    run.declares("Days", "ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes", status, Parameters=FORMER)
    run.aws.events(("1", "OLD_FAILED", "that was before"))
    run.aws.expect("delete_stack", {}, StackName=ARN)
    run.aws.stack(ARN, "DELETE_IN_PROGRESS" if gone == "busy" else gone)
    run.aws.events(("2", "DELETE_FAILED", "in use"), ("1", "OLD_FAILED", "that was before"))
    if gone == "busy":
        with pytest.raises(StackError, match="still DELETE_IN_PROGRESS after 0 seconds"):
            run({}, patience_seconds=0)
    elif gone != "DELETE_COMPLETE":
        with pytest.raises(StackError, match=rf"not be replaced \({gone}\): Queue \(AWS::SQS::Queue\): in use$"):  # fmt: skip
            run({})
    else:
        values = given(ArtifactBucket="mine", FunctionsKey="packages/code-1.zip", Days="4")
        run.change_set("CREATE", values)
        run.executed()
        run({})
    assert f"Stack bikes is {status} and cannot be updated: replacing it" in run.steps
    assert any("in use" in step for step in run.steps)


def test_what_a_stack_cannot_take_is_an_error_before_it_is_changed(run: Run) -> None:
    run.aws.stack("bikes")
    run.declares("Days", "ArtifactBucket")
    words = r"^The template has no parameter Dayz, Zone\. It has ArtifactBucket, Days\.$"
    with pytest.raises(DeployError, match=words):
        run({"Zone": "1", "Dayz": "5"})
    run.aws.stack("bikes", "UPDATE_ROLLBACK_FAILED")
    run.declares("ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes", "UPDATE_ROLLBACK_FAILED", StackStatusReason="a queue")
    words = r"UPDATE_ROLLBACK_FAILED \(a queue\): .*continue-update-rollback --stack-name bikes`"
    with pytest.raises(DeployError, match=words):
        run({})


def test_the_bucket_of_the_account_is_used_unless_one_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.artifacts, "ensure_bucket", lambda client, on_step: "mine")
    run.aws.stack("bikes")
    run.declares("ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes")
    run.change_set("CREATE", given(ArtifactBucket="mine", FunctionsKey="packages/code-1.zip"))
    run.executed()
    deploy(run.aws, "bikes", run.template, {}, run.packages)


def test_an_update_that_is_not_over_in_time_is_an_error(run: Run) -> None:
    run.aws.stack("bikes")
    run.declares("ArtifactBucket", "FunctionsKey")
    run.aws.stack("bikes")
    run.change_set("CREATE", given(ArtifactBucket="mine", FunctionsKey="packages/code-1.zip"))
    computed = {"Status": "CREATE_COMPLETE", "Changes": CHANGES}
    for _ in range(2):
        run.aws.expect("describe_change_set", computed, ChangeSetName=CHANGE_SET)
    run.aws.events()
    run.aws.expect("execute_change_set", {}, ChangeSetName=CHANGE_SET)
    run.aws.stack(ARN, "CREATE_IN_PROGRESS")
    run.aws.events()
    with pytest.raises(StackError, match="still CREATE_IN_PROGRESS after 0 seconds"):
        run({}, patience_seconds=0)
