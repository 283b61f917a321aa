"""What the template's EndpointConfig asks of the endpoint: variant and data capture, for given parameters.

The template is the one place of that decision. Of CloudFormation's functions only those are evaluated that a value
here may need: Ref, Sub, If and the conditions' Equals, Not, And, Or, Condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.errors import TemplateError

TYPE = "AWS::SageMaker::EndpointConfig"


@dataclass(frozen=True)
class Capture:
    """Data capture of an endpoint.

    Parameters
    ----------
    bucket, prefix
        Where the files go.
    percentage
        Share of the requests that is captured, 0 to 100.
    inputs, outputs
        Which side of a request is captured.
    json_types, csv_types
        Content types whose data stays text; all other data is BASE64.
    """

    bucket: str
    prefix: str
    percentage: float
    inputs: bool = True
    outputs: bool = True
    json_types: tuple[str, ...] = ()
    csv_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class EndpointConfig:
    """Production variant of an endpoint, and its data capture if that is on."""

    variant: str
    capture: Capture | None


def read(template: Path, parameters: Mapping[str, str], resources: Mapping[str, str]) -> EndpointConfig:
    """Evaluate the template's EndpointConfig.

    Parameters
    ----------
    template
        CloudFormation template in YAML or JSON.
    parameters
        Values of parameters; the others take their defaults.
    resources
        What Ref gives for resources and pseudo parameters, by name.

    Raises
    ------
    TemplateError
        No such resource, or a value that only CloudFormation can work out.
    """
    try:
        document = yaml.load(template.read_bytes(), _Loader)  # noqa: S506  (a SafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"Cannot read {template}: {error}") from error
    found = [item for item in document["Resources"].values() if item.get("Type") == TYPE]
    if len(found) != 1:
        raise TemplateError(f"{template} has {len(found)} resources of type {TYPE}: the endpoint needs one.")
    defaults = {
        name: str(item["Default"])
        for name, item in document.get("Parameters", {}).items()
        if "Default" in item
    }
    values = _Values({**defaults, **parameters, **resources}, document.get("Conditions", {}), template)
    properties = values.of(found[0]["Properties"])
    return EndpointConfig(
        variant=properties["ProductionVariants"][0]["VariantName"],
        capture=_capture(properties.get("DataCaptureConfig")),
    )


def _capture(config: dict[str, Any] | None) -> Capture | None:
    percentage = float(config["InitialSamplingPercentage"]) if config else 0.0
    if not config or str(config.get("EnableCapture", False)).lower() != "true" or not percentage:
        return None
    bucket, _, prefix = config["DestinationS3Uri"].removeprefix("s3://").partition("/")
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader") or {}
    return Capture(
        bucket=bucket,
        prefix=prefix.rstrip("/"),
        percentage=percentage,
        inputs=bool(modes & {"Input", "InputAndOutput"}),
        outputs=bool(modes & {"Output", "InputAndOutput"}),
        json_types=tuple(types.get("JsonContentTypes") or ()),
        csv_types=tuple(types.get("CsvContentTypes") or ()),
    )


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` becomes ``{"Ref": "x"}``."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
_NOTHING = object()


class _Values:
    """Evaluates a piece of template."""

    def __init__(self, known: Mapping[str, str], conditions: Mapping[str, Any], template: Path) -> None:
        self._known, self._conditions, self._template = known, conditions, template

    def of(self, node: Any) -> Any:
        """The node with every function in it worked out; what cannot be known stays as it is."""
        if isinstance(node, list):
            return [value for value in map(self.of, node) if value is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name == "Ref":
                return _NOTHING if argument == "AWS::NoValue" else self._ref(argument)
            if name == "Fn::Sub":
                return self._sub(argument)
            if name == "Fn::If":
                return self.of(argument[1 if self._holds({"Condition": argument[0]}) else 2])
            if name.startswith("Fn::"):  # the name of another resource, say: nothing that is read here
                return node
        return {key: value for key, item in node.items() if (value := self.of(item)) is not _NOTHING}

    def _ref(self, name: str) -> str:
        if name not in self._known:
            raise TemplateError(
                f"{self._template}: the value of {name} in {TYPE} is not known on this machine."
            )
        return self._known[name]

    def _sub(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument
        return re.sub(
            r"\$\{([^!}][^}]*)\}",
            lambda match: str(self.of(names[match[1]]) if match[1] in names else self._ref(match[1])),
            text,
        )

    def _holds(self, condition: Any) -> bool:
        (name, argument), *_ = condition.items()
        if name == "Condition":
            return self._holds(self._conditions[argument])
        if name == "Fn::Equals":
            return str(self.of(argument[0])) == str(self.of(argument[1]))
        if name == "Fn::Not":
            return not self._holds(argument[0])
        if name == "Fn::And":
            return all(map(self._holds, argument))
        if name == "Fn::Or":
            return any(map(self._holds, argument))
        raise TemplateError(f"{self._template}: a condition with {name} cannot be worked out here.")
