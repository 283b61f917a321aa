"""HTML by Jinja2, with autoescaping everywhere: whatever comes from captures, models or AWS is text, never markup.

Templates, style sheet and scripts are files of this package. A page loads nothing: its content security policy allows its own
scripts by their digests, inline styles, and images as data URIs.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dropsort.contract.errors import DropsortError
from dropsort.pages import svg


class PageError(DropsortError):
    """A page or an image file cannot be written; the message names it."""


def environment() -> Environment:
    """The templates of this package."""
    found = Environment(
        loader=PackageLoader("dropsort.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    found.filters["drawing"] = svg.draw
    found.filters["sample"] = svg.sample
    return found


@functools.cache
def _environment() -> Environment:
    return environment()


def render(
    template: str, *, scripts: Sequence[str] = (), env: Environment | None = None, **context: Any
) -> str:
    """A page.

    Parameters
    ----------
    template
        A file of ``templates/`` that extends ``page.html``.
    scripts
        Files of ``templates/`` that the page runs.
    env
        The templates; by default those of `environment`.
    context
        What the template shows; any text in it is escaped.
    """
    env = env or _environment()
    digests = [_digest(env.get_template(name).render()) for name in scripts]
    return env.get_template(template).render(scripts=scripts, digests=digests, **context) + "\n"


def save(page: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    PageError
        It cannot be written.
    """
    temporary = page.with_name(f".{page.name}.{os.getpid()}.part")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(text.encode("utf-8", "replace"))  # a label may hold half a surrogate pair
        os.replace(temporary, page)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise PageError(f"{page}: cannot write the page ({error.strerror or error})") from error


def page_file(out: Path, name: str) -> Path:
    """The file of a page: the one that is given, or ``name`` in the folder that is given."""
    return out if out.suffix.lower() in (".html", ".htm") else out / name


def _digest(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
