"""The files around the package agree with it: CI, pins, build."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import feasibility

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {package.lower().replace("_", "-"): version for package, version in found}


def minor_release(version: str) -> tuple[int, int]:
    major, minor, *_ = (*version.split("."), "0")
    return int(major), int(minor)


def lower_bounds() -> dict[str, str]:
    requirements = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"].get("optional-dependencies", {}).values():
        requirements += extra
    bounds = (requirement.partition(";")[0] for requirement in requirements)
    return dict(bound.strip().split(">=") for bound in bounds)


def test_the_oldest_versions_are_those_that_are_allowed() -> None:
    """CI tests the first release that exists at or above each lower bound."""
    oldest = pins("constraints-oldest.txt")
    bounds = lower_bounds()
    assert oldest.keys() == {name.lower() for name in bounds}
    for name, bound in bounds.items():
        assert minor_release(oldest[name.lower()]) == minor_release(bound), name


def test_every_dependency_is_pinned() -> None:
    """A fresh clone installs the versions that were tested."""
    names = {name.lower() for name in lower_bounds()}
    names |= {re.split("[>=]", each)[0].lower() for each in PROJECT["dependency-groups"]["dev"]}
    assert names - pins("constraints.txt").keys() == set()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_actions_and_ask_for_no_rights(path: Path) -> None:
    """A tag of somebody else's repository can move; a commit cannot."""
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.+)", text)
    assert used
    assert [
        each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", each)
    ] == []
    assert "\npermissions: {}\n" in text


def test_workflows_call_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    called = {
        name for path in WORKFLOWS for name in re.findall(r"make ([a-z]+)", path.read_text("utf-8"))
    }
    assert called
    assert called <= targets


def test_ci_runs_every_python_that_is_promised() -> None:
    """The classifiers of pyproject.toml and the matrix of ci.yml list the same versions."""
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    matrix = re.search(r"python: \[(.+)\]", (ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    assert matrix is not None
    assert re.findall(r"3\.\d+", matrix[1]) == promised


PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
# Files of a user, or names that a recipe stands for.
_OTHERS = {"feasibility.toml", "pyproject.toml", "my_board.toml", "devices/my_board.toml"}
_OTHERS |= {"load_model.py"}  # which `fit` writes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_name_files_that_exist(page: Path) -> None:
    """`render/rows/reasons.py`, `judge_limit.py` or `profiles/published.csv` is in the project."""
    package = Path(feasibility.__file__).parent
    known = [
        f"/{path.as_posix()}"
        for folder in (
            package,
            *(ROOT / name for name in ("tests", "benchmarks", "calibration", "profiles")),
        )
        for path in folder.rglob("*.*")
    ]
    text = page.read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?<![\w./-])((?:[a-z_]+/)*[a-z_0-9]+\.(?:py|toml|csv))(?![\w*])", text)
    )
    assert {
        name for name in named - _OTHERS if not any(path.endswith(f"/{name}") for path in known)
    } == set()
