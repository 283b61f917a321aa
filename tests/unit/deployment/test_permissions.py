"""The deployer's policy: what the template needs and nothing else, within the size of a managed policy."""

from __future__ import annotations

import json
import re

import pytest

from dropsort.contract.resources import TEMPLATE
from dropsort.deployment import permissions

SHIPPED = TEMPLATE.parent / "deployer-policy.json"
KINDS = set(re.findall(r"^    Type: (AWS::\S+)$", TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_shipped_policy_is_the_templates() -> None:
    assert SHIPPED.read_text() == permissions.text(permissions.policy(KINDS)), (
        "run: python -m dropsort.deployment.permissions > infra/deployer-policy.json"
    )


def test_every_type_of_the_template_is_there_and_no_other() -> None:
    assert permissions.TYPES.keys() == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_type_needs_is_missing_without_it(kind: str) -> None:
    def allowed(kinds: set[str]) -> set[tuple[str, str]]:
        return {
            (action, str(statement["Resource"]))
            for statement in permissions.policy(kinds)["Statement"]
            for action in statement["Action"]
        }

    shared = {"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}  # attributes of what they belong to
    assert (allowed(KINDS) > allowed(KINDS - {kind})) is (kind not in shared)


def test_it_fits_into_a_managed_policy() -> None:
    assert len(re.sub(r"\s", "", SHIPPED.read_text())) <= permissions.MOST_CHARACTERS


def test_it_is_narrow() -> None:
    for statement in json.loads(SHIPPED.read_text())["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        resources = (
            statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        )
        for action in actions:
            service, name = action.split(":")
            # Wildcards read only, and never name a whole service.
            assert name != "*"
            assert "*" not in name or name.startswith(("Get", "List", "Describe"))
            if service in ("iam", "lambda", "s3", "sns", "sqs", "events", "logs", "cloudwatch"):
                writes = not name.startswith(("Get", "List", "Describe"))
                own = all("dropsort" in resource or ":layer:" in resource for resource in resources)
                assert not writes or own or name == "CreateServiceLinkedRole", action
        if "iam:PassRole" in actions:
            assert statement["Condition"]["StringEquals"]["iam:PassedToService"]


def test_another_stack_and_partition() -> None:
    text = json.dumps(permissions.policy(KINDS, "bikes", "aws-cn"))
    assert "arn:aws-cn:lambda:*:*:function:bikes*" in text
    assert "dropsort" not in text
    assert "{" not in re.sub(r'[{}]["\s,\]]|^{|: {|\[{|, {', "", text), "a placeholder is left"
