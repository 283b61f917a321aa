"""Makes the S3 requests that `recording.record` yields."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract import s3_documents
from handlers.recording import CONDITION_FAILED, Delete, Head, Operation, Put, Response

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_second = ThreadPoolExecutor(1)


def perform(s3: S3Client, bucket: str, body: bytes, steps: Generator[Operation, Response, bool]) -> bool:
    """Make the calls of a recording and return what it returns.

    One after another, but two reads at once where the recording allows it: that saves a round trip per image.

    Raises
    ------
    ClientError
        Any failure but a condition that did not hold or an object that is not there.
    """
    ahead: dict[str, Future[Response]] = {}
    operation = next(steps)
    while True:
        if isinstance(operation, Head) and operation.key in ahead:
            response = ahead.pop(operation.key).result()
        else:
            if isinstance(operation, Head) and operation.also:
                ahead[operation.also] = _second.submit(_call, s3, bucket, body, Head(operation.also))
            response = _call(s3, bucket, body, operation)
        try:
            operation = steps.send(response)
        except StopIteration as stop:
            return bool(stop.value)


def _call(s3: S3Client, bucket: str, body: bytes, operation: Operation) -> Response:
    try:
        match operation:
            case Put(key, if_match, entry):
                condition: dict[str, Any] = {"IfMatch": if_match} if if_match else {"IfNoneMatch": "*"}
                put = s3.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    Metadata=entry.to_metadata(),
                    **condition,
                )
                return put["ETag"]
            case Head(key):
                head = s3.head_object(Bucket=bucket, Key=key)
                return head["ETag"], head["Metadata"]
            case Delete(key, if_match):
                s3.delete_object(Bucket=bucket, Key=key, IfMatch=if_match)
                return None
    except ClientError as error:
        code = s3_documents.code(error)
        if code in s3_documents.CONFLICT:
            return CONDITION_FAILED
        if code in s3_documents.MISSING:
            return None  # nothing is there; a conditional put on what has just gone is a lost race
        raise
