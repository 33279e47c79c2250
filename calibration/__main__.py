"""Fit the latency projection to the published tables and state its error.

    make calibrate

Writes `feasibility/predict/latency/coefficients.toml`, `profiles/held_out.csv` and
`accuracy.json`, `docs/accuracy.md` and `docs/accuracy.svg`. The
same tables give the same files, except for the date and the last digits of another processor.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import msgspec
import tomli_w

from calibration.ablation import ablation_lines
from calibration.accuracy_page import PLOT_NAME, accuracy_page, accuracy_plot
from calibration.fit_cpu import fit_cpu
from calibration.fit_int8_and_gpu import fit_gpu, fit_int8
from calibration.fit_rows import FitRows, read_fit_rows
from calibration.held_out_report import (
    error_covariance,
    held_out_misses,
    held_out_report,
    widths,
)
from calibration.hold_out import HeldOut, hold_out, read_held_out, write_held_out
from feasibility.json_documents import encode
from feasibility.paths import profiles_dir
from feasibility.predict.latency.coefficients import FILE, Coefficients
from feasibility.predict.validation.misses import Miss

DOCS: Final = Path(__file__).parent.parent / "docs"
REPORT_FILE: Final = "accuracy.json"
COMMENT: Final = """\
# Coefficients of the latency projection. Written by `make calibrate` from
# the tables in profiles/; do not edit.
# Their meaning: cpu_formula.py and coefficients.py here. Their error: docs/accuracy.md.
"""


def main() -> None:
    """Fit, measure the error on rows left out, write."""
    rows = read_fit_rows()
    write_held_out(profiles_dir(), rows, hold_out(rows))
    # Read again, so that everything follows from the digits in the file.
    held_out = read_held_out(profiles_dir(), rows)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    coefficients, misses = fit_all(rows, held_out, today)
    FILE.write_text(to_toml(coefficients), encoding="utf-8")
    report = held_out_report(rows, misses, tuple(ablation_lines(rows.floats)), coefficients)
    (profiles_dir() / REPORT_FILE).write_bytes(encode(report))
    (DOCS / "accuracy.md").write_text(accuracy_page(report), encoding="utf-8")
    (DOCS / PLOT_NAME).write_text(accuracy_plot(report), encoding="utf-8")
    for line in report.lines:
        if line.scope == "all":
            print(
                f"{line.subject:45} {line.median_error_ratio:6.1%}  x{line.p90_factor_ratio:.2f}"
                f"  {line.coverage_ratio:4.0%}"
            )


def fit_all(
    rows: FitRows, held_out: HeldOut, written_on: str
) -> tuple[Coefficients, tuple[Miss, ...]]:
    """The coefficients from all rows, and the errors on held-out rows, which set the intervals."""
    cpu = fit_cpu(rows.floats)
    covariance = error_covariance(rows, held_out)
    misses = held_out_misses(rows, held_out, covariance)
    spreads, widenings = widths(misses)
    coefficients = Coefficients(
        written_on=written_on,
        row_count=len(rows.floats),
        cpu=cpu,
        int8=fit_int8(rows.int8, rows.floats, cpu),
        gpu=fit_gpu(rows.gpu),
        covariance=covariance,
        spreads=spreads,
        widenings=widenings,
    )
    return coefficients, misses


def to_toml(coefficients: Coefficients) -> str:
    """The text of `coefficients.toml`."""
    return f"{COMMENT}\n{tomli_w.dumps(_rounded(msgspec.to_builtins(coefficients)))}"


def _rounded(value: Any) -> Any:
    """The same with five significant digits."""
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(member) for member in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
