"""The bucket, the queue of events that could not be delivered, and the topic of the alarms, with their policies."""

from __future__ import annotations

from typing import Any

from dropsort.contract import backlog, keys
from tests.unit.infra.specification.canonical import (
    ACCOUNT,
    BUCKET,
    RETAINED_ONCE_CREATED,
    STACK,
    one_of,
    resource,
)

# What expires becomes noncurrent
GONE_WITH_ITS_MARKER = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
LIFECYCLE = [
    {
        "Id": "captures",
        "Status": "Enabled",
        "Prefix": f"{keys.CAPTURES}/",
        "ExpirationInDays": "${CaptureRetentionDays}",
        **GONE_WITH_ITS_MARKER,
    },
    {
        "Id": "backlog",
        "Status": "Enabled",
        "Prefix": f"{backlog.PREFIX}20",  # runs, by their date; not the state that lasts between them
        "ExpirationInDays": 30,
        **GONE_WITH_ITS_MARKER,
    },
    {
        # No prefix and no expiration: uploads and results stay.
        "Id": "old-versions",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": "${CaptureRetentionDays}"},
        "ExpiredObjectDeleteMarker": True,  # when the last version has gone
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},  # longer than any upload takes
    },
]
OF_THE_KEY = {
    "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "${KmsKeyArn}"},
    "BucketKeyEnabled": True,  # otherwise each request to S3 is one to KMS
}
OF_S3 = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def policy(statement: dict[str, Any]) -> dict[str, Any]:
    """A policy of one statement."""
    return {"Version": "2012-10-17", "Statement": [statement]}


RESOURCES = {
    "Bucket": resource(
        "AWS::S3::Bucket",
        {
            "BucketName": one_of("NamesBucket", "${BucketName}"),
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [one_of("NamesKey", OF_THE_KEY, OF_S3)]
            },
            "LifecycleConfiguration": {"Rules": LIFECYCLE},
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "VersioningConfiguration": {"Status": "Enabled"},  # an execution reads the version of its event
        },
        **RETAINED_ONCE_CREATED,
    ),
    "BucketPolicy": resource(
        "AWS::S3::BucketPolicy",
        {
            "Bucket": "${Bucket}",
            "PolicyDocument": policy(
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [BUCKET, f"{BUCKET}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ),
        },
        Condition="RequiresTls",
    ),
    # 14 days, the longest that SQS allows: time to see the alarm.
    "DeadLetterQueue": resource(
        "AWS::SQS::Queue", {"MessageRetentionPeriod": 14 * 86400, "SqsManagedSseEnabled": True}
    ),
    "DeadLetterQueuePolicy": resource(
        "AWS::SQS::QueuePolicy",
        {
            "Queues": ["${DeadLetterQueue}"],
            "PolicyDocument": policy(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": "${DeadLetterQueue.Arn}",
                    "Condition": {"ArnEquals": {"aws:SourceArn": "${UploadRule.Arn}"}},
                }
            ),
        },
    ),
    "AlarmTopic": resource(
        "AWS::SNS::Topic",
        {
            "TopicName": f"{STACK}-alarms",
            "Subscription": one_of("NamesEmail", [{"Protocol": "email", "Endpoint": "${AlarmEmail}"}]),
        },
    ),
    "AlarmTopicPolicy": resource(
        "AWS::SNS::TopicPolicy",
        {
            "Topics": ["${AlarmTopic}"],
            "PolicyDocument": policy(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": "sns:Publish",
                    "Resource": "${AlarmTopic}",
                    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
                }
            ),
        },
    ),
}
