"""The credentials of one service: made at random, in a file that only its owner can read.

Clients sign with the access key and its secret. Functions get credentials of their own, which are derived from a third
secret: the emulator would derive them from public names alone, so that any user of the machine could sign as a function.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from dropsort.local.errors import CredentialsError

FILE = "credentials.json"
_FUNCTION_KEY = "ASIA"
_HALF = 8  # letters of a function's key: its own, and as many that prove it


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
        start = _FUNCTION_KEY + _letters(self.functions, "key", name)
        key = start + _letters(self.functions, "check", start)
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": self._function_secret(key),
            "AWS_SESSION_TOKEN": _hmac(self.functions, "token", key).hex(),
        }

    def secret_of(self, access_key_id: str) -> str | None:
        """Secret of a client's or a function's access key; None for a key that was not made here.

        The second half of a function's key proves that: what comes with a key that is made up is rejected before its payload is read.
        """
        if _same(access_key_id, self.access_key_id):
            return self.secret_access_key
        start, end = access_key_id[:-_HALF], access_key_id[-_HALF:]
        made = start.startswith(_FUNCTION_KEY) and _same(end, _letters(self.functions, "check", start))
        return self._function_secret(access_key_id) if made else None

    def proof(self, port: int, nonce: str) -> str:
        """What only a process that has these credentials, and serves this port, responds to a number made at random."""
        return _hmac(self.functions, f"ready:{port}", nonce).hex()

    def _function_secret(self, access_key_id: str) -> str:
        return _hmac(self.functions, "secret", access_key_id).hex()


# Every request comes with one of the same few keys.
@lru_cache(256)
def _hmac(secret: str, purpose: str, name: str) -> bytes:
    return hmac.digest(secret.encode(), f"{purpose}:{name}".encode(), "sha256")


@lru_cache(256)
def _letters(secret: str, purpose: str, name: str) -> str:
    return base64.b32encode(_hmac(secret, purpose, name)).decode()[:_HALF]


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


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
