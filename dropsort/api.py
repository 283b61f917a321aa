"""The Python API: a service, and what the commands do with it.

    >>> from dropsort import connect
    >>> service = connect()  # doctest: +SKIP
    >>> for result in service.drop("images/"):  # doctest: +SKIP
    ...     print(result.key, result.outcome, result.label)

Credentials, region and address are those of every AWS client; `dropsort env` prints them for a service on this machine. What
goes wrong is a `DropsortError` with a sentence for people, or an error of botocore.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract import keys
from dropsort.contract.defaults import PATIENCE_SECONDS, STACK
from dropsort.contract.errors import DropsortError

if TYPE_CHECKING:
    from dropsort.client.aws import Aws
    from dropsort.client.deployed_service import DeployedService
    from dropsort.client.results import Result
    from dropsort.contract.reviews import Review
    from monitoring.quality.audit import Audit

__all__ = ["DropsortError", "Service", "connect"]


def connect(stack: str = STACK, *, profile: str | None = None, region: str | None = None) -> Service:
    """Find a running service, on AWS or on this machine.

    Parameters
    ----------
    stack
        Name of its CloudFormation stack.
    profile, region
        Of AWS; by default as for every AWS client.

    Raises
    ------
    DropsortError
        There is no such stack, or it is not one of Dropsort.
    """
    from dropsort.client import deployed_service
    from dropsort.client.aws import Aws

    aws = Aws(profile, region)
    return Service(deployed_service.find(aws.client, stack), aws)


class Service:
    """A running service; made by `connect`."""

    def __init__(self, service: DeployedService, aws: Aws) -> None:
        self._service, self._aws = service, aws

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._service.bucket

    def drop(
        self,
        *paths: str | os.PathLike[str],
        prefix: str = "",
        again: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> list[Result]:
        """Upload files and folders, and wait for their results, which are returned in the order in which they came.

        Parameters
        ----------
        prefix
            Folder for the uploads below ``incoming/``.
        again
            Upload also what is there already, byte for byte; otherwise its earlier result counts.
        patience_seconds
            How long to go on when no result comes.

        Raises
        ------
        DropsortError
            A path does not exist, a file cannot be read, nothing is there to upload, or results are missing.
        """
        from dropsort.client import files
        from dropsort.client.drop_and_wait import drop_and_wait
        from dropsort.client.errors import DropError

        found = files.walk(map(Path, paths), prefix)
        if found.skipped:
            raise DropError(f"{found.skipped[0].path}: {found.skipped[0].reason}.")
        if not found.files:
            raise DropError(f"Nothing to upload in {', '.join(map(str, paths)) or 'no path'}.")
        s3 = self._aws.client("s3")
        pairs = drop_and_wait(
            s3,
            self.bucket,
            found.files,
            again=again,
            patience_seconds=patience_seconds,
            ignored=self._service.ignored,
            retrying=lambda _: None,  # what the service tries again is waited for
        )
        return [pair.result for pair in pairs]

    def results(
        self, *, outcome: str | Iterable[str] = (), label: str | None = None, prefix: str = ""
    ) -> Iterator[Result]:
        """Results in the order of their keys, outcome by outcome; what is not a result is passed over.

        Parameters
        ----------
        outcome
            ``classified``, ``low-confidence`` or ``failed``, or several of them; by default all.
        label
            Only this label.
        prefix
            Only images whose path below ``incoming/`` starts so.

        Raises
        ------
        ValueError
            There is no such outcome.
        """
        from dropsort.client import results as reading
        from dropsort.contract.keys import OUTCOMES

        wanted = (outcome,) if isinstance(outcome, str) else tuple(outcome) or OUTCOMES
        if unknown := set(wanted) - set(OUTCOMES):
            raise ValueError(f"there is no outcome {unknown.pop()!r}: choose from {', '.join(OUTCOMES)}")
        return reading.iterate(
            self._aws.client("s3"), self.bucket, outcomes=wanted, label=label, prefix=prefix
        )

    def reviews(self, *, prefix: str = "") -> Iterator[Review]:
        """Reviews with a decision in force, in the order of their keys; what is not a review is passed over.

        Parameters
        ----------
        prefix
            Only of images whose path below ``incoming/`` starts so.
        """
        from dropsort.client import reviewed

        return reviewed.iterate(self._aws.client("s3"), self.bucket, prefix=prefix)

    def audit(self, precision: float | None = None, *, prefix: str = "") -> Audit:
        """The precision of what is classified, of the model that the service runs, estimated from reviews in random order.

        Parameters
        ----------
        precision
            Target precision, 0 to 1; None takes the one that the stack's model was trained for.
        prefix
            Only images whose path below ``incoming/`` starts so.
        """
        from dropsort.client import reviewed
        from monitoring.quality import audit

        target = self._service.precision if precision is None else precision
        found = audit.audited_results(*reviewed.with_results(self._aws.client("s3"), self.bucket, prefix))
        return audit.audit(found, target, self._service.model)

    def report(self, out: str | os.PathLike[str]) -> Path:
        """Read new captures, write the monitoring report as one HTML page, and return it.

        Parameters
        ----------
        out
            The page (``.html``), or a folder, which gets ``report.html``.
        """
        from dropsort.client import captures
        from dropsort.pages import report
        from monitoring.incremental.run import load, run
        from monitoring.report import reference
        from monitoring.report.images import bucket_lines
        from monitoring.storage.base import BucketAccess

        where = captures.of_service(self._service)
        access = BucketAccess(profile=self._aws.profile, region=self._aws.region)
        run(where.source, where.state, labels=where.labels or None, access=access)
        return report.write(
            load(where.state, access=access),
            Path(out),
            threshold=where.threshold,
            familiarity_threshold=where.familiarity_threshold,
            source=where.name,
            lines=bucket_lines(self._aws.client("s3"), self.bucket, keys.CAPTURES),
            **reference.of_bucket(self._aws.client("s3"), where.reference),
        )
