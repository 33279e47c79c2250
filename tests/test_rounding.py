"""Figures are rounded for people in units.py, and written in reports and messages only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import feasibility

PACKAGE = Path(feasibility.__file__).parent

# Modules that round numbers, each with its reason. All other figures are for people.
ROUNDS_NUMBERS = {
    "compare.noise": "removes floating-point noise before a test",
    "budget.judge_limit": "removes floating-point noise before a comparison",
    "predict.this_device": "digits of figures in a device file",
    "predict.latency.error_covariance": "shares in the coefficients file",
    "render.html.plots": "positions in a plot; its texts are those of reports",
}
# Besides render/, modules that write figures into messages: errors, warnings, hints, notes of
# device files, the text of budget files.
WRITES_MESSAGES = {
    "budget.propose_budgets",
    "budget.drift_and_device_rules",
    "budget.static_limits",
    "commands.host_checks",
    "commands.parse_check_options",
    "commands.zoo",
    "measure.engine_outputs",
    "facts.model_facts",
    "facts.unique_parameters",
    "facts.reader_reply",
    "deploy.card_figures",
    "deploy.model_card",
    "deploy.unset_options",
    "measure.child_errors",
    "measure.imports.import_report",
    "measure.measurement_warnings",
    "measure.prove.prove_model",
    "measure.this_machine.machine_facts",
    "predict.this_device",
    "runners.remote_runner",
    "zoo.architectures",
    "commands.fit",
    "fit.files",
}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def rounding(tree: ast.AST) -> Iterator[str]:
    """Format specifications with a precision, and `round` with a number of digits."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            if {".", "%"} & set(ast.unparse(node.format_spec)):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "round" and node.args[1:]:
            yield ast.unparse(node)


def imports_formatters(tree: ast.AST) -> bool:
    """Whether a module imports a `format_*` function."""
    return any(
        alias.name.startswith("format_")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "feasibility.units"
        for alias in node.names
    )


def test_one_module_rounds_for_people() -> None:
    """So that a figure has the same digits wherever it is printed."""
    rounded = {name: list(rounding(tree)) for name, tree in MODULES.items() if name != "units"}
    found = {name: texts for name, texts in rounded.items() if texts}
    assert {name: found[name] for name in found if name not in ROUNDS_NUMBERS} == {}
    assert ROUNDS_NUMBERS.keys() <= found.keys()


def test_only_reports_and_messages_have_figures_in_words() -> None:
    """Records hold integers, so that reports choose the words and the digits."""
    found = {name for name, tree in MODULES.items() if imports_formatters(tree)}
    assert {name for name in found if not name.startswith("render.")} == WRITES_MESSAGES
