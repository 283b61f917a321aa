"""The house: who may import whom, and that no folder depends on itself through others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "handlers": set(),
    "infra": set(),
    "monitoring": set(),
    "training": set(),
    "client": {"handlers"},
    "local": {"handlers", "infra", "client", "monitoring", "training"},
    "cli": {"handlers", "infra", "client", "monitoring", "training", "local"},
    "bench": {"handlers", "infra", "client", "monitoring", "training", "local", "cli"},
}


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_it_may(folder):
    for path in (ROOT / folder).rglob("*.py"):
        ours = imported(path) & ALLOWED.keys() - {folder}
        assert ours <= ALLOWED[folder], f"{path.relative_to(ROOT)} imports {sorted(ours - ALLOWED[folder])}"


@pytest.mark.parametrize("heavy", ["torch", "sagemaker", "pandas", "scipy", "sklearn"])
def test_heavy_packages_are_imported_inside_functions_only(heavy):
    for folder in ("handlers", "infra", "client", "local", "cli", "monitoring"):
        for path in (ROOT / folder).rglob("*.py"):
            top = {
                alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module).split(".")[0]
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            assert heavy not in top, f"{path.relative_to(ROOT)} imports {heavy} when it is imported"


def test_functions_import_nothing_that_their_layer_does_not_have():
    layer = {"aws_lambda_powertools", "botocore", "PIL"}
    standard = __import__("sys").stdlib_module_names
    for path in (ROOT / "handlers").glob("*.py"):
        others = (
            imported(path)
            - layer
            - {"handlers"}
            - standard
            - {"mypy_boto3_s3", "mypy_boto3_sagemaker_runtime"}
        )
        assert not others, f"{path.name} imports {sorted(others)}"


def test_no_room_depends_on_itself_through_others():
    # GIVEN the rooms of the house: a folder, or a module that stands beside folders
    def room(name: str) -> str:
        parts = name.split(".")
        package = ROOT.joinpath(*parts[:2])
        return ".".join(parts[:2]) if len(parts) > 2 or package.with_suffix(".py").exists() else name

    needs: dict[str, set[str]] = {}
    for folder in ALLOWED:
        for path in (ROOT / folder).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    inner = [f"{node.module}.{alias.name}" for alias in node.names]
                    found = [
                        item if ROOT.joinpath(*item.split(".")).with_suffix(".py").exists() else node.module
                        for item in inner
                    ]
                    needs.setdefault(room(name), set()).update(
                        room(item) for item in found if item.split(".")[0] in ALLOWED
                    )
    # WHEN what needs nothing is taken away, again and again
    left = {
        name: {other for other in others if other in needs and other != name}
        for name, others in needs.items()
    }
    while free := {name for name, others in left.items() if not others}:
        left = {name: others - free for name, others in left.items() if name not in free}
    # THEN nothing stays
    assert not left
