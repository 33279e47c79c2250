"""`feasibility devices validate --report`: projections against measurements."""

from __future__ import annotations

from pathlib import Path


def print_accuracy(rows: Path | None, *, as_json: bool) -> None:
    """Print how far projections are off.

    Args:
        rows: A table of other measurements; None for the published ones, whose projections
            by fits that never saw them `make calibrate` has kept.
        as_json: True to print one JSON document.

    Raises:
        FeasibilityError: A table cannot be read.
    """
    from feasibility.commands.output import print_result
    from feasibility.paths import profiles_dir
    from feasibility.project.accuracy import held_out_report, rows_report
    from feasibility.project.fitted import fitted
    from feasibility.project.refit import (
        ROWS_FILE,
        held_out_misses,
        published_evidence,
        read_held_out,
    )
    from feasibility.render.terminal_accuracy import render_accuracy

    evidence = published_evidence()
    if rows is None:
        held_out = read_held_out(profiles_dir(), evidence)
        misses = held_out_misses(evidence, held_out, fitted().cpu)
        found = held_out_report(evidence, misses, fitted(), f"profiles/{ROWS_FILE}")
    else:
        found = rows_report(rows, evidence, fitted())
    print_result(
        found, lambda console: render_accuracy(found, console), as_json=as_json, output=None
    )
