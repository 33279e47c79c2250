"""Imports go downwards only, between rooms and inside them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import feasibility

ROOT = Path(__file__).parents[1]
PACKAGE = Path(feasibility.__file__).parent

# Rooms from top to bottom; rooms on one line do not import each other. A room may be a folder or
# a module; of the rooms that hold a file, the longest name is its own.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__", "pytest_plugin", "api"),
    ("commands",),
    ("render.terminal", "render.ci", "render.html", "render.notebook"),
    ("render.reports",),
    ("compare",),
    ("fit",),
    ("deploy",),
    ("budget",),
    # Words of a verdict's reasons: reports and lines of budgets print them.
    ("render.reports.reasons",),
    ("render.reports.change_texts",),
    ("systems",),
    ("decide",),
    ("predict.validation", "predict.this_device"),
    ("predict.projected_latency", "predict.projected_memory"),
    ("predict.latency.anchors", "predict.latency.interval"),
    ("predict.latency.likely_seconds",),
    ("predict.latency.coefficients", "predict.latency.measured_rates"),
    ("predict.latency",),
    ("predict.published_npu_times",),
    ("measure.prove", "measure.imports", "measure.this_machine"),
    ("measure",),
    ("measure.instruments",),
    ("rewrite.rewrite_model",),
    ("rewrite.drifting_node", "rewrite.external_weights"),
    ("rewrite.forked",),
    ("rewrite",),
    ("runners.named_runners",),
    ("runners.emulator", "runners.limits"),
    ("runners",),
    ("reading_cache",),
    ("facts",),
    ("ort_memory.modelled_memory",),
    ("ort_memory.load_stages", "ort_memory.graph_to_steps"),
    ("ort_memory",),
    ("graph.inputs", "graph.cost"),
    ("graph.shapes",),
    ("graph",),
    ("model_file.skeleton", "model_file.external_data", "model_file.tflite_file"),
    ("model_file.tensors",),
    ("model_file",),
    ("catalogue", "zoo"),
    ("json_documents", "output_drift"),
    ("records",),
    ("npy_header", "paths", "temporary_folders", "toml_key_errors"),
    ("text", "write_atomically"),
    ("units",),
    ("system_differences", "called_package"),
    ("errors",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The model and device layers hand records to renderers; renderers take nothing else.
RENDER_MAY_IMPORT = {"render", "records", "units", "text", "json_documents", "errors"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str | None:
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in names if name in LEVEL), None)


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = {module_of(path): path for path in sources()}


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, packages without code left out."""
    names = {name.removeprefix("feasibility.") for name in imported_modules(path)}
    return {name for name in names if name in MODULES and MODULES[name].name != "__init__.py"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    """A module imports its own room and the rooms below it."""
    own = room_of(module_of(path))
    if own is None:
        # The package itself names what is public, which is imported when it is used.
        public = {"api", "errors"} if path.parent == PACKAGE else set()
        assert imported(path) == public
        return
    rooms = {name: room_of(name) for name in imported(path)}
    upward = {
        name
        for name, room in rooms.items()
        if room is None or (room != own and LEVEL[room] <= LEVEL[own])
    }
    assert upward == set()


def test_every_module_has_a_layer() -> None:
    """A new folder or module has to be given its place above."""
    code = {name for name, path in MODULES.items() if path.name != "__init__.py"}
    assert {name for name in code if room_of(name) is None} == set()
    assert {name for name in LEVEL if name not in MODULES} == set()


def test_the_package_needs_no_development_tool() -> None:
    """The fit, the benchmarks and their libraries are not part of the wheel."""
    names = {name.split(".")[0] for path in sources() for name in imported_modules(path)}
    assert names & {"benchmarks", "calibration", "scipy", "tests"} == set()


def test_no_modules_import_each_other() -> None:
    """Inside a room, too, imports form no circle, not even for types."""
    imports = {name: imported(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()
    while ready := {name for name in imports if name not in done and imports[name] <= done}:
        done |= ready
    assert set(imports) - done == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "render").rglob("*.py")), ids=lambda p: p.name)
def test_renderers_know_records_only(path: Path) -> None:
    """A renderer can be used without measuring, and is tested with records alone."""
    assert {name.split(".")[0] for name in imported(path)} <= RENDER_MAY_IMPORT


def test_the_child_imports_nothing_of_the_package() -> None:
    """The child runs as a file on machines where the package is not installed."""
    files = sorted((PACKAGE / "runners" / "child").glob("*.py"))
    names = {name.split(".")[0] for path in files for name in imported_modules(path)}
    beside = {path.stem for path in files}
    assert names - beside - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize(
    "path",
    [
        p
        for folder in ("feasibility", "tests", "benchmarks", "calibration")
        for p in (ROOT / folder).rglob("*.py")
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_imports_tracemalloc(path: Path) -> None:
    """It cannot see native memory and slows numpy down."""
    assert [name for name in imported_modules(path) if name.split(".")[0] == "tracemalloc"] == []


def test_only_commands_print() -> None:
    """Nothing below the commands writes to stdout or stderr, or ends the process.

    The child and the agent on a remote machine are programs of their own, and the process
    that reads a model is a fork; `__main__` ends the process after the commands.
    """
    own = {"__main__", "runners.remote_agent", "facts.reader_process"}
    found = {
        name
        for name, path in MODULES.items()
        if name not in own and not name.startswith(("commands.", "runners.child."))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr)
        in {("sys", "stdout"), ("sys", "stderr"), ("sys", "exit"), ("os", "_exit")}
    }
    assert found == set()


def test_one_module_prints_errors() -> None:
    """Of the commands, only `report_error` writes a message that begins with its kind."""
    writers = {
        path.stem
        for path in sorted((PACKAGE / "commands").glob("*.py"))
        if "sys.stderr.write" in path.read_text(encoding="utf-8")
    }
    assert writers == {"report_error", "progress"}
