"""The mistakes that are put into Python: those of a small module."""

from __future__ import annotations

from tests import needs

needs.module("mutation", "mutmut")

from tests.mutation.mistakes import difference, mistakes  # noqa: E402

CODE = '''\
LIMIT = 5


def one(values, found):
    """A docstring."""
    if values and (found or LIMIT):
        found.append(1)
    for value in [each for each in sorted(values) if each]:
        found[value] = min(value, 7)
        continue
    try:
        found.clear()
    except (KeyError, OSError):
        raise
    except ValueError:
        return
'''
MADE = {difference(CODE, text) for text in mistakes(CODE)}


def made(before: str, *after: str) -> set[str]:
    """Which of these lines are written instead of one."""
    return {line for line in after if f"- {before}\n+ {line}" in MADE}


def test_a_number_is_one_more_and_one_less() -> None:
    assert made("LIMIT = 5", "LIMIT = 4", "LIMIT = 6") == {"LIMIT = 4", "LIMIT = 6"}


def test_a_condition_is_certain_and_each_part_of_it_is_left_out() -> None:
    wrong = {"if True:", "if False:", "if values:", "if (found or LIMIT):", "if values and (found):", "if values and (LIMIT):"}  # fmt: skip
    assert made("if values and (found or LIMIT):", *wrong) == wrong
    loop = "for value in [each for each in sorted(values) if each]:"
    wrong = {"for value in [each for each in sorted(values)]:", "for value in [each for each in (values) if each]:"}  # fmt: skip
    assert made(loop, *wrong) == wrong


def test_a_statement_is_missing() -> None:
    for line in ("found.append(1)", "found[value] = min(value, 7)", "continue", "found.clear()", "raise", "return"):  # fmt: skip
        assert made(line, "pass"), line
    assert not any("docstring" in one for one in MADE)


def test_a_limit_is_left_out() -> None:
    wrong = {"found[value] = (value)", "found[value] = (7)"}
    assert made("found[value] = min(value, 7)", *wrong) == wrong


def test_an_error_is_not_caught() -> None:
    wrong = {"except (KeyError, ):", "except (OSError,):"}
    assert {one.partition("+ ")[2] for one in MADE if one.startswith("- except (")} == wrong
    assert made("except ValueError:", "except ():")


def test_each_mistake_is_a_module() -> None:
    for text in mistakes(CODE):
        compile(text, "module", "exec")
