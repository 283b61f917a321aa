"""The template as data: loaded, its functions resolved for given conditions, its workflow with the functions filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


class Loader(yaml.CSafeLoader):
    """Reads YAML with CloudFormation's short forms; importing cfn-lint's takes a second of each test process."""


def _short_form(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if name == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


Loader.add_multi_constructor("!", _short_form)
Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)  # versions of policies

ROOT = Path(__file__).parents[3]
PATH = ROOT / "infra" / "cloudformation.yaml"
TEMPLATE: dict[str, Any] = yaml.load(PATH.read_text(), Loader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATE["Parameters"]

FUNCTIONS = ("Serialize", "Classify", "Filter")
BUCKET = "pictures"

# What each role may do with a key of the customer's: reading decrypts, writing needs a data key.
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

# What a deployed stack would say; anything else resolves to its own name.
KNOWN = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "111122223333",
    "AWS::StackName": "dropsort",
    "Bucket": BUCKET,
    "Bucket.Arn": f"arn:aws:s3:::{BUCKET}",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:111122223333:endpoint/endpointname",
    "Endpoint": "arn:aws:sagemaker:us-east-1:111122223333:endpoint/endpointname",
}
NO_VALUE = object()


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Resources of a type, by name."""
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def resolve(node: Any, **conditions: bool) -> Any:
    """A part of the template with Ref, GetAtt, Sub and If worked out; a condition that is not given is true."""
    if isinstance(node, list):
        return [value for item in node if (value := resolve(item, **conditions)) is not NO_VALUE]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        ((name, value),) = node.items()
        match name:
            case "Ref":
                return NO_VALUE if value == "AWS::NoValue" else KNOWN.get(value, value)
            case "Fn::GetAtt":
                path = value if isinstance(value, str) else ".".join(value)
                return KNOWN.get(path, path)
            case "Fn::FindInMap":
                table, first, second = (resolve(part, **conditions) for part in value)
                return TEMPLATE["Mappings"][table][first][second]
            case "Fn::If":
                return resolve(value[1] if conditions.get(value[0], True) else value[2], **conditions)
            case "Fn::Sub":
                text, given = value if isinstance(value, list) else (value, {})
                names = KNOWN | {key: resolve(item, **conditions) for key, item in given.items()}
                filled = re.sub(r"\$\{([^}!]+)\}", lambda found: str(names.get(found[1], found[1])), text)
                return filled.replace("${!", "${")  # the escape of a literal ${
    resolved = {key: resolve(value, **conditions) for key, value in node.items()}
    return {key: value for key, value in resolved.items() if value is not NO_VALUE}


def statements(role: str, **conditions: bool) -> list[dict[str, Any]]:
    """The statements of a role's policies, actions and resources as lists."""
    found = []
    for policy in RESOURCES[role]["Properties"].get("Policies", []):
        for statement in resolve(policy["PolicyDocument"]["Statement"], **conditions):
            one = dict(statement)
            for name in ("Action", "Resource"):
                one[name] = one[name] if isinstance(one[name], list) else [one[name]]
            found.append(one)
    return found


def grants(role: str, **conditions: bool) -> set[tuple[str, str]]:
    """What a role may do: pairs of action and resource."""
    return {
        (action, resource)
        for statement in statements(role, **conditions)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def definition(machine: str = "StateMachine") -> dict[str, Any]:
    """A state machine's definition, its functions filled in by their ARNs."""
    properties = RESOURCES[machine]["Properties"]
    arns = {
        name: f"arn:aws:lambda:us-east-1:111122223333:function:{name}"
        if name in (*FUNCTIONS, "SerializeLarge")
        else resolve(value)
        for name, value in properties["DefinitionSubstitutions"].items()
    }

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(item) for item in node]
        if isinstance(node, str):
            return re.sub(r"\$\{(\w+)\}", lambda found: arns[found[1]], node)
        return node

    return filled(properties["Definition"])  # type: ignore[no-any-return]
