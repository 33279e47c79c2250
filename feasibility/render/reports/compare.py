"""What does the report of `compare` say? What is lower, higher or the same, then all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.comparison import (
    Affected,
    ComparedOutcome,
    ComparedSubject,
    Comparison,
    ConditionCode,
    ConditionDifference,
    FigureDifference,
    FigureName,
)
from feasibility.records.workload import RuntimeSettings
from feasibility.render.reports.change_texts import CHANGE_TEXTS
from feasibility.render.reports.compare_figures import (
    CLEAR_FACTOR,
    FIGURES,
    LEAST_SHOWN_RATIO,
    TONES,
    figure_sections,
)
from feasibility.render.reports.compare_parts import (
    operator_memory_section,
    operator_time_section,
    parts_sections,
    replacements_section,
)
from feasibility.render.reports.compare_statistics import statistics_section
from feasibility.render.reports.drift_texts import drift_text
from feasibility.render.reports.model_and_machine import (
    NOT_RUN_ROW,
    engine_text,
    host_text,
    workload_text,
)
from feasibility.render.reports.sections import (
    Report,
    Row,
    Section,
    Tone,
    assumption_rows,
    counted,
    joined,
    name_text,
    notice_section,
)
from feasibility.units import format_change, format_factor, format_number

_HEADLINE: Final[tuple[FigureName, ...]] = (
    "load_peak", "inference_peak", "floor", "process_peak", "gpu_peak", "latency", "file_size",
)  # fmt: skip
_GROUPS: Final[dict[ComparedOutcome, str]] = {
    "lower": "lower:",
    "higher": "higher:",
    "equal": "the same:",
    "no-difference": "no difference seen:",
    "undecided": "undecided:",
    "not-comparable": "not comparable:",
}
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


def compare_report(comparison: Comparison, *, details: bool = False) -> Report:
    """The answer, what it is about, and the figures; operators and parts of memory."""
    return (
        Section(_title(comparison), (*_condition_rows(comparison), *_answer_rows(comparison))),
        Section("", tuple(_subject_rows(comparison))),
        *figure_sections(comparison),
        statistics_section(comparison)
        if details or comparison.signal_ns is not None or _is_of_engines(comparison)
        else None,
        operator_time_section(comparison, details=details),
        replacements_section(comparison, details=details),
        operator_memory_section(comparison) if details else None,
        *parts_sections(comparison, details=details),
        notice_section(comparison.warnings),
    )


def _title(comparison: Comparison) -> str:
    if _is_of_engines(comparison):
        engines = [name_text(each.workload.runtime, 60) for each in comparison.subjects]
        return f"{name_text(comparison.subjects[0].model)}: {joined(list(dict.fromkeys(engines)))}"
    if _is_of_changes(comparison):
        recipes = [name_text(each.workload.recipe) for each in comparison.subjects]
        return f"{name_text(comparison.subjects[0].model)}: {joined(recipes)}"
    first, *others = (name_text(text) for text in _short_paths(comparison))
    named = others[0] if len(others) == 1 else f"{len(others)} others"
    return f"{named} against {first}"


def _is_of_engines(comparison: Comparison) -> bool:
    """Whether one model is compared with several engines."""
    files = {each.path for each in comparison.subjects}
    return len(files) == 1 and len({each.workload.engine for each in comparison.subjects}) > 1


def _is_of_changes(comparison: Comparison) -> bool:
    """Whether one model is compared with changes of itself."""
    files = {each.path for each in comparison.subjects}
    return len(files) == 1 and len({each.workload.recipe for each in comparison.subjects}) > 1


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
            FIGURES[name]
            + (
                f" ({change_text(each.value_ratio)})"
                if outcome in TONES and each.value_ratio
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
    if abs(ratio - 1) < LEAST_SHOWN_RATIO:
        return f"<{format_number(100 * LEAST_SHOWN_RATIO, '%')}"
    return format_factor(ratio) if ratio >= CLEAR_FACTOR else format_change(ratio)


def _condition_rows(comparison: Comparison) -> Iterator[Row]:
    """What makes figures not comparable."""
    groups: dict[tuple[str, tuple[Affected, ...]], list[str]] = {}
    for each in comparison.conditions:
        groups.setdefault((each.subject, each.affects), []).append(_condition_text(each))
    for (subject, affects), texts in groups.items():
        kinds = joined([_AFFECTED[kind] for kind in affects])
        text = f"{kinds} of {subject} cannot be compared with A: {'; '.join(texts)}"
        yield Row("caution", text, "caution")


def _condition_text(each: ConditionDifference) -> str:
    other, reference = (
        name_text(text, 60) if text else "not known" for text in (each.other, each.reference)
    )
    return f"{_CONDITIONS[each.code]} {other} instead of {reference}"


def _subject_rows(comparison: Comparison) -> Iterator[Row]:
    is_of_engines, is_of_changes = _is_of_engines(comparison), _is_of_changes(comparison)
    for number, subject in enumerate(comparison.subjects):
        text = engine_text(subject.workload) if is_of_engines else _subject_text(subject)
        if is_of_changes:
            text = name_text(subject.workload.recipe)
        yield Row(subject.label, text + " (reference)" * (number == 0))
    first = comparison.subjects[0]
    workload = first.workload
    if first.method == "projected":
        yield NOT_RUN_ROW
    else:
        how = "emulated" if first.method == "emulated" else "measured"
        threads = counted(workload.threads, "thread")
        conditions = threads if is_of_engines else workload_text(workload)
        yield Row(how, f"on {host_text(first.host)}, {conditions}")
    yield from assumption_rows(first.workload.assumptions)


def _subject_text(subject: ComparedSubject) -> str:
    parts = [name_text(subject.path, 60)]
    if subject.kind != "model":
        parts.append(f"{subject.kind} of {name_text(subject.model, 60)}")
    if subject.kind == "profile":
        how = "read" if subject.method == "projected" else "measured"
        parts.append(f"{how} {name_text(subject.measured_at[:10], 10)}")
    workload = subject.workload
    if workload.engine != "onnxruntime":
        parts.append(engine_text(workload))
    return ", ".join((*parts, *_settings_texts(workload.settings)))


def _settings_texts(settings: RuntimeSettings) -> Iterator[str]:
    """Settings that are not the runtime's own."""
    if settings.optimization_level == "disabled":
        yield "optimizer off"
    if not settings.prepacking:
        yield CHANGE_TEXTS["prepacking-off"].title
    if not settings.arena:
        yield CHANGE_TEXTS["arena-off"].title
    elif not settings.memory_pattern:
        yield CHANGE_TEXTS["pattern-off"].title
    for name, value in sorted(settings.environment.items()):
        yield name_text(f"{name}={value}")
