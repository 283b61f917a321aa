"""An event for each recorded result, through the embedded AWS: a consumer's rule gets it, if the role may send it to this bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dropsort.local.service import LocalService
from tests.stack.test_roles import Functions
from tests.unit.infra.template import statements

pytestmark = pytest.mark.stack

BUS = "results-of-a-test"


@pytest.fixture
def queue(service: LocalService) -> Iterator[str]:
    """Filter with a bus, as the parameter EventBusName gives it, and a queue that gets what a rule for classified images finds there."""
    session = service.session()
    events, sqs, functions = (session.client(name) for name in ("events", "sqs", "lambda"))
    events.create_event_bus(Name=BUS)
    address = sqs.create_queue(QueueName=BUS)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])
    pattern = {
        "source": ["dropsort"],
        "detail-type": ["Result Recorded"],
        "detail": {"outcome": ["classified"]},
    }
    rule = {"Rule": BUS, "EventBusName": BUS}
    events.put_rule(Name=BUS, EventBusName=BUS, EventPattern=json.dumps(pattern))
    events.put_targets(**rule, Targets=[{"Id": "queue", "Arn": found["Attributes"]["QueueArn"]}])
    name = service.outputs["FilterFunction"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    variables = before["Variables"] | {"EVENT_BUS_NAME": BUS}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    yield address
    functions.update_function_configuration(FunctionName=name, Environment=before)
    events.remove_targets(**rule, Ids=["queue"])
    events.delete_rule(Name=BUS, EventBusName=BUS)
    events.delete_event_bus(Name=BUS)
    sqs.delete_queue(QueueUrl=address)


def test_a_rule_gets_the_event_of_a_recorded_result_if_the_role_may_send_it(
    service: LocalService, queue: str
) -> None:
    functions, sqs = Functions(service), service.session().client("sqs")
    # GIVEN the role without the permission, as without the parameter, THEN the execution would be tried again
    with pytest.raises(AssertionError, match="PutEvents"):
        functions.record("event.png", 1, [1.0, 0.0])
    # WHEN it has it, for this bus alone, as the template gives it
    (allowed,) = (one for one in statements("FilterRole") if "events:PutEvents" in one["Action"])
    account = service.session().client("sts").get_caller_identity()["Account"]
    resource = allowed["Resource"][0].replace("EventBusName", BUS)
    resource = resource.replace("us-east-1:111122223333", f"{sqs.meta.region_name}:{account}")
    with functions.allowing("Filter", {**allowed, "Resource": resource}):
        # THEN the same run sends the event of the result that it recorded before, and one of low confidence is not what the rule wants
        assert functions.record("event.png", 1, [1.0, 0.0]) == "classified"
        assert functions.record("unsure.png", 1, [0.6, 0.4]) == "low-confidence"
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    event: dict[str, Any] = json.loads(message["Body"])
    place = {
        "bucket": service.bucket,
        "key": "incoming/roles/event.png",
        "result_key": "classified/roles/event.png.json",
    }
    assert (
        event["detail"].items() >= {**place, "outcome": "classified", "label": "a", "confidence": 1.0}.items()
    )
    result = functions.s3.get_object(Bucket=service.bucket, Key=place["result_key"])["Body"].read()
    assert json.loads(result)["inference_id"] == event["detail"]["inference_id"]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
