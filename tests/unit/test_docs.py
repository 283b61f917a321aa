"""The documentation as a whole: every link resolves, every page is reachable from the index."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs" / "index.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [
    path
    for folder in ("handlers", "monitoring", "training", "dropsort", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__).resolve()
]
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"\bdocs/[\w/.-]+\.(?:md|json|svg)\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[str, Path, str]]:
    """The relative links of a page: as written, the file that each leads to, and the anchor."""
    found = []
    for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = unquote(target).partition("#")
            found.append((target, (page.parent / path).resolve() if path else page, anchor))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_resolves(page: Path) -> None:
    for target, path, anchor in links(page):
        assert path.exists(), f"{name(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(path), f"{name(page)} links to {target}: no such heading"


def test_every_page_is_reachable_from_the_index() -> None:
    direct = {path for _, path, _ in links(INDEX)}
    documents = {path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".json")}
    assert documents - {INDEX} <= direct


def test_the_readme_links_to_the_index() -> None:
    assert INDEX in {path for _, path, _ in links(ROOT / "README.md")}


def test_every_page_that_the_code_names_exists() -> None:
    for path in CODE:
        for page in NAMED.findall(path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{name(path)} names {page}, which does not exist"


def test_the_glossary_is_in_order_and_explains_each_term_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| \*\*(.+?)\*\* \| \S", text, re.MULTILINE)
    assert len(terms) > 50
    assert terms == sorted(set(terms), key=str.lower)


# ---- The architecture page -------------------------------------------------------------------------------------------

ARCHITECTURE = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("handlers", "monitoring", "training", "dropsort")


def section(heading: str) -> str:
    return ARCHITECTURE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_package_map_has_every_package_and_no_other() -> None:
    found = {
        f"{name(path.parent)}/"
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
        if "resources" not in path.parts
    } - {"dropsort/"}
    listed = set(re.findall(r"^\| `([\w/]+/)` \| \S", section("Package layout"), re.MULTILINE))
    others = {"infra/", "benchmarks/", "models/", "dropsort/resources/"}
    assert listed - others == found
    assert all((ROOT / package).is_dir() for package in listed)


def test_every_step_of_an_item_is_a_module() -> None:
    steps = re.findall(
        r"^\| .+ \| `([\w/.]+)` \|$", section("Follow one item through the code"), re.MULTILINE
    )
    assert len(steps) > 35
    for step in steps:
        assert (ROOT / step).exists(), f"the architecture page names {step}, which does not exist"


def trace(heading: str) -> list[tuple[bool, str]]:
    """The steps of one item: whether an earlier step calls it, and its module."""
    part = section("Follow one item through the code").split(f"### {heading}\n")[1].split("\n### ")[0]
    return [
        (words.startswith("…"), step)
        for words, step in re.findall(r"^\| (.+) \| `([\w/.]+)` \|$", part, re.MULTILINE)
    ]


def imported_modules(path: Path) -> set[str]:
    """Files and packages of ours that a module imports, also through a package that hands them on."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {name.replace(".", "/") for name in names}
    packages = {name for name in found if (ROOT / name / "__init__.py").is_file()}
    for name in packages:
        init = ROOT / name / "__init__.py"
        if init != path:
            found |= imported_modules(init)
    return found


ITEMS = (
    "One upload",
    "One capture file",
    "One review",
    "One dataset of reviews",
    "One run of the backlog",
    "One deletion",
    "One training folder",
    "One deployment",
)


def test_every_item_is_followed() -> None:
    assert re.findall(r"^### (.+)$", section("Follow one item through the code"), re.MULTILINE) == [*ITEMS]


@pytest.mark.parametrize("item", ITEMS)
def test_every_inner_step_of_an_item_is_imported_by_an_earlier_one(item: str) -> None:
    steps = trace(item)
    assert len(steps) > 5
    for number, (inner, step) in enumerate(steps):
        if inner and step.endswith(".py") and step != "training/inference.py":  # in the endpoint's container
            earlier = [ROOT / before for _, before in steps[:number] if before.endswith(".py")]
            callers = [path for path in earlier if step.removesuffix(".py") in imported_modules(path)]
            assert callers, f"no step before {step} imports it"


# ---- Form ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_are_wrapped_and_tables_fit_a_screen(page: Path) -> None:
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if not line.startswith(("|", "![")) and len(line) > 120] == []
    # Without the targets of links, which a reader does not see.
    rows = [LINK.sub("]", line) for line in lines if line.startswith("|")]
    assert [row for row in rows if len(row) > 165] == []
