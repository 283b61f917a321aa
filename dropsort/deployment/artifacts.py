"""The bucket of deployment artifacts: created when missing, private and encrypted; uploads skip what exists."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from botocore.exceptions import ClientError

from dropsort.contract.clients import Clients
from dropsort.contract.progress import OnStep
from dropsort.deployment.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType


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
        A bucket of that name belongs to another account.
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
        if region == "us-east-1":
            s3.create_bucket(Bucket=name)
        else:  # the name of a region, which the stubs list as literals
            constraint = cast("BucketLocationConstraintType", region)
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": constraint})
    if not _has_policy(s3, name):
        _close(s3, name)
    return name


def _has_policy(s3: S3Client, bucket: str) -> bool:
    try:
        s3.get_bucket_policy(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return False
        raise
    return True


def _close(s3: S3Client, bucket: str) -> None:
    """Encrypted, private, TLS only. The policy comes last: where it is, the rest is too."""
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(_tls_only(bucket, s3.meta.partition)))


def size(count: int) -> str:
    """A number of bytes, in kB below a tenth of a MB.

    Examples
    --------
    >>> size(1_250_000), size(22_400), size(12)
    ('1.2 MB', '23 kB', '1 kB')
    """
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{math.ceil(count / 1000)} kB"


def upload(s3: S3Client, bucket: str, path: Path, key: str, on_step: OnStep) -> str:
    """Upload a file to a key that contains its digest, unless the key exists; return the key."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        on_step(f"Uploading {path.name} ({size(path.stat().st_size)})")
        s3.upload_file(str(path), bucket, key)
    return key


def upload_digested(s3: S3Client, bucket: str, path: Path, folder: str, on_step: OnStep) -> str:
    """Upload a file whose name does not depend on its content, a model say, to ``{folder}/{digest}/{name}``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return upload(s3, bucket, path, f"{folder}/{digest}/{path.name}", on_step)


class TemplateSource(TypedDict, total=False):
    """The argument by which CloudFormation takes a template: its text, or the address of an object."""

    TemplateBody: str
    TemplateURL: str


def template_source(s3: S3Client, bucket: str, template: Path, on_step: OnStep) -> TemplateSource:
    """The template as CloudFormation takes it: its text, or an address if it is too large for that."""
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
