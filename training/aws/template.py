"""A CloudFormation template read as data: resources' properties with their functions worked out for given values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.errors import TrainingError

_NOTHING = object()  # what AWS::NoValue is: the member is not there


class Template:
    """A template and the values that its functions are worked out with.

    Parameters
    ----------
    path
        The template, YAML or JSON.
    values
        By name: parameters (the others take their defaults), pseudo parameters (`AWS::Region`), what Ref gives for a
        resource (`Bucket`) and GetAtt for an attribute (`EndpointRole.Arn`).

    Raises
    ------
    TrainingError
        The file cannot be read; or, from `properties`, a function or value is not known.
    """

    def __init__(self, path: Path, values: Mapping[str, str]) -> None:
        self.document = _read(path)
        self.path = path
        parameters = self.document.get("Parameters", {})
        defaults = {
            name: parameter["Default"] for name, parameter in parameters.items() if "Default" in parameter
        }
        self.values: dict[str, Any] = {**defaults, **values}

    def properties(self, resource: str) -> dict[str, Any]:
        """The properties of a resource, as CloudFormation would send them.

        Raises
        ------
        TrainingError
            They need a parameter, a resource or a condition that is not known.
        """
        try:
            return dict(self.value(self.document["Resources"][resource]["Properties"]))
        except KeyError as error:
            raise TrainingError(f"{self.path}: {error} is needed for {resource} and not known") from error

    def value(self, node: Any) -> Any:
        """A piece of the template with every function in it worked out."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not _NOTHING]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            [(name, argument)] = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        return {key: value for key, item in node.items() if (value := self.value(item)) is not _NOTHING}

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return _NOTHING if argument == "AWS::NoValue" else self.values[argument]
            case "GetAtt":
                return self.values[argument if isinstance(argument, str) else ".".join(argument)]
            case "If":
                return self.value(argument[1 if self.holds({"Condition": argument[0]}) else 2])
            case "Sub":
                text, own = (argument, {}) if isinstance(argument, str) else argument
                known = {**self.values, **{key: self.value(item) for key, item in own.items()}}
                filled = re.sub(r"\$\{([^!}][^}]*)\}", lambda match: str(known[match[1]]), text)
                return filled.replace("${!", "${")
            case "FindInMap":
                mapping, first, second = self.value(argument)
                return self.document["Mappings"][mapping][first][second]
            case "Join":
                return argument[0].join(map(str, self.value(argument[1])))
            case "Split":
                return str(self.value(argument[1])).split(argument[0])
            case "Select":
                return self.value(argument[1])[int(argument[0])]
        raise TrainingError(f"{self.path}: Fn::{name} cannot be worked out here")

    def holds(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition is met."""
        [(name, argument)] = condition.items()
        match name:
            case "Condition":
                return self.holds(self.document["Conditions"][argument])
            case "Fn::Equals":
                first, second = self.value(argument)
                return str(first) == str(second)
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(map(self.holds, argument))
            case "Fn::Or":
                return any(map(self.holds, argument))
        raise TrainingError(f"{self.path}: a condition with {name} cannot be worked out here")


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        return _parse(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} cannot be read as a template: {error}") from error


@lru_cache(maxsize=4)
def _parse(text: bytes) -> dict[str, Any]:
    import yaml

    # libyaml's takes a tenth of the time; it is not everywhere.
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """With CloudFormation's short forms: `!Sub x` becomes {"Fn::Sub": "x"}."""

    def short_form(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node)
        else:
            value = loader.construct_mapping(node)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", short_form)
    return dict(yaml.load(text, Loader))  # noqa: S506  (a SafeLoader)
