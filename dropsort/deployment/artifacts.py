"""The bucket of deployment artifacts: made when missing, private and encrypted; takes only what is not there yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from dropsort.contract.progress import OnStep
from dropsort.deployment.errors import DeployError

Clients = Callable[[str], Any]
"""Makes a client of a service: ``boto3.Session().client``, or one with an endpoint or a profile of its own."""


# CloudFormation takes a larger template only from S3.
INLINE_TEMPLATE_BYTES = 51_200


def bucket_name(account: str, region: str) -> str:
    """Name of the artifact bucket of an account and region."""
    return f"dropsort-artifacts-{account}-{region}"


def ensure_bucket(client: Clients, on_step: OnStep) -> str:
    """Return the artifact bucket's name after making it, encrypted, private and TLS only, if it is missing.

    Raises
    ------
    DeployError
        If somebody else's account has a bucket of that name.
    """
    s3, account = client("s3"), client("sts").get_caller_identity()["Account"]
    region = s3.meta.region_name
    name = bucket_name(account, region)
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 403:
            raise DeployError(
                f"No access to the artifact bucket {name}: it belongs to another account, or these credentials may "
                "not read it. Name a bucket of yours with --artifact-bucket."
            ) from error
        if status != 404:
            raise
        on_step(f"Creating the artifact bucket {name}")
        location = (
            {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        s3.create_bucket(Bucket=name, **location)
    if not _has_policy(s3, name):
        _close(s3, name)
    return name


def _has_policy(s3: Any, bucket: str) -> bool:
    try:
        s3.get_bucket_policy(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return False
        raise
    return True


def _close(s3: Any, bucket: str) -> None:
    """Encrypted, private, TLS only. The policy comes last: where it is, the rest is too."""
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(_tls_only(bucket, s3.meta.partition)))


def upload(s3: Any, bucket: str, path: Path, key: str, on_step: OnStep) -> str:
    """Upload a file to a key that carries its content's digest, unless the key exists; return the key."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        on_step(f"Uploading {path.name} ({path.stat().st_size / 1e6:.1f} MB)")
        s3.upload_file(str(path), bucket, key)
    return key


def upload_digested(s3: Any, bucket: str, path: Path, folder: str, on_step: OnStep) -> str:
    """Upload a file whose name says nothing of its content, a model say, to ``{folder}/{digest}/{name}``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return upload(s3, bucket, path, f"{folder}/{digest}/{path.name}", on_step)


def template_argument(s3: Any, bucket: str, template: Path, on_step: OnStep) -> dict[str, str]:
    """The template as CloudFormation takes it: its text, or an address once it is too large for that."""
    body = template.read_bytes()
    if len(body) <= INLINE_TEMPLATE_BYTES:
        return {"TemplateBody": body.decode()}
    key = upload_digested(s3, bucket, template, "templates", on_step)
    return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{key}"}


def _tls_only(bucket: str, partition: str) -> dict[str, Any]:
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
