"""The credentials of one service: made at random, in a file that only its owner can read.

Clients sign with the access key and its secret. Functions get credentials of their own, which are derived from a third
secret: the emulator would derive them from public names alone, so that any user of the machine could sign as a function.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dropsort.local.errors import CredentialsError

FILE = "credentials.json"
_FUNCTION_KEY = "ASIA"


@dataclass(frozen=True)
class Credentials:
    """What requests to the service are signed with.

    Parameters
    ----------
    access_key_id, secret_access_key
        For clients; both are secret, neither is ever a fixed value.
    functions
        What the functions' credentials are derived from.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    functions: str = field(repr=False)

    def of_function(self, name: str) -> dict[str, str]:
        """Environment variables with the credentials of the function `name`; `name` can be anything that stays the same."""
        digest = base64.b32encode(_hmac(self.functions, "key", name)).decode()
        key = _FUNCTION_KEY + digest[:16]
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": self._function_secret(key),
            "AWS_SESSION_TOKEN": _hmac(self.functions, "token", key).hex(),
        }

    def secret_of(self, access_key_id: str) -> str | None:
        """Secret of a client's or a function's access key; None for a key that cannot be ours.

        A made-up key of a function has a secret as well, which nobody knows: the signature does not match.
        """
        if hmac.compare_digest(access_key_id.encode(), self.access_key_id.encode()):
            return self.secret_access_key
        return self._function_secret(access_key_id) if access_key_id.startswith(_FUNCTION_KEY) else None

    def _function_secret(self, access_key_id: str) -> str:
        return _hmac(self.functions, "secret", access_key_id).hex()


def _hmac(secret: str, purpose: str, name: str) -> bytes:
    return hmac.new(secret.encode(), f"{purpose}:{name}".encode(), hashlib.sha256).digest()


def make() -> Credentials:
    """New credentials from the system's random numbers."""
    letters = base64.b32encode(secrets.token_bytes(10)).decode()
    return Credentials("AKIA" + letters, secrets.token_urlsafe(30), secrets.token_urlsafe(32))


def ensure(path: Path) -> Credentials:
    """Read the credentials of a service, or make and write them if there are none.

    Raises
    ------
    CredentialsError
        The file belongs to somebody else, others may read it, or it is damaged or cannot be written.
    """
    try:
        return read(path)
    except FileNotFoundError:
        made = make()
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as content:
            json.dump(asdict(made), content)
            content.flush()
            os.fsync(content.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CredentialsError(f"Cannot write {path}: {error.strerror}.") from error
    return read(path)


def read(path: Path) -> Credentials:
    """Read the credentials of a service.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CredentialsError
        The file belongs to somebody else, others may read it, or it is damaged.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CredentialsError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise CredentialsError(f"{path} is not a file of yours: delete it, the service makes a new one.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise CredentialsError(
                f"{path} can be used by others (mode {stat.S_IMODE(found.st_mode):04o}): delete it, the service makes a "
                "new one."
            )
        content = os.read(handle, 4096)
    finally:
        os.close(handle)
    try:
        values = json.loads(content)
        if not all(isinstance(value, str) and len(value) >= 20 for value in values.values()):
            raise ValueError
        return Credentials(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise CredentialsError(f"{path} is damaged: delete it, the service makes a new one.") from error
