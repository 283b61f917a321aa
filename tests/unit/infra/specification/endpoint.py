"""The endpoint: its model, data capture, scaling and roll-out; and Athena over its captures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dropsort.contract import keys
from dropsort.contract.reference import STATE_PREFIX
from monitoring.athena import query_sql
from tests.unit.infra.specification.alarms import ROLLS_BACK
from tests.unit.infra.specification.canonical import (
    ACCOUNT,
    ENDPOINT_NAME,
    REPLACED_IS_RETAINED,
    STACK,
    one_of,
    resource,
)
from tests.unit.infra.specification.functions import log

OURS = {"Condition": "CreatesEndpoint"}
SCALED = {"Condition": "ScalesEndpoint"}
# AWS's images lie in accounts that differ by region.
AWS_IMAGE = {
    "Sub": [
        "${Account}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/pytorch-inference:2.6.0-cpu-py312",
        {"Account": {"Fn::FindInMap": ["DeepLearningContainers", "${AWS::Region}", "Account"]}},
    ]
}

# Injected partition projection: no partitions to add, and each query must name endpoint, variant and hours.
PROJECTION = {
    "projection.enabled": "true",
    "projection.endpoint.type": "injected",
    "projection.variant.type": "injected",
    "projection.hour.type": "date",
    "projection.hour.format": "yyyy/MM/dd/HH",
    "projection.hour.range": "2024/01/01/00,NOW",
    "projection.hour.interval": "1",
    "projection.hour.interval.unit": "HOURS",
    # A location ends in a slash; ${!...} is left alone by Sub.
    "storage.location.template": f"s3://${{Bucket}}/{keys.CAPTURES}/${{!endpoint}}/${{!variant}}/${{!hour}}/",
}


def named(text: str) -> dict[str, Any]:
    """A text with the endpoint's name in it."""
    return {"Sub": [text, {"Name": ENDPOINT_NAME}]}


def query() -> dict[str, Any]:
    """The query that monitoring writes, for the stack's endpoint."""
    first, last = (datetime(2026, 11, 21, hour, tzinfo=UTC) for hour in (0, 23))
    text = query_sql("ENDPOINT", "main", first, last, labels=["bicycle", "motorcycle"])
    return {"Sub": [text.strip().replace("ENDPOINT", "${Endpoint}") + "\n", {"Endpoint": ENDPOINT_NAME}]}


