"""The mistakes that the tests of the template have to notice: those of a small one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.mutation.changes import Changes, leaves
from tests.mutation.modules import MODULES
from tests.mutation.processes import exchanged

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject"],
                "Resource": {"Fn::Sub": "${Bucket.Arn}/incoming/*"},
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            }
        ]
    },
}
TEMPLATE: dict[str, Any] = {
    "Parameters": {"One": {"Type": "String"}, "Two": {"Type": "String"}},
    "Mappings": {"DeepLearningContainers": {"eu-west-1": {"Account": "1"}}},
    "Conditions": {"A": {"Fn::Equals": [{"Ref": "One"}, "x"]}, "B": {"Fn::Not": [{"Condition": "A"}]}},
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Condition": "A", "Properties": {"Days": 30, "Enabled": True}},
        "Other": {"Type": "AWS::S3::Bucket", "Properties": {"Name": {"Fn::If": ["A", {"Ref": "One"}, "n"]}}},
        "Role": ROLE,
    },
}
FOUND = {(change.where, change.what): change.of(TEMPLATE) for change in Changes(TEMPLATE)}


def resource(where: str, what: str) -> Any:
    """A resource of the template with one of the mistakes."""
    return FOUND[where, what]["Resources"][where.split("/")[1]]


def test_a_permission_is_widened_and_narrowed() -> None:
    at = "Resources/Role/Properties/Statement"
    (statement,) = resource(f"{at}/0/Resource", "${Bucket.Arn}/incoming/* widened")["Properties"]["Statement"]
    assert statement["Resource"] == [{"Fn::Sub": "${Bucket.Arn}/*"}]
    (statement,) = resource(f"{at}/0/Action", "s3:* added")["Properties"]["Statement"]
    assert statement["Action"] == ["s3:GetObject", "s3:*"]
    (statement,) = resource(f"{at}/0/Condition", "removed")["Properties"]["Statement"]
    assert statement.keys() == {"Effect", "Action", "Resource"}
    assert resource(f"{at}/0", "removed")["Properties"]["Statement"] == []


def test_numbers_flags_references_and_conditions_are_changed() -> None:
    at = "Resources/Bucket/Properties"
    numbers = [resource(f"{at}/Days", what)["Properties"]["Days"] for what in ("× 1000", "+ 1", "- 1")]
    assert numbers == [30_000, 31, 29]
    assert resource(f"{at}/Enabled", "turned")["Properties"]["Enabled"] is False
    assert "Condition" not in resource("Resources/Bucket/Condition", "removed")
    assert resource("Resources/Bucket/Condition", "A → B")["Condition"] == "B"
    at = "Resources/Other/Properties/Name/Fn::If"
    assert resource(at, "turned")["Properties"]["Name"] == {"Fn::If": ["A", "n", {"Ref": "One"}]}
    assert resource(f"{at}/1/Ref", "One → Two")["Properties"]["Name"]["Fn::If"][1] == {"Ref": "Two"}
    assert FOUND["Conditions/B", "turned"]["Conditions"]["B"] == {"Condition": "A"}
    widened = "Resources/Role/Properties/Statement/0/Resource/Fn::Sub"
    (statement,) = resource(widened, "${Bucket.Arn} → Other at 0")["Properties"]["Statement"]
    assert statement["Resource"] == {"Fn::Sub": "${Other.Arn}/incoming/*"}


def test_each_mistake_is_one_and_the_template_stays_as_it_was() -> None:
    before = repr(TEMPLATE)
    assert len({repr(changed) for changed in FOUND.values()} | {before}) == len(FOUND) + 1
    assert repr(TEMPLATE) == before


BEFORE = "LIMIT = 5\n\ndef one(a, b=2):\n    return a > LIMIT\n\nclass C:\n    def two(self):\n        return lambda: 1\n"


def test_a_function_that_differs_is_exchanged_and_nothing_else() -> None:
    def names(after: str) -> tuple[str, str] | None:
        found = exchanged(compile(BEFORE, "m", "exec"), compile(after, "m", "exec"))
        return found and (found[0].co_qualname, found[1].co_qualname)

    assert names(BEFORE.replace("a > LIMIT", "a >= LIMIT")) == ("one", "one")
    assert names(BEFORE.replace("lambda: 1", "lambda: 2")) == ("C.two", "C.two")
    # A constant, a default, two functions, nothing: the module has to be imported again.
    for old, new in (("LIMIT = 5", "LIMIT = 6"), ("b=2", "b=3"), ("class C", "class D")):
        assert names(BEFORE.replace(old, new)) is None
    assert names(BEFORE.replace("a > LIMIT", "a >= LIMIT").replace("lambda: 1", "lambda: 2")) is None
    assert names(BEFORE) is None


def test_each_member_and_value_of_a_document_is_a_mistake() -> None:
    document = {"title": "T", "type": ["string"], "minimum": 0, "items": {"required": True}}
    assert [(change.where, change.what, change.of(document)) for change in leaves(document)][:3] == [
        ("type", "removed", {"title": "T", "minimum": 0, "items": {"required": True}}),
        ("type/0", "removed", {**document, "type": []}),
        ("type/0", "another text", {**document, "type": ["stringx"]}),
    ]
    assert [change.where for change in leaves(document)][3:] == [
        "minimum", "minimum", "minimum", "items", "items/required", "items/required"
    ]  # fmt: skip


def test_each_module_and_each_of_its_tests_is_a_file() -> None:
    root = Path(__file__).parents[2]
    paths = [path for name, tests in MODULES.items() for path in (name.replace(".", "/") + ".py", *tests)]
    assert [path for path in paths if not (root / path).is_file()] == []
