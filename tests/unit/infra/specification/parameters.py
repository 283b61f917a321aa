"""Every parameter with its default and bounds, and why; the conditions and rules on them; the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.unit.infra.specification.alarms import ROLLS_BACK
from tests.unit.infra.specification.canonical import ENDPOINT_NAME


@dataclass(frozen=True)
class Number:
    """A number from `least` to `most`."""

    default: float
    least: float
    most: float
    why: str


@dataclass(frozen=True)
class Choice:
    """One of a few values, the default first."""

    default: Any
    others: tuple[Any, ...]
    why: str
    type: str = "String"


@dataclass(frozen=True)
class Text:
    """A text: what it takes and what it rejects, by examples; `longest` and `shortest` of its length."""

    taken: tuple[str, ...]
    rejected: tuple[str, ...]
    why: str = ""
    default: str | None = ""
    longest: int | None = None
    shortest: int | None = None


KEY = Text(
    ("code/0f3a.zip",),
    (),
    "set by `dropsort deploy`: the archive's hash is its name",
    default=None,
    shortest=1,
)
ACCOUNT = "111122223333"

PARAMETERS: dict[str, Number | Choice | Text] = {
    "Threshold": Number(0.93, 0, 1, "of the shipped model, chosen on its validation images"),
    "LabelThresholds": Text(
        ("", "a=0", "a=0.29", "a=1", "a=1.00", "x y=1,a=0", "x=1,a=0.29", "x=1,a=1", "x=1,a=1.00"),
        ("bicycle", "bicycle=", "=0.9", "bicycle=1.5", "bicycle=0.9,", "bicycle=.9", "bicycle=0.", "bicycle=1.5,a=1", "a=0.9,a b"),
    ),
    "FamiliarityThreshold": Number(0.01, 0, 1, "about 1 % of genuine images are rejected"),
    "Precision": Number(0.99, 0, 1, "for which the shipped model's threshold was chosen"),
    "Labels": Text(("", "bicycle,motorcycle", "Фото, 写真"), (), "any text"),
    "CreateEndpoint": Choice("true", ("false",), "one command deploys everything"),
    "EndpointName": Text(
        ("", "a", "bikes-2", "A--b", "9", "zZ0-9zZ09"), ("-a", "a-", "a_b", "a.b", "a b"), "as SageMaker has it", longest=63
    ),
    "EndpointArn": Text(
        ("", f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/bikes-2",
         f"arn:aws:sagemaker:xx-09:{ACCOUNT}:endpoint/9az0-0z9", f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ACCOUNT}:endpoint/b"),
        (
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/Bikes",  # SageMaker writes lower case
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/a-",
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/-a",
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/",
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/bikes",
            "arn:aws:sagemaker:us-east-1:11112222333:endpoint/bikes",
            "arn:aws:sagemaker:us-east-1:1111222233334:endpoint/bikes",
            f"arn:aws:sagemaker:us_east:{ACCOUNT}:endpoint/bikes",
            f"arn:AWS:sagemaker:us-east-1:{ACCOUNT}:endpoint/bikes", "bikes",
        ),
    ),
    "EndpointAccept": Choice(
        "application/json;verbose=true", ("application/json",), "labels and familiarity; the built-in algorithm takes only the other"
    ),
    "ModelDataUrl": Text(
        ("", "s3://bucket/models/a.tar.gz", "s3://0.b-c9z/x", "s3://9a0/x", "s3://za/x"),
        ("https://bucket/a", "s3://bucket", "s3://bucket/", "s3://Bucket/a", "s3://-bucket/a", "s3://b/a"),
    ),
    "ModelImageUri": Text(("", f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/own:1"), (), "any registry"),
    "ModelVersion": Text(("", "bikes-1.0.0 ~"), ("bikes\n", "модель", "a\tb", "\x7f"), "a dimension of a metric", longest=256),
    "EndpointInstanceType": Text(
        ("ml.m5.xlarge", "ml.g4dn.2xlarge", "ml.trn1-09az.metal09"),
        ("m5.xlarge", "ml.m5", "ml.M5.xlarge", "mlxm5.xlarge", "ml.m5.x-l", "ml.m_5.large"),
        "7 ms per image; the smallest that is not burstable is half of it", default="ml.m5.xlarge",
    ),
    "EndpointInstanceCount": Number(1, 1, 100, "an idle instance costs $170 per month"),
    "EndpointMaxInstanceCount": Number(0, 0, 100, "no autoscaling unless it is wanted"),
    "InvocationsPerInstance": Number(5000, 1, 1_000_000, "about half of what an ml.m5.xlarge can process in a minute"),
    "ClassifyConcurrency": Number(0, 0, 10_000, "a new account has ten concurrent executions, of which none can be reserved"),
    "BacklogConcurrency": Number(40, 1, 10_000, "twice the 20 that one instance uses fully; 10,000 is the most of a Distributed Map"),
    "InvocationTimeoutSeconds": Number(10, 1, 60, "60 s is SageMaker's own"),
    "CaptureSamplingPercentage": Number(100, 0, 100, "every prediction is monitored"),
    "RollbackLowConfidenceShare": Number(0.8, 0, 1, "far above the usual share, so that only a useless model is rolled back"),
    "SageMakerRuntimeEndpointUrl": Text(
        ("", "http://127.0.0.1:4566", "https://vpce-1.runtime.sagemaker.us-east-1.vpce.amazonaws.com"), ("127.0.0.1", "ftp://a", "http://", "xhttp://a")
    ),
    "ImageSide": Number(256, 32, 1024, "the model takes 96 pixels; 1,024 fit the payload limit"),
    "MaxObjectMegabytes": Number(100, 1, 200, "200 MB twice is what SerializeLarge has left"),
    "MaxMegapixels": Number(100, 1, 100, "100 take up to 1.3 GB of the 1.8 that SerializeLarge has"),
    "IgnoredPatterns": Text(("._*", "x" * 2000), (), "dropsort/contract/defaults.py", default=None, shortest=1, longest=2000),
    "BucketName": Text(
        ("", "abc", "my.bucket-1", "0a9", "9z0", "z09z"),
        ("a" * 64, "ab", "Abc", "-abc", "abc-", "a_c", ".abc", "abc."), "as S3 has it", longest=63
    ),
    "KmsKeyArn": Text(
        ("", f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234abcd-12AB",
         f"arn:aws-z:kms:xx-09:{ACCOUNT}:key/azAZ09", f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/mrk-1"),
        (
            f"arn:aws:kms:eu-central-1:{ACCOUNT}:alias/mine", "arn:aws:kms:eu-central-1:1:key/1",
            f"arn:aws:kms:eu-central-1:{ACCOUNT}1:key/1",
            f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/", f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/a_b",
            f"arn:aws:s3:eu-central-1:{ACCOUNT}:key/1", "alias/mine",
            f"arn:aws:kms:EU:{ACCOUNT}:key/1", f"arn:aws_x:kms:eu-central-1:{ACCOUNT}:key/1",
        ),
    ),
    "RequireTls": Choice("true", ("false",), "false is for the embedded AWS alone"),
    "WorkflowType": Choice("EXPRESS", ("STANDARD",), "a tenth of the cost"),
    "EventBusName": Text(
        ("", "default", "my/bus.1_b-C"), ("a b", "arn:aws:events:us-east-1:1:event-bus/a", "*", "a?"),
        "none: events cost as much as their uploads'; of this account, so that the role may use one bus alone", longest=256,
    ),
    "Tracing": Choice("PassThrough", ("Active",), "a recorded trace costs as much as an upload"),
    "LogLevel": Choice("INFO", ("DEBUG",), "one line for each image"),
    "LogRetentionDays": Choice(
        30, (1, 3, 5, 7, 14, 60, 90, 180, 365, 731), "a month of incidents; of the values that CloudWatch Logs takes", "Number",
    ),
    "CaptureRetentionDays": Number(90, 1, 3650, "a quarter to label them, and to restore an object"),
    "ArtifactBucket": Text(
        ("abc", "my.bucket-1", "0a9", "9z0", "z09z", "a" * 63),
        ("", "ab", "a" * 64, "Abc", "-abc", "abc-", "a_c"), "set by `dropsort deploy`", default=None
    ),
    "FunctionsKey": KEY,
    "LibrariesKey": KEY,
    "HeicLibrariesKey": Text(("", "layers/heic.zip"), (".zip", "heic.tar", "heic.zip ", "heiczip"), "optional, as x265 in it is GPL"),
    "AlarmEmail": Text(
        ("", "a@b.c", "first.last@mail.example.com"), ("a", "a@b", "@b.c", "a@.", "a b@c.d", "a@b@c.d", "a@b.c d"), "nobody, unless named"
    ),
    "UnreviewedLimit": Number(0, 0, 10_000_000, "no alarm for those who do not review; others know how many they can review in a day"),
    "MonitoringFunctionsKey": KEY,
    "MonitoringLibrariesKey": KEY,
}  # fmt: skip


def equals(parameter: str, value: Any) -> dict[str, Any]:
    return {"Fn::Equals": [f"${{{parameter}}}", value]}


def differs(parameter: str, value: Any) -> dict[str, Any]:
    return {"Fn::Not": [equals(parameter, value)]}


CONDITIONS = {
    "CreatesEndpoint": equals("CreateEndpoint", "true"),
    "NamesEmail": differs("AlarmEmail", ""),
    "NamesEndpoint": differs("EndpointName", ""),
    "LimitsConcurrency": differs("ClassifyConcurrency", 0),
    "ScalesEndpoint": {
        "Fn::And": [{"Condition": "CreatesEndpoint"}, differs("EndpointMaxInstanceCount", 0)],
    },
    "SeveralInstances": differs("EndpointInstanceCount", 1),  # a canary needs two
    "CapturesCalls": differs("CaptureSamplingPercentage", 0),
    "LimitsUnreviewed": differs("UnreviewedLimit", 0),
    "NamesArn": differs("EndpointArn", ""),
    "NamesBucket": differs("BucketName", ""),
    "NamesImage": differs("ModelImageUri", ""),
    "NamesKey": differs("KmsKeyArn", ""),
    "NamesModel": differs("ModelDataUrl", ""),
    "NamesVersion": differs("ModelVersion", ""),
    "NamesRuntime": differs("SageMakerRuntimeEndpointUrl", ""),
    "ReadsHeic": differs("HeicLibrariesKey", ""),
    "RequiresTls": equals("RequireTls", "true"),
    "SendsEvents": differs("EventBusName", ""),
    "Traces": equals("Tracing", "Active"),
}


def required(condition: dict[str, Any], parameter: str) -> dict[str, Any]:
    return {"RuleCondition": condition, "Assertions": [{"Assert": differs(parameter, "")}]}


# What a stack needs in addition to what each parameter takes.
RULES = {
    "EndpointIsKnown": required(equals("CreateEndpoint", "false"), "EndpointName"),
    "ModelIsKnown": required(equals("CreateEndpoint", "true"), "ModelDataUrl"),
}

WITH_ENDPOINT = {"Condition": "CreatesEndpoint"}
# What the commands read of a stack (dropsort/contract/stack.py).
OUTPUTS = {
    "BucketName": {"Value": "${Bucket}"},
    "Precision": {"Value": "${Precision}"},
    "StateMachineArn": {"Value": "${StateMachine}"},
    "BacklogStateMachineArn": {"Value": "${BacklogStateMachine}"},
    "BacklogFunction": {"Value": "${BacklogFunction}"},
    "EndpointName": {"Value": ENDPOINT_NAME},
    "EndpointAlarmArns": {
        **WITH_ENDPOINT,
        "Value": {"Fn::Join": [",", [f"${{{name}.Arn}}" for name in ROLLS_BACK]]},
    },
    "TrainingRoleArn": {**WITH_ENDPOINT, "Value": "${TrainingRole.Arn}"},
    "DeadLetterQueueUrl": {"Value": "${DeadLetterQueue}"},
    "SerializeFunction": {"Value": "${SerializeFunction}"},
    "ClassifyFunction": {"Value": "${ClassifyFunction}"},
    "FilterFunction": {"Value": "${FilterFunction}"},
    "MonitorFunction": {"Value": "${MonitorFunction}"},
    "DashboardName": {"Value": "${Dashboard}"},
    "AlarmTopicArn": {"Value": "${AlarmTopic}"},
}
