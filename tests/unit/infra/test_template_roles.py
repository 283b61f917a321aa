"""Roles: each allows exactly what its owner does, derived from the definition, the rule's target and the calls of the code."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.contract import backlog as backlog_runs
from dropsort.contract import keys
from handlers import aws, backlog, classify, deletion, serialize, settings
from handlers import filter as last
from monitoring.prices import ResourceUse
from tests.unit.handlers.sample_images import drawn, encoded
from tests.unit.infra.template import (
    FUNCTIONS,
    RESOURCES,
    TEMPLATE,
    definition,
    grants,
    of_type,
    resolve,
    statements,
)
from training.aws.container_images import REGIONS, image_uri
from training.errors import TrainingError

BUCKET = "pictures"
DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})

# Actions for which AWS knows no resource-level permission (Service Authorization Reference); for these alone "*" is right.
WITHOUT_RESOURCE = {
    # Delivery of a state machine's log to CloudWatch Logs.
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
    # Traces.
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    # Reading and writing metrics.
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    # Signing in to the registry of container images.
    "ecr:GetAuthorizationToken",
}
LOG_DELIVERY = {action for action in WITHOUT_RESOURCE if action.startswith("logs:")}
TRACES_OF_A_FUNCTION = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}
# With a key of the customer's: reading decrypts, writing needs a data key.
KEY = {
    "SerializeRole": {"kms:Decrypt"},
    "SerializeLargeRole": {"kms:Decrypt"},
    "FilterRole": {"kms:Decrypt", "kms:GenerateDataKey"},
    "MonitorRole": {"kms:Decrypt", "kms:GenerateDataKey"},
    "BacklogRole": {"kms:Decrypt", "kms:GenerateDataKey"},
    "DeletionRole": {"kms:Decrypt"},
    "BacklogStateMachineRole": {"kms:Decrypt", "kms:GenerateDataKey"},
    "EndpointRole": {"kms:Decrypt", "kms:GenerateDataKey"},
}
TRACES_OF_A_WORKFLOW = {(action, "*") for action in WITHOUT_RESOURCE if action.startswith("xray:")}


@pytest.mark.parametrize("traces", [True, False])
def test_the_workflow_may_do_exactly_what_its_definition_says(traces: bool) -> None:
    needed: set[tuple[str, str]] = set()
    for state in definition()["States"].values():
        if state["Type"] == "Task":
            assert state["Resource"] == "arn:aws:states:::lambda:invoke", (
                "say here what the new kind of task needs"
            )
            needed.add(
                (
                    "lambda:InvokeFunction",
                    state["Parameters"]["FunctionName"].rpartition(":")[2] + "Function.Arn",
                )
            )
    properties = resolve(RESOURCES["StateMachine"]["Properties"], Traces=traces)
    if properties["LoggingConfiguration"]["Level"] != "OFF":
        needed |= {(action, "*") for action in LOG_DELIVERY}
    assert properties["TracingConfiguration"]["Enabled"] is traces
    if traces:
        needed |= TRACES_OF_A_WORKFLOW
    assert grants("StateMachineRole", Traces=traces) == needed
    assert properties["RoleArn"] == "StateMachineRole.Arn"
    # AND a run of the backlog needs the same for its items, and what its Distributed Map does: it reads the list, writes its
    # report, starts an execution of itself per item, and follows those (Step Functions Developer Guide, "IAM policies for using
    # Distributed Map states").
    (run,) = definition("BacklogStateMachine")["States"].values()
    assert run["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
    assert run["ResultWriter"]["Resource"] == "arn:aws:states:::s3:putObject"
    lists = f"arn:aws:s3:::{BUCKET}/{backlog_runs.PREFIX}*"
    own = "arn:aws:states:us-east-1:111122223333:{}:dropsort-backlog"
    assert grants("BacklogStateMachineRole", Traces=traces) == needed | {
        ("s3:GetObject", lists),
        ("s3:PutObject", lists),
        ("states:StartExecution", own.format("stateMachine")),
        ("states:DescribeExecution", own.format("execution") + ":*"),
        ("states:StopExecution", own.format("execution") + ":*"),
        *((action, "KmsKeyArn") for action in KEY["BacklogStateMachineRole"]),
    }
    name = resolve(RESOURCES["BacklogStateMachine"]["Properties"]["StateMachineName"])
    assert own.format("stateMachine").endswith(f":{name}")


def test_every_rule_may_do_exactly_what_its_targets_need() -> None:
    for name, rule in of_type("AWS::Events::Rule").items():
        for target in resolve(rule["Properties"]["Targets"]):
            goal = target["Arn"].removesuffix(".Arn")
            match RESOURCES[goal]["Type"]:
                case "AWS::StepFunctions::StateMachine":
                    # Started through a role. Without it nothing is started, and there is no error.
                    assert grants(target["RoleArn"].removesuffix(".Arn")) == {("states:StartExecution", goal)}
                case "AWS::Lambda::Function":
                    # Invoked through the function's own policy, which names the rule.
                    assert "RoleArn" not in target
                    (permission,) = [
                        resolve(one["Properties"])
                        for one in of_type("AWS::Lambda::Permission").values()
                        if resolve(one["Properties"]["FunctionName"]) == goal
                    ]
                    assert permission["Principal"] == "events.amazonaws.com"
                    assert permission["SourceArn"] == f"{name}.Arn"
                case other:
                    pytest.fail(f"say here what a target of type {other} needs")


SERVICE_OF = {
    "StateMachineRole": "states.amazonaws.com",
    "BacklogStateMachineRole": "states.amazonaws.com",
    "UploadRuleRole": "events.amazonaws.com",
    "EndpointRole": "sagemaker.amazonaws.com",
    "TrainingRole": "sagemaker.amazonaws.com",
}


@pytest.mark.parametrize("role", of_type("AWS::IAM::Role"))
def test_a_role_is_for_one_service_and_allows_nothing_wide(role: str) -> None:
    properties = resolve(RESOURCES[role]["Properties"])
    (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == "sts:AssumeRole"
    assert trust["Principal"] == {"Service": SERVICE_OF.get(role, "lambda.amazonaws.com")}
    if (
        trust["Principal"]["Service"] != "lambda.amazonaws.com"
    ):  # which gives functions of this account alone to run
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    assert "ManagedPolicyArns" not in properties
    for traces in (True, False):
        for action, resource in grants(role, Traces=traces):
            assert "*" not in action
            if resource == "*":
                assert action in WITHOUT_RESOURCE, f"{role} may {action} on everything"


def test_no_function_shares_a_role_or_a_log() -> None:
    functions = [resolve(one["Properties"]) for one in of_type("AWS::Lambda::Function").values()]
    assert len({one["Role"] for one in functions}) == len(functions)
    assert len({one["LoggingConfig"]["LogGroup"] for one in functions}) == len(functions)


# ---- The calls that the code makes, recorded from runs of it -------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every call of botocore that the functions make, by name and parameters."""
    for name, value in {
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "testing",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    ):
        monkeypatch.delenv(name, raising=False)
    made: list[tuple[str, dict[str, Any]]] = []
    clients: tuple[Any, ...] = (aws.s3, aws.sagemaker_runtime, aws.lister, aws.stepfunctions, aws.functions)
    for client in clients:
        client.cache_clear()
    with mock_aws():
        owner = boto3.client("s3")
        owner.create_bucket(Bucket=BUCKET)
        owner.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for client in clients:
            client().meta.events.register(
                "provide-client-params", lambda params, model, **_: made.append((model.name, dict(params)))
            )
        yield made
    for client in clients:
        client.cache_clear()


