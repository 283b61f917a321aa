"""The configuration of the endpoint in the template's EndpointConfig: variant and data capture, for given parameters.

The template is the one place of that decision, and `training.aws.template` works out its functions; only the members that are
used here are worked out, as others name resources that this machine does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropsort.local.errors import TemplateError
from training.aws.template import Template
from training.errors import TrainingError

TYPE = "AWS::SageMaker::EndpointConfig"


@dataclass(frozen=True)
class DataCaptureConfig:
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
    capture: DataCaptureConfig | None


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
        found = Template(template, {**parameters, **resources})
        configs = [r for r in found.document.get("Resources", {}).values() if r.get("Type") == TYPE]
        if len(configs) != 1:
            raise TemplateError(
                f"{template} has {len(configs)} resources of type {TYPE}: the endpoint needs one."
            )
        properties = configs[0]["Properties"]
        used = found.value(
            {
                "variant": properties["ProductionVariants"][0]["VariantName"],
                "capture": properties.get("DataCaptureConfig"),
            }
        )
        return EndpointConfig(used["variant"], _capture(used.get("capture")))
    except TrainingError as error:
        raise TemplateError(str(error)) from error
    except KeyError as error:
        raise TemplateError(
            f"{template}: the value of {error.args[0]} in {TYPE} is not known on this machine."
        ) from error


def _capture(config: dict[str, Any] | None) -> DataCaptureConfig | None:
    percentage = float(config["InitialSamplingPercentage"]) if config else 0.0
    if not config or str(config.get("EnableCapture")).lower() != "true" or not percentage:
        return None
    bucket, _, prefix = config["DestinationS3Uri"].removeprefix("s3://").partition("/")
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader") or {}
    return DataCaptureConfig(
        bucket=bucket,
        prefix=prefix.rstrip("/"),
        percentage=percentage,
        inputs=bool(modes & {"Input", "InputAndOutput"}),
        outputs=bool(modes & {"Output", "InputAndOutput"}),
        json_types=tuple(types.get("JsonContentTypes") or ()),
        csv_types=tuple(types.get("CsvContentTypes") or ()),
    )
