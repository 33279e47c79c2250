"""Runs command lines with the stages behind them replaced by ones that only answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from feasibility.commands.app import run
from feasibility.errors import ModelError
from tests import samples


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass
class Stages:
    """Stand-ins for reading, measuring and assessing, and what they were asked."""

    inspected: list[tuple[Path, Mapping[str, int]]] = field(default_factory=list)
    measured: list[tuple[Path, Any]] = field(default_factory=list)
    while_measuring: Callable[[Path], None] = lambda path: None

    def inspect_model(self, path: Path, *, dims: Mapping[str, int] | None = None) -> Any:
        self.inspected.append((path, dict(dims or {})))
        self._fail_for(path)
        return samples.facts()

    def measure_model(self, path: Path, options: Any, progress: Any, machine: Any = None) -> Any:
        self.measured.append((path, options))
        progress(0, 2, "latency")
        progress(1, 2, "memory")
        progress(2, 2, "")
        self.while_measuring(path)
        self._fail_for(path)
        return samples.profile()

    def assess_model(
        self, profile: Any, devices: Any, requirements: Any, emulated: Any = ()
    ) -> Any:
        return samples.model_assessment()

    def _fail_for(self, path: Path) -> None:
        if path.name.startswith("broken"):
            raise ModelError(f"Cannot read {path.name}", "it ends too early", "download it again")
        if path.name.startswith("bug"):
            raise ZeroDivisionError("division by zero\x1b[2J")
        if path.name.startswith("slow"):
            raise KeyboardInterrupt


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    emulated_core = Stages()
    for module, name in (
        ("feasibility.facts.read_model", "inspect_model"),
        ("feasibility.measure.measure_model", "measure_model"),
        ("feasibility.decide.recommendation", "assess_model"),
    ):
        replacement = ModuleType(module)
        setattr(replacement, name, getattr(emulated_core, name))
        monkeypatch.setitem(sys.modules, module, replacement)
    return emulated_core


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def call(*args: object) -> Result:
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
