"""Roles and their conditions: each is for one owner, allows what definitions and rules need, and nothing wide."""

from __future__ import annotations

import pytest

from dropsort.contract import backlog as backlog_runs
from dropsort.contract import keys, reviews
from dropsort.contract.reference import STATE_PREFIX
from tests.unit.infra.template import (
    BUCKET,
    KEY,
    RESOURCES,
    definition,
    grants,
    of_type,
    resolve,
    statements,
)

# Actions for which AWS has no resource-level permission (Service Authorization Reference); for these alone "*" is right.
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
    # Which gives functions of this account alone to run
    if trust["Principal"]["Service"] != "lambda.amazonaws.com":
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


# Prefixes that each role lists. A function that reads single keys names none: IfExists lets that pass.
INCOMING, *RESULTS = (f"{keys.INCOMING}*", *(f"{outcome}/*" for outcome in keys.OUTCOMES))
REVIEWS = f"{reviews.PREFIX}*"
LISTS = {
    "SerializeRole": ("StringLikeIfExists", [INCOMING, *RESULTS[:2]]),
    "SerializeLargeRole": ("StringLikeIfExists", [INCOMING, *RESULTS[:2]]),
    "FilterRole": ("StringLikeIfExists", RESULTS),
    "DeletionRole": (
        "StringLikeIfExists",
        [INCOMING, *RESULTS, REVIEWS],
    ),
    "BacklogRole": (
        "StringLikeIfExists",
        [INCOMING, *RESULTS, REVIEWS],
    ),
    "MonitorRole": ("StringLike", [f"{keys.CAPTURES}/*", f"{STATE_PREFIX}/*"]),
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
    for role in of_type("AWS::IAM::Role"):
        assert not [
            action
            for action, _ in grants(role)
            if action.startswith(never) and action not in KEY.get(role, ())
        ], role
        # AND each names its resources: no bucket, key or function by a wildcard alone
        for action, resource in grants(role):
            assert not resource.startswith(("arn:aws:s3:::*", "*arn")), f"{role} may {action} on {resource}"
            assert resource == "*" or resource.count("*") <= 1 or action.startswith("logs:"), (
                f"{role}: {action} on {resource}"
            )
