"""First function of the baseline: the object's file, whole, in the state."""

import base64

import boto3

s3 = boto3.resource("s3")


def handler(event, context):
    """Download to a file, encode the file."""
    key, bucket = event["s3_key"], event["s3_bucket"]
    s3.Bucket(bucket).download_file(key, "/tmp/image.png")
    with open("/tmp/image.png", "rb") as file:
        image_data = base64.b64encode(file.read()).decode()
    print("Event:", event.keys())
    return {
        "statusCode": 200,
        "body": {"image_data": image_data, "s3_bucket": bucket, "s3_key": key, "inferences": []},
    }
