"""The template in one form: each reference as ``${Name}`` in a text, whether it was Ref, GetAtt or Sub; no descriptions."""

from __future__ import annotations

import re
from typing import Any

# Texts that a person reads and nothing evaluates.
TEXTS = frozenset(
    {
        "Description",
        "AlarmDescription",
        "Comment",
        "Label",
        "Sid",
        "ConstraintDescription",
        "AssertDescription",
    }
)
NO_VALUE = "${AWS::NoValue}"
STACK = "${AWS::StackName}"
ACCOUNT = "${AWS::AccountId}"
BUCKET = "${Bucket.Arn}"


def canonical(node: Any) -> Any:
    """A part of the template with Ref, GetAtt and Sub as text, and without descriptions.

    A Sub with values that are more than text stays: ``{"Sub": [text, values]}``.
    """
    if isinstance(node, list):
        return [canonical(item) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        ((name, value),) = node.items()
        match name:
            case "Ref":
                return f"${{{value}}}"
            case "Fn::GetAtt":
                return f"${{{'.'.join(value)}}}"
            case "Fn::Sub":
                text, given = value if isinstance(value, list) else (value, {})
                values = {key: canonical(item) for key, item in given.items()}
                if not all(isinstance(item, str) for item in values.values()):
                    return {"Sub": [text, values]}
                return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)
    return {key: canonical(value) for key, value in node.items() if key not in TEXTS}


def one_of(condition: str, then: Any, otherwise: Any = NO_VALUE) -> dict[str, list[Any]]:
    """Fn::If."""
    return {"Fn::If": [condition, then, otherwise]}


ENDPOINT_NAME = one_of("NamesEndpoint", "${EndpointName}", STACK)


def resource(kind: str, properties: dict[str, Any], **attributes: str) -> dict[str, Any]:
    """A resource; attributes are Condition, DependsOn, DeletionPolicy, UpdateReplacePolicy."""
    return {"Type": kind, **attributes, "Properties": properties}


# Data whose loss no update and no deletion of the stack may cause, and what may go with the stack.
RETAINED_ONCE_CREATED = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
DELETED = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
# A roll-back needs the former one, which costs nothing.
REPLACED_IS_RETAINED = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain"}
