"""The ready-made pieces for CI say what the program understands."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from feasibility.budget.budget_file import parse_config
from feasibility.budget.metrics import METRICS
from feasibility.commands.budget_formats import RENDERERS
from feasibility.render.ci.markdown import MARKER

ROOT = Path(__file__).parents[1]
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
GITLAB = (ROOT / "docs" / "gitlab-ci.yml").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")


def scripts() -> list[str]:
    """The shell scripts of the action."""
    blocks = re.findall(r"\n {6}run: \|\n((?: {8}.*\n|\n)+)", ACTION)
    return [re.sub(r"^ {8}", "", block, flags=re.MULTILINE) for block in blocks]


def test_the_scripts_of_the_action_are_shell() -> None:
    found = scripts()
    assert len(found) == 3
    for script in found:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_no_expression_is_pasted_into_a_script() -> None:
    """A branch may be called `$(rm -rf /)`: expressions reach scripts as variables only."""
    assert [script for script in scripts() if "${{" in script] == []


def test_the_action_looks_for_the_marker_that_the_report_begins_with() -> None:
    assert f'startswith("{MARKER}")' in ACTION


def test_formats_and_options_exist() -> None:
    """Of every command line in the pieces."""
    from feasibility.commands.budget import app

    known = {option for parameter in _options(app) for option in parameter}
    for text in (ACTION, GUIDE, GITLAB, HOOKS):
        assert set(re.findall(r'--format "?([a-z]+)', text)) <= set(RENDERERS)
        for command in re.findall(r"budget check((?:[^\n`]|\\\n)*)", text):
            assert set(re.findall(r"--[a-z-]+", command)) <= known


def _options(app: object) -> list[list[str]]:
    from typer.main import get_command

    command = get_command(app)  # type: ignore[arg-type]
    check = command.commands["check"]  # type: ignore[attr-defined]
    return [parameter.opts for parameter in check.params]


def test_the_example_of_the_guide_is_a_budget_file() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    config = parse_config(example, Path("feasibility.toml"))
    assert config.budgets[0].devices[0].device == "rpi_4b"
    assert tomllib.loads(example)["baseline"] == "profiles"


@pytest.mark.parametrize("metric", METRICS)
def test_the_guide_explains_every_metric(metric: str) -> None:
    assert f"`{metric}`" in GUIDE
