"""What a command line imports before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from feasibility.commands.app import COMMANDS

HEAVY = ("jinja2", "numpy", "onnx", "onnxruntime", "memray", "psutil", "rich", "msgspec")

_REPORT = """
import json, sys
from feasibility.commands.app import run
code = run(json.loads(sys.argv[1]))
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_after(*args: str) -> tuple[int, set[str]]:
    result = subprocess.run(
        [sys.executable, "-c", _REPORT, json.dumps(args)],
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(result.stderr.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    "args", [(), ("--help",), ("--version",), ("chekc",)], ids=lambda args: " ".join(args) or "none"
)
def test_the_front_door_imports_nothing_heavy(args: tuple[str, ...]) -> None:
    code, modules = modules_after(*args)
    assert code == (2 if args == ("chekc",) else 0)
    assert modules.intersection(HEAVY) == set()
    assert [name for name in modules if name.startswith("feasibility.commands.")] == [
        name for name in modules if name in _FRONT_DOOR
    ]


_FRONT_DOOR = {"feasibility.commands.app", "feasibility.commands.report_error"}


@pytest.mark.parametrize("command", [*COMMANDS, "budget check", "budget init", "devices this"])
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    code, modules = modules_after(*command.split(), "--help")
    assert code == 0
    assert f"feasibility.commands.{command.partition(' ')[0]}" in modules
    assert modules.intersection(HEAVY) == set()


def test_reading_a_profile_again_imports_no_runtime() -> None:
    code, modules = modules_after("schema", "profile")
    assert code == 0
    assert modules.intersection({"numpy", "onnx", "onnxruntime", "memray", "psutil"}) == set()


def test_projecting_needs_no_numbers_library() -> None:
    """A saved profile is projected without what measures and fits."""
    code = "import feasibility.predict.projected_latency, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(loaded).intersection({"numpy", "onnx", "onnxruntime", "memray", "psutil"}) == set()
