"""Which figures do compared models have? Values, ratios, and whether a difference is real."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.comparison import (
    ComparedFigure,
    ComparedOutcome,
    Comparison,
    FigureDifference,
    FigureName,
)
from feasibility.render.reports.sections import Column, Grid, Report, Section, Tone, table
from feasibility.units import (
    format_bytes,
    format_bytes_range,
    format_change,
    format_change_range,
    format_count,
    format_duration,
    format_factor,
    format_number,
    format_number_range,
)

FIGURES: Final[dict[FigureName, str]] = {
    "load_peak": "load peak",
    "resident": "after loading",
    "inference_peak": "inference peak",
    "floor": "floor",
    "process_peak": "whole process",
    "gpu_peak": "GPU memory",
    "latency": "median time",
    "first_run": "first run",
    "load": "loading time",
    "file_size": "file size",
    "parameters": "parameters",
    "nodes": "nodes",
    "flops": "work (FLOP)",
    "allocated_peak": "allocated peak",
    "default_load_peak": "load peak",
    "default_resident": "after loading",
    "default_inference_peak": "inference peak",
}
_OUTCOMES: Final[dict[ComparedOutcome, str]] = {
    "lower": "lower",
    "higher": "higher",
    "equal": "the same",
    "no-difference": "none seen",
    "undecided": "undecided",
    "not-comparable": "not comparable",
}
_MARKS: Final[dict[ComparedOutcome, str]] = {
    "equal": "=",
    "no-difference": "=",
    "undecided": "?",
    "not-comparable": "!",
}
TONES: Final[dict[ComparedOutcome, Tone]] = {"lower": "good", "higher": "bad"}
CLEAR_FACTOR: Final = 2.0
# A ratio nearer to one is printed as `1x`.
LEAST_SHOWN_RATIO: Final = 0.001


def figure_sections(comparison: Comparison) -> Report:
    """Values with their differences; of more than two subjects, the ratios are below the values."""
    shown = [each for each in comparison.figures if not each.lows]
    remarks = tuple(_remarks(comparison))
    if len(comparison.subjects) == 2:
        pair = Section("figures", grid=_pair_grid(shown), remarks=remarks)
        return (pair, _default_section(comparison))
    ratios = _ratio_grid(comparison.figures, comparison)
    return (
        Section("figures", grid=_value_grid(shown, comparison)),
        _default_section(comparison),
        Section("figures divided by those of A", grid=ratios, remarks=remarks),
    )


def _default_section(comparison: Comparison) -> Section | None:
    shown = [each for each in comparison.figures if each.lows]
    if not shown:
        return None
    is_pair = len(comparison.subjects) == 2
    remark = "ranges of several processes; ranges that overlap show no difference"
    grid = _pair_grid(shown) if is_pair else _value_grid(shown, comparison)
    return Section("memory with the default allocator", grid=grid, remarks=(remark,))


def _pair_grid(figures: Sequence[ComparedFigure]) -> Grid:
    """Both values, their ratio, and the difference in words."""
    found = [(each, each.differences[0]) for each in figures]
    return table(
        found,
        (Column("", min_width=14), lambda item: FIGURES[item[0].name]),
        (Column("A", "right"), lambda item: _value_text(item[0], 0)),
        (Column("B", "right"), lambda item: _value_text(item[0], 1)),
        (Column("B / A", "right"), lambda item: _ratio_text(item[1])),
        (Column("difference"), lambda item: difference_text(item[1])),
        tone=lambda item: "plain" if item[1] is None else TONES.get(item[1].outcome, "faint"),
    )


def _value_grid(figures: Sequence[ComparedFigure], comparison: Comparison) -> Grid:
    """One column per subject."""
    titles = (Column(each.label, "right") for each in comparison.subjects)
    rows = tuple(
        (FIGURES[each.name], *(_value_text(each, index) for index in range(len(each.values))))
        for each in figures
    )
    return Grid((Column("", min_width=14), *titles), rows, splits=True)


def _ratio_grid(figures: Sequence[ComparedFigure], comparison: Comparison) -> Grid:
    """One column per subject after the first; marks say what is no real difference."""
    titles = (Column(f"{each.label} / A", "right") for each in comparison.subjects[1:])
    rows = tuple(
        (
            FIGURES[each.name] + ", default allocator" * bool(each.lows),
            *(
                f"{_ratio_text(one)} {_MARKS.get(one.outcome, ' ')}" if one else "-  "
                for one in each.differences
            ),
        )
        for each in figures
    )
    return Grid((Column("", min_width=14), *titles), rows)


def _ratio_text(difference: FigureDifference | None) -> str:
    if difference is None or difference.value_ratio is None:
        return "-"
    return format_factor(difference.value_ratio)


def _value_text(figure: ComparedFigure, index: int) -> str:
    value = figure.values[index]
    if value is None:
        return "-"
    if figure.lows:
        return format_bytes_range(figure.lows[index] or 0, value)
    if figure.unit == "bytes":
        return format_bytes(value)
    return format_duration(value) if figure.unit == "ns" else format_count(value)


def difference_text(difference: FigureDifference | None) -> str:
    """What was found, with the interval of the ratio."""
    if difference is None:
        return ""
    text = _OUTCOMES[difference.outcome]
    if difference.outcome in TONES and abs((difference.value_ratio or 0) - 1) < LEAST_SHOWN_RATIO:
        return f"{text} by less than {format_number(100 * LEAST_SHOWN_RATIO, '%')}"
    low, high = difference.low_ratio, difference.high_ratio
    if low is None or high is None or difference.outcome == "not-comparable":
        return text
    if high >= CLEAR_FACTOR:
        return f"{text} ({format_number_range(low, high)}x)"
    if round(100 * low) == round(100 * high):
        return f"{text} ({format_change(low)})"
    return f"{text} ({format_change_range(low, high)})"


def _remarks(comparison: Comparison) -> Iterator[str]:
    """How differences were judged, as far as figures were judged so."""
    found = [
        each
        for figure in comparison.figures
        for each in figure.differences
        if each is not None and each.outcome != "not-comparable"
    ]
    by_evidence = {each.evidence: each for each in found}
    if len(comparison.subjects) > 2:
        yield "= no difference seen   ? undecided   ! not comparable"
    if "in-turns" in by_evidence:
        yield (
            f"times: {comparison.round_count} processes per model, in turns; the ratio is the "
            "median of all rounds, with its 95 % interval"
        )
    if "samples" in by_evidence:
        margin = format_number(100 * (by_evidence["samples"].tolerance_ratio or 0), "%")
        yield (
            "times of saved profiles were not measured in turns: the machine may have been slower "
            f"for one of them, so differences up to {margin} do not count"
        )
    shares = [each.tolerance_ratio or 0 for each in found if each.evidence == "repeats"]
    if shares:
        low, high = 100 * min(shares), 100 * max(shares)
        yield (
            f"memory: processes of one model differ by {format_number_range(low, high, '%')}; "
            "a smaller difference is noise"
        )
    if "single" in by_evidence:
        yield "undecided: measured once per model, so the noise is not known"
