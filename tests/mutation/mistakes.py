"""The mistakes in a Python module, each as the whole text: mutmut's, made with its operators, and those of operators.py.

Its runner is not used, as it changes functions only, and many a decision is a constant of a module.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

import libcst
from libcst.metadata import MetadataWrapper, ParentNodeProvider
from mutmut.mutation import mutators

from tests.mutation.operators import OPERATORS

SKIPPED = (
    libcst.Annotation,
    libcst.Import,
    libcst.ImportFrom,
    libcst.Raise,
    libcst.FormattedString,
    libcst.Decorator,
)
# Arguments that decide nothing: that both have the same length, the garbage collector, names of threads, what types need, and what
# a digest is for. That the encoding of a file is given, test_structure.py requires.
NEUTRAL = {"strict", "gc", "thread_name_prefix", "total", "encoding", "usedforsecurity"}


class _Found(libcst.CSTVisitor):
    """Collects what may be changed: not messages, docstrings, annotations, imports and exports."""

    def __init__(self) -> None:
        self.nodes: list[libcst.CSTNode] = []
        self._neutral: set[int] = set()

    def on_visit(self, node: libcst.CSTNode) -> bool:
        if isinstance(node, SKIPPED) or id(node) in self._neutral:
            return False
        self._neutral.update(map(id, _neutral(node)))
        if isinstance(node, libcst.Expr) and isinstance(
            node.value, (libcst.SimpleString, libcst.ConcatenatedString)
        ):
            return False
        if isinstance(node, libcst.Assign) and any(
            isinstance(one.target, libcst.Name) and one.target.value == "__all__" for one in node.targets
        ):
            return False
        if isinstance(node, libcst.Call):
            if _name(node.func) == "TypeVar":
                return False
            if isinstance(node.func, libcst.Name) and node.func.value == "cast":
                node.args[1].visit(self)  # the first is a type
                return False
        self.nodes.append(node)
        return True


def mistakes(code: str) -> Iterator[str]:
    """The module with each mistake in it."""
    wrapper = MetadataWrapper(libcst.parse_module(code))
    module, parents = wrapper.module, wrapper.resolve(ParentNodeProvider)
    parts = [module.code_for_node(statement) for statement in module.body]
    before = code[: code.index("".join(parts))]
    seen = {code}
    for number, statement in enumerate(module.body):
        start = before + "".join(parts[:number])
        end = code[len(start) + len(parts[number]) :]
        found = _Found()
        statement.visit(found)
        for node in found.nodes:
            for changed in _changed(node, parents.get(node)):
                # Within the statement: to copy the module for each mistake takes a quarter of a second.
                whole = changed if node is statement else statement.deep_replace(node, changed)  # type: ignore[arg-type]
                text = start + module.code_for_node(whole) + end  # type: ignore[arg-type]
                if text not in seen:
                    seen.add(text)
                    yield text


def _changed(node: libcst.CSTNode, parent: object) -> Iterator[libcst.CSTNode]:
    for kind, operator in mutators.mutation_operators:
        if not isinstance(node, kind) or operator is mutators.operator_assignment:
            continue
        if isinstance(node, libcst.SimpleString) and isinstance(parent, libcst.ConcatenatedString):
            continue
        for number, changed in enumerate(operator(node)):
            if operator is mutators.operator_string and number:
                break  # of a text one mistake is enough
            if operator is mutators.operator_lambda and _is_false(node):
                continue
            if operator is not mutators.operator_arg_removal or not (
                _is_none(changed)  # the types find it
                or len(_neutral(changed)) != len(_neutral(node))
            ):
                yield changed
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            yield from operator(node)


def _name(node: libcst.CSTNode) -> str:
    """The last part of a name with dots; empty of anything else."""
    last = node.attr if isinstance(node, libcst.Attribute) else node
    return last.value if isinstance(last, libcst.Name) else ""


def _is_false(node: libcst.CSTNode) -> bool:
    """Whether a lambda returns None or False: another value that is false is no mistake."""
    return (
        isinstance(node, libcst.Lambda)
        and isinstance(node.body, libcst.Name)
        and node.body.value in ("None", "False")
    )


def _neutral(node: libcst.CSTNode) -> list[libcst.Arg]:
    """The arguments of a call, or of the definition of a class, that decide nothing."""
    if isinstance(node, libcst.ClassDef):
        return [one for one in node.keywords if one.keyword is not None and one.keyword.value in NEUTRAL]
    if not isinstance(node, libcst.Call):
        return []
    names = NEUTRAL | {"name"} if _name(node.func) == "Thread" else NEUTRAL
    return [one for one in node.args if one.keyword is not None and one.keyword.value in names]


def _is_none(call: libcst.CSTNode) -> bool:
    return isinstance(call, libcst.Call) and any(
        isinstance(one.value, libcst.Name) and one.value.value == "None" for one in call.args
    )


def difference(before: str, after: str) -> str:
    """The lines that changed."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(
        line[0] + " " + line[1:].strip() for line in lines if not line.startswith(("---", "+++", "@@"))
    )
