"""The IAM policy of who deploys: what CloudFormation does in their name for each resource of the template, and the commands themselves.

``python -m dropsort.deployment.permissions`` prints it for a template; `infra/deployer-policy.json` is its output for stacks whose names
begin with `dropsort`, and a test holds them equal; another beginning, and another partition, are arguments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dropsort.contract.defaults import STACK

MOST_CHARACTERS = 6144  # of a managed policy, without white space


class Grant(NamedTuple):
    """Actions of one service on resources; ``{stack}`` is the beginning of the stack's name."""

    service: str
    actions: str
    resources: tuple[str, ...]


_ANY = ("*",)


def _on(service: str, *resources: str) -> tuple[str, ...]:
    return tuple(f"arn:{{partition}}:{service}:*:*:{resource}" for resource in resources)


# By the type of a resource: creating, updating, deleting and tagging it. CloudFormation names a resource of ours that has no name of
# its own after the stack and its logical id, layers, models and configurations after the logical id alone.
TYPES: Mapping[str, tuple[Grant, ...]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        Grant(
            "application-autoscaling",
            "RegisterScalableTarget DeregisterScalableTarget Describe* ListTagsForResource TagResource",
            _ANY,
        ),
        Grant(
            "iam",
            "CreateServiceLinkedRole",
            ("arn:{partition}:iam::*:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*",),
        ),
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        Grant(
            "application-autoscaling", "PutScalingPolicy DeleteScalingPolicy", _ANY
        ),
    ),
    "AWS::Athena::NamedQuery": (
        Grant(
            "athena",
            "CreateNamedQuery GetNamedQuery DeleteNamedQuery",
            _on("athena", "workgroup/{stack}*"),
        ),
    ),
    "AWS::Athena::WorkGroup": (
        Grant(
            "athena",
            "CreateWorkGroup GetWorkGroup UpdateWorkGroup DeleteWorkGroup TagResource UntagResource List*",
            _on("athena", "workgroup/{stack}*"),
        ),
    ),
    "AWS::CloudWatch::Alarm": (
        Grant(
            "cloudwatch",
            "PutMetricAlarm DeleteAlarms DescribeAlarms TagResource UntagResource List*",
            _on("cloudwatch", "alarm:{stack}*"),
        ),
    ),
    "AWS::CloudWatch::Dashboard": (
        Grant(
            "cloudwatch",
            "PutDashboard GetDashboard DeleteDashboards",
            ("arn:{partition}:cloudwatch::*:dashboard/{stack}*",),
        ),
    ),
    "AWS::Events::Rule": (
        Grant(
            "events",
            "PutRule DescribeRule DeleteRule PutTargets RemoveTargets ListTargetsByRule TagResource UntagResource",
            _on("events", "rule/{stack}*"),
        ),
    ),
    "AWS::Glue::Database": (
        Grant(
            "glue",
            "CreateDatabase GetDatabase UpdateDatabase DeleteDatabase GetTags TagResource",
            _on("glue", "catalog", "database/{stack}*", "table/{stack}*"),
        ),
    ),
    "AWS::Glue::Table": (
        Grant(
            "glue",
            "CreateTable GetTable UpdateTable DeleteTable",
            _on("glue", "catalog", "database/{stack}*", "table/{stack}*"),
        ),
    ),
    "AWS::IAM::Role": (
        Grant(
            "iam",
            "CreateRole GetRole UpdateRole DeleteRole UpdateAssumeRolePolicy PutRolePolicy GetRolePolicy DeleteRolePolicy "
            "ListRolePolicies ListAttachedRolePolicies TagRole UntagRole",
            ("arn:{partition}:iam::*:role/{stack}*",),
        ),
    ),
    "AWS::Lambda::Function": (
        Grant(
            "lambda",
            "CreateFunction Get* UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction PutFunctionConcurrency "
            "DeleteFunctionConcurrency ListTags TagResource UntagResource",
            _on("lambda", "function:{stack}*"),
        ),
        Grant("lambda", "GetLayerVersion", _on("lambda", "layer:*")),
    ),
    "AWS::Lambda::LayerVersion": (
        Grant("lambda", "PublishLayerVersion DeleteLayerVersion", _on("lambda", "layer:*")),
    ),
    "AWS::Lambda::Permission": (
        Grant("lambda", "AddPermission RemovePermission", _on("lambda", "function:{stack}*")),
    ),
    "AWS::Logs::LogGroup": (
        Grant(
            "logs",
            "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy TagResource UntagResource List*",
            _on(
                "logs",
                "log-group:/aws/lambda/{stack}*",
                "log-group:/aws/vendedlogs/states/{stack}*",
                "log-group:/aws/sagemaker/Endpoints/{stack}*",
            ),
        ),
        Grant("logs", "Describe*", _ANY),
    ),
    "AWS::S3::Bucket": (
        Grant(
            "s3",
            "CreateBucket DeleteBucket ListBucket ListBucketVersions GetBucket* PutBucketTagging PutEncryptionConfiguration "
            "GetEncryptionConfiguration PutLifecycleConfiguration GetLifecycleConfiguration PutBucketNotification "
            "PutBucketOwnershipControls PutBucketPublicAccessBlock PutBucketVersioning",
            ("arn:{partition}:s3:::{stack}*",),
        ),
    ),
    "AWS::S3::BucketPolicy": (
        Grant("s3", "PutBucketPolicy DeleteBucketPolicy", ("arn:{partition}:s3:::{stack}*",)),
    ),
    "AWS::SNS::Topic": (
        Grant(
            "sns",
            "CreateTopic DeleteTopic GetTopicAttributes SetTopicAttributes Subscribe Unsubscribe List* TagResource UntagResource",
            _on("sns", "{stack}*"),
        ),
    ),
    "AWS::SNS::TopicPolicy": (Grant("sns", "SetTopicAttributes", _on("sns", "{stack}*")),),
    "AWS::SQS::Queue": (
        Grant(
            "sqs",
            "CreateQueue DeleteQueue GetQueueAttributes SetQueueAttributes GetQueueUrl TagQueue UntagQueue ListQueueTags",
            _on("sqs", "{stack}*"),
        ),
    ),
    "AWS::SQS::QueuePolicy": (
        Grant("sqs", "SetQueueAttributes GetQueueAttributes", _on("sqs", "{stack}*")),
    ),
    "AWS::SageMaker::Endpoint": (
        Grant(
            "sagemaker",
            "CreateEndpoint DescribeEndpoint UpdateEndpoint DeleteEndpoint AddTags DeleteTags ListTags",
            _on("sagemaker", "endpoint/{stack}*"),
        ),
    ),
    "AWS::SageMaker::EndpointConfig": (
        Grant(
            "sagemaker",
            "CreateEndpointConfig DescribeEndpointConfig DeleteEndpointConfig AddTags ListTags",
            _on("sagemaker", "endpoint-config/*"),
        ),
    ),
    "AWS::SageMaker::Model": (
        Grant("sagemaker", "CreateModel DescribeModel DeleteModel AddTags ListTags", _on("sagemaker", "model/*")),
    ),
    "AWS::StepFunctions::StateMachine": (
        Grant(
            "states",
            "CreateStateMachine DescribeStateMachine UpdateStateMachine DeleteStateMachine TagResource UntagResource "
            "ListTagsForResource",
            _on("states", "stateMachine:*"),
        ),
        Grant("states", "ValidateStateMachineDefinition", _ANY),
    ),
}  # fmt: skip
# What the commands themselves do: `dropsort deploy`, `drop`, `results`, `redrive` and `destroy`.
COMMANDS: tuple[Grant, ...] = (
    Grant(
        "cloudformation",
        "DescribeStack* ListStackResources CreateChangeSet DescribeChangeSet "
        "ExecuteChangeSet DeleteChangeSet DeleteStack DescribeEvents",
        _on("cloudformation", "stack/{stack}*"),
    ),
    Grant("cloudformation", "GetTemplateSummary", _ANY),
    Grant("s3", "PutObject GetObject DeleteObject DeleteObjectVersion", ("arn:{partition}:s3:::{stack}*/*",)),
    Grant("states", "StartExecution", _on("states", "stateMachine:*")),
    Grant("lambda", "GetAccountSettings", _ANY),
    Grant("servicequotas", "ListServiceQuotas ListAWSDefaultServiceQuotas", _ANY),
    Grant("iam", "GetAccountSummary", _ANY),
    Grant("events", "ListRules", _ANY),
    Grant("tag", "GetResources", _ANY),
)
# The services that get the template's roles: nothing else may be given one.
_PASSED_TO = ("events", "lambda", "sagemaker", "states")


