"""With another version of ONNX Runtime installed, modelled memory says what it describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feasibility.ort_memory import version
from feasibility.ort_memory.version import MODELLED_VERSION, other_version_installed
from tests.tiny_models import mlp


@pytest.mark.parametrize("installed", [MODELLED_VERSION, f"{MODELLED_VERSION}.7", None])
def test_the_modelled_version_needs_no_warning(
    monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    monkeypatch.setattr(version, "_installed_version", lambda: installed)
    assert other_version_installed() == ()


@pytest.mark.parametrize("installed", ["1.24.0", f"{MODELLED_VERSION}0.1", "2.0.0"])
def test_another_version_is_named(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(version, "_installed_version", lambda: installed)
    (notice,) = other_version_installed()
    assert notice.code == "modelled-for-another-version"
    assert notice.message == (
        f"modelled memory describes ONNX Runtime {MODELLED_VERSION}, but {installed} is installed"
    )


@pytest.mark.parametrize("command", ["inspect", "measure", "check"])
def test_every_report_with_modelled_figures_says_so(tmp_path: Path, command: str) -> None:
    """The version is read from the package's metadata; `inspect` does not import the runtime."""
    information = tmp_path / "packages" / "onnxruntime-1.24.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Name: onnxruntime\nVersion: 1.24.0\n", "utf-8")
    model = mlp(tmp_path / "m.onnx")
    script = (
        "import sys; from feasibility.commands.app import run;"
        "from feasibility.measure import default_allocator_range as few; few._TIME_NS = 0;"
        "code = run(sys.argv[1:]);"
        "sys.exit(code or 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, command, str(model), "--json", "-q"],
        env={**os.environ, "PYTHONPATH": str(information.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert "modelled-for-another-version" in codes(document)
    assert versions(document) == {MODELLED_VERSION}


def codes(document: Any) -> set[str]:
    """The codes of all warnings in a document."""
    return {item["code"] for item in everything(document) if "message" in item and "code" in item}


def versions(document: Any) -> set[str]:
    return {item["runtime_version"] for item in everything(document) if "runtime_version" in item}


def everything(document: Any) -> list[dict[str, Any]]:
    """All objects of a document, also those inside others."""
    if isinstance(document, list):
        return [found for item in document for found in everything(item)]
    if not isinstance(document, dict):
        return []
    inner = [found for item in document.values() for found in everything(item)]
    return [document, *inner]
