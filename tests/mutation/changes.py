"""Mistakes in a CloudFormation template: each permission widened or removed, each number, reference and condition changed.

A mistake is a path in the template and what stands there instead. Texts that only people read are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.unit.infra.specification import canonical

TEXTS = canonical.TEXTS | {"AWSTemplateFormatVersion", "Metadata"}
REMOVED = object()
PROSE = {"$schema", "$id", "title", "description"}  # of a JSON schema
# What a value is confused with most easily.
OPPOSITES = {
    "GreaterThanThreshold": "GreaterThanOrEqualToThreshold",
    "GreaterThanOrEqualToThreshold": "GreaterThanThreshold",
    "LessThanThreshold": "GreaterThanThreshold",
    "Sum": "Average", "Maximum": "Minimum", "Average": "Maximum", "p90": "p99", "p95": "p50", "p99": "p50", "p50": "p99",
    "notBreaching": "breaching", "breaching": "notBreaching",
    "true": "false", "false": "true", "Allow": "Deny", "Deny": "Allow",
    "Enabled": "Disabled", "ERROR": "ALL", "WARN": "INFO", "INFO": "DEBUG", "FULL": "NONE",
    "EXPRESS": "STANDARD", "STANDARD": "EXPRESS", "CANARY": "LINEAR", "Retain": "Delete", "Delete": "Retain",
    "RetainExceptOnCreate": "Delete", "aws:kms": "AES256", "StringLike": "StringLikeIfExists",
    "Object Created": "Object Deleted", "Object Deleted": "Object Created", "PassThrough": "Active",
}  # fmt: skip
REFERENCE = re.compile(r"\$\{([\w:]+)((?:\.\w+)*)\}")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
TOKEN = re.compile(r'(?<=[\[ ])"([^"$\\]+)"(?!:)')


@dataclass(frozen=True)
class Change:
    """One mistake: what stands at `path` instead."""

    path: tuple[str | int, ...]
    what: str
    value: Any

    @property
    def where(self) -> str:
        """The path as one text."""
        return "/".join(str(part) for part in self.path)

    def of(self, template: Any) -> Any:
        """A copy of the template with the mistake; the rest is shared."""
        return _replaced(template, self.path, self.value)


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[Change]:
    """Mistakes in any JSON document: each member and item removed, each number, flag and text changed."""
    if isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if key not in PROSE:
                yield Change((*path, key), "removed", REMOVED)
                yield from leaves(value, (*path, key))
    elif isinstance(node, bool):
        yield Change(path, "turned", not node)
    elif isinstance(node, (int, float)):
        yield Change(path, "+ 1", node + 1)
        yield Change(path, "- 1", node - 1)
    elif isinstance(node, str):
        yield Change(path, "another text", node + "x")


def _replaced(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    first, rest = path[0], path[1:]
    copy = dict(node) if isinstance(node, dict) else list(node)
    if not rest and value is REMOVED:
        del copy[first]  # type: ignore[arg-type]
    else:
        copy[first] = _replaced(node[first], rest, value)  # type: ignore[index,call-overload]
    return copy


class Changes:
    """All mistakes in one template."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._template = template
        self._resources: dict[str, str] = {name: one["Type"] for name, one in template["Resources"].items()}
        self._parameters: dict[str, str] = {name: one["Type"] for name, one in template["Parameters"].items()}
        self._conditions = list(template["Conditions"])

    def __iter__(self) -> Iterator[Change]:
        for change in self._all():
            if change.value is REMOVED or change.value != self._at(change.path):
                yield change

    def _at(self, path: tuple[str | int, ...]) -> Any:
        node: Any = self._template
        for part in path:
            node = node[part]
        return node

    def _all(self) -> Iterator[Change]:
        for section, value in self._template.items():
            if section not in (*TEXTS, "Mappings"):
                yield from self._of(value, (section,))
        # One account stands for all: a test compares them with a table.
        yield from self._of(self._template["Mappings"]["DeepLearningContainers"]["eu-west-1"],
                            ("Mappings", "DeepLearningContainers", "eu-west-1"))  # fmt: skip

    def _of(self, node: Any, path: tuple[str | int, ...]) -> Iterator[Change]:
        if isinstance(node, dict):
            yield from self._of_mapping(node, path)
        elif isinstance(node, list):
            for index, item in enumerate(node):
                yield Change((*path, index), "removed", REMOVED)
                yield from self._of(item, (*path, index))
        elif isinstance(node, bool):
            yield Change(path, "turned", not node)
        elif isinstance(node, (int, float)):
            for name, value in (("× 1000", node * 1000 or 1000), ("+ 1", node + 1), ("- 1", node - 1)):
                yield Change(path, name, value)
        else:
            yield from self._of_text(str(node), path)

    def _of_mapping(self, node: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Change]:
        if "Effect" in node and "Action" in node:
            yield from self._of_statement(node, path)
        if len(node) == 1:
            ((name, value),) = node.items()
            if name == "Ref":
                for other in self._others(str(value)):
                    yield Change((*path, name), f"{value} → {other}", other)
                return
            if name == "Fn::GetAtt":
                resource, *attribute = value
                for other in self._others(resource):
                    yield Change((*path, name), f"{resource} → {other}", [other, *attribute])
                return
            if name == "Fn::If":
                condition, then, otherwise = value
                yield Change((*path, name), "turned", [condition, otherwise, then])
                other = self._next(condition, self._conditions)
                yield Change((*path, name), f"{condition} → {other}", [other, then, otherwise])
                for index in (1, 2):
                    yield from self._of(value[index], (*path, name, index))
                return
            if name in ("Fn::Equals", "Fn::Not"):
                yield Change(path, "turned", {"Fn::Not": [node]} if name == "Fn::Equals" else value[0])
            if name == "Fn::And":
                yield Change(path, "and → or", {"Fn::Or": value})
            if name == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                at = (*path, name) if isinstance(value, str) else (*path, name, 0)
                yield from self._of_text(str(text), at)
                if not isinstance(value, str):
                    yield from self._of(value[1], (*path, name, 1))
                return
        for key, value in node.items():
            if key in TEXTS:
                continue
            if not key.startswith("Fn::"):
                yield Change((*path, key), "removed", REMOVED)
            if key == "Condition" and isinstance(value, str):
                other = self._next(value, self._conditions)
                yield Change((*path, key), f"{value} → {other}", other)
                continue
            yield from self._of(value, (*path, key))

    def _of_statement(self, node: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Change]:
        """A permission widened; narrowed it is by removing parts, as everywhere."""
        actions = node["Action"] if isinstance(node["Action"], list) else [node["Action"]]
        for service in dict.fromkeys(action.split(":")[0] for action in actions):
            yield Change((*path, "Action"), f"{service}:* added", [*actions, f"{service}:*"])
        if "Resource" in node:
            yield Change((*path, "Resource"), "everything", "*")
            resources = node["Resource"] if isinstance(node["Resource"], list) else [node["Resource"]]
            for index, one in enumerate(resources):
                text = one.get("Fn::Sub") if isinstance(one, dict) else None
                if isinstance(text, str) and "/" in text:
                    wide = {"Fn::Sub": text.rsplit("/", 2 if text.endswith("/*") else 1)[0] + "/*"}
                    others = [*resources[:index], wide, *resources[index + 1 :]]
                    yield Change((*path, "Resource"), f"{text} widened", others)
        if "Principal" in node:
            yield Change((*path, "Principal"), "anybody", {"AWS": "*"})

    def _of_text(self, text: str, path: tuple[str | int, ...]) -> Iterator[Change]:
        if text in OPPOSITES:
            yield Change(path, f"{text} → {OPPOSITES[text]}", OPPOSITES[text])
        yield Change(path, "another text", text + "x" if text else "x")
        for found in REFERENCE.finditer(text):
            for other in self._others(found[1]):
                changed = f"{text[: found.start()]}${{{other}{found[2]}}}{text[found.end() :]}"
                yield Change(path, f"{found[0]} → {other} at {found.start()}", changed)
        for found in NUMBER.finditer(text):
            more = f"{float(found[0]) + 1:g}"
            yield Change(
                path, f"{found[0]} + 1 at {found.start()}", text[: found.start()] + more + text[found.end() :]
            )
        if text.lstrip().startswith("{") or '", "' in text:  # JSON
            for found in TOKEN.finditer(text):
                other = OPPOSITES.get(found[1], found[1] + "x")
                changed = text[: found.start(1)] + other + text[found.end(1) :]
                yield Change(path, f"{found[1]} → {other} at {found.start()}", changed)

    def _others(self, name: str) -> list[str]:
        """Another name of the same kind, and one of another kind."""
        if name == "AWS::NoValue":
            return []
        if name in self._resources:
            same = [other for other, kind in self._resources.items() if kind == self._resources[name]]
            return [self._next(name, same if len(same) > 1 else list(self._resources))]
        if name in self._parameters:
            same = [other for other, kind in self._parameters.items() if kind == self._parameters[name]]
            return [self._next(name, same)]
        return (
            ["AWS::Region" if name != "AWS::Region" else "AWS::AccountId"] if name.startswith("AWS::") else []
        )

    @staticmethod
    def _next(name: str, names: list[str]) -> str:
        return names[(names.index(name) + 1) % len(names)]
