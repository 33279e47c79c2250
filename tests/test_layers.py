"""Imports go downwards only, and some modules are never imported at all."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "feasibility"

# Top to bottom; modules on one line do not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__", "pytest_plugin"),
    ("commands",),
    ("render",),
    ("budget", "place"),
    ("project",),
    ("measure",),
    ("graph", "probe", "catalogue", "zoo"),
    ("schema",),
    ("records",),
    ("paths", "text", "scratch"),
    ("units",),
    ("errors",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The model and device layers hand records to renderers; renderers take nothing else.
RENDER_MAY_IMPORT = {"records", "units", "text", "schema", "errors"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    names = [name.split(".") for name in imported_modules(path)]
    return {name[1] for name in names if name[0] == "feasibility" and name[1:2] != []} & set(LEVEL)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    """A module imports its own part and the layers below it."""
    own = part_of(path)
    if own == "__init__":
        return
    upward = {part for part in imported_parts(path) if part != own and LEVEL[part] <= LEVEL[own]}
    assert upward == set()


def test_every_part_has_a_layer() -> None:
    """A new folder or module has to be given its place above."""
    assert {part_of(path) for path in sources()} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", sorted((PACKAGE / "render").glob("*.py")), ids=lambda p: p.name)
def test_renderers_know_records_only(path: Path) -> None:
    """A renderer can be used without measuring, and is tested with records alone."""
    assert imported_parts(path) - {"render"} <= RENDER_MAY_IMPORT


def test_the_child_imports_nothing_of_the_package() -> None:
    """The child runs as a file on machines where the package is not installed."""
    files = sorted((PACKAGE / "probe" / "child").glob("*.py"))
    names = {name.split(".")[0] for path in files for name in imported_modules(path)}
    beside = {path.stem for path in files}
    assert names - beside - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


@pytest.mark.parametrize(
    "path",
    [p for folder in ("feasibility", "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_imports_tracemalloc(path: Path) -> None:
    """It cannot see native memory and slows numpy down."""
    assert [name for name in imported_modules(path) if name.split(".")[0] == "tracemalloc"] == []
