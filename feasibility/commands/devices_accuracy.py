"""`feasibility devices validate --report`: projections against measurements."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from feasibility.commands.progress import Progress

# A few hundred rows are scored sooner, and need no word about it.
_DELAY_S: Final = 1.0


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
    from feasibility.commands.progress import progress_on
    from feasibility.paths import profiles_dir
    from feasibility.predict.calibration.refit import (
        ROWS_FILE,
        held_out_misses,
        published_evidence,
        read_held_out,
    )
    from feasibility.predict.latency.coefficients import fitted
    from feasibility.predict.validation.accuracy_report import held_out_report, rows_report
    from feasibility.render.rows.accuracy import accuracy_report

    evidence = published_evidence()
    if rows is None:
        held_out = read_held_out(profiles_dir(), evidence)
        misses = held_out_misses(evidence, held_out, fitted().cpu)
        found = held_out_report(evidence, misses, fitted(), f"profiles/{ROWS_FILE}")
    else:
        with progress_on(rows.name, quiet=False) as progress:
            found = rows_report(rows, evidence, fitted(), _LateProgress(progress))
    print_result(found, lambda: accuracy_report(found), as_json=as_json, output=None)


class _LateProgress:
    """Passes on what is being done once it has taken a while."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._start_s = time.monotonic()

    def __call__(self, done: int, total: int, doing: str) -> None:
        if time.monotonic() - self._start_s >= _DELAY_S:
            self._progress(done, total, doing)
