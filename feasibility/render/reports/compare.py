"""What does the report of `compare` say? What is lower, higher or the same, then all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.comparison import (
    Affected,
    ComparedFigure,
    ComparedOutcome,
    ComparedSubject,
    Comparison,
    ConditionCode,
    ConditionDifference,
    FigureDifference,
    FigureName,
)
from feasibility.records.workload import RuntimeSettings
from feasibility.render.reports.compare_parts import (
    operator_memory_section,
    operator_time_section,
    parts_sections,
    replacements_section,
)
from feasibility.render.reports.drift_texts import drift_text
from feasibility.render.reports.model_and_machine import host_text, workload_text
from feasibility.render.reports.sections import (
    Cell,
    Column,
    Grid,
    Report,
    Row,
    Section,
    Tone,
    assumption_rows,
    joined,
    name_text,
    notice_section,
)
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

_FIGURES: Final[dict[FigureName, str]] = {
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
_HEADLINE: Final[tuple[FigureName, ...]] = (
    "load_peak", "inference_peak", "floor", "process_peak", "gpu_peak", "latency", "file_size",
)  # fmt: skip
_GROUPS: Final[dict[ComparedOutcome, str]] = {
    "lower": "lower",
    "higher": "higher",
    "equal": "the same",
    "no-difference": "no difference seen in",
    "undecided": "undecided",
    "not-comparable": "not comparable",
}
_OUTCOMES: Final[dict[ComparedOutcome, str]] = {
    **_GROUPS,
    "no-difference": "none seen",
}
_MARKS: Final[dict[ComparedOutcome, str]] = {
    "equal": "=",
    "no-difference": "=",
    "undecided": "?",
    "not-comparable": "!",
}
_TONES: Final[dict[ComparedOutcome, Tone]] = {"lower": "good", "higher": "bad"}
_CONDITIONS: Final[dict[ConditionCode, str]] = {
    "inputs": "inputs",
    "values": "values of the inputs",
    "machine": "instruction set",
    "processor": "processor",
    "system": "operating system",
    "method": "method",
    "runtime": "runtime",
    "provider": "execution provider",
    "threads": "threads",
    "allocator": "C library",
    "instrument": "measuring program",
    "peaks": "way to read memory",
}
_AFFECTED: Final[dict[Affected, str]] = {"work": "work", "memory": "memory", "time": "times"}
_CLEAR_FACTOR: Final = 2.0
# A ratio nearer to one is printed as `1x`.
_LEAST_SHOWN_RATIO: Final = 0.001


def compare_report(comparison: Comparison, *, details: bool = False) -> Report:
    """The answer, what it is about, and the figures; operators and parts of memory."""
    return (
        Section(_title(comparison), (*_condition_rows(comparison), *_answer_rows(comparison))),
        Section("", tuple(_subject_rows(comparison))),
        _figure_section(comparison),
        _default_section(comparison),
        operator_time_section(comparison, details=details),
        replacements_section(comparison, details=details),
        operator_memory_section(comparison) if details else None,
        *parts_sections(comparison, details=details),
        notice_section(comparison.warnings),
    )


def _title(comparison: Comparison) -> str:
    first, *others = (name_text(text) for text in _short_paths(comparison))
    named = others[0] if len(others) == 1 else f"{len(others)} others"
    return f"{named} against {first}"


def _short_paths(comparison: Comparison) -> list[str]:
    """The last parts of the paths, unless two are the same."""
    paths = [each.path for each in comparison.subjects]
    names = [path.rstrip("/").rpartition("/")[2] for path in paths]
    return names if len(set(names)) == len(names) else paths


def _answer_rows(comparison: Comparison) -> Iterator[Row]:
    """What is lower, what is higher, and what is the same, one sentence per subject."""
    figures = {each.name: each for each in comparison.figures}
    headline = [figures[name] for name in _HEADLINE if name in figures]
    drifts = {each.subject: each.drift for each in comparison.outputs}
    for number, subject in enumerate(comparison.subjects[1:]):
        found = [(each.name, each.differences[number]) for each in headline]
        known = [(name, each) for name, each in found if each is not None]
        sentence = answer_text(known)
        if subject.label in drifts:
            sentence += f"; outputs {drift_text(drifts[subject.label])}"
        yield Row(subject.label, sentence, _answer_tone([each for _, each in known]))


def answer_text(differences: Sequence[tuple[FigureName, FigureDifference]]) -> str:
    """The figures of one subject by outcome, each with its change if that is real."""
    parts = []
    for outcome, words in _GROUPS.items():
        names = [
            _FIGURES[name]
            + (
                f" ({change_text(each.value_ratio)})"
                if outcome in _TONES and each.value_ratio
                else ""
            )
            for name, each in differences
            if each.outcome == outcome
        ]
        if names:
            parts.append(f"{words} {joined(names)}")
    return "; ".join(parts) or "no figure in common"


def _answer_tone(differences: Sequence[FigureDifference]) -> Tone:
    outcomes = {each.outcome for each in differences}
    if "higher" in outcomes:
        return "caution" if "lower" in outcomes else "bad"
    return "good" if "lower" in outcomes else "plain"


def change_text(ratio: float) -> str:
    """Growth in percent; a factor from twice on."""
    return format_factor(ratio) if ratio >= _CLEAR_FACTOR else format_change(ratio)


def _condition_rows(comparison: Comparison) -> Iterator[Row]:
    """What makes figures not comparable."""
    for each in comparison.conditions:
        yield Row("caution", f"{_condition_text(each)}", "caution")


def _condition_text(each: ConditionDifference) -> str:
    other, reference = (
        name_text(text, 60) if text else "not known" for text in (each.other, each.reference)
    )
    figures = joined([_AFFECTED[kind] for kind in each.affects])
    return (
        f"{figures} of {each.subject} and A are not comparable: {_CONDITIONS[each.code]} "
        f"{other}, for A {reference}"
    )


def _subject_rows(comparison: Comparison) -> Iterator[Row]:
    for number, subject in enumerate(comparison.subjects):
        yield Row(subject.label, _subject_text(subject) + " (reference)" * (number == 0))
    first = comparison.subjects[0]
    how = "emulated" if first.method == "emulated" else "measured"
    yield Row(how, f"on {host_text(first.host)}, {workload_text(first.workload)}")
    yield from assumption_rows(first.workload.assumptions)


def _subject_text(subject: ComparedSubject) -> str:
    parts = [name_text(subject.path, 60)]
    if subject.kind != "model":
        parts.append(f"{subject.kind} of {name_text(subject.model, 60)}")
    if subject.kind == "profile":
        parts.append(f"measured {name_text(subject.measured_at[:10], 10)}")
    return ", ".join((*parts, *_settings_texts(subject.workload.settings)))


def _settings_texts(settings: RuntimeSettings) -> Iterator[str]:
    """Settings that are not the runtime's own."""
    if settings.optimization_level == "disabled":
        yield "optimizer off"
    if not settings.prepacking:
        yield "prepacking off"
    if not settings.arena:
        yield "arena off"
    elif not settings.memory_pattern:
        yield "memory pattern off"
    for name, value in sorted(settings.environment.items()):
        yield name_text(f"{name}={value}")


