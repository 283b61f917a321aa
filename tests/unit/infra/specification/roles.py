"""Every role: for which service, and each action with its resources, its condition and its reason."""

from __future__ import annotations

from typing import Any

from dropsort.contract import backlog, keys, reviews
from dropsort.contract.reference import STATE_PREFIX
from tests.unit.infra.specification.canonical import ACCOUNT, BUCKET, STACK, one_of, resource

ARN = "arn:${AWS::Partition}"
HERE = "${AWS::Region}:${AWS::AccountId}"
ARTIFACTS = f"{ARN}:s3:::${{ArtifactBucket}}"
# Everything below a prefix, as the contract names it.
INCOMING, REVIEWS = f"{keys.INCOMING}*", f"{reviews.PREFIX}*"
RESULT_PREFIXES = [f"{outcome}/*" for outcome in keys.OUTCOMES]
RESULTS = [f"{BUCKET}/{prefix}" for prefix in RESULT_PREFIXES]
CAPTURES, STATE = f"{keys.CAPTURES}/*", f"{STATE_PREFIX}/*"
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
STEPS = [f"${{{name}Function.Arn}}" for name in ("Serialize", "SerializeLarge", "Classify", "Filter")]


def listed(value: str | list[Any]) -> Any:
    """One of a thing stands alone in the template."""
    found = value.split() if isinstance(value, str) else value
    return found[0] if len(found) == 1 else found


def allow(actions: str, resources: Any, **condition: Any) -> dict[str, Any]:
    """A statement; actions are separated by spaces."""
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": listed(actions), "Resource": resources, **more}


def trust(service: str, **condition: Any) -> dict[str, Any]:
    """Who may use a role."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    more = {"Condition": condition} if condition else {}
    return {"Version": "2012-10-17", "Statement": [statement | more]}


def role(service: str, policy: str, *statements: dict[str, Any], **attributes: str) -> dict[str, Any]:
    """A role of one service. Lambda lets functions of this account alone use a role; other services are bound to it."""
    bound = {} if service == "lambda" else OWN_ACCOUNT
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    properties = {
        "AssumeRolePolicyDocument": trust(service, **bound),
        "Policies": [{"PolicyName": policy, "PolicyDocument": document}],
    }
    return resource("AWS::IAM::Role", properties, **attributes)


def writes_log(name: str) -> dict[str, Any]:
    """A function's own log, which the stack creates, so it needs no right to create one."""
    return allow("logs:CreateLogStream logs:PutLogEvents", f"${{{name}LogGroup.Arn}}")


# Only with Tracing Active. X-Ray has no resource-level permissions.
TRACES = one_of("Traces", allow("xray:PutTraceSegments xray:PutTelemetryRecords", "*"))
TRACES_OF_A_WORKFLOW = one_of(
    "Traces",
    allow(
        "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets", "*"
    ),
)
# A customer's own key: reading decrypts; writing needs a data key, and decrypts the parts of a large object.
READS = one_of("NamesKey", {**allow("kms:Decrypt", "${KmsKeyArn}"), "Action": ["kms:Decrypt"]})
WRITES = one_of("NamesKey", allow("kms:Decrypt kms:GenerateDataKey", "${KmsKeyArn}"))
# Delivery of a state machine's log; these calls take no resource.
DELIVERS_LOG = allow(
    "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery logs:ListLogDeliveries "
    "logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups",
    "*",
)


def missing_is_not_forbidden(prefixes: Any) -> dict[str, Any]:
    """Without it S3 returns 403 for a key that does not exist. GetObject names no prefix, so IfExists."""
    return allow("s3:ListBucket", BUCKET, StringLikeIfExists={"s3:prefix": prefixes})


