"""Second function of the baseline: the endpoint's response is added to the state, which still has the image."""

import base64
import json
import os

import boto3

runtime = boto3.client("sagemaker-runtime")


def handler(event, context):
    """Decode, invoke the endpoint, put its response into the state as text."""
    image = base64.b64decode(event["body"]["image_data"])
    response = runtime.invoke_endpoint(
        EndpointName=os.environ["ENDPOINT"], Body=image, ContentType="image/png"
    )
    event["body"]["inferences"] = response["Body"].read().decode()
    if os.environ.get("PRINTS"):
        print("Inferences:", event["body"]["inferences"])
    return {"statusCode": 200, "body": json.dumps(event["body"])}
