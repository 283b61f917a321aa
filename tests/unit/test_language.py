"""The words of the documentation, the commands, the template and the docstrings: the field's terms, no private vocabulary."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from dropsort.cli.main import MODULES, dropsort
from tests.unit.infra.template import TEMPLATE

ROOT = Path(__file__).resolve().parents[2]

COUNTED = "lines?|images|uploads|requests|captures|records|frames|files|bytes|ms|milliseconds|seconds|MB|GB|KB|dollars"
AFTER_NO = "more|less|fewer|other|such|reason|(?:long|new|old|larg|small|short|bett|sur|lat)er"
PER = "second|minute|hour|day|week|month|year|million|pixel|bin"

# What not to write, and what to write instead. Senses that are right are in ALLOWED.
WORDS = {
    r"pictures?|photos?": "image",
    r"the way of an image|house|rooms?": "data flow; package layout; subpackages",
    r"travels?|travell\w+|fit to travel": "sent; normalised to fit the Step Functions payload limit",
    r"answer(s|ed|ing)?": "prediction, response; returns",
    r"said|told|tells?|asked|asks": "returns, requests, reports",
    r"a look|looks|looked|looking": "check, run, poll",
    r"refus(e|es|ed|al|als|ing)|nonsense": "reject, rejection; invalid prediction",
    r"twins?": "near-duplicates",
    r"beside": "with, next to, in addition to",
    r"leash|guardian|pickup|last life": "lifeline pipe; supervisor; automatic redrive; previous run",
    r"who is told|trust out": "alarm notifications; drift reports and metrics",
}
# Also not in what users and readers of the code meet; tests have names of their own.
PHRASES = {
    r"unwell|endpoint is (?:not )?well": "unhealthy; healthy",
    r"doubtful|unsure": "low-confidence, of low confidence",
    r"by hand": "manually; a manual start",
    r"promised|promises|(?:broken|breaks?) promise": "target; guarantee; declared, of a header",
    r"for ever|forever": "indefinitely, without expiry",
    r"story|stories": "history",
    r"hands? (?:in|on|over)|handed (?:in|on|over)": "submit, pass on",
    r"speaks?|spoke": "supports; shows",
    r"(?:knows|know|knew) (?:no|of no)": "has no, does not support",
    r"anew": "again; from the beginning; as an option: rebuild",
    r"drained|good once|(?:if|as|where) (?:that|it) is wanted": "finished; valid once; say under which condition",
    r"behind (?:the last|its last|changed)": "after",
    # "There is no" and "is no longer" are right.
    rf"(?<!here )(?:is|are|was|were) no (?!(?:{AFTER_NO})\b)[a-z]\w*": "is not a, are not",
    rf"(?:{COUNTED}) an? (?:{PER})": "per, as in images per second",
    r"(?<=\$)[\d.,]+ an? (?:million|month|image|hour|gigabyte|GB|TB)": "per, as in $1 per million",
}
ALLOWED = re.compile(
    r"asks for confirmation|looks? up|looking up|looked up|Connection refused|ConnectionRefused\w*|picture header",
    re.IGNORECASE,
)


class Forbidden:
    """Words with what to write instead; most texts have none, which one search shows."""

    def __init__(self, words: dict[str, str]) -> None:
        self._each = {re.compile(rf"\b(?:{one})\b", re.IGNORECASE): instead for one, instead in words.items()}
        self._any = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)

    def violations(self, text: str) -> list[str]:
        """The words of the text that are not to be written, with what to write instead."""
        text = ALLOWED.sub("", text)
        if not self._any.search(text):
            return []
        return [
            f"{found[0]!r} (write: {instead})"
            for words, instead in self._each.items()
            for found in words.finditer(text)
        ]


violations = Forbidden(WORDS | PHRASES).violations
violations_of_tests = Forbidden(WORDS).violations
NAMES = re.compile(r"^(twins|kept|pictures?|places?|here|watching|pickup|guardian|leash|usual|answers?)$")

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TEMPLATES = [*ROOT.glob("dropsort/*/templates/*.html"), *ROOT.glob("dropsort/*/static/*.js")]
PACKAGES = ("dropsort", "handlers", "monitoring", "training", "benchmarks")
MODULE_FILES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "resources" not in path.parts
]


def prose(markdown: str) -> str:
    """The text of a page without code, links and the names of files."""
    text = re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


KINDS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def definitions(path: Path) -> list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The module, its classes and its functions, however deep; no expression has one."""
    found, rest = [], list[ast.AST]([ast.parse(path.read_text(encoding="utf-8"))])
    while rest:
        node = rest.pop()
        if isinstance(node, KINDS):
            found.append(node)
        rest += [inner for inner in ast.iter_child_nodes(node) if not isinstance(inner, ast.expr)]
    return found


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages(page: Path) -> None:
    assert violations(prose(page.read_text(encoding="utf-8"))) == []