def serializes(name: str) -> dict[str, Any]:
    """Reads uploads, the version of the event if the bucket has versions, and results that an object copied onto itself renews."""
    return role(
        "lambda", name,
        allow("s3:GetObject s3:GetObjectVersion", f"{BUCKET}/{INCOMING}"),
        allow("s3:GetObject", RESULTS[:2]),
        missing_is_not_forbidden([INCOMING, *RESULT_PREFIXES[:2]]),
        READS,
        writes_log({"serialize": "Serialize", "serialize-large": "SerializeLarge"}[name]),
        TRACES,
    )  # fmt: skip


def backlog_arn(kind: str, end: str = "") -> str:
    """An ARN of the backlog's state machine, which its own role cannot refer to."""
    return f"{ARN}:states:{HERE}:{kind}:{STACK}-backlog{end}"


def images(repository: str, account: str) -> dict[str, Any]:
    """AWS's own images of one kind: they lie in accounts that differ by region."""
    found = {"Fn::FindInMap": ["DeepLearningContainers", "${AWS::Region}", account]}
    return {"Sub": [f"{ARN}:ecr:${{AWS::Region}}:${{Account}}:repository/{repository}", {"Account": found}]}


PULL = "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer"
SAGEMAKER_LOGS = "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents logs:DescribeLogStreams"
# Neither action knows resources; the condition narrows the second.
SIGN_IN = allow("ecr:GetAuthorizationToken", "*")
INSTANCE_METRICS = allow(
    "cloudwatch:PutMetricData",
    "*",
    StringLike={"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/*"]},
)
# An endpoint's ARN is its Ref, in lower case however its name is written; IAM compares case.
ENDPOINT = one_of(
    "CreatesEndpoint",
    "${Endpoint}",
    one_of("NamesArn", "${EndpointArn}", f"{ARN}:sagemaker:{HERE}:endpoint/${{EndpointName}}"),
)

