"""Mistakes that mutmut does not make: a statement, or a part of a condition, that is missing; a smaller number.

Each operator takes a node of a module and yields what is written instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import libcst

NOTHING = libcst.Tuple([], lpar=[libcst.LeftParen()], rpar=[libcst.RightParen()])
UNWRAPPED = ("sorted", "abs")
CHOICES = ("min", "max")


def smaller_number(node: libcst.Integer) -> Iterator[libcst.CSTNode]:
    """A whole number is one less; mutmut makes it one more."""
    if node.evaluated_value > 0:
        yield node.with_changes(value=str(node.evaluated_value - 1))


def certain_condition(node: libcst.If) -> Iterator[libcst.CSTNode]:
    """The condition holds always, or never; but that of imports that only the types need."""
    if isinstance(node.test, libcst.Name) and node.test.value == "TYPE_CHECKING":
        return
    for name in ("True", "False"):
        yield node.with_changes(test=libcst.Name(name), whitespace_before_test=libcst.SimpleWhitespace(" "))


def part_of_condition(node: libcst.BooleanOperation) -> Iterator[libcst.CSTNode]:
    """One side of `and` or `or` is missing."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=[*node.lpar, *side.lpar], rpar=[*side.rpar, *node.rpar])


def condition_of_comprehension(node: libcst.CompFor) -> Iterator[libcst.CSTNode]:
    """All items are taken."""
    for number in range(len(node.ifs)):
        yield node.with_changes(ifs=[*node.ifs[:number], *node.ifs[number + 1 :]])


def missing_statement(node: libcst.SimpleStatementLine) -> Iterator[libcst.CSTNode]:
    """A call, an assignment to a part of something, or a jump is missing; where a name is missing, the types find it."""
    (first, *others) = node.body
    if others or not _acts(first):
        return
    yield node.with_changes(body=[libcst.Pass()])


def _acts(statement: libcst.BaseSmallStatement) -> bool:
    if isinstance(statement, libcst.Expr):
        return not isinstance(statement.value, (libcst.BaseString, libcst.Ellipsis))
    if isinstance(statement, libcst.Return):
        return statement.value is None
    if isinstance(statement, libcst.Assign):
        return isinstance(statement.targets[0].target, (libcst.Subscript, libcst.Attribute))
    return isinstance(statement, (libcst.AugAssign, libcst.Raise, libcst.Continue, libcst.Break))


def error_not_caught(node: libcst.ExceptHandler) -> Iterator[libcst.CSTNode]:
    """One of the errors is not caught."""
    if isinstance(node.type, libcst.Tuple) and len(node.type.elements) > 1:
        for number in range(len(node.type.elements)):
            left = [*node.type.elements[:number], *node.type.elements[number + 1 :]]
            yield node.with_changes(type=node.type.with_changes(elements=left))
    elif node.type is not None:
        yield node.with_changes(type=NOTHING)


def missing_function(node: libcst.Call) -> Iterator[libcst.CSTNode]:
    """What is sorted, limited or without a sign is taken as it is."""
    name = node.func.value if isinstance(node.func, libcst.Name) else ""
    values = [one.value for one in node.args if not one.keyword and not one.star]
    if (name in UNWRAPPED and len(values) >= 1) or (name in CHOICES and len(values) >= 2):
        for value in values if name in CHOICES else values[:1]:
            yield value.with_changes(
                lpar=[libcst.LeftParen(), *value.lpar], rpar=[*value.rpar, libcst.RightParen()]
            )


OPERATORS: tuple[tuple[type[libcst.CSTNode], Callable[[Any], Iterator[libcst.CSTNode]]], ...] = (
    (libcst.Integer, smaller_number),
    (libcst.If, certain_condition),
    (libcst.BooleanOperation, part_of_condition),
    (libcst.CompFor, condition_of_comprehension),
    (libcst.SimpleStatementLine, missing_statement),
    (libcst.ExceptHandler, error_not_caught),
    (libcst.Call, missing_function),
)