def test_pages_of_html() -> None:
    assert len(TEMPLATES) > 5
    found = {name(page): violations(page.read_text(encoding="utf-8")) for page in TEMPLATES}
    assert {page: bad for page, bad in found.items() if bad} == {}


@pytest.mark.parametrize("command", [verb for verbs in MODULES.values() for verb in verbs])
def test_help_of_commands(command: str) -> None:
    found = dropsort.get_command(click.Context(dropsort), command)
    assert found is not None
    assert violations(found.get_help(click.Context(found, info_name=command, max_content_width=1000))) == []


def descriptions(value: Any) -> Iterator[str]:
    """Every text of the template that a person reads."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if (
                key
                in (
                    "Description",
                    "AlarmDescription",
                    "AssertDescription",
                    "ConstraintDescription",
                    "Comment",
                )
                or key == "Label"
            ):
                yield str(inner)
            else:
                yield from descriptions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from descriptions(inner)


def test_descriptions_of_the_template() -> None:
    found = list(descriptions(TEMPLATE))
    assert len(found) > 60
    assert [(text, bad) for text in found if (bad := violations(text))] == []


def test_docstrings_and_names_of_modules_and_classes() -> None:
    for module in MODULE_FILES:
        nodes = definitions(module)
        texts = [ast.get_docstring(node) or "" for node in nodes]
        found = [bad for text in texts if (bad := violations(re.sub(r"``?[^`]*``?", "", text)))]
        assert found == [], name(module)
        names = [module.stem, *(node.name.lower() for node in nodes if isinstance(node, ast.ClassDef))]
        assert [found for found in names if NAMES.match(found)] == [], name(module)


def comments(path: Path) -> list[str]:
    """The comments of a module; none if none of them can have a word that is not to be written."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "#" in line]
    if not any(violations(re.sub(r"`[^`]*`", "", line)) or violations(line) for line in lines):
        return []  # cutting a module into tokens takes a hundred times as long
    with path.open("rb") as code:
        return [token.string for token in tokenize.tokenize(code.readline) if token.type == tokenize.COMMENT]


def messages(path: Path) -> list[str]:
    """Messages, help and titles of a module: its texts of several words; none if none can have a word that is not to be written."""
    source = path.read_text(encoding="utf-8")
    if not any(
        violations(re.sub(r"`[^`]*`", "", text)) for text in re.findall(r'"([^"\n]* [^"\n]*)"', source)
    ):
        return []  # parsing a module takes ten times as long
    module = ast.parse(source)
    documented = [node for node in ast.walk(module) if isinstance(node, KINDS) and ast.get_docstring(node)]
    docstrings = {id(node.body[0].value) for node in documented if isinstance(node.body[0], ast.Expr)}
    texts = [
        node for node in ast.walk(module) if isinstance(node, ast.Constant) and id(node) not in docstrings
    ]
    return [node.value for node in texts if isinstance(node.value, str) and " " in node.value.strip()]


def test_messages() -> None:
    for path in MODULE_FILES:
        found = [bad for text in messages(path) if (bad := violations(re.sub(r"`[^`]*`", "", text)))]
        assert found == [], name(path)


def test_comments() -> None:
    for module in MODULE_FILES:
        texts = [re.sub(r"`[^`]*`", "", comment) for comment in comments(module)]
        assert [bad for text in texts if (bad := violations(text))] == [], name(module)


def test_comments_docstrings_and_names_of_tests() -> None:
    found = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__).resolve():
            continue
        nodes = definitions(path)
        texts = [*comments(path), *(ast.get_docstring(node) or "" for node in nodes)]
        texts += [
            node.name.replace("_", " ")
            for node in nodes
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        if any(violations_of_tests(re.sub(r"``?[^`]*``?", "", text)) for text in texts):
            found.add(name(path).removeprefix("tests/"))
    assert found == set(), "words that are not to be written, see WORDS"


def test_the_words_are_found() -> None:
    assert violations("A picture is made fit to travel; the model answers, looks and refuses nonsense.") != []
    assert violations("Shows what is deleted and asks for confirmation.") == []
    for text in (
        "It is no JSON.",
        "Labels that are no text.",
        "It is no number.",
        "ten images a second",
        "$5 a million",
        "It begins anew.",
        "a byte behind the last",
    ):
        assert len(violations(text)) == 1, text
    for text in (
        "There is no JSON.",
        "It is no longer a file.",
        "images a person reviews",
        "A second image.",
        "behind a gate",
    ):
        assert violations(text) == [], text