def needed(call: tuple[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Actions and resources that AWS requires for one call."""
    operation, parameters = call
    item = f"arn:aws:s3:::{parameters.get('Bucket')}/{parameters.get('Key')}"
    match operation:
        case "GetObject" if "VersionId" in parameters:
            return {("s3:GetObjectVersion", item)}
        case "GetObject" | "HeadObject":
            return {("s3:GetObject", item)}
        case "PutObject":  # a condition reads what is there
            return {("s3:PutObject", item)} | ({("s3:GetObject", item)} if "IfMatch" in parameters else set())
        case "DeleteObject":
            return {("s3:DeleteObject", item), ("s3:GetObject", item)}
        case "ListObjectsV2":
            return {("s3:ListBucket", f"arn:aws:s3:::{parameters['Bucket']}")}
        case "ListObjectVersions":
            return {("s3:ListBucketVersions", f"arn:aws:s3:::{parameters['Bucket']}")}
        case "StartExecution":
            return {("states:StartExecution", parameters["stateMachineArn"])}
        case "DescribeExecution":
            return {("states:DescribeExecution", parameters["executionArn"])}
        case "Invoke":
            return {("lambda:InvokeFunction", f"{parameters['FunctionName']}.Arn")}
        case "InvokeEndpoint":
            name = parameters["EndpointName"].lower()  # as SageMaker writes ARNs
            return {("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{name}")}
    pytest.fail(f"say here what {operation} needs")


def runtime_needs(function: str) -> set[tuple[str, str]]:
    """What Lambda itself does in the function's name, and what makes S3 return 404 instead of 403 for what is not there."""
    needs = {(action, f"{function}LogGroup.Arn") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    needs |= TRACES_OF_A_FUNCTION
    if function != "Classify":
        needs |= {(action, "KmsKeyArn") for action in KEY[f"{function}Role"]}
    if function in ("Serialize", "Filter", "Deletion"):  # the others list
        needs.add(("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"))
    return needs


def held(function: str, made: list[tuple[str, dict[str, Any]]]) -> None:
    """Every call is allowed, every permission is used."""
    allowed = grants(f"{function}Role") - runtime_needs(function)
    assert runtime_needs(function) <= grants(f"{function}Role")
    asked = {need for call in made for need in needed(call)}
    assert asked
    for action, item in asked:
        assert any(action == a and fnmatchcase(item, pattern) for a, pattern in allowed), (
            f"{function} may not {action} on {item}"
        )
    for action, pattern in allowed:
        assert any(action == a and fnmatchcase(item, pattern) for a, item in asked), (
            f"{function} never uses {action} on {pattern}"
        )


PNG = encoded(drawn(32, 32), "PNG")
CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="1"
)


def event(key: str, **fields: Any) -> dict[str, Any]:
    return {"detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "sequencer": "1f", **fields}}}


def test_serialize_may_do_exactly_what_it_does(calls: list[tuple[str, dict[str, Any]]]) -> None:
    put = boto3.client("s3").put_object(Bucket=BUCKET, Key="incoming/cam1/a.jpg", Body=b"text")
    serialize.handler(event("incoming/cam1/a.jpg", **{"version-id": put["VersionId"]}), CONTEXT)
    serialize.handler(event("incoming/cam1/a.jpg", etag=put["ETag"].strip('"')), CONTEXT)
    serialize.handler({"s3_bucket": BUCKET, "s3_key": "incoming/gone.jpg"}, CONTEXT)
    held("Serialize", calls)


def test_the_same_for_large_images_may_do_the_same() -> None:
    same = {
        (action, item.replace("SerializeLargeLog", "SerializeLog"))
        for action, item in grants("SerializeLargeRole")
    }
    assert same == grants("SerializeRole")


@pytest.mark.parametrize("creates", [True, False])
def test_classify_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, creates: bool
) -> None:
    # GIVEN the name under which the template gives the endpoint to the function
    variables = resolve(
        RESOURCES["ClassifyFunction"]["Properties"]["Environment"]["Variables"], CreatesEndpoint=creates
    )
    monkeypatch.setattr(classify, "_SETTINGS", settings.load({"ENDPOINT_NAME": "bikes"}))
    state = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "image_data": base64.b64encode(b"x").decode()}
    upload = dict.fromkeys(("version_id", "etag", "size", "sequencer", "uploaded"))
    classify.handler(state | {"upload": upload}, CONTEXT)
    made = [(name, parameters | {"EndpointName": variables["ENDPOINT_NAME"]}) for name, parameters in calls]
    allowed = grants("ClassifyRole", CreatesEndpoint=creates) - runtime_needs("Classify")
    assert allowed == {need for call in made for need in needed(call)}


def test_filter_may_do_exactly_what_it_does(calls: list[tuple[str, dict[str, Any]]]) -> None:
    answers: list[dict[str, Any]] = [
        {"inferences": [0.99, 0.01]},
        {"inferences": [0.6, 0.4]},
        {"inferences": [0.5, 0.5]},
    ]
    common = {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "labels": ["a", "b"]}
    # GIVEN uploads whose results replace each other in every place, by events and by hand
    for number, answer in enumerate([*answers, *answers, *[one for one in answers for _ in (0, 1)]]):
        upload = {
            "version_id": f"v{number}",
            "etag": f"e{number}",
            "size": 1,
            "sequencer": f"{number:04x}",
            "uploaded": None,
        }
        last.handler(
            {"state": common | answer | {"upload": upload}, "input": event("incoming/a.jpg")}, CONTEXT
        )
    held("Filter", calls)


def test_the_backlog_function_may_do_exactly_what_it_does(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an upload without a result, and results of each outcome that have to be read, as the bucket holds older versions of them
    s3, states = boto3.client("s3"), boto3.client("stepfunctions")
    s3.put_object(Bucket=BUCKET, Key="incoming/lost", Body=b"x")
    for outcome in keys.OUTCOMES:
        for _ in range(2):
            s3.put_object(Bucket=BUCKET, Key=f"incoming/{outcome}", Body=b"x")
            s3.put_object(Bucket=BUCKET, Key=f"{outcome}/{outcome}.json", Body=b"{}")
    role = "arn:aws:iam::123456789012:role/states"
    machine = states.create_state_machine(name="dropsort-backlog", definition=DEFINITION, roleArn=role)
    variables = resolve(RESOURCES["BacklogFunction"]["Properties"]["Environment"]["Variables"])
    for name, value in (variables | {"BACKLOG_STATE_MACHINE": machine["stateMachineArn"]}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("BACKLOG_CONCURRENCY", "5")
    monkeypatch.setattr(backlog, "MIN_AGE", -timedelta(hours=1))

    def invoke(**request: Any) -> dict[str, Any]:
        calls.append(("Invoke", request))
        body = b'{"image_data": "x"}' if request["FunctionName"].startswith("Serialize") else b"{}"
        return {"Payload": io.BytesIO(body)}

    monkeypatch.setattr(aws.functions(), "invoke", invoke)
    context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 60_000)
    # WHEN it runs twice, the second time while its run is in progress
    assert backlog.handler({"min_age_seconds": -3600}, context)["started"] == 4
    assert backlog.handler({"min_age_seconds": -3600}, context)["started"] == 0
    # THEN it does all that it may do, and nothing else
    names = {
        machine["stateMachineArn"]: "BacklogStateMachine",
        "arn:aws:states:us-east-1:123456789012:execution:dropsort-backlog:": (
            "arn:aws:states:us-east-1:111122223333:execution:BacklogStateMachine.Name:"
        ),
    }
    for _, parameters in calls:
        for member in ("stateMachineArn", "executionArn"):
            for theirs, ours in names.items():
                if str(parameters.get(member, "")).startswith(theirs):
                    parameters[member] = parameters[member].replace(theirs, ours)
    held("Backlog", calls)


def test_one_upload_makes_the_requests_and_the_log_that_its_cost_counts(
    calls: list[tuple[str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each further request to S3 costs 0.40 dollars a million, a PUT or LIST 5: this test says which there are."""
    put = boto3.client("s3").put_object(Bucket=BUCKET, Key="incoming/cam1/a.png", Body=PNG)
    started = event("incoming/cam1/a.png", **{"version-id": put["VersionId"]}) | {
        "time": "2026-11-26T02:00:00Z"
    }
    state = serialize.handler(started, CONTEXT)
    predicted = {"inferences": [0.99, 0.01], "labels": ["bicycle", "motorcycle"], "model": "bikes-1.0.0"}
    predicted["metrics"] = state["metrics"] | {"EndpointLatency": 21.5}
    last.handler({"state": state | predicted, "input": started, "execution": "e" * 160}, CONTEXT)
    use = ResourceUse()
    assert Counter(name for name, _ in calls) == {"GetObject": 1, "PutObject": 1, "HeadObject": 2}
    assert (use.gets, use.puts) == (3, 1)
    printed = capsys.readouterr().out.encode().splitlines()
    assert len(printed) == 1
    assert use.log_bytes - 60 < len(printed[0]) + 26 <= use.log_bytes


def test_the_deletion_function_may_do_exactly_what_it_does(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for outcome in keys.OUTCOMES:
        boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{outcome}/a.json", Body=b"{}")
    assert len(deletion.handler(event("incoming/a"), CONTEXT)["deleted"]) == 3
    held("Deletion", calls)


def test_the_functions_are_those_of_the_workflow() -> None:
    for name in FUNCTIONS:
        properties = RESOURCES[f"{name}Function"]["Properties"]
        assert properties["Handler"] == f"handlers.{name.lower()}.handler"
        assert resolve(properties["Role"]) == f"{name}Role.Arn"


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


# ---- What a wider role would be noticed by ------------------------------------------------------------------------------

# Prefixes that each role lists. A function that reads single keys names none: IfExists lets that pass.
LISTS = {
    "SerializeRole": ("StringLikeIfExists", ["incoming/*"]),
    "SerializeLargeRole": ("StringLikeIfExists", ["incoming/*"]),
    "FilterRole": ("StringLikeIfExists", ["classified/*", "low-confidence/*", "failed/*"]),
    "DeletionRole": ("StringLikeIfExists", ["incoming/*", "classified/*", "low-confidence/*", "failed/*"]),
    "BacklogRole": ("StringLikeIfExists", ["incoming/*", "classified/*", "low-confidence/*", "failed/*"]),
    "MonitorRole": (
        "StringLike",
        ["incoming/*", "classified/*", "low-confidence/*", "failed/*", "captures/*", "monitoring/*"],
    ),
    "TrainingRole": ("StringLike", ["training/*"]),
}


@pytest.mark.parametrize("role", of_type("AWS::IAM::Role"))
def test_a_role_lists_its_own_prefixes_only(role: str) -> None:
    lists = [one for one in statements(role) if any("s3:List" in action for action in one["Action"])]
    assert len(lists) == (role in LISTS)
    for one in lists:
        operator, prefixes = LISTS[role]
        found = one["Condition"][operator]["s3:prefix"]
        assert ([found] if isinstance(found, str) else found) == prefixes
        assert set(one["Condition"]) == {operator}


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


def test_an_image_of_ones_own_adds_the_account_of_its_address_alone() -> None:
    (pull,) = [
        one
        for one in RESOURCES["EndpointRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if one.get("Sid") == "PullImage"
    ]
    (added,) = [one["Fn::If"] for one in pull["Resource"] if "Fn::If" in one]
    name, (text, values), _ = added[0], added[1]["Fn::Sub"], added[2]
    assert name == "NamesImage"
    assert text == "arn:${AWS::Partition}:ecr:${AWS::Region}:${Account}:repository/*"
    assert values == {"Account": {"Fn::Select": [0, {"Fn::Split": [".", {"Ref": "ModelImageUri"}]}]}}


def test_the_accounts_are_those_of_the_table_of_images() -> None:
    accounts = TEMPLATE["Mappings"]["DeepLearningContainers"]
    assert set(accounts) == set(REGIONS)
    for region, found in accounts.items():
        assert image_uri("pytorch-inference", region).split(".")[0] == found["Account"]
        try:
            built_in = image_uri("image-classification", region).split(".")[0]
        except TrainingError:  # the region has none
            built_in = found["Account"]
        assert built_in == found["BuiltIn"]


# Every action of every role; a further one needs a reason, and its line here.
ACTIONS = {role: sorted({action for action, _ in grants(role)}) for role in of_type("AWS::IAM::Role")}


@pytest.mark.parametrize("role", of_type("AWS::IAM::Role"))
def test_a_key_is_used_by_what_reads_and_writes_the_bucket_and_by_nothing_without_one(role: str) -> None:
    objects = {
        action.split(":")[1][:3]
        for action, resource in grants(role)
        if resource.startswith(f"arn:aws:s3:::{BUCKET}/")
    }
    wanted = {"kms:Decrypt"} if "Get" in objects else set()
    if "Put" in objects:  # a part of a large object is decrypted when it is completed
        wanted = {"kms:Decrypt", "kms:GenerateDataKey"}
    used = {(action, resource) for action, resource in grants(role) if action.startswith("kms:")}
    assert used == {(action, "KmsKeyArn") for action in wanted}
    assert KEY.get(role, set()) == wanted
    assert not [action for action, _ in grants(role, NamesKey=False) if action.startswith("kms:")]


def test_no_role_may_change_rights_keys_or_whole_buckets() -> None:
    never = (
        "iam:",
        "kms:",
        "sts:",
        "s3:PutBucket",
        "s3:DeleteBucket",
        "s3:PutObjectAcl",
        "lambda:Update",
        "lambda:Create",
    )
    for role, actions in ACTIONS.items():
        assert not [
            action for action in actions if action.startswith(never) and action not in KEY.get(role, ())
        ], role
        # AND each names its resources: no bucket, key or function by a wildcard alone
        for action, resource in grants(role):
            assert not resource.startswith(("arn:aws:s3:::*", "*arn")), f"{role} may {action} on {resource}"
            assert resource == "*" or resource.count("*") <= 1 or action.startswith("logs:"), (
                f"{role}: {action} on {resource}"
            )