def policy(types: Iterable[str], stack: str = STACK, partition: str = "aws") -> dict[str, Any]:
    """The policy for a template with these resource types, for stacks whose names begin with `stack`.

    Raises
    ------
    KeyError
        A type is not in `TYPES`: add what CloudFormation needs for it.
    """
    allowed: dict[tuple[str, ...], set[str]] = {}
    for grant in (*COMMANDS, *(grant for kind in sorted(set(types)) for grant in TYPES[kind])):
        resources = tuple(
            resource.replace("{stack}", stack).replace("{partition}", partition)
            for resource in grant.resources
        )
        actions = {f"{grant.service}:{action}" for action in grant.actions.split()}
        allowed.setdefault(resources, set()).update(actions)
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": resources[0] if len(resources) == 1 else list(resources),
        }
        for resources, actions in sorted(allowed.items())
    ]
    statements.append(
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": f"arn:{partition}:iam::*:role/{stack}*",
            "Condition": {
                "StringEquals": {
                    "iam:PassedToService": [f"{service}.amazonaws.com" for service in _PASSED_TO]
                }
            },
        }
    )
    return {"Version": "2012-10-17", "Statement": statements}


def text(document: Mapping[str, Any]) -> str:
    """A policy as the file has it."""
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    import re

    from dropsort.contract.resources import TEMPLATE

    kinds = re.findall(r"^    Type: (AWS::\S+)$", TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE)
    sys.stdout.write(text(policy(kinds, *sys.argv[1:3])))
