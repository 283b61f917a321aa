"""Files that systems and programs leave next to images: `dropsort drop` leaves them out, and in the bucket they are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

PATTERNS = (
    "._*", ".DS_Store", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".Trash-*", ".fseventsd", "__MACOSX", "Icon\r",  # macOS
    "Thumbs.db", "ehthumbs*.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information", "~$*",  # Windows and Office
    ".directory", ".nfs*", ".fuse_hidden*", "lost+found", ".~lock.*#",  # Linux
    "@eaDir", "#recycle", ".@__thumb", "@Recycle",  # network storage
    "*.tmp", "*.temp", "*.part", "*.partial", "*.crdownload", "*.filepart", "*.!ut", ".sb-*", "*.aria2",  # downloads and transfers
    ".git", ".svn", ".picasa.ini", ".gitkeep", ".gitignore",
)  # fmt: skip


class Matcher:
    """Whether a path has a part that one of the patterns matches, in any case.

    Parameters
    ----------
    patterns
        As a shell has them: ``*``, ``?`` and ``[...]``. One with a slash is held against the whole path.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = [pattern for pattern in patterns if pattern]
        self._names = self._compiled(pattern for pattern in patterns if "/" not in pattern)
        self._paths = self._compiled(pattern.strip("/") for pattern in patterns if "/" in pattern)

    @staticmethod
    def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
        joined = "|".join(translate(pattern) for pattern in patterns)
        return re.compile(joined, re.IGNORECASE) if joined else None

    def __call__(self, path: str) -> bool:
        """Whether it matches.

        Examples
        --------
        >>> Matcher(PATTERNS)("cam1/._a.jpg"), Matcher(PATTERNS)("cam1/a.jpg")
        (True, False)
        """
        if self._paths and self._paths.match(path):
            return True
        names = self._names
        return names is not None and any(names.match(part) for part in path.split("/"))
