"""Last function of the baseline: fails the execution below the threshold."""

import json
import os

THRESHOLD = float(os.environ.get("THRESHOLD", "0.93"))


def handler(event, context):
    """Pass the state on, or raise."""
    body = json.loads(event["body"])
    inferences = json.loads(body["inferences"])
    if os.environ.get("PRINTS"):
        print("Confidence:", max(inferences))
    if max(inferences) < THRESHOLD:
        raise Exception("THRESHOLD_CONFIDENCE_NOT_MET")
    return {"statusCode": 200, "body": json.dumps(body)}
