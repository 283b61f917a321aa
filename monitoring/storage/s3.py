"""A prefix of a bucket as a store, on obstore: a client made for many small objects.

Credentials are found as by any AWS client: environment, profile, or the role of the function or instance;
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another S3.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store as Client

from monitoring.errors import MissingFileError, StorageError, UnsupportedKeyError
from monitoring.storage.base import HOUR_FOLDER, SUFFIX, BucketAccess, CaptureFile, Fill, Folder, ReadInto

if TYPE_CHECKING:
    from monitoring.storage.s3_keys import AnyKeys

_CHUNK = 1024 * 1024  # bytes, of a streamed read


class S3Store:
    """Objects below ``s3://bucket/prefix``."""

    def __init__(self, client: Client, bucket: str, prefix: str, access: BucketAccess | None = None) -> None:
        self.client = client
        self._access = access or BucketAccess()
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")

    @classmethod
    def connect(cls, url: str, access: BucketAccess) -> S3Store:
        """Open ``s3://bucket/prefix``; no request is sent to S3 yet.

        Raises
        ------
        StorageError
            The URL names no bucket.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise StorageError(f"{url} names no bucket: write s3://bucket/prefix.")
        return cls(_client(bucket, access), bucket, prefix.strip("/"), access)

    def path(self, name: str) -> str:
        return self.prefix + name

    def folders(self, known: Mapping[str, int], since: str = "", *, sizes: bool = True) -> Iterator[Folder]:
        """List as `Store.folders` says: in pages of all keys, or with `since`, only the hours from then on."""
        if since:
            yield from self._since("", since)
            return
        current: str | None = None
        files: list[CaptureFile] = []
        for meta in self._objects():
            name = str(meta["path"])[len(self.prefix) :]
            folder = name.rpartition("/")[0]
            if folder != current and files:
                yield Folder(str(current), files)
                files = []
            current = folder
            if _wanted(name):
                files.append(_file(name, meta))
        if files:
            yield Folder(str(current), files)

    def _objects(self) -> Iterator[Mapping[str, Any]]:
        """List all objects of the store in the order of their keys."""
        last = ""
        try:
            with self._errors("list"):
                for page in obstore.list(self.client, self.prefix.rstrip("/") or None, chunk_size=1000):
                    for meta in page:
                        last = str(meta["path"])
                        yield meta
        except UnsupportedKeyError:
            yield from self._any_keys().objects(self.prefix, after=last)

    def _any_keys(self) -> AnyKeys:
        from monitoring.storage.s3_keys import AnyKeys  # few buckets have such keys

        return AnyKeys(self.bucket, self._access)

    def _since(self, below: str, since: str) -> Iterator[Folder]:
        """List downwards from `below` (a prefix with its slash, or nothing) past the hours before `since`."""
        found: Any
        try:
            with self._errors("list"):
                if f"/{below}".endswith("//"):  # obstore would list the folder above again
                    raise ValueError("empty path segment")
                place = (self.prefix + below).removesuffix("/") or None
                found = obstore.list_with_delimiter(self.client, place)
        except UnsupportedKeyError:
            found = self._any_keys().level(self.prefix + below)
        files = []
        for meta in found["objects"]:
            path = str(meta["path"])[len(self.prefix) :]
            if _wanted(path):
                files.append(_file(path, meta))
        if files:
            yield Folder(below[:-1], files)
        for following in sorted(found["common_prefixes"]):
            path = str(following)[len(self.prefix) :].removesuffix("/")
            if HOUR_FOLDER.search(f"/{path}") and path[-13:][: len(since)] < since:
                continue
            if not _wanted(f"{path}/{SUFFIX[1:]}", suffix=SUFFIX[1:]) or _before(path, since):
                continue
            yield from self._since(f"{path}/", since)

    @contextlib.contextmanager
    def open(self, name: str, start: int, size: int) -> Iterator[Fill]:
        """Stream an object: the chunks of a single GET."""
        options: Any = {"range": {"offset": start}} if start else None
        chunks: Iterator[Any]
        try:
            with self._errors("read", name):
                found = obstore.get(self.client, self.prefix + name, options=options)
                chunks = iter(found.stream(min_chunk_size=_CHUNK))
        except UnsupportedKeyError:
            chunks = self._any_keys().chunks(self.prefix + name, start)
        left = memoryview(b"")

        def fill(view: memoryview) -> int:
            nonlocal left
            while not left:
                with self._errors("read", name):
                    following = next(chunks, None)
                if following is None:
                    return 0
                left = memoryview(following)
            count = min(len(left), len(view))
            view[:count] = left[:count]
            left = left[count:]
            return count

        yield fill

    def sized(self, files: Sequence[CaptureFile]) -> list[CaptureFile]:
        return list(files)  # sizes come with the listing

    def open_folder(self, folder: str) -> contextlib.AbstractContextManager[ReadInto]:
        def read(name: str, view: memoryview) -> int:
            data = self.read(name)
            count = min(len(data), len(view))
            view[:count] = data[:count]
            return count

        return contextlib.nullcontext(read)

    def read(self, name: str) -> bytes:
        try:
            with self._errors("read", name):
                return bytes(obstore.get(self.client, self.prefix + name).bytes())
        except UnsupportedKeyError:
            return b"".join(self._any_keys().chunks(self.prefix + name, 0))

    def write(self, name: str, data: bytes) -> None:
        with self._errors("write", name):
            obstore.put(self.client, self.prefix + name, data)

    def delete(self, name: str) -> None:
        with contextlib.suppress(MissingFileError), self._errors("delete", name):
            obstore.delete(self.client, self.prefix + name)

    def names(self, prefix: str) -> list[str]:
        with self._errors("list"):
            found = obstore.list(self.client, self.prefix + prefix, chunk_size=1000).collect()
            return sorted(str(meta["path"])[len(self.prefix) :] for meta in found)

    def read_manifest(self, name: str) -> tuple[bytes, str]:
        with self._errors("read", name):
            result = obstore.get(self.client, self.prefix + name)
            return bytes(result.bytes()), str(result.meta["e_tag"] or "")

    def write_manifest(self, name: str, data: bytes, token: str) -> str:
        mode: Any = {"e_tag": token} if token else "create"
        try:
            with self._errors("write", name):
                return str(obstore.put(self.client, self.prefix + name, data, mode=mode)["e_tag"] or "")
        except (AlreadyExistsError, PreconditionError):
            raise StorageError(
                f"Another run finished first and wrote {self.name}/{name}: run again to continue from there."
            ) from None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Exclude nothing: the conditional write of the manifest lets one run succeed."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _errors(self, verb: str, name: str = "") -> Iterator[None]:
        """Translate exceptions of obstore; those of conditional writes pass."""
        address = f"s3://{self.bucket}/{self.prefix}{name}"
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            raise MissingFileError(f"Cannot {verb} {address}: there is no such object.") from error
        except (BaseError, OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0][:300]
            if verb == "list" and ("404 Not Found" in first or "NoSuchBucket" in str(error)):
                raise StorageError(f"There is no bucket {self.bucket}: write s3://bucket/prefix.") from error
            # ValueError: of a key in a request; of one in a listing, obstore has no exception class of its own.
            unsupported = isinstance(error, ValueError) or "invalid path" in first
            kind = UnsupportedKeyError if unsupported else StorageError
            raise kind(f"Cannot {verb} {address}: {first}") from error


def _wanted(name: str, suffix: str = SUFFIX) -> bool:
    return name.endswith(suffix) and not any(part.startswith(".") for part in name.split("/"))


def _before(path: str, since: str) -> bool:
    """True for the folder of a year, month or day that ends before `since`."""
    parts = path.split("/")
    for at in range(max(0, len(parts) - 3), len(parts)):
        date = "/".join(parts[at:])
        if len(date) in (4, 7, 10) and date.replace("/", "").isdigit() and len(parts[at]) == 4:
            return date < since[: len(date)]
    return False


def _file(name: str, meta: Mapping[str, Any]) -> CaptureFile:
    return CaptureFile(name, int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]))


def _client(bucket: str, access: BucketAccess) -> Client:
    endpoint = (
        access.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    config: dict[str, Any] = {}
    if endpoint:
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = False
    region = access.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not os.environ.get("AWS_ACCESS_KEY_ID") or access.profile:
        # botocore resolves profiles, single sign-on and roles.
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        session = boto3.Session(profile_name=access.profile, region_name=region)
        region = region or session.region_name
        if session.get_credentials() is None:
            raise StorageError(
                f"No AWS credentials were found to reach s3://{bucket}: set a profile or AWS_* variables."
            )
        config["credential_provider"] = Boto3CredentialProvider(session)
    options: Any = {"allow_http": bool(endpoint and endpoint.startswith("http://"))}
    try:
        return Client(bucket, region=region or "us-east-1", client_options=options, **config)
    except BaseError as error:
        raise StorageError(f"Cannot reach s3://{bucket}: {error}") from error