RESOURCES = {
    "EndpointLogs": log(named("/aws/sagemaker/Endpoints/${Name}"), **OURS),
    # No name of its own: a new ModelDataUrl replaces it, and the endpoint is updated.
    "Model": resource(
        "AWS::SageMaker::Model",
        {
            "ExecutionRoleArn": "${EndpointRole.Arn}",
            "PrimaryContainer": {
                "Image": one_of("NamesImage", "${ModelImageUri}", AWS_IMAGE),
                "ModelDataUrl": one_of("NamesModel", "${ModelDataUrl}"),
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "SAGEMAKER_REGION": "${AWS::Region}",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",  # INFO
                },
            },
        },
        **OURS, **REPLACED_IS_RETAINED,
    ),
    "EndpointConfig": resource(
        "AWS::SageMaker::EndpointConfig",
        {
            "ProductionVariants": [
                {
                    "VariantName": "main",
                    "ModelName": "${Model.ModelName}",
                    "InstanceType": "${EndpointInstanceType}",
                    "InitialInstanceCount": "${EndpointInstanceCount}",
                    "InitialVariantWeight": 1,
                    "ContainerStartupHealthCheckTimeoutInSeconds": 600,  # it installs the model's wheels first
                }
            ],
            "DataCaptureConfig": {
                "EnableCapture": one_of("CapturesCalls", True, False),
                "InitialSamplingPercentage": "${CaptureSamplingPercentage}",
                "DestinationS3Uri": f"s3://${{Bucket}}/{keys.CAPTURES}",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},  # readable, not base64
            },
        },
        **OURS, **REPLACED_IS_RETAINED,
    ),
    "Endpoint": resource(
        "AWS::SageMaker::Endpoint",
        {
            "EndpointName": ENDPOINT_NAME,  # known beforehand: the alarms need it, and the endpoint the alarms
            "EndpointConfigName": "${EndpointConfig.EndpointConfigName}",
            "DeploymentConfig": {
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": f"${{{name}}}"} for name in ROLLS_BACK]},
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": one_of("SeveralInstances", "CANARY", "ALL_AT_ONCE"),
                        "WaitIntervalInSeconds": 600,  # longer than any alarm of a roll-out needs
                        "CanarySize": one_of("SeveralInstances", {"Type": "INSTANCE_COUNT", "Value": 1}),
                    },
                    "TerminationWaitInSeconds": 600,  # the old fleet can take over again
                    "MaximumExecutionTimeoutInSeconds": 5400,  # two starts of a fleet, and both waits
                },
            },
        },
        **OURS,
    ),
    "EndpointScalingTarget": resource(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        {
            "ServiceNamespace": "sagemaker",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ResourceId": named("endpoint/${Name}/variant/main"),
            "MinCapacity": "${EndpointInstanceCount}",
            "MaxCapacity": "${EndpointMaxInstanceCount}",
        },
        **SCALED, DependsOn="Endpoint",
    ),
    "EndpointScalingPolicy": resource(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {
            "PolicyName": f"{STACK}-invocations",
            "PolicyType": "TargetTrackingScaling",
            "ScalingTargetId": "${EndpointScalingTarget}",
            "TargetTrackingScalingPolicyConfiguration": {
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                "TargetValue": "${InvocationsPerInstance}",
                "ScaleOutCooldown": 300,  # an instance takes minutes to start
                "ScaleInCooldown": 600,  # traffic that returns finds it still there
            },
        },
        **SCALED,
    ),
    "CaptureDatabase": resource(
        "AWS::Glue::Database",
        {  # Glue allows lower case letters, digits and underscore
            "CatalogId": ACCOUNT,
            "DatabaseInput": {"Name": {"Fn::Join": ["_", {"Fn::Split": ["-", f"{STACK}_captures"]}]}},
        },
        **OURS,
    ),
    "CaptureTable": resource(
        "AWS::Glue::Table",
        {
            "CatalogId": ACCOUNT,
            "DatabaseName": "${CaptureDatabase}",
            "TableInput": {
                "Name": "captures",
                "TableType": "EXTERNAL_TABLE",
                "PartitionKeys": [{"Name": name, "Type": "string"} for name in ("endpoint", "variant", "hour")],
                "Parameters": PROJECTION,
                "StorageDescriptor": {
                    "Columns": [{"Name": "line", "Type": "string"}],  # one column: the query parses the JSON
                    "Location": f"s3://${{Bucket}}/{keys.CAPTURES}/",
                    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                    "SerdeInfo": {
                        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                        # A character that JSON cannot hold unescaped.
                        "Parameters": {"field.delim": "\u0001", "serialization.format": "\u0001"},
                    },
                },
            },
        },
        **OURS,
    ),
    "CaptureWorkGroup": resource(
        "AWS::Athena::WorkGroup",
        {
            "Name": f"{STACK}-captures",
            "RecursiveDeleteOption": True,  # once it was used it could not be deleted otherwise
            "WorkGroupConfiguration": {
                "EnforceWorkGroupConfiguration": True,
                "PublishCloudWatchMetricsEnabled": True,
                "BytesScannedCutoffPerQuery": 2**40,  # 1 TiB: a query costs at most 5 dollars
                "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                "ResultConfiguration": {
                    "OutputLocation": f"s3://${{Bucket}}/{STATE_PREFIX}/athena/",
                    "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
                },
            },
        },
        **OURS,
    ),
    "CaptureQuery": resource(
        "AWS::Athena::NamedQuery",
        {
            "Name": "Captures into aggregates",
            "Database": "${CaptureDatabase}",
            "WorkGroup": "${CaptureWorkGroup}",
            "QueryString": query(),
        },
        **OURS,
    ),
}  # fmt: skip
