"""JSON files that commands read and write: a regular file is replaced whole or not at all, anything else is written to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from dropsort.contract import written_files
from dropsort.contract.text import escaped_json
from dropsort.contract.times import moment

_STANDARD_OUTPUT = "-"


def is_standard_output(target: Path | None) -> bool:
    """Whether a file of an option is standard output: ``-`` or ``/dev/stdout``."""
    return target is not None and (str(target) == _STANDARD_OUTPUT or written_files.descriptor(target) == 1)


def read_json(path: Path, advice: str) -> Any:
    """The content of a JSON file; the error names the file and ends with the advice."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{path} is not JSON ({error}): {advice}.") from error


def write_json(target: Path | None, document: Any) -> None:
    """Write a document to the file of ``--json``; nothing without one."""
    if target is not None:
        with writing(target) as output:
            output.write(
                escaped_json(json.dumps(document, indent=2, ensure_ascii=False, default=_text)) + "\n"
            )


def _text(value: Any) -> str:
    return moment(value) if isinstance(value, datetime) else str(value)


def write_json_lines(target: Path | None, documents: Iterable[Any]) -> None:
    """Write documents to the file of ``--json``, one per line; nothing without one."""
    if target is not None:
        with writing(target) as output:
            for document in documents:
                output.write(escaped_json(json.dumps(document, ensure_ascii=False)) + "\n")


@contextmanager
def writing(target: Path) -> Iterator[TextIO]:
    """Open a file for writing, as :func:`dropsort.contract.written_files.writing` does; ``-`` is standard output."""
    if str(target) == _STANDARD_OUTPUT:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with written_files.writing(target) as output:
            yield output
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror or error}.") from error
