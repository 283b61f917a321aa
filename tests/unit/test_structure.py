"""The package layout: which package may import which, no import circles, names of classes, and the length of modules, of tests too."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "dropsort.contract"
PARTS = {CONTRACT, "handlers", "monitoring", "training", "dropsort.client", "dropsort.deployment"}
# What each package may import of ours; itself and the contract always.
ALLOWED = {
    CONTRACT: set(),
    "handlers": set(),
    "monitoring": set(),
    "training": set(),
    "dropsort.client": set(),
    "dropsort.deployment": set(),
    "dropsort.pages": {"handlers", "monitoring", "training"},
    "dropsort.local": PARTS | {"dropsort.pages"},
    "dropsort.review": {"handlers", "monitoring", "dropsort.client", "dropsort.pages", "dropsort.local"},
    "dropsort.cli": PARTS | {"dropsort.pages", "dropsort.local", "dropsort.review"},
    "benchmarks": PARTS | {"dropsort.pages", "dropsort.local", "dropsort.cli", "dropsort.review"},
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ALLOWED
    for path in ROOT.joinpath(*package.split(".")).rglob("*.py")
}
MOST_LINES = 400


@cache
def imported(path: Path, *, at_import: bool = False) -> set[str]:
    """Full names of the modules that a module imports; `at_import`: outside functions and TYPE_CHECKING only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_import else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in inner}
    return names


def package_of(module: str) -> str | None:
    """Our package that a module belongs to."""
    return next(
        (package for package in ALLOWED if module == package or module.startswith(f"{package}.")), None
    )


def test_a_module_imports_only_what_its_package_may() -> None:
    for module, path in MODULES.items():
        own = package_of(module)
        assert own
        found = {package for name in imported(path) if (package := package_of(name))}
        assert found <= ALLOWED[own] | {own, CONTRACT}, module


def test_no_module_is_longer_than_a_few_screens() -> None:
    paths = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MOST_LINES} == {}


def classes_of(path: Path) -> list[str]:
    """Names of a module's classes, and of its type aliases, which are written like classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    aliases = [
        target.id
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name) and not ast.unparse(node.value).startswith("TypeVar(")
    ]
    return [
        *(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)),
        *(name for name in aliases if re.fullmatch(r"_*[A-Z]\w*[a-z]\w*", name)),
    ]


def test_no_two_classes_have_one_name() -> None:
    modules = defaultdict(list)
    for module, path in MODULES.items():
        for name in classes_of(path):
            modules[name].append(module)
    assert len(modules) > 300
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module: {name for name in imported(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    # A package's __init__ that re-exports depends on its modules; they do not depend on it for being below it.
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_subpackage_depends_on_itself_through_others() -> None:
    # GIVEN subpackages, and modules next to them, such as monitoring.ingest or handlers.serialize
    def unit(module: str) -> str:
        package = str(package_of(module))
        depth = package.count(".") + 2
        return ".".join(module.split(".")[:depth])

    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        others = {unit(name) for name in imported(path) if name in MODULES}
        graph.setdefault(unit(module), set()).update(others - {unit(module)})
    # THEN they can be put in an order in which each needs only earlier ones
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("heavy", ["torch", "sagemaker", "pandas", "scipy", "sklearn"])
def test_heavy_packages_are_imported_inside_functions_only(heavy: str) -> None:
    for module, path in MODULES.items():
        if package_of(module) in ("training", "benchmarks"):
            continue
        top = {name.split(".")[0] for name in imported(path, at_import=True)}
        assert heavy not in top, f"{module} imports {heavy} when it is imported"


def test_functions_import_nothing_that_their_layer_does_not_have() -> None:
    layer = {"aws_lambda_powertools", "botocore", "PIL"}
    types_only = {
        f"mypy_boto3_{name}" for name in ("s3", "sagemaker_runtime", "lambda", "stepfunctions", "events")
    }
    for module, path in MODULES.items():
        if package_of(module) == "handlers":
            others = {name.split(".")[0] for name in imported(path)}
            others -= layer | types_only | {"handlers", "dropsort"} | sys.stdlib_module_names
            assert not others, f"{module} imports {sorted(others)}"


@pytest.mark.parametrize("drawing", ["dropsort.pages", "jinja2", "matplotlib"])
def test_what_draws_pages_is_in_no_function(drawing: str) -> None:
    for module, path in MODULES.items():
        if package_of(module) in ("handlers", "monitoring"):
            found = [n for n in imported(path) if n == drawing or n.startswith(f"{drawing}.")]
            assert not found, f"{module} imports {found}"


def test_the_contract_needs_the_standard_library_alone() -> None:
    services = ("cloudformation", "cloudwatch", "lambda", "logs", "s3", "sagemaker", "stepfunctions", "sts")
    types_only = {f"mypy_boto3_{service}" for service in services}
    for module, path in MODULES.items():
        if package_of(module) == CONTRACT:
            others = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names
            assert others <= {"dropsort", *types_only}, f"{module} imports {sorted(others)}"
            at_import = {name.split(".")[0] for name in imported(path, at_import=True)}
            assert not at_import & types_only, f"{module} imports {sorted(at_import)} outside TYPE_CHECKING"


def test_what_torch_loads_is_data_alone() -> None:
    """Also where torch is not installed; tests/unit/training/test_checkpoint.py shows that it is."""
    calls = [
        node
        for path in sorted((ROOT / "training").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert calls
    for call in calls:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", ast.unparse(call)


def test_the_encoding_of_each_text_file_is_given() -> None:
    """Otherwise it is that of the user's locale."""
    for module, path in MODULES.items():
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and package_of(module) != "benchmarks"
        ]
        for call in calls:
            name, given = ast.unparse(call.func).split(".")[-1], [ast.unparse(one) for one in call.args]
            mode = [*given, "'r'"][name == "fdopen"]
            text = name in ("read_text", "write_text") or (
                name in ("open", "fdopen") and re.fullmatch("'[rwxa+t]+'", mode)
            )
            options = {one.arg for one in call.keywords}
            assert not text or options & {"encoding", "fileobj"}, f"{path}, line {call.lineno}"
