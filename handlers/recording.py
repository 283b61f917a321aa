"""Exactly one result per key, of the newest upload: the protocol, without any I/O.

`record` is a generator: it yields S3 requests and is sent their responses, so that tests can run every interleaving of several
recorders. It puts its own result first, under a condition, and reads the key's two other locations afterwards. Of two recorders of one
key, whichever reads last sees both results, and deletes the one that loses in the order of `Entry.beats`; a recorder that was killed
in between does the rest when it is retried. Between the put and these reads, two results can be there for a moment.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from dropsort.contract import keys
from dropsort.contract.defaults import CLOCK_DIFFERENCE

MAX_ROUNDS = 20  # lost races after which recording gives up, to be retried by the workflow


class Contended(Exception):
    """Too many lost races in a row."""


class ConditionFailed(Enum):
    """The response to a request whose condition did not hold."""

    CONDITION_FAILED = "condition failed"


CONDITION_FAILED = ConditionFailed.CONDITION_FAILED


@dataclass(frozen=True, slots=True)
class Entry:
    """What orders results: stored as metadata of the result's object, so that a HEAD request returns it.

    ``key_digest`` is `keys.digest` of the upload's key; a result that a user copied elsewhere is known by it, and by ``outcome``.
    ``review`` is the number of the decision, among those about the upload, that a reviewed result is of.
    """

    sequencer: str | None
    version_id: str | None
    etag: str | None
    uploaded: str | None
    recorded: str
    outcome: str
    key_digest: str | None = None
    review: str | None = None

    def to_metadata(self) -> dict[str, str]:
        """As user metadata of the object."""
        names = ("sequencer", "version_id", "etag", "uploaded", "recorded", "outcome", "key_digest", "review")
        return {name.replace("_", "-"): value for name in names if (value := getattr(self, name))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], outcome: str) -> Entry:
        """The entry of an object; what somebody else put there is older than any result."""
        names = ("sequencer", "version_id", "etag", "uploaded", "key_digest", "review")
        known = {name: metadata.get(name.replace("_", "-")) for name in names}
        return cls(**known, recorded=metadata.get("recorded", ""), outcome=outcome)

    def found(self, metadata: Mapping[str, str], outcome: str) -> Entry:
        """The entry of an object at a location of this entry's key: a result that was copied there from elsewhere is somebody else's."""
        copied = metadata.get("key-digest", self.key_digest) != self.key_digest
        if copied or metadata.get("outcome", outcome) != outcome:
            return Entry.from_metadata({}, outcome)
        return Entry.from_metadata(metadata, outcome)

    def beats(self, other: Entry) -> bool:
        """Whether this result is to stay and the other to go: the newer upload; of one upload, the later decision of a
        reviewer before any prediction, then the one that knows its sequencer, then a prediction before a failure, then the later
        recording."""
        order = _upload_order(self, other)
        return order > 0 or (order == 0 and self._rank() > other._rank())

    def _rank(self) -> tuple[bool, int, bool, bool, str, str]:
        return (
            bool(self.recorded),
            int(self.review) if self.review and _NUMBER.fullmatch(self.review) else 0,
            bool(self.sequencer),
            self.outcome != keys.FAILED,
            self.recorded,
            self.outcome,
        )


def _upload_order(a: Entry, b: Entry) -> int:
    """1 if ``a`` is of the newer upload, -1 if of the older, 0 if of the same or if nothing distinguishes them.

    What S3 says of the objects comes first. A sequencer comes with the execution's input, which whoever may start executions
    can make up: it decides only between uploads that S3's times do not distinguish.
    """
    if a.version_id and a.version_id == b.version_id:
        return 0
    if _certainly_after(a, b):
        return 1
    if _certainly_after(b, a):
        return -1
    if a.sequencer and b.sequencer:
        width = max(len(a.sequencer), len(b.sequencer))
        left, right = a.sequencer.lower().zfill(width), b.sequencer.lower().zfill(width)
    elif _same_upload(a, b):
        return 0
    elif a.uploaded and b.uploaded and a.uploaded != b.uploaded:
        left, right = a.uploaded, b.uploaded
    elif bool(a.uploaded) != bool(b.uploaded):
        # An upload that could be read is newer than one that was gone.
        left, right = str(bool(a.uploaded)), str(bool(b.uploaded))
    else:
        # Within one second, one of them started manually: whatever upload that was, its own event comes too.
        left, right = str(bool(a.sequencer)), str(bool(b.sequencer))
    return (left > right) - (left < right)


def _certainly_after(a: Entry, b: Entry) -> bool:
    """Whether S3's times alone say that ``a`` was uploaded after ``b``.

    The time of an object is that of its upload or, for one in parts, of the upload's begin. So it is certain if ``b`` was
    uploaded at once and has the earlier time, or if its result was recorded before the upload of ``a`` began.
    """
    begun, other = _time(a.uploaded), _time(b.uploaded)
    if begun is None:
        return False
    if other is not None and begun > other and not _IN_PARTS.fullmatch(b.etag or ""):
        return True
    recorded = _time(b.recorded)
    return recorded is not None and begun > recorded + CLOCK_DIFFERENCE


_NUMBER = re.compile(r"[0-9]{1,6}")
_IN_PARTS = re.compile(r'"?[0-9a-f]{32}-\d{1,5}"?')  # the ETag of a multipart upload


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text[:19]) if text else None
    except ValueError:
        return None


def _same_upload(a: Entry, b: Entry) -> bool:
    if a.version_id and b.version_id:
        return a.version_id == b.version_id
    return bool(a.etag) and a.etag == b.etag


@dataclass(frozen=True, slots=True)
class Put:
    """Put the result; ``if_match`` None: only if nothing is there.

    The response is its ETag; `CONDITION_FAILED` or None if the condition did not hold.
    """

    key: str
    if_match: str | None
    entry: Entry


@dataclass(frozen=True, slots=True)
class Head:
    """Read. The response is (ETag, metadata) or None.

    ``also`` is read next, whatever the response: both requests may be made at the same time.
    """

    key: str
    also: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete what has this ETag. The response is None, also if nothing is there, or `CONDITION_FAILED`."""

    key: str
    if_match: str


