"""The errors of monitoring, each a sentence for a person::

MonitoringError
└── StorageError            a file or object cannot be listed, read or written
    ├── MissingFileError    ... because it is not there (any more)
    └── UnsupportedKeyError ... because obstore does not support its key (handled inside `monitoring.storage`)
"""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class MonitoringError(DropsortError):
    """Something a person can put right: the message names the file, what was wrong and what to do."""


class StorageError(MonitoringError):
    """A file or object cannot be listed, read or written.

    Parameters
    ----------
    message
        The whole sentence, which names the file.
    reason
        Why, in a few words, for lists that name the file themselves; by default the message.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class MissingFileError(StorageError):
    """A file or object is not there, perhaps because it expired since it was listed."""


class UnsupportedKeyError(StorageError):
    """A key that obstore does not support: see `monitoring.storage.s3_keys`."""
