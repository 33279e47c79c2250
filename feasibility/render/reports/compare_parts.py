"""Which operators and which parts of memory make the difference between compared models?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from feasibility.records.comparison import (
    ComparedOperator,
    ComparedPart,
    Comparison,
    NodeReplacement,
    OperatorUse,
    PartMoment,
)
from feasibility.render.reports.anatomy import PARTS
from feasibility.render.reports.sections import (
    Cell,
    Column,
    Grid,
    Report,
    Row,
    Section,
    counted,
    name_text,
    table,
)
from feasibility.text import limited
from feasibility.units import format_bytes, format_duration

_FIRST_COUNT: Final = 6
_DETAILS_COUNT: Final = 20
_ONCE: Final = "each model was profiled once, so a small difference may be noise"
_REPLACEMENT_COUNT: Final = 5
_TYPE_COUNT: Final = 5
_MOMENTS: Final[dict[PartMoment, str]] = {
    "inference-peak": "at the inference peak",
    "loaded": "after loading",
}
_PART_NAMES: Final = {
    "total": "total",
    **{name.removesuffix("_bytes"): label for name, label in PARTS},
}


def operator_time_section(comparison: Comparison, *, details: bool) -> Section | None:
    """Operator types by the difference of their time in one run."""
    operators = _compared(comparison)
    if not operators:
        return None
    shown = operators[: _DETAILS_COUNT if details else _FIRST_COUNT]
    if len(comparison.subjects) == 2:
        grid = _pair_grid(shown)
        remarks = [_ONCE]
    else:
        columns = (Column("operator", min_width=14), *_letter_columns(comparison, ""))
        rows = tuple(
            (name_text(each.op_type, 24), *_cells(each.uses, _time_and_nodes)) for each in shown
        )
        grid = Grid(columns, rows, splits=True)
        remarks = [f"with the number of nodes; {_ONCE}"]
    if len(operators) > len(shown):
        remarks.insert(0, f"{counted(len(operators) - len(shown), 'more type')} with --json")
    return Section(
        "operators, largest difference of time in one run first", grid=grid, remarks=tuple(remarks)
    )


def _pair_grid(operators: Sequence[ComparedOperator]) -> Grid:
    """Times and numbers of nodes of two subjects, and the difference of the times."""

    def column(text: Callable[[OperatorUse], str], index: int) -> Callable[[ComparedOperator], str]:
        return lambda each: _cells(each.uses, text)[index]

    return table(
        operators,
        (Column("operator", min_width=14), lambda each: name_text(each.op_type, 24)),
        (Column("time A", "right"), column(_time_text, 0)),
        (Column("time B", "right"), column(_time_text, 1)),
        (Column("nodes A", "right"), column(_nodes_count, 0)),
        (Column("nodes B", "right"), column(_nodes_count, 1)),
        (Column("B - A", "right"), _change_text),
    )


def operator_memory_section(comparison: Comparison) -> Section | None:
    """Operator types by the bytes that they move and the arena that is in use after them."""
    operators = _compared(comparison)[:_DETAILS_COUNT]
    if not operators:
        return None
    columns = (
        Column("operator", min_width=14),
        *_letter_columns(comparison, "moved"),
        *_letter_columns(comparison, "arena"),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name_text(each.op_type, 24),
            *_cells(each.uses, lambda use: _size_text(use.moved_bytes)),
            *_cells(each.uses, lambda use: _size_text(use.arena_bytes)),
        )
        for each in operators
    )
    return Section(
        "memory of operators",
        grid=Grid(columns, rows, splits=True),
        remarks=(
            "moved: inputs, weights and outputs in one run; arena: most in use after such a node",
        ),
    )


def replacements_section(comparison: Comparison, *, details: bool) -> Section | None:
    """Which nodes are in the place of which, per subject."""
    rows = [
        row
        for subject in comparison.subjects[1:]
        for row in _replacement_rows(comparison, subject.label, details=details)
    ]
    title = "nodes of A that are fused or replaced in the optimised graph"
    return Section(title, tuple(rows)) if rows else None


def _replacement_rows(comparison: Comparison, label: str, *, details: bool) -> Iterator[Row]:
    found = [each for each in comparison.replacements if each.subject == label]
    shown = found if details else found[:_REPLACEMENT_COUNT]
    for number, each in enumerate(shown):
        yield Row("" if number else label, _replacement_text(each))
    if len(found) > len(shown):
        yield Row("", f"{len(found) - len(shown)} more with --details")


def _replacement_text(each: NodeReplacement) -> str:
    places = f" ({counted(each.place_count, 'place')})"
    if not each.after:
        return f"{_nodes_text(each.before)} vanished{places}"
    if not each.before:
        return f"{_nodes_text(each.after)} appeared{places}"
    return f"{_nodes_text(each.before)} -> {_nodes_text(each.after)}{places}"


def _nodes_text(counts: Mapping[str, int]) -> str:
    texts = [f"{count} {name_text(name, 32)}" for name, count in counts.items()]
    return limited(texts, _TYPE_COUNT, "types").replace(", ", " + ")


def parts_sections(comparison: Comparison, *, details: bool) -> Report:
    """Parts of memory side by side; after loading only with details."""
    moments = [each for each in _MOMENTS if details or each == "inference-peak"]
    return tuple(_parts_section(comparison, moment) for moment in moments)


def _parts_section(comparison: Comparison, moment: PartMoment) -> Section | None:
    parts = [each for each in comparison.parts if each.moment == moment]
    if not parts:
        return None
    is_pair = len(comparison.subjects) == 2
    columns = [Column("", min_width=16), *_letter_columns(comparison, "")]
    if is_pair:
        columns.append(Column("B - A", "right"))
    rows = tuple(
        (
            _PART_NAMES.get(each.part, name_text(each.part)),
            *map(_size_text, each.sizes),
            *([_part_change_text(each)] if is_pair else []),
        )
        for each in parts
    )
    title = f"where the memory is {_MOMENTS[moment]}, above the baseline"
    return Section(title, grid=Grid(tuple(columns), rows))


def _part_change_text(part: ComparedPart) -> str:
    before, after = part.sizes
    return "" if before is None or after is None else _signed(after - before, format_bytes)


def _compared(comparison: Comparison) -> Sequence[ComparedOperator]:
    """The operators, if at least the reference and another subject have them."""
    operators = comparison.operators
    if not operators or operators[0].uses[0] is None or not any(operators[0].uses[1:]):
        return ()
    return operators


def _letter_columns(comparison: Comparison, what: str) -> list[Column]:
    return [Column(f"{what} {each.label}".strip(), "right") for each in comparison.subjects]


def _cells(uses: Sequence[OperatorUse | None], text: Callable[[OperatorUse], str]) -> list[str]:
    return ["-" if use is None else text(use) for use in uses]


def _time_text(use: OperatorUse) -> str:
    return format_duration(use.time_ns) if use.node_count else "-"


def _nodes_count(use: OperatorUse) -> str:
    return str(use.node_count)


def _time_and_nodes(use: OperatorUse) -> str:
    return f"{format_duration(use.time_ns)} ({use.node_count})" if use.node_count else "-"


def _size_text(size: int | None) -> str:
    return format_bytes(size) if size else "-"


def _change_text(operator: ComparedOperator) -> str:
    before, after = operator.uses
    if before is None or after is None:
        return "-"
    return _signed(after.time_ns - before.time_ns, format_duration)


def _signed(change: int, text: Callable[[int], str]) -> str:
    return f"+{text(change)}" if change > 0 else text(change) if change else "0"
