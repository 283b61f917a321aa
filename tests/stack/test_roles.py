"""Each action of the functions' roles taken away in turn, in the embedded AWS, which enforces them: something must fail.

Not here: what the embedded AWS does not enforce (the roles of the rule, the state machines and SageMaker; logs and traces, invoking the
endpoint; that without s3:ListBucket what is missing is forbidden). tests/unit/infra/test_template_roles.py,
test_template_calls.py and test_template_sagemaker.py derive those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dropsort.local.service import LocalService
from tests.stack.helpers import sample_image
from tests.unit.infra.template import grants

pytestmark = pytest.mark.stack

FOLDER = "incoming/roles"


class Functions:
    """The functions of the service, invoked by hand."""

    def __init__(self, service: LocalService) -> None:
        session = service.session()
        self.work: set[object] = set()
        self.bucket, self.outputs = service.bucket, service.outputs
        self.s3, self.iam, self._lambda = (
            session.client("s3"),
            session.client("iam"),
            session.client("lambda"),
        )

    def invoke(self, function: str, event: Any) -> dict[str, Any]:
        """What a function returns; an AssertionError with its error if it fails."""
        found = self._lambda.invoke(
            FunctionName=self.outputs[f"{function}Function"], Payload=json.dumps(event)
        )
        document: dict[str, Any] = json.loads(found["Payload"].read())
        assert "FunctionError" not in found, document
        return document

    @contextmanager
    def without(self, function: str, action: str) -> Iterator[None]:
        """Take an action away from the role of a function."""
        role, policy, before = self._policy(function)
        rest = []
        for statement in before["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if remaining := [one for one in actions if one != action]:
                rest.append(statement | {"Action": remaining})
        assert rest != before["Statement"], f"{role} has no {action}"
        self._put(role, policy, {**before, "Statement": rest})
        try:
            yield
        finally:
            self._put(role, policy, before)

    @contextmanager
    def allowing(self, function: str, statement: dict[str, Any]) -> Iterator[None]:
        """Add a statement to the policy of a function's role."""
        role, policy, before = self._policy(function)
        self._put(role, policy, {**before, "Statement": [*before["Statement"], statement]})
        try:
            yield
        finally:
            self._put(role, policy, before)

    def _policy(self, function: str) -> tuple[str, str, dict[str, Any]]:
        """Names of the role of a function and of its policy, and the policy."""
        name = self._lambda.get_function_configuration(FunctionName=self.outputs[f"{function}Function"])[
            "Role"
        ]
        role = name.rpartition("/")[2]
        (policy,) = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        document: Any = self.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        return role, policy, json.loads(document) if isinstance(document, str) else document

    def _put(self, role: str, policy: str, document: Any) -> None:
        self.iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))

    def serialize(self, key: str, **fields: str) -> dict[str, Any]:
        """Serialize an upload, as its event names it."""
        item = {"key": key, "sequencer": "1f", **fields}
        return self.invoke("Serialize", {"detail": {"bucket": {"name": self.bucket}, "object": item}})

    def record(self, name: str, number: int, probabilities: list[float]) -> str:
        """Record the result of the upload with that number of a key; return its outcome."""
        upload = dict.fromkeys(("version_id", "etag", "size", "uploaded")) | {"sequencer": f"{number:04x}"}
        state = {"s3_bucket": self.bucket, "s3_key": f"{FOLDER}/{name}", "upload": upload}
        state |= {"inferences": probabilities, "labels": ["a", "b"]}
        return str(self.invoke("Filter", {"state": state, "input": {}, "execution": "e"})["outcome"])


@pytest.fixture(scope="module")
def functions(service: LocalService) -> Functions:
    return Functions(service)


def serialize_by_key(functions: Functions) -> None:
    functions.s3.put_object(Bucket=functions.bucket, Key=f"{FOLDER}/a.png", Body=sample_image(1))
    assert "image_data" in functions.serialize(f"{FOLDER}/a.png")


def serialize_a_version(functions: Functions) -> None:
    put = functions.s3.put_object(Bucket=functions.bucket, Key=f"{FOLDER}/a.png", Body=sample_image(1))
    assert "image_data" in functions.serialize(f"{FOLDER}/a.png", **{"version-id": put["VersionId"]})


def record_first(functions: Functions) -> None:
    functions.s3.delete_object(Bucket=functions.bucket, Key="classified/roles/first.png.json")
    assert functions.record("first.png", 1, [1.0, 0.0]) == "classified"


def record_over_another(functions: Functions) -> None:
    """A newer upload with another outcome takes the older result away."""
    numbers = iter(range(1, 100))
    for probabilities in ([1.0, 0.0], [0.6, 0.4], [1.0, 0.0]):
        functions.record("again.png", next(numbers), probabilities)
    found = functions.s3.list_objects_v2(Bucket=functions.bucket, Prefix="low-confidence/roles/again.png")
    assert found["KeyCount"] == 0


def monitor(functions: Functions) -> None:
    """A run, as the hourly ones are."""
    assert functions.invoke("Monitor", {})["complete"] is True


# By function and action: what cannot be done without it.
NEEDED: dict[tuple[str, str], Callable[[Functions], None]] = {
    ("Serialize", "s3:GetObject"): serialize_by_key,
    ("Serialize", "s3:GetObjectVersion"): serialize_a_version,
    ("Filter", "s3:PutObject"): record_first,
    ("Filter", "s3:GetObject"): record_over_another,
    ("Filter", "s3:DeleteObject"): record_over_another,
    ("Monitor", "s3:GetObject"): monitor,
    ("Monitor", "s3:PutObject"): monitor,
    ("Monitor", "s3:ListBucket"): monitor,
    ("Monitor", "cloudwatch:GetMetricStatistics"): monitor,
}


# What fails in AWS alone, or late: without s3:ListBucket a missing key is forbidden; files that the monitor no longer needs stay.
NOT_HERE = {("Serialize", "s3:ListBucket"), ("Filter", "s3:ListBucket"), ("Monitor", "s3:DeleteObject")}


def test_every_action_on_objects_is_in_the_list() -> None:
    for function in ("Serialize", "Filter", "Monitor"):
        actions = {
            action for action, _ in grants(f"{function}Role") if action.startswith(("s3:", "cloudwatch:"))
        }
        assert actions == {action for name, action in [*NEEDED, *NOT_HERE] if name == function}


@pytest.mark.parametrize("case", NEEDED, ids=" ".join)
def test_without_an_action_something_fails(functions: Functions, case: tuple[str, str]) -> None:
    if NEEDED[case] not in functions.work:  # with everything allowed
        NEEDED[case](functions)
        functions.work.add(NEEDED[case])
    with functions.without(*case), pytest.raises(AssertionError):
        NEEDED[case](functions)
