"""Runs the backlog function more often than its rule does, and at once after a start: part of what only the service on one machine needs.

The embedded AWS loses executions when it is killed and has no retries for events, so uploads without a result do not wait for ten minutes
here: those of the previous run are started again at once, and others after half a minute without an execution.
A run of the backlog that was lost with the embedded AWS is none in progress: it would hold up the first one after a start for a minute.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dropsort.contract import backlog
from dropsort.contract.text import number_of

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

INTERVAL_SECONDS = 30.0
LONGEST_INTERVAL_SECONDS = 600.0
MIN_AGE_SECONDS = 30.0
SHARE = 50  # a check takes at most about one part in so many of the time
# Images that wait for a slow endpoint make a check long too.
LONGEST_PAUSE_SECONDS = 120.0
# An execution that runs for longer is not waited for: on AWS it would have ended by its time limit.
LONGEST_EXECUTION = timedelta(minutes=5)


class AutomaticRedrive:
    """Invokes the backlog function from time to time.

    Parameters
    ----------
    functions, stepfunctions, s3
        Clients of Lambda, Step Functions and S3.
    bucket
        The service's.
    outputs
        Those of the stack.
    report
        Called with a sentence when something was started, or could not be.
    """

    def __init__(
        self,
        functions: LambdaClient,
        stepfunctions: SFNClient,
        s3: S3Client,
        bucket: str,
        outputs: dict[str, str],
        report: Callable[[str], None],
    ) -> None:
        self._functions, self._stepfunctions, self._s3 = functions, stepfunctions, s3
        self._bucket, self._outputs, self._report = bucket, outputs, report
        self._stop = threading.Event()
        self._interval = INTERVAL_SECONDS
        self._last: tuple[int, int | None] = (0, None)

    def start(self, after_previous_run: bool) -> None:
        """Begin, in a thread; `after_previous_run` starts with all that a previous run of the service left."""
        threading.Thread(
            target=self._run, args=(after_previous_run,), name="automatic-redrive", daemon=True
        ).start()

    def stop(self) -> None:
        """End."""
        self._stop.set()

    def check(self, everything: bool = False) -> int:
        """Run the backlog function once; `everything` includes uploads that were just made. Return how many were started."""
        if everything:
            self._end_lost_runs()
        quiet = everything or not self._running()
        event = {"interval_seconds": 0 if everything else self._interval}
        if quiet:  # otherwise an execution may still work on them
            event["min_age_seconds"] = 0 if everything else MIN_AGE_SECONDS
        response = self._functions.invoke(
            FunctionName=self._outputs["BacklogFunction"], Payload=json.dumps(event).encode()
        )
        body = json.loads(response["Payload"].read())
        if response.get("FunctionError"):
            raise RuntimeError(f"{body.get('errorType')}: {body.get('errorMessage')}")
        started = int(body["started"])
        # What is started again and again without a result is started less and less often.
        now = (started, body["without_result"])
        again = started > 0 and now == self._last
        self._interval = min(2 * self._interval, LONGEST_INTERVAL_SECONDS) if again else INTERVAL_SECONDS
        self._last = now
        return started

    def _end_lost_runs(self) -> None:
        """End runs of the backlog that the previous run of the service left, on which nothing works any more."""
        listed = self._stepfunctions.list_executions(
            stateMachineArn=self._outputs["BacklogStateMachineArn"], statusFilter="RUNNING"
        )
        for item in listed["executions"]:
            self._stepfunctions.stop_execution(executionArn=item["executionArn"])
        # What was announced last may be forgotten by Step Functions, and counts as about to start.
        self._s3.delete_object(Bucket=self._bucket, Key=backlog.CURRENT)

    def _running(self) -> bool:
        """Whether an execution of the workflow runs that may still end by itself."""
        earliest = datetime.now(UTC) - LONGEST_EXECUTION
        listed = self._stepfunctions.list_executions(
            stateMachineArn=self._outputs["StateMachineArn"], statusFilter="RUNNING", maxResults=1000
        )
        return any(item["startDate"] > earliest for item in listed["executions"])

    def _run(self, everything: bool) -> None:
        pause = 0.0 if everything else self._interval
        while not self._stop.wait(pause):
            started = time.monotonic()
            try:
                count = self.check(everything)
                if count:
                    self._report(f"Started {number_of(count, 'upload')} without a final result again")
            except Exception as error:
                if not self._stop.is_set():
                    self._report(f"Uploads without a result could not be started again: {error}")
            everything = False
            # A large bucket takes long to list.
            took = time.monotonic() - started
            pause = max(self._interval, min(SHARE * took, LONGEST_PAUSE_SECONDS))
