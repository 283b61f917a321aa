"""Arguments and options of every command are those of interface.txt: names, types, ranges, defaults, flags, variables and words.

Scripts of others depend on them, and so does whoever reads --help.
After a change that is meant, ``python -m tests.unit.cli.test_interface`` writes the file again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from dropsort.cli.main import MODULES, dropsort
from dropsort.contract.resources import DEFAULT_MODEL

FILE = Path(__file__).with_name("interface.txt")


def kind(found: click.ParamType) -> str:  # type: ignore[type-arg]
    """A type, with its range, its choices, or what a path may be."""
    if isinstance(found, click.Choice):
        return "|".join(map(str, found.choices))
    if isinstance(found, click.IntRange | click.FloatRange):
        bounds = ("" if bound is None else f"{bound:g}" for bound in (found.min, found.max))
        number = "int" if isinstance(found, click.IntRange) else "float"
        return f"{number} {'..'.join(bounds)} ({found.name})"
    if isinstance(found, click.Path):
        names = ("exists", "file_okay", "dir_okay", "allow_dash")
        return " ".join(("path", *(name for name in names if getattr(found, name))))
    return found.name


def line(found: click.Parameter) -> str:
    """One argument or option."""
    parts = [f"{'/'.join((*found.opts, *found.secondary_opts))} -> {found.name}: {kind(found.type)}"]
    parts += [name for name in ("required", "multiple", "is_flag") if getattr(found, name, False)]
    if found.nargs != 1:
        parts.append(f"nargs {found.nargs}")
    if found.envvar:
        parts.append(f"variable {found.envvar}")
    value = found.to_info_dict()["default"]
    if value not in (None, False):
        parts.append(f"default {'models/bikes' if value == DEFAULT_MODEL else value!r}")
    if isinstance(found, click.Option):
        parts.append(f"{found.make_metavar(click.Context(dropsort))}: {found.help}")
        parts += ["shown"] if found.show_default else []
    return ", ".join(parts)


def interface() -> Iterator[str]:
    """The lines of the file."""
    for names in MODULES.values():
        for name in names:
            command = dropsort.get_command(click.Context(dropsort), name)
            assert command
            yield f"{name}\n"
            for found in command.params:
                yield f"  {line(found)}\n"


def test_the_interface_of_the_commands_is_what_scripts_depend_on() -> None:
    assert list(interface()) == FILE.read_text(encoding="utf-8").splitlines(keepends=True)


if __name__ == "__main__":
    FILE.write_text("".join(interface()), encoding="utf-8")
