"""Wrong checksums are rejected as S3 rejects them, whatever their kind and however they are sent; such a request stores nothing."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from dropsort.client.checksums import ALGORITHMS
from dropsort.local import clients
from dropsort.local.service import LocalService

pytestmark = pytest.mark.stack

CONTENT = b"some content, which is no image"
OTHER = b"some content, which is no Image"
PREFIX = "notes/checksums/"  # not below incoming/: nothing is started


def value(name: str, content: bytes) -> str:
    made = ALGORITHMS[name]()
    made.update(content)
    return base64.b64encode(made.digest()).decode()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


KINDS = {"ContentMD5": md5} | {name: lambda content, name=name: value(name, content) for name in ALGORITHMS}
HEADERS = {name: f"x-amz-checksum-{name.removeprefix('Checksum').lower()}" for name in ALGORITHMS} | {
    "ContentMD5": "content-md5"
}


def error_of(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def names(s3: Any, service: LocalService) -> set[str]:
    found = s3.list_objects_v2(Bucket=service.bucket, Prefix=PREFIX).get("Contents", [])
    return {item["Key"].removeprefix(PREFIX) for item in found}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_with_a_wrong_checksum_is_rejected(service: LocalService, s3: Any, kind: str) -> None:
    upload = {"Bucket": service.bucket, "Key": f"{PREFIX}{kind}", "Body": CONTENT}
    assert error_of(s3.put_object, **upload, **{kind: KINDS[kind](OTHER)}) == ("BadDigest", 400)
    malformed = ("InvalidDigest", 400) if kind == "ContentMD5" else ("InvalidRequest", 400)
    for text in ("AAAA", "not base64", KINDS[kind](OTHER)[:-4]):
        assert error_of(s3.put_object, **upload, **{kind: text}) == malformed, text
    assert kind not in names(s3, service)
    s3.put_object(**upload, **{kind: KINDS[kind](CONTENT)})
    assert kind in names(s3, service)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_with_a_wrong_checksum_is_rejected(service: LocalService, s3: Any, kind: str) -> None:
    where = {"Bucket": service.bucket, "Key": f"{PREFIX}part-{kind}"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = where | {"UploadId": upload, "PartNumber": 1, "Body": CONTENT}
    assert error_of(s3.upload_part, **part, **{kind: KINDS[kind](OTHER)}) == ("BadDigest", 400)
    etag = s3.upload_part(**part, **{kind: KINDS[kind](CONTENT)})["ETag"]
    wrong = {"Parts": [{"PartNumber": 1, "ETag": md5(OTHER)}]}
    assert error_of(s3.complete_multipart_upload, **where, UploadId=upload, MultipartUpload=wrong) == (
        "InvalidPart",
        400,
    )
    s3.complete_multipart_upload(
        **where, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    assert s3.get_object(**where)["Body"].read() == CONTENT


class Signer(S3SigV4Auth):
    """Signs what the request says of its payload."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


def send(
    service: LocalService, key: str, body: bytes, payload: str, method: str = "PUT", **headers: str
) -> tuple[int, str]:
    """A signed request made by hand; status, and code of the error."""
    url = f"{service.endpoint_url}/{service.bucket}/{key}"
    request = AWSRequest(method, url, {name.replace("_", "-"): text for name, text in headers.items()}, body)
    request.context["payload"] = payload
    known = service.environment
    Signer(
        Credentials(known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"]), "s3", clients.REGION
    ).add_auth(request)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(
            method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, dict(request.headers)
        )
        response = connection.getresponse()
        found = re.search(r"<Code>(\w+)</Code>", response.read().decode())
    finally:
        connection.close()
    return response.status, found[1] if found else ""


def chunked(*chunks: bytes, trailer: str = "") -> bytes:
    parts = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    return b"".join([*parts, b"0\r\n", f"{trailer}\r\n".encode() if trailer else b"", b"\r\n"])


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_checksum_behind_the_content_counts(service: LocalService, s3: Any, kind: str) -> None:
    name, key = HEADERS[kind], f"{PREFIX}trailer-{kind}"

    def put(text: str, **changed: str) -> tuple[int, str]:
        body = chunked(CONTENT[:10], CONTENT[10:], trailer=f"{name}:{text}")
        headers = {
            "x_amz_trailer": name,
            "x_amz_decoded_content_length": str(len(CONTENT)),
            "content_encoding": "aws-chunked",
        }
        return send(service, key, body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", **(headers | changed))

    assert put(value(kind, OTHER)) == (400, "BadDigest")
    assert put("AAAA")[0] == 400
    assert put(value(kind, CONTENT), x_amz_trailer="x-amz-checksum-sha512")[0] == 400
    assert put(value(kind, CONTENT), x_amz_decoded_content_length="7")[0] == 400
    assert key.removeprefix(PREFIX) not in names(s3, service)
    assert put(value(kind, CONTENT)) == (200, "")


def test_the_digest_that_was_signed_is_that_of_the_payload(service: LocalService, s3: Any) -> None:
    key = f"{PREFIX}sha256"
    assert send(service, key, CONTENT, hashlib.sha256(OTHER).hexdigest()) == (
        400,
        "XAmzContentSHA256Mismatch",
    )
    assert "sha256" not in names(s3, service)
    assert send(service, key, CONTENT, hashlib.sha256(CONTENT).hexdigest()) == (200, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_deletion_with_a_wrong_checksum_deletes_nothing(service: LocalService, s3: Any, kind: str) -> None:
    s3.put_object(Bucket=service.bucket, Key=f"{PREFIX}kept", Body=CONTENT)
    body = f"<Delete><Object><Key>{PREFIX}kept</Key></Object></Delete>".encode()
    digest = hashlib.sha256(body).hexdigest()
    assert send(service, "?delete=", body, digest, "POST", **{HEADERS[kind]: KINDS[kind](OTHER)}) == (
        400,
        "BadDigest",
    )
    assert "kept" in names(s3, service)
    assert send(service, "?delete=", body, digest, "POST", **{HEADERS[kind]: KINDS[kind](body)})[0] == 200
    assert "kept" not in names(s3, service)
