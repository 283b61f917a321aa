"""Second function of the baseline: the endpoint's answer beside the picture, which travels on."""

import base64
import json
import os

import boto3

runtime = boto3.client("sagemaker-runtime")


def handler(event, context):
    """Decode, ask the endpoint, put its answer into the state as text."""
    image = base64.b64decode(event["body"]["image_data"])
    response = runtime.invoke_endpoint(
        EndpointName=os.environ["ENDPOINT"], Body=image, ContentType="image/png"
    )
    event["body"]["inferences"] = response["Body"].read().decode()
    if os.environ.get("PRINTS"):
        print("Inferences:", event["body"]["inferences"])
    return {"statusCode": 200, "body": json.dumps(event["body"])}
