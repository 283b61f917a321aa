"""Watches a folder: uploads each file once it is complete, and returns its result when it arrives.

- A file is complete when it has not changed between two scans. One that changes later is uploaded again.
- Nothing is remembered on disk. After a restart, files that are in the bucket already are not uploaded again (`drop`),
  and their results are returned once more: what is done with them must be harmless when it is repeated, as `store` is.
- Errors of the service or of a file are reported and tried again with the next scan.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as AwsError

from dropsort.client import files
from dropsort.client.drop import drop
from dropsort.client.errors import ClientError
from dropsort.client.files import LocalFile
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload, Waiter
from dropsort.contract.keys import CLASSIFIED
from dropsort.contract.text import printable
from dropsort.contract.written_files import unfinished

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INTERVAL_SECONDS = 1.0  # between two scans, at least
_State = tuple[int, int]  # size in bytes, time of the last change in nanoseconds


class Watch:
    """One watched folder; `step` makes one scan.

    Parameters
    ----------
    s3, bucket
        The service.
    folder
        The folder to watch.
    prefix, exclude, include
        As in `files.walk`.
    ignored, retrying
        As in `Waiter`.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        folder: Path,
        prefix: str = "",
        *,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        ignored: Callable[[str], bool] = lambda _: False,
        retrying: Callable[[FinishedUpload], None] = lambda _: None,
    ) -> None:
        self._s3, self._bucket, self._folder, self._prefix = s3, bucket, folder, prefix
        self._exclude, self._include = tuple(exclude), tuple(include)
        self._before: dict[Path, _State] = {}  # of the previous scan
        self._uploaded: dict[Path, _State] = {}
        self._waiter = Waiter(s3, bucket, ignored=ignored, retrying=retrying)

    @property
    def idle(self) -> bool:
        """Whether every file of the last scan is uploaded and has its result."""
        return self._before == self._uploaded and not self._waiter.missing

    @property
    def waiting(self) -> int:
        """Uploads without a result."""
        return len(self._waiter.missing)

    def step(self) -> list[FinishedUpload]:
        """Scan, upload what is complete, and return the results that arrived since the last step.

        Raises
        ------
        ClientError, OSError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            A file or the service; the next step tries again.
        """
        found = files.walk([self._folder], self._prefix, exclude=self._exclude, include=self._include).files
        now = {file.path: state for file in found if (state := _state(file.path)) is not None}
        complete = [
            file
            for file in found
            if (state := now.get(file.path)) is not None
            and self._before.get(file.path) == state
            and self._uploaded.get(file.path) != state
        ]
        self._before = now
        self._uploaded = {path: state for path, state in self._uploaded.items() if path in now}
        for upload in drop(self._s3, self._bucket, complete):
            self._uploaded[upload.file.path] = now[upload.file.path]
            self._waiter.expect([upload])
        return self._waiter.poll() if self._waiter.missing else []


def run(
    watch: Watch,
    stop: threading.Event,
    *,
    once: bool = False,
    done: Callable[[FinishedUpload], None],
    problem: Callable[[str], None],
    interval_seconds: float = INTERVAL_SECONDS,
) -> None:
    """Make steps until `stop` is set, or with `once` until every file has its result.

    Parameters
    ----------
    done
        Called for each result. An OSError or ClientError that it raises is reported; the file counts as done.
    problem
        Called with a sentence for what went wrong, once as long as it stays the same.
    """
    reported: list[str] = []
    while True:
        begin = time.monotonic()
        texts: list[str] = []
        finished: list[FinishedUpload] = []
        try:
            finished = watch.step()
        except (ClientError, AwsError, BotoCoreError, OSError) as error:
            texts.append(" ".join(str(error).split()))
        for item in finished:
            try:
                done(item)
            except (ClientError, OSError) as error:
                texts.append(" ".join(str(error).split()))
        for text in dict.fromkeys(texts):
            if text not in reported:
                problem(text)
        reported = texts
        if once and not texts and watch.idle:
            return
        # A scan of a large folder takes long: scan less often then.
        if stop.wait(max(interval_seconds, 5 * (time.monotonic() - begin))):
            return


def store(item: FinishedUpload, folder: Path, into: Path) -> Path | None:
    """Copy an image into the folder of its label below `into`; into that of its outcome if it is not classified.

    The copy appears under its name in one step, and one that is there already is left: the function can be repeated and
    interrupted at any time. None if the file has changed or gone since it was uploaded; its next result counts then.

    Raises
    ------
    OSError
        The copy cannot be written.
    ClientError
        A folder below `into` is a link.
    """
    source = item.upload.file.path
    before = _state(source)
    if before is None or before[0] != item.upload.file.size:
        return None
    target = _target(item, folder, into)
    if _state(target) == before:
        return target
    _check_no_link(target.parent, into)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(target)
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()
        # Others who can write in the folder know the name: a link of theirs is not followed.
        with source.open("rb") as content, temporary.open("xb") as output:
            shutil.copyfileobj(content, output)
        shutil.copystat(source, temporary)
        if _state(source) != before:
            return None
        temporary.replace(target)
    except FileNotFoundError:
        return None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return target


def _check_no_link(folder: Path, into: Path) -> None:
    """Raise an error if a folder below `into` is a link: whoever can write there would choose where files are written."""
    if os.path.realpath(folder) != os.path.join(os.path.realpath(into), folder.relative_to(into)):
        raise ClientError(
            f"{folder} is a link or below one: nothing is copied there. Name its target with --sort-into."
        )


def is_stored(item: FinishedUpload, folder: Path, into: Path) -> bool:
    """Whether the copy that `store` makes is there already."""
    state = _state(item.upload.file.path)
    return state is not None and _state(_target(item, folder, into)) == state


def _target(item: FinishedUpload, folder: Path, into: Path) -> Path:
    return into / part_of(item.result) / item.upload.file.path.relative_to(folder)


def part_of(result: Result) -> str:
    """The name of the folder for an image with this result: one component of a path, whatever the label is.

    Examples
    --------
    >>> part_of(Result("", {"outcome": "classified", "label": "../x"}))
    '.._x'
    """
    name = result.label if result.outcome == CLASSIFIED and result.label else result.outcome
    name = printable(name).replace("/", "_").encode()[:200].decode("utf-8", "ignore").strip()
    return name if name.strip(".") else "_" + name


def _state(path: Path) -> _State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def overlapping(folder: Path, into: Path) -> bool:
    """Whether copies would be watched in turn, or images be overwritten: one folder lies in the other."""
    one, other = folder.resolve(), into.resolve()
    return one == other or one in other.parents or other in one.parents


def name_of(file: LocalFile, folder: Path) -> str:
    """The path of a file below the watched folder."""
    return file.path.relative_to(folder).as_posix()
