"""Fits the latency projection to the published tables and states its error.

    python -m benchmarks.calibrate

Writes `feasibility/predict/latency/coefficients.toml`, `profiles/held_out.csv`,
`held_out_covariances.csv`, `docs/accuracy.md` and `docs/accuracy.svg`. The same tables give the
same files, but for the date and the last digits of another processor.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from feasibility.paths import profiles_dir
from feasibility.predict.calibration.fit_cpu import calibrate
from feasibility.predict.calibration.refit import (
    ROWS_FILE,
    held_out_misses,
    hold_out,
    published_evidence,
    read_held_out,
    refit,
    write_held_out,
)
from feasibility.predict.latency.coefficients import FILE, to_toml
from feasibility.predict.validation.accuracy_report import held_out_report
from feasibility.render.accuracy_page import PLOT_NAME, accuracy_page, accuracy_plot

DOCS = Path(__file__).parent.parent / "docs"
COMMENT = """\
Coefficients of the latency projection. Written by `make calibrate` from
profiles/published.csv, ncnn_model_macs.csv and validation_devices.csv; do not edit.
What each means: cpu_formula.py and coefficients.py here. How far off: docs/accuracy.md."""


def main() -> None:
    """Fit, measure the error on what was left out, write."""
    evidence = published_evidence()
    write_held_out(profiles_dir(), evidence, hold_out(evidence))
    # Read again, so that everything stated follows from the digits that are kept.
    held_out = read_held_out(profiles_dir(), evidence)
    fit = calibrate(evidence.floats)
    found = refit(evidence, held_out, fit, dt.datetime.now(dt.UTC).date().isoformat())
    FILE.write_text(to_toml(found, COMMENT), encoding="utf-8")
    misses = held_out_misses(evidence, held_out, fit)
    report = held_out_report(evidence, misses, found, f"profiles/{ROWS_FILE}")
    (DOCS / "accuracy.md").write_text(accuracy_page(report), encoding="utf-8")
    (DOCS / PLOT_NAME).write_text(accuracy_plot(report), encoding="utf-8")
    for line in report.lines:
        if line.scope == "all":
            print(
                f"{line.subject:45} {line.median_error_ratio:4.0%}  x{line.p90_factor_ratio:.2f}"
                f"  {line.coverage_ratio:4.0%}"
            )


if __name__ == "__main__":
    main()
