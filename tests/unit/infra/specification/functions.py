"""Every function with its layers, log, schedule and trigger: memory, time-out and variables, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dropsort.contract.keys import INCOMING
from tests.unit.infra.specification.canonical import ACCOUNT, DELETED, ENDPOINT_NAME, STACK, one_of, resource

DISABLED = {"POWERTOOLS_TRACE_DISABLED": one_of("Traces", "false", "true")}  # the tracer fails without X-Ray
LEVEL = {"POWERTOOLS_LOG_LEVEL": "${LogLevel}"}
IMAGES = {
    "IMAGE_SIDE": "${ImageSide}",
    "MAX_OBJECT_MEGABYTES": "${MaxObjectMegabytes}",
    "MAX_MEGAPIXELS": "${MaxMegapixels}",
    "IGNORED_PATTERNS": "${IgnoredPatterns}",
    "MODEL_VERSION": "${ModelVersion}",
}
# START, END and REPORT of an invocation cost more than our line; WARN keeps time-outs and crashes.
QUIET = {"LogFormat": "JSON", "ApplicationLogLevel": "${LogLevel}", "SystemLogLevel": "WARN"}
HEIC = one_of("ReadsHeic", "${HeicLibraries}")


@dataclass(frozen=True)
class Function:
    """One function."""

    name: str
    handler: str
    megabytes: int
    seconds: int
    why: str
    variables: dict[str, Any]
    logging: dict[str, str]
    layers: tuple[Any, ...] = ("${Libraries}",)
    code: str = "FunctionsKey"
    more: tuple[tuple[str, Any], ...] = ()


FUNCTIONS = {
    "Serialize": Function(
        "serialize", "handlers.serialize.handler", 512, 55,
        "it mostly waits for S3, which costs by memory; what takes more goes to SerializeLarge. 55 s: below its state's 60",
        LEVEL | DISABLED | {"DECODING_MEGABYTES": "250"} | IMAGES, QUIET, ("${Libraries}", HEIC),
    ),
    "SerializeLarge": Function(
        "serialize-large", "handlers.serialize.handler", 1769, 55,
        "100 megapixels take 1.3 GB, the object and Python the rest; 1,769 MB are one full vCPU",
        LEVEL | DISABLED | {"DECODING_MEGABYTES": "1300"} | IMAGES, QUIET, ("${Libraries}", HEIC),
    ),
    "Classify": Function(
        "classify", "handlers.classify.handler", 256, 65,
        "it mostly waits for the endpoint, at most the 60 s of InvocationTimeoutSeconds; below its state's 70",
        LEVEL | DISABLED | {
            "ENDPOINT_NAME": ENDPOINT_NAME,
            "ENDPOINT_ACCEPT": "${EndpointAccept}",
            "INVOCATION_TIMEOUT_SECONDS": "${InvocationTimeoutSeconds}",
            "LABELS": "${Labels}",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": one_of("NamesRuntime", "${SageMakerRuntimeEndpointUrl}"),
        },
        QUIET,
        more=(("ReservedConcurrentExecutions", one_of("LimitsConcurrency", "${ClassifyConcurrency}")),),
    ),
    "Filter": Function(
        "filter", "handlers.filter.handler", 256, 25,
        "it mostly waits for S3; a few requests, and one to EventBridge if events are wanted. Below its state's 30",
        LEVEL | DISABLED | {
            "THRESHOLD": "${Threshold}",
            "LABEL_THRESHOLDS": "${LabelThresholds}",
            "FAMILIARITY_THRESHOLD": "${FamiliarityThreshold}",
            "IGNORED_PATTERNS": "${IgnoredPatterns}",
            "EVENT_BUS_NAME": "${EventBusName}",
        },
        QUIET,
    ),
    "Backlog": Function(
        "backlog", "handlers.backlog.handler", 1024, 280,
        "it lists a million objects; less than its schedule's five minutes, so that runs do not overlap",
        LEVEL | DISABLED | {
            "BUCKET_NAME": "${Bucket}",
            "BACKLOG_STATE_MACHINE": "${BacklogStateMachine}",
            "BACKLOG_CONCURRENCY": "${BacklogConcurrency}",
            "IGNORED_PATTERNS": "${IgnoredPatterns}",
            "SERIALIZE_FUNCTION": "${SerializeFunction}",
            "CLASSIFY_FUNCTION": "${ClassifyFunction}",
        },
        {},
    ),
    "Deletion": Function(
        "deletion", "handlers.deletion.handler", 256, 60,
        "it mostly waits for S3; a few requests",
        LEVEL | DISABLED, QUIET,
    ),
    "Monitor": Function(
        "monitor", "monitoring.function.handler", 1024, 900,
        "an hour of captures in memory; Lambda's longest time-out, as the first run reads all captures",
        {
            "BUCKET_NAME": "${Bucket}",
            "THRESHOLD": "${Threshold}",
            "FAMILIARITY_THRESHOLD": "${FamiliarityThreshold}",
            "LABELS": "${Labels}",
            "CAPTURE_PERCENT": "${CaptureSamplingPercentage}",
            "WORKFLOW_TYPE": "${WorkflowType}",
            "INSTANCE_TYPE": one_of("CreatesEndpoint", "${EndpointInstanceType}", ""),
            "INSTANCE_COUNT": "${EndpointInstanceCount}",
        },
        {}, ("${MonitorLibraries}",), "MonitoringFunctionsKey",
    ),
}  # fmt: skip


def function(name: str, given: Function) -> dict[str, Any]:
    """The function as CloudFormation has it: the cheaper architecture, a role and a log of its own."""
    properties = {
        "FunctionName": f"{STACK}-{given.name}",
        "Architectures": ["arm64"],
        "Runtime": "python3.13",
        "Handler": given.handler,
        "Code": {"S3Bucket": "${ArtifactBucket}", "S3Key": f"${{{given.code}}}"},
        "Layers": list(given.layers),
        "MemorySize": given.megabytes,
        "Timeout": given.seconds,
        "Role": f"${{{name}Role.Arn}}",
        "LoggingConfig": {"LogGroup": f"${{{name}LogGroup}}"} | given.logging,
        "TracingConfig": {"Mode": "${Tracing}"},
        "Environment": {"Variables": {"STACK_NAME": STACK} | given.variables},
    }
    return resource("AWS::Lambda::Function", properties | dict(given.more))


def layer(key: str, **attributes: str) -> dict[str, Any]:
    """A layer for the functions above."""
    properties = {
        "CompatibleArchitectures": ["arm64"],
        "CompatibleRuntimes": ["python3.13"],
        "Content": {"S3Bucket": "${ArtifactBucket}", "S3Key": f"${{{key}}}"},
    }
    return resource("AWS::Lambda::LayerVersion", properties, **attributes)


def log(name: Any, **attributes: str) -> dict[str, Any]:
    """A log, which ends after LogRetentionDays and goes with the stack."""
    properties = {"LogGroupName": name, "RetentionInDays": "${LogRetentionDays}"}
    return resource("AWS::Logs::LogGroup", properties, **DELETED, **attributes)


def permission(rule: str, function: str) -> dict[str, Any]:
    """A rule of this account, and nothing else, may invoke a function."""
    properties = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": f"${{{function}}}",
        "Principal": "events.amazonaws.com",
        "SourceArn": f"${{{rule}.Arn}}",
        "SourceAccount": ACCOUNT,
    }
    return resource("AWS::Lambda::Permission", properties)


def s3_event(kind: str) -> dict[str, Any]:
    """Events of the uploads of this bucket: results and captures must start nothing."""
    return {
        "source": ["aws.s3"],
        "detail-type": [kind],
        "detail": {"bucket": {"name": ["${Bucket}"]}, "object": {"key": [{"prefix": INCOMING}]}},
    }


# The most that EventBridge allows: 185 tries in a day.
DAY = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}

RULES = {
    "UploadRule": {
        "EventPattern": s3_event("Object Created"),
        "Targets": [
            {
                "Id": "workflow",
                "Arn": "${StateMachine}",
                "RoleArn": "${UploadRuleRole.Arn}",
                "RetryPolicy": DAY,
                "DeadLetterConfig": {"Arn": "${DeadLetterQueue.Arn}"},  # no upload is lost in silence
            }
        ],
    },
    "DeletionRule": {
        "EventPattern": s3_event("Object Deleted"),
        "Targets": [{"Id": "deletion", "Arn": "${DeletionFunction.Arn}", "RetryPolicy": DAY}],
    },
    # An outage of the endpoint ends for the uploads within five minutes of its end. Not retried: the next run is near.
    "BacklogRule": {
        "ScheduleExpression": "rate(5 minutes)",
        "Targets": [
            {
                "Id": "backlog",
                "Arn": "${BacklogFunction.Arn}",
                "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 240},
            }
        ],
    },
    # Complete hours are evaluated, and captures arrive a few minutes late. Retried until the next run is near.
    "MonitorRule": {
        "ScheduleExpression": "cron(10 * * * ? *)",
        "Targets": [
            {
                "Id": "monitor",
                "Arn": "${MonitorFunction.Arn}",
                "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3000},
            }
        ],
    },
}

RESOURCES = {
    **{f"{name}Function": function(name, given) for name, given in FUNCTIONS.items()},
    **{f"{name}LogGroup": log(f"/aws/lambda/{STACK}-{given.name}") for name, given in FUNCTIONS.items()},
    "Libraries": layer("LibrariesKey"),
    "HeicLibraries": layer("HeicLibrariesKey", Condition="ReadsHeic"),
    "MonitorLibraries": layer("MonitoringLibrariesKey"),
    **{name: resource("AWS::Events::Rule", properties) for name, properties in RULES.items()},
    "BacklogPermission": permission("BacklogRule", "BacklogFunction"),
    "DeletionPermission": permission("DeletionRule", "DeletionFunction"),
    "MonitorPermission": permission("MonitorRule", "MonitorFunction"),
}
