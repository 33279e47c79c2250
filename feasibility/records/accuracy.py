"""How large is the error of projections on measured rows?"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.shared_fields import Count, Document, Nanoseconds, Ratio, Record, doc

Scope: TypeAlias = Literal["all", "kind", "runtime", "instructions", "network", "without"]


class AccuracyLine(Record, frozen=True, kw_only=True):
    """Error over one group of measurements."""

    scope: Annotated[
        Scope,
        doc(
            "What the group has in common: all rows, a kind of device, a runtime, a runtime on "
            "an instruction set, a kind of network, or a formula without one part."
        ),
    ]
    subject: Annotated[str, doc("Name of the group.")]
    row_count: Annotated[Count, doc("Number of compared projections.")]
    chip_count: Annotated[Count, doc("Number of different chips.")]
    median_error_ratio: Annotated[Ratio, doc("Median of |projected / measured - 1|.")]
    p90_factor_ratio: Annotated[Ratio, doc("90 % of the projections are within this factor.")]
    within_1_5_ratio: Annotated[Ratio, doc("Share within a factor of 1.5.")]
    within_2_ratio: Annotated[Ratio, doc("Share within a factor of 2.")]
    coverage_ratio: Annotated[Ratio, doc("Share inside the 80 % interval.")]


class AccuracyPoint(Record, frozen=True, kw_only=True):
    """One measurement and its projection."""

    subject: Annotated[str, doc("Group of the row.")]
    measured_ns: Annotated[Nanoseconds, doc("Published time.")]
    projected_ns: Annotated[Nanoseconds, doc("Projected time.")]


class Accuracy(Document, frozen=True, kw_only=True, tag="feasibility/accuracy/1"):
    """The answer of `devices validate --report`."""

    source: Annotated[str, doc("File with the rows.")]
    calibrated_on: Annotated[str, doc("Date of the coefficients, ISO 8601.")]
    calibrated_row_count: Annotated[Count, doc("Rows that the CPU coefficients were fitted to.")]
    is_held_out: Annotated[bool, doc("True if the fits did not see the rows.")]
    row_count: Annotated[Count, doc("Rows of the table.")]
    scored_count: Annotated[Count, doc("Rows that could be projected.")]
    seen_count: Annotated[Count, doc("Projected rows that the coefficients were fitted to.")] = 0
    left_out: Annotated[dict[str, int], doc("Rows that could not be projected, by reason.")] = {}
    notes: Annotated[
        dict[str, int], doc("Remarks on projected rows, with the number of rows.")
    ] = {}
    lines: Annotated[tuple[AccuracyLine, ...], doc("Error by group.")]
    points: Annotated[tuple[AccuracyPoint, ...], doc("Every compared measurement.")] = ()