def _figure_section(comparison: Comparison) -> Section:
    shown = [each for each in comparison.figures if not each.lows]
    return Section("figures", grid=_grid(shown, comparison), remarks=tuple(_remarks(comparison)))


def _default_section(comparison: Comparison) -> Section | None:
    shown = [each for each in comparison.figures if each.lows]
    if not shown:
        return None
    remark = "ranges of several processes; ranges that overlap show no difference"
    grid = _grid(shown, comparison)
    return Section("memory with the default allocator", grid=grid, remarks=(remark,))


def _grid(figures: Sequence[ComparedFigure], comparison: Comparison) -> Grid:
    """One column per subject with its ratio; for two subjects also the difference in words."""
    letters = [each.label for each in comparison.subjects]
    is_pair = len(letters) == 2
    columns = [Column("", min_width=14), Column("A", "right")]
    for letter in letters[1:]:
        columns += [Column(letter, "right"), Column(f"{letter} / A", "right")]
    if is_pair:
        columns.append(Column("difference"))
    rows = tuple(_figure_cells(each, is_pair=is_pair) for each in figures)
    tones: tuple[Tone, ...] = ()
    if is_pair:
        found = [each.differences[0] for each in figures]
        tones = tuple("plain" if one is None else _TONES.get(one.outcome, "faint") for one in found)
    return Grid(tuple(columns), rows, tones, splits=not is_pair)


def _figure_cells(figure: ComparedFigure, *, is_pair: bool) -> tuple[Cell, ...]:
    texts = [_value_text(figure, index) for index in range(len(figure.values))]
    cells: list[Cell] = [_FIGURES[figure.name], texts[0]]
    for text, difference in zip(texts[1:], figure.differences, strict=True):
        ratio = "-"
        if difference is not None and difference.value_ratio is not None:
            ratio = format_factor(difference.value_ratio)
            if not is_pair and difference.outcome in _MARKS:
                ratio += f" {_MARKS[difference.outcome]}"
        cells += [text, ratio]
    if is_pair:
        cells.append(_difference_text(figure.differences[0]))
    return tuple(cells)


def _value_text(figure: ComparedFigure, index: int) -> str:
    value = figure.values[index]
    if value is None:
        return "-"
    if figure.lows:
        return format_bytes_range(figure.lows[index] or 0, value)
    if figure.unit == "bytes":
        return format_bytes(value)
    return format_duration(value) if figure.unit == "ns" else format_count(value)


def _difference_text(difference: FigureDifference | None) -> str:
    if difference is None:
        return ""
    text = _OUTCOMES[difference.outcome]
    if difference.outcome in _TONES and abs((difference.value_ratio or 0) - 1) < _LEAST_SHOWN_RATIO:
        return f"{text} by less than {format_number(100 * _LEAST_SHOWN_RATIO, '%')}"
    low, high = difference.low_ratio, difference.high_ratio
    if low is None or high is None or difference.outcome == "not-comparable":
        return text
    if high >= _CLEAR_FACTOR:
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
        yield "undecided: measured once each, and nobody knows how well it repeats"
