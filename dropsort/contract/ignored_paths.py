"""Files that systems and programs leave next to images: `dropsort drop` leaves them out, and in the bucket they are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache

from dropsort.contract.defaults import IGNORED_PATTERNS

SEPARATOR = ","
DEFAULT = SEPARATOR.join(IGNORED_PATTERNS)

_SPECIAL = re.compile(r"[*?\[]")


class Matcher:
    """Whether a path has a part that one of the patterns matches, in any case.

    Parameters
    ----------
    patterns
        As a shell has them: ``*``, ``?`` and ``[...]``. One with a slash is compared with the whole path and with its leading
        folders; one that only ends in a slash is a name like any.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        cleaned = [pattern.strip("/").lower() for pattern in patterns if pattern.strip("/")]
        names = [pattern for pattern in cleaned if "/" not in pattern]
        paths = [pattern for pattern in cleaned if "/" in pattern]
        # Nearly all are plain names, beginnings and ends, which are compared ten times faster than by an expression.
        self._whole = frozenset(name for name in names if not _SPECIAL.search(name))
        self._begins = tuple(
            name[:-1] for name in names if name[-1] == "*" and not _SPECIAL.search(name[:-1])
        )
        self._ends = tuple(name[1:] for name in names if name[0] == "*" and not _SPECIAL.search(name[1:]))
        plain = {*self._whole, *(f"{name}*" for name in self._begins), *(f"*{name}" for name in self._ends)}
        self._others = _compiled(name for name in names if name not in plain)
        self._paths = _compiled(form for path in paths for form in (path, f"{path}/*"))
        self._folder = lru_cache(1024)(self._any_part)

    def __call__(self, path: str) -> bool:
        """Whether it matches.

        Examples
        --------
        >>> Matcher(IGNORED_PATTERNS)("cam1/._a.jpg"), Matcher(IGNORED_PATTERNS)("cam1/a.jpg")
        (True, False)
        """
        path = path.lower()
        if self._paths and self._paths.match(path):
            return True
        folder, _, name = path.rpartition("/")
        return self._part(name) or (bool(folder) and self._folder(folder))

    def _any_part(self, folder: str) -> bool:
        return any(map(self._part, folder.split("/")))

    def _part(self, name: str) -> bool:
        return (
            name in self._whole
            or name.startswith(self._begins)
            or name.endswith(self._ends)
            or (self._others is not None and self._others.match(name) is not None)
        )


def parse(text: str) -> Matcher:
    """The matcher of the patterns in a text such as `DEFAULT`, separated by commas.

    Examples
    --------
    >>> parse("*.txt, raw")("cam1/raw/a.jpg")
    True
    """
    return Matcher(pattern.strip() for pattern in text.split(SEPARATOR))


def is_folder_marker(key: str, size: int | None) -> bool:
    """Whether an object only stands for a folder, as consoles and file managers make them: no content, and a slash at the end."""
    return size == 0 and key.endswith("/")


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(translate(pattern) for pattern in patterns)
    return re.compile(joined) if joined else None