RESOURCES = {
    "UploadRuleRole": role("events", "start-workflow", allow("states:StartExecution", "${StateMachine}")),
    "StateMachineRole": role(
        "states", "run-functions",
        allow("lambda:InvokeFunction", STEPS), DELIVERS_LOG, TRACES_OF_A_WORKFLOW,
    ),
    "BacklogStateMachineRole": role(
        "states", "run-backlog",
        allow("lambda:InvokeFunction", STEPS),
        allow("s3:GetObject s3:PutObject", f"{BUCKET}/{backlog.PREFIX}*"),  # the list of a run, and its report
        WRITES,
        allow("states:StartExecution", backlog_arn("stateMachine")),  # each item is an execution
        allow("states:DescribeExecution states:StopExecution", backlog_arn("execution", ":*")),
        DELIVERS_LOG, TRACES_OF_A_WORKFLOW,
    ),
    "SerializeRole": serializes("serialize"),
    "SerializeLargeRole": serializes("serialize-large"),
    "ClassifyRole": role(
        "lambda", "classify",
        allow("sagemaker:InvokeEndpoint", ENDPOINT), writes_log("Classify"), TRACES,  # the image is in the state
    ),
    "FilterRole": role(
        "lambda", "filter",
        allow("s3:GetObject s3:PutObject s3:DeleteObject", RESULTS),  # an outcome that changes moves the result
        missing_is_not_forbidden(RESULT_PREFIXES), WRITES,
        one_of("SendsEvents", allow("events:PutEvents", f"{ARN}:events:{HERE}:event-bus/${{EventBusName}}")),
        writes_log("Filter"), TRACES,
    ),
    "BacklogRole": role(
        "lambda", "backlog",
        allow("s3:GetObject", [*RESULTS, f"{BUCKET}/{REVIEWS}"]),  # of which upload they are
        allow("s3:GetObject s3:PutObject", f"{BUCKET}/{backlog.PREFIX}*"),  # lists of its runs, and its state
        allow(
            "s3:ListBucket s3:ListBucketVersions", BUCKET,
            StringLikeIfExists={"s3:prefix": [INCOMING, *RESULT_PREFIXES, REVIEWS]},
        ),
        WRITES,
        allow("states:StartExecution", "${BacklogStateMachine}"),
        allow("states:DescribeExecution", f"{ARN}:states:{HERE}:execution:${{BacklogStateMachine.Name}}:*"),
        allow("lambda:InvokeFunction", ["${SerializeFunction.Arn}", "${ClassifyFunction.Arn}"]),  # tries the endpoint
        writes_log("Backlog"), TRACES,
    ),
    "DeletionRole": role(
        "lambda", "deletion",
        allow("s3:GetObject s3:DeleteObject", [*RESULTS, f"{BUCKET}/{REVIEWS}"]),  # with the decisions about it
        allow("s3:DeleteObject", f"{BUCKET}/{reviews.GROUND_TRUTH}*"),
        allow("s3:GetObject", f"{BUCKET}/{INCOMING}"),  # the key may have been uploaded again
        missing_is_not_forbidden([INCOMING, *RESULT_PREFIXES, REVIEWS]),
        READS, writes_log("Deletion"), TRACES,
    ),
    "MonitorRole": role(
        "lambda", "monitor",
        allow("s3:GetObject", [f"{BUCKET}/{CAPTURES}", f"{BUCKET}/{STATE}"]),
        allow("s3:PutObject s3:DeleteObject", f"{BUCKET}/{STATE}"),
        allow(  # it lists by prefix only, so without IfExists
            "s3:ListBucket", BUCKET,
            StringLike={"s3:prefix": [CAPTURES, STATE]},
        ),
        allow("cloudwatch:GetMetricStatistics", "*"),  # takes no resource
        WRITES, writes_log("Monitor"), TRACES,
    ),
    "EndpointRole": role(
        "sagemaker", "endpoint",
        allow("s3:GetObject", [  # all models: during an update old and new fleet each fetch their own
            f"{ARTIFACTS}/{keys.MODELS}/*",
            {"Sub": [f"{ARN}:s3:::${{Object}}",
                     {"Object": {"Fn::Select": [1, {"Fn::Split": ["s3://", "${ModelDataUrl}"]}]}}]},
        ]),
        allow("s3:PutObject", f"{BUCKET}/{CAPTURES}"),
        WRITES,
        allow(SAGEMAKER_LOGS, "${EndpointLogs.Arn}"),
        INSTANCE_METRICS,
        allow("cloudwatch:DescribeAlarms", f"{ARN}:cloudwatch:{HERE}:alarm:{STACK}-endpoint-*"),  # those of a roll-out
        SIGN_IN,
        allow(PULL, [
            images("pytorch-inference", "Account"),
            images("image-classification", "BuiltIn"),
            one_of("NamesImage", {"Sub": [  # the account in ModelImageUri
                f"{ARN}:ecr:${{AWS::Region}}:${{Account}}:repository/*",
                {"Account": {"Fn::Select": [0, {"Fn::Split": [".", "${ModelImageUri}"]}]}},
            ]}),
        ]),
        Condition="CreatesEndpoint",
    ),
    "TrainingRole": role(
        "sagemaker", "training",
        allow("s3:GetObject", f"{ARTIFACTS}/training/*"),
        allow("s3:ListBucket", ARTIFACTS, StringLike={"s3:prefix": ["training/*"]}),  # a channel is a prefix
        allow("s3:GetBucketLocation", ARTIFACTS),
        allow("s3:PutObject s3:AbortMultipartUpload", f"{ARTIFACTS}/training/*"),
        allow(SAGEMAKER_LOGS, f"{ARN}:logs:{HERE}:log-group:/aws/sagemaker/TrainingJobs*"),
        INSTANCE_METRICS,
        SIGN_IN,
        allow(PULL, [
            images("pytorch-training", "Account"),
            images("image-classification", "BuiltIn"),
            f"{ARN}:ecr:{HERE}:repository/*",
        ]),
        Condition="CreatesEndpoint",
    ),
}  # fmt: skip
