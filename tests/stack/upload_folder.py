"""What the tests of the whole workflow need: uploads of a folder of their own, their results, the executions behind them."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from dropsort.client import deployed_service, redrive
from dropsort.client.errors import ClientError
from dropsort.contract import keys
from dropsort.contract.backlog import UploadList
from dropsort.deployment.package import ROOT
from dropsort.local.service import LocalService
from training.dataset import samples

PATIENCE_SECONDS = 240


@cache
def schema() -> jsonschema.Draft202012Validator:
    """The documented form of a result."""
    return jsonschema.Draft202012Validator(
        json.loads((ROOT / "docs" / "reference" / "result.schema.json").read_text())
    )


def drawn(folder: Path, count: int = 2) -> list[bytes]:
    """Small images, by turns a bicycle and a motorcycle, that the model is sure of."""
    return [path.read_bytes() for path in samples.drawn(folder, count, seed=1).images]


class UploadFolder:
    """The service's bucket as one test sees it.

    Parameters
    ----------
    folder
        Below ``incoming/``: the test's own.
    """

    def __init__(self, service: LocalService, folder: str) -> None:
        self.service, self.folder, self.bucket = service, folder, service.bucket
        self.s3 = service.session().client("s3")
        self.states = service.session().client("stepfunctions")
        self.machine = service.outputs["StateMachineArn"]
        self._known: dict[tuple[str, str], dict[str, Any]] = {}  # results by location and ETag

    def key(self, name: str) -> str:
        """The whole key of an upload."""
        return f"incoming/{self.folder}/{name}"

    def upload(self, contents: Mapping[str, bytes], clients: int = 16) -> dict[str, str]:
        """Upload by name, several at a time; return ETags by name."""

        def put(name: str) -> str:
            answer = self.s3.put_object(Bucket=self.bucket, Key=self.key(name), Body=contents[name])
            return str(answer["ETag"]).strip('"')

        with ThreadPoolExecutor(clients) as pool:
            return dict(zip(contents, pool.map(put, contents), strict=True))

    def start(self, started_with: Mapping[str, Any]) -> str:
        """Start an execution by hand; return its ARN."""
        answer = self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(started_with))
        return str(answer["executionArn"])

    def settled(self, etags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Results by name, once every upload's is there and no execution runs: each held to be the only one and of the documented form."""
        machines = (self.machine, self.service.outputs["BacklogStateMachineArn"])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.results()
            missing = [
                name
                for name, etag in etags.items()
                if etag not in {result["source"]["etag"] for result in found.get(self.key(name), [])}
            ]
            if not missing and not any(self.executions("RUNNING", machine) for machine in machines):
                break
            assert time.monotonic() < deadline, f"{len(missing)} without a result: {missing[:3]}"
            time.sleep(0.3)
        found = self.results()
        twice = {
            key: [result["outcome"] for result in results]
            for key, results in found.items()
            if len(results) > 1
        }
        assert not twice
        return {name: found[self.key(name)][0] for name in etags}

    def final(
        self, etags: Mapping[str, str], passing: Collection[str] = ("throttled",)
    ) -> dict[str, dict[str, Any]]:
        """As `settled`, after every retryable failure was started again.

        Parameters
        ----------
        passing
            Reason codes that may pass: any other retryable failure fails the test at once.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            results = self.settled(etags)
            waiting = {
                name: result["reason"]
                for name, result in results.items()
                if (result["reason"] or {}).get("retryable")
            }
            if not waiting:
                return results
            unexpected = {name: reason for name, reason in waiting.items() if reason["code"] not in passing}
            assert not unexpected, f"retryable, but not {' or '.join(passing)}: {unexpected}"
            assert time.monotonic() < deadline, f"still fail: {waiting}"
            self._redrive()
            time.sleep(0.5)

    def _redrive(self) -> None:
        """Start a run of the backlog for the folder's unfinished uploads, once no other is in progress."""
        client = self.service.session().client
        found = deployed_service.find(client)
        deadline = time.monotonic() + PATIENCE_SECONDS
        with UploadList() as uploads:
            unfinished = redrive.select(self.s3, self.bucket, prefix=f"{self.folder}/")
            uploads.extend(self.bucket, (item.key for item in unfinished))
            while uploads.count:
                try:
                    redrive.start(client, found, uploads)
                    break
                except ClientError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.3)

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """All results of the folder by the key of their upload, each held against the schema and the place it lies at."""
        listed = [
            (item["Key"], item["ETag"])
            for outcome in keys.OUTCOMES
            for page in self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{outcome}/{self.folder}/"
            )
            for item in page.get("Contents", [])
        ]
        found: dict[str, list[dict[str, Any]]] = {}
        with ThreadPoolExecutor(8) as pool:
            for result in pool.map(self._read, *zip(*listed, strict=True)) if listed else ():
                if result is not None:
                    found.setdefault(result["source"]["key"], []).append(result)
        return found

    def executions(self, status: str, machine: str = "") -> list[str]:
        """ARNs of the executions with a status, of all tests; of the workflow, if no other state machine is given."""
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=machine or self.machine, statusFilter=status
        )
        return [item["executionArn"] for page in pages for item in page["executions"]]

    def states_of(self, arn: str) -> Iterator[int]:
        """Sizes in bytes of everything that entered or left a state of an execution."""
        for event in self._history(arn):
            for name, part in (
                ("stateEnteredEventDetails", "input"),
                ("stateExitedEventDetails", "output"),
            ):
                if name in event:
                    yield len(event[name][part].encode())

    def entered(self, arn: str) -> Iterator[str]:
        """Names of the states that an execution entered."""
        for event in self._history(arn):
            if "stateEnteredEventDetails" in event:
                yield event["stateEnteredEventDetails"]["name"]

    def wait(self, arn: str) -> dict[str, Any]:
        """An execution once it has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found: dict[str, Any] = self.states.describe_execution(executionArn=arn)
            if found["status"] != "RUNNING":
                return found
            assert time.monotonic() < deadline, f"{arn} runs still"
            time.sleep(0.1)

    def _history(self, arn: str) -> Iterator[dict[str, Any]]:
        for page in self.states.get_paginator("get_execution_history").paginate(executionArn=arn):
            yield from page["events"]

    def _read(self, location: str, etag: str) -> dict[str, Any] | None:
        """A result; each version is read and checked once, as whoever waits lists often."""
        if (location, etag) in self._known:
            return self._known[location, etag]
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=location)
        except self.s3.exceptions.NoSuchKey:  # replaced since it was listed
            return None
        document: dict[str, Any] = json.loads(answer["Body"].read())
        schema().validate(document)
        key = document["source"]["key"]
        assert keys.result_keys(keys.path_of(key))[document["outcome"]] == location
        self._known[location, answer["ETag"]] = document
        return document
