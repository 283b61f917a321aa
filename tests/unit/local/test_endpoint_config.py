"""What the template's EndpointConfig requires, evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dropsort.local.endpoint_config import DataCaptureConfig, EndpointConfig, read
from dropsort.local.errors import TemplateError
from dropsort.local.service import TEMPLATE


def template(tmp_path: Path, capture: Any, **more: Any) -> Path:
    """A template in JSON, which is YAML too, with this data capture."""
    config = {
        "Type": "AWS::SageMaker::EndpointConfig",
        "Condition": "Never",
        "Properties": {
            "ProductionVariants": [
                {"VariantName": "main", "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]}}
            ],
            **({"DataCaptureConfig": capture} if capture is not None else {}),
        },
    }
    path = tmp_path / "template.yaml"
    path.write_text(json.dumps({"Resources": {"Config": config}, **more}))
    return path


def test_the_services_own_template() -> None:
    # GIVEN the template as it is
    found = read(TEMPLATE, {}, {"Bucket": "pictures"})
    # THEN everything is captured, JSON as text
    assert found.variant == "main"
    assert found.capture is not None
    assert (found.capture.bucket, found.capture.prefix, found.capture.percentage) == (
        "pictures",
        "captures",
        100,
    )
    assert found.capture.inputs
    assert found.capture.outputs
    assert "application/json" in found.capture.json_types


def test_parameters_decide() -> None:
    found = read(TEMPLATE, {"CaptureSamplingPercentage": "25"}, {"Bucket": "pictures"})
    assert found.capture is not None
    assert found.capture.percentage == 25
    assert read(TEMPLATE, {"CaptureSamplingPercentage": "0"}, {"Bucket": "pictures"}).capture is None


def test_functions_and_conditions_are_evaluated(tmp_path: Path) -> None:
    # GIVEN a config that is put together from functions
    capture = {
        "EnableCapture": {"Fn::If": ["Captures", True, False]},
        "InitialSamplingPercentage": {"Ref": "Percentage"},
        "DestinationS3Uri": {"Fn::Sub": ["s3://${Bucket}/${Folder}/", {"Folder": {"Ref": "Where"}}]},
        "CaptureOptions": [
            {"CaptureMode": "Output"},
            {"Fn::If": ["Both", {"CaptureMode": "Input"}, {"Ref": "AWS::NoValue"}]},
        ],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        "KmsKeyId": {"Fn::If": ["Both", "key", {"Ref": "AWS::NoValue"}]},
    }
    path = template(
        tmp_path,
        capture,
        Parameters={"Percentage": {"Default": 50}, "Where": {}, "Mode": {"Default": "some"}},
        Conditions={
            "Captures": {
                "Fn::Or": [{"Condition": "Both"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Mode"}, "none"]}]}]
            },
            "Both": {"Fn::And": [{"Fn::Equals": [{"Ref": "Mode"}, "all"]}]},
        },
    )
    # WHEN it is read for given parameters
    found = read(path, {"Where": "seen/here"}, {"Bucket": "b"})
    # THEN
    assert found == EndpointConfig(
        "main", DataCaptureConfig("b", "seen/here", 50, inputs=False, outputs=True, csv_types=("text/csv",))
    )
    assert read(path, {"Where": "x", "Mode": "all"}, {"Bucket": "b"}).capture.inputs  # type: ignore[union-attr]
    assert read(path, {"Where": "x", "Mode": "none"}, {"Bucket": "b"}).capture is None


def test_no_capture_at_all(tmp_path: Path) -> None:
    assert read(template(tmp_path, None), {}, {}).capture is None


def test_a_share_of_nothing_is_no_capture(tmp_path: Path) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 0,
        "DestinationS3Uri": "s3://pictures/captures",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    assert read(template(tmp_path, capture), {}, {}).capture is None
    one = read(template(tmp_path, capture | {"InitialSamplingPercentage": 1}), {}, {}).capture
    assert one is not None
    assert (one.percentage, one.inputs, one.outputs) == (1, True, False)


def test_one_of_two_configurations_is_not_chosen(tmp_path: Path) -> None:
    path = template(tmp_path, None)
    document = json.loads(path.read_text())
    document["Resources"]["Other"] = document["Resources"]["Config"]
    path.write_text(json.dumps(document))
    with pytest.raises(TemplateError, match="has 2 resources"):
        read(path, {}, {})


def test_no_capture_by_a_condition(tmp_path: Path) -> None:
    path = template(
        tmp_path,
        {"Fn::If": ["Captures", {}, {"Ref": "AWS::NoValue"}]},
        Conditions={"Captures": {"Fn::Equals": ["a", "b"]}},
    )
    assert read(path, {}, {}).capture is None


def test_what_only_cloudformation_knows_is_an_error(tmp_path: Path) -> None:
    capture = {"EnableCapture": True, "InitialSamplingPercentage": {"Ref": "Elsewhere"}}
    with pytest.raises(TemplateError, match="value of Elsewhere"):
        read(template(tmp_path, capture), {}, {})


@pytest.mark.parametrize("content", ["Resources: {}", "a: [", "Resources: {A: {Type: AWS::S3::Bucket}}"])
def test_a_template_without_the_resource_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(content)
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        read(path, {}, {})


def test_a_template_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"nothing\.yaml"):
        read(tmp_path / "nothing.yaml", {}, {})
