"""HTML by Jinja2, with autoescaping everywhere: whatever comes from captures, models or AWS is text, never markup,
and has a replacement character for each control character and mark of direction.

Templates, style sheet and scripts are files of this package. A page loads nothing: its content security policy allows its own
scripts by their digests, inline styles, and images as data URIs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dropsort.contract import written_files
from dropsort.contract.errors import DropsortError
from dropsort.contract.text import printable
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
        finalize=_without_control_characters,
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    found.filters["drawing"] = svg.draw
    found.filters["sample"] = svg.sample
    return found


def _without_control_characters(value: object) -> object:
    """What a template writes for a value: text of others cannot show another name than the one that is there."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # markup, whose values were here already
        return value
    return "\n".join(map(printable, value.split("\n")))


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
    """Write a page whole or not at all; to a device or a FIFO as it is.

    Raises
    ------
    PageError
        It cannot be written.
    """
    try:
        # A label may hold half a surrogate pair.
        with written_files.writing(page, errors="replace") as output:
            output.write(text)
    except OSError as error:
        raise PageError(f"{page}: cannot write the page ({error.strerror or error})") from error


def page_file(out: Path, name: str) -> Path:
    """The file of a page: the one that is given, which may be a device or a FIFO, or ``name`` in the folder that is given."""
    page = out.suffix.lower() in (".html", ".htm") or not (out.is_dir() or written_files.replaceable(out))
    return out if page else out / name


def _digest(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
