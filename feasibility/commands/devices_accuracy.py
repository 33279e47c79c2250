"""`feasibility devices validate --report` and `--rows`: the error of projections."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from feasibility.commands.progress import Progress
    from feasibility.records.accuracy import Accuracy

# `make calibrate` writes the report on the published rows.
_RECORDED_REPORT: Final = "accuracy.json"
# Shorter work shows no progress.
_DELAY_S: Final = 1.0


def print_accuracy(rows: Path | None, *, as_json: bool) -> None:
    """Print the error of projections.

    Args:
        rows: A table of the user's measurements; None for the recorded report on the published
            rows, each projected by a fit that did not see it.
        as_json: True to print one JSON document.
    """
    from feasibility.commands.output import print_result
    from feasibility.render.reports.accuracy import accuracy_report

    found = _recorded_report() if rows is None else _rows_report(rows)
    print_result(found, lambda: accuracy_report(found), as_json=as_json, output=None)


def _recorded_report() -> Accuracy:
    import msgspec

    from feasibility import __version__
    from feasibility.paths import profiles_dir
    from feasibility.records.accuracy import Accuracy
    from feasibility.schema import read_document

    recorded = read_document(profiles_dir() / _RECORDED_REPORT, Accuracy)
    return msgspec.structs.replace(recorded, tool_version=__version__)


def _rows_report(rows: Path) -> Accuracy:
    from feasibility.commands.progress import progress_on
    from feasibility.predict.latency.coefficients import shipped_coefficients
    from feasibility.predict.validation.cases import published_tables
    from feasibility.predict.validation.rows_report import rows_report

    tables = published_tables()
    with progress_on(rows.name, quiet=False) as progress:
        return rows_report(rows, tables, shipped_coefficients(), _LateProgress(progress))


class _LateProgress:
    """Reports progress only after `_DELAY_S`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._start_s = time.monotonic()

    def __call__(self, done: int, total: int, doing: str) -> None:
        if time.monotonic() - self._start_s >= _DELAY_S:
            self._progress(done, total, doing)
