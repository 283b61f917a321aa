"""An upload as the workflow's input names it: an EventBridge event of S3, or ``{"s3_bucket", "s3_key"}`` of a manual start.

Powertools' ``S3EventBridgeNotificationEvent`` is not used: it URL-decodes the key, which arrives raw in EventBridge events, so that
``a+b.jpg`` and ``100%25.jpg`` would name other objects; it also insists on ``version-id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dropsort.contract import ignored_paths, keys

if TYPE_CHECKING:
    from handlers.state import UploadState, WorkflowState

_CREATED = "Object Created"


class InvalidInput(Exception):
    """The workflow was started with something that names no upload; there is nowhere to put a result, so it fails."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of one key.

    ``uploaded`` is ISO 8601 in UTC, to the second. ``sequencer`` orders the uploads of one key and comes with the event alone, as does
    ``copied``: whether CopyObject made the upload. What is not known is None.
    """

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    sequencer: str | None = None
    uploaded: str | None = None
    copied: bool = False

    @property
    def path(self) -> str:
        """The path below ``incoming/``."""
        return keys.path_of(self.key)

    def is_ignored(self, matches: Callable[[str], bool]) -> bool:
        """Whether it is to have no result: a folder marker, or a path that `matches`."""
        return ignored_paths.is_folder_marker(self.key, self.size) or matches(self.path)

    @property
    def inference_id(self) -> str:
        """SHA-256 hex of bucket, key and version id or etag: the same for every run of the same upload."""
        return keys.inference_id(self.bucket, self.key, self.version_id or self.etag or "")

    def with_defaults(self, **fields: Any) -> Upload:
        """A copy in which what was not known is known."""
        return replace(self, **{name: value for name, value in fields.items() if getattr(self, name) is None})

    def source(self) -> dict[str, Any]:
        """The ``source`` member of a result."""
        names = ("bucket", "key", "version_id", "etag", "size", "sequencer")
        return {name: getattr(self, name) for name in names}

    def to_state(self) -> UploadState:
        """As it is passed between states; the bucket and the key are next to it as ``s3_bucket`` and ``s3_key``."""
        return {
            "version_id": self.version_id,
            "etag": self.etag,
            "size": self.size,
            "sequencer": self.sequencer,
            "uploaded": self.uploaded,
        }

    @classmethod
    def from_state(cls, state: WorkflowState) -> Upload:
        """The upload of a state that ``to_state`` made."""
        return cls(bucket=state["s3_bucket"], key=state["s3_key"], **state["upload"])

    @classmethod
    def from_input(cls, document: Any) -> Upload:
        """The upload that an execution was started for.

        Raises
        ------
        InvalidInput
            Neither an ``Object Created`` event nor ``{"s3_bucket", "s3_key"}``, or a key outside ``incoming/``.
        """
        try:
            if document.get("detail-type", _CREATED) != _CREATED:
                raise ValueError(f"{document['detail-type']!r} is not {_CREATED!r}")
            upload = (
                cls._from_event(document["detail"])
                if "detail" in document
                else cls._from_manual_start(document)
            )
            keys.path_of(upload.key)  # raises ValueError for a key outside incoming/
            if len(upload.key.encode()) > keys.MAX_KEY_BYTES:
                raise ValueError(f"a key of more than {keys.MAX_KEY_BYTES} bytes")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidInput(
                f"The input names no upload ({type(error).__name__}: {error}). Start the workflow with an S3 Object Created event "
                f'or with {{"s3_bucket": "...", "s3_key": "{keys.INCOMING}..."}}.'
            ) from error
        return upload

    @classmethod
    def _from_event(cls, detail: Mapping[str, Any]) -> Upload:
        s3_object = detail["object"]
        size = s3_object.get("size")
        return cls(
            bucket=_text(detail["bucket"]["name"]),
            key=_text(s3_object["key"]),
            version_id=_optional(s3_object.get("version-id")),
            etag=_optional(s3_object.get("etag")),
            size=None if size is None else int(size),
            sequencer=_optional(s3_object.get("sequencer")),
            copied=detail.get("reason") == "CopyObject",
        )

    @classmethod
    def _from_manual_start(cls, document: Mapping[str, Any]) -> Upload:
        return cls(bucket=_text(document["s3_bucket"]), key=_text(document["s3_key"]))


def _optional(value: Any) -> str | None:
    """What S3 made up itself: it goes into headers of requests and of results."""
    if value is None or value == "":
        return None
    if not (text := _text(value)).isascii() or not text.isprintable() or len(text) > keys.MAX_KEY_BYTES:
        raise ValueError(f"expected printable ASCII characters, got {text!r:.100}")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a non-empty string, got {value!r}")
    value.encode()  # half a surrogate pair names nothing
    return value
