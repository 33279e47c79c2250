"""In which formats is a budget report written: the table, or formats for CI?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from feasibility.commands.output import Outputs, open_output, print_result, write_bytes
from feasibility.errors import UsageError
from feasibility.json_documents import encode
from feasibility.records.budget import BudgetReport
from feasibility.render.ci.github import render_annotations
from feasibility.render.ci.gitlab import render_code_quality
from feasibility.render.ci.junit import render_junit
from feasibility.render.ci.markdown import render_markdown
from feasibility.render.ci.sarif import render_sarif
from feasibility.render.reports.budget import budget_check_report
from feasibility.text import safe_text

RENDERERS: Final[Mapping[str, Callable[[BudgetReport], bytes]]] = {
    "github": render_annotations,
    "gitlab": render_code_quality,
    "junit": render_junit,
    "sarif": render_sarif,
    "markdown": render_markdown,
    "json": encode,
}
_SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"


class Target(NamedTuple):
    """One format and its file; None for stdout."""

    format: str
    path: Path | None


def parse_targets(texts: Sequence[str] | None, *, as_json: bool) -> tuple[Target, ...]:
    """The targets that `NAME` and `NAME=FILE` mean, the one for stdout last."""
    targets = [_target(text) for text in texts or ()]
    if as_json:
        targets.append(Target("json", None))
    on_stdout = [target for target in targets if target.path is None]
    if len(on_stdout) > 1:
        names = " and ".join(target.format for target in on_stdout)
        raise UsageError(
            f"Cannot write {names} to stdout",
            "stdout takes one document",
            "write the others into files: --format NAME=FILE",
        )
    return tuple(sorted(targets, key=lambda target: target.path is None))


def write_report(
    report: BudgetReport, targets: Sequence[Target], *, output: Outputs, all_lines: bool
) -> None:
    """Write a report into files, and the table or one document on stdout."""
    for target in targets:
        if target.path is not None:
            with open_output(target.path, force=True) as file:
                assert file is not None
                file.write(RENDERERS[target.format](report))
    _append_job_summary(report, targets)
    on_stdout = next((target for target in targets if target.path is None), None)
    print_result(
        report,
        lambda: (
            budget_check_report(report, all_lines=all_lines)
            if on_stdout is None or on_stdout.format == "github"
            else ()
        ),
        output=output,
    )
    if on_stdout is not None:
        write_bytes(RENDERERS[on_stdout.format](report))


def _append_job_summary(report: BudgetReport, targets: Sequence[Target]) -> None:
    """Add the Markdown report to the page of the GitHub job if --format github is given."""
    path = os.environ.get(_SUMMARY_VARIABLE)
    if not path or all(target.format != "github" for target in targets):
        return
    try:
        with Path(path).open("ab") as file:
            file.write(RENDERERS["markdown"](report))
    except OSError:
        return  # the annotations have the same content


def _target(text: str) -> Target:
    name, _, path = text.partition("=")
    if name not in RENDERERS:
        raise UsageError(
            f"Cannot write the format {safe_text(name)!r}",
            f"the formats are {', '.join(RENDERERS)}",
            "write for example --format junit=budgets.xml",
        )
    return Target(name, Path(path) if path else None)
