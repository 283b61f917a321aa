"""Counts in addition to the cells: volumes, health, bad lines, and the least certain predictions."""

from __future__ import annotations

import msgspec

LEAST_CERTAIN = 12  # predictions of lowest margin that are stored per hour, endpoint and variant
BAD_LINES_NAMED = 1000  # bad lines beyond these are counted, no longer named


class Volume(msgspec.Struct, gc=False):
    """How much was captured in one hour of one variant: from which silence and gaps are detected."""

    records: int = 0  # distinct capture records
    predictions: int = 0  # a record may carry several
    without_prediction: int = 0  # records whose output is absent or holds no class probabilities
    without_input: int = 0

    def merge(self, other: Volume) -> None:
        """Add `other`, which stays as it is."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Uncertain(msgspec.Struct, gc=False, frozen=True, order=True):
    """One of the least certain predictions, and where its record (with the image) can be read again."""

    margin: int  # billionths; the order of the fields is the order of the list
    digest: str  # of hour and event id, 16 hexadecimal digits
    index: int  # which prediction of the record, from 0
    file: str  # path or key relative to the source
    line: int  # from 1
    offset: int  # of the line's first byte in the file
    label: str
    confidence: int  # billionths
    event_id: str = ""
    inference_id: str = ""
    model: str = ""  # version that the output names


class BadLine(msgspec.Struct, gc=False, frozen=True, order=True):
    """A line that is not a capture record, and why."""

    file: str
    line: int  # from 1; 0: the whole file could not be read
    reason: str


class Health(msgspec.Struct, gc=False):
    """Totals of what was read. ``lines == records + duplicates + bad_lines + ground_truth``."""

    files: int = 0
    unreadable_files: int = 0
    bytes: int = 0
    lines: int = 0  # that are not blank
    records: int = 0  # distinct capture records
    duplicates: int = 0  # records whose event id had been seen
    bad_lines: int = 0
    ground_truth: int = 0  # lines with ground truth alone
    merged: int = 0  # records that carry their ground truth
    batch_transform: int = 0
    predictions: int = 0
    without_prediction: int = 0
    without_input: int = 0
    without_event_id: int = 0
    without_time: int = 0
    bad: list[BadLine] = []  # the first BAD_LINES_NAMED of them, by file and line

    def merge(self, other: Health) -> None:
        """Add `other`, which stays as it is."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bad = sorted(set(self.bad))[:BAD_LINES_NAMED]
