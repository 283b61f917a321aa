"""Roles of SageMaker: each allows what SageMaker documents, and images of named accounts alone."""

from __future__ import annotations

import pytest

from tests.unit.infra.template import KEY, grants, of_type

# What SageMaker does in a role's name: SageMaker AI Developer Guide, "SageMaker AI roles", execution role permissions of CreateModel and
# CreateTrainingJob; "Capture data"; "Auto-Rollback Configuration and Monitoring".
LOGS = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}
IMAGES = {
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
}
BY_SAGEMAKER = {
    "EndpointRole": {
        *LOGS,
        *IMAGES,
        "cloudwatch:PutMetricData",  # use of the instances
        "s3:GetObject",  # model.tar.gz
        "s3:PutObject",  # captures
        "cloudwatch:DescribeAlarms",  # those that roll an update back
        *KEY["EndpointRole"],
    },
    "TrainingRole": {
        *LOGS,
        *IMAGES,
        "cloudwatch:PutMetricData",
        "s3:GetObject",  # data, code, checkpoints
        "s3:ListBucket",  # a channel is a prefix
        "s3:GetBucketLocation",  # by the SDK's code in the container
        "s3:PutObject",  # the model, checkpoints
        "s3:AbortMultipartUpload",  # of a large one that fails
    },
}


@pytest.mark.parametrize("role", BY_SAGEMAKER)
def test_a_role_of_sagemaker_allows_what_sagemaker_documents_and_nothing_else(role: str) -> None:
    assert {action for action, _ in grants(role)} == BY_SAGEMAKER[role]
    # AND of objects it writes only captures, or what is below training/
    written = {resource for action, resource in grants(role) if action == "s3:PutObject"}
    assert written <= {"arn:aws:s3:::pictures/captures/*", "arn:aws:s3:::ArtifactBucket/training/*"}


def test_taking_any_action_away_from_a_role_is_noticed() -> None:
    """Each role is held equal to what is needed, so a smaller one fails as a wider one does; this says that none is left out."""
    held_elsewhere = {
        "SerializeRole", "SerializeLargeRole", "ClassifyRole", "FilterRole", "BacklogRole",
        "DeletionRole",  # the calls of the code
        "StateMachineRole", "BacklogStateMachineRole", "UploadRuleRole",  # the definitions and the rules
        "MonitorRole",  # tests/stack/test_roles.py
    }  # fmt: skip
    assert set(of_type("AWS::IAM::Role")) == held_elsewhere | BY_SAGEMAKER.keys()


@pytest.mark.parametrize("role", of_type("AWS::IAM::Role"))
def test_a_role_pulls_images_from_named_accounts_only(role: str) -> None:
    pulls = {resource for action, resource in grants(role, NamesImage=False) if action == "ecr:BatchGetImage"}
    kinds = {"EndpointRole": "pytorch-inference", "TrainingRole": "pytorch-training"}
    if role not in kinds:
        assert not pulls
        return
    registry = "arn:aws:ecr:us-east-1:{}:repository/{}".format
    own = {registry("111122223333", "*")} if role == "TrainingRole" else set()
    assert pulls == {
        registry("763104351884", kinds[role]),
        registry("811284229777", "image-classification"),
        *own,
    }