Operation = Put | Head | Delete
Found = tuple[str, Mapping[str, str]]
Response = str | Found | ConditionFailed | None


def record(mine: Entry, result_keys: Mapping[str, str]) -> Generator[Operation, Response, bool]:
    """Record one result.

    Parameters
    ----------
    mine
        The order of the result to record.
    result_keys
        `keys.result_keys` of the upload's path.

    Returns
    -------
    bool
        True if this result stands, False if a newer one does.

    Raises
    ------
    Contended
        More than `MAX_ROUNDS` races were lost.
    """
    if not mine.sequencer:
        mine = yield from _inherit(mine, result_keys)
    etag = yield from _put_own(mine, result_keys[mine.outcome])
    if etag is None:
        return False
    first, second = (outcome for outcome in result_keys if outcome != mine.outcome)
    found = {
        first: (yield Head(result_keys[first], also=result_keys[second])),
        second: (yield Head(result_keys[second])),
    }
    for outcome in (first, second):
        if not (yield from _clear(mine, outcome, result_keys[outcome], found[outcome])):
            yield Delete(result_keys[mine.outcome], if_match=etag)
            return False
    return True


def _inherit(mine: Entry, result_keys: Mapping[str, str]) -> Generator[Operation, Response, Entry]:
    """A manual start has no sequencer: it takes that of the result of the same upload, so that a late older event is still superseded."""
    for outcome, key in result_keys.items():
        found = yield Head(key)
        if isinstance(found, tuple):
            other = mine.found(found[1], outcome)
            if other.sequencer and _same_upload(mine, other):
                return replace(mine, sequencer=other.sequencer)
    return mine


def _put_own(mine: Entry, key: str) -> Generator[Operation, Response, str | None]:
    """The ETag of the result once it is put; None if one that beats it is there."""
    if_match: str | None = None
    for _ in range(MAX_ROUNDS):
        etag = yield Put(key, if_match, mine)
        if isinstance(etag, str):
            return etag
        found = yield Head(key)
        if isinstance(found, tuple):
            if mine.found(found[1], mine.outcome).beats(mine):
                return None
            if_match = found[0]
        else:
            if_match = None
    raise Contended(f"Lost {MAX_ROUNDS} races for {key}")


def _clear(mine: Entry, outcome: str, key: str, found: Response) -> Generator[Operation, Response, bool]:
    """Delete what was found under another outcome; False if it is one that beats this one."""
    for _ in range(MAX_ROUNDS):
        if not isinstance(found, tuple):
            return True
        if mine.found(found[1], outcome).beats(mine):
            return False
        if (yield Delete(key, if_match=found[0])) is None:
            return True
        found = yield Head(key)
    raise Contended(f"Lost {MAX_ROUNDS} races for {key}")
