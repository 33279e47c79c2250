"""Which tables can a reader sort and filter? Devices with their intervals, and all nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.records.assessment import ModelAssessment
from feasibility.records.profile import OperatorProfile, Profile
from feasibility.render.html.profile_plots import per_run_ns
from feasibility.render.reports.sections import Align, Tone, known, name_text, share_text
from feasibility.render.reports.verdict_table import (
    VERDICT_TONE,
    device_grid,
    overview_grid,
    shown_latency,
    verdict_text,
)
from feasibility.units import format_bytes, format_duration

# Ends of the axis on which the intervals of a column are drawn.
AXIS_END: Final = 9999
_MARGIN: Final = 150
_NODE_LIMIT: Final = 500
_SPAN_REMARK: Final = (
    "bars: interval with the likely value; red line: target or limit; the axis is logarithmic and "
    "the same for the whole column"
)
_VERDICT_ORDER: Final = tuple(VERDICT_TONE)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that can be sorted.

    Args:
        key: Value for sorting; None to sort by the text.
        span: Lower end, likely value, upper end and limit on an axis from 0 to `AXIS_END`; None
            where a value is unknown. Cells with a span are sorted by the likely value.
    """

    text: str
    key: float | None = None
    tone: Tone = "plain"
    span: tuple[int | None, int | None, int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table that can be sorted, filtered and paged.

    Args:
        choice: Column whose values a reader can choose from; None without one.
        is_of_cards: True if each row becomes a card on a narrow screen.
    """

    title: str
    columns: tuple[tuple[str, Align], ...]
    rows: tuple[tuple[Cell, ...], ...]
    choice: int | None = None
    is_of_cards: bool = False
    remarks: tuple[str, ...] = ()


def overview_table(models: Sequence[ModelAssessment]) -> DataTable:
    """One row per model: the recommendation, and the verdict per device."""
    grid = overview_grid(models)
    tones = {verdict_text(verdict): tone for verdict, tone in VERDICT_TONE.items()}
    orders = {text: float(order) for order, text in enumerate(tones)}

    def cell(text: str, column: int) -> Cell:
        is_verdict = column > 1
        return Cell(text, orders.get(text), tones.get(text, "plain")) if is_verdict else Cell(text)

    return DataTable(
        "recommendations",
        tuple((column.title, column.align) for column in grid.columns),
        tuple(
            tuple(cell(str(text), column) for column, text in enumerate(row)) for row in grid.rows
        ),
        choice=1,
        is_of_cards=True,
    )


def device_table(models: Sequence[ModelAssessment], remarks: tuple[str, ...]) -> DataTable:
    """One row per model and device: the table of the report, with intervals beside their limits."""
    pairs = [(model, found) for model in models for found in model.devices]
    memory = [found.memory for _, found in pairs]
    times = [shown_latency(found, model)[0] for model, found in pairs]
    memory_spans = _spans(
        [(each.low_bytes, each.likely_bytes, each.high_bytes, each.budget_bytes) for each in memory]
    )
    time_spans = _spans(
        [(each.low_ns, each.likely_ns, each.high_ns, each.budget_ns) for each in times]
    )
    grids = [device_grid(model) for model in models]
    texts = (row for grid in grids for row in grid.rows)
    titles = max((grid.columns for grid in grids), key=len)
    is_many = len(models) > 1
    rows = []
    for (model, found), time, memory_span, time_span, cells in zip(
        pairs, times, memory_spans, time_spans, texts, strict=True
    ):
        name, verdict, time_text, target, memory_text, *more = map(str, cells)
        order = float(_VERDICT_ORDER.index(found.verdict))
        rows.append(
            (
                *([Cell(name_text(model.profile.model.name, 40))] if is_many else []),
                Cell(name),
                Cell(verdict, order, VERDICT_TONE[found.verdict]),
                Cell(time_text, span=time_span),
                Cell(target, time.budget_ns),
                Cell(memory_text, span=memory_span),
                *map(Cell, more + [""] * (len(titles) - 5 - len(more))),
            )
        )
    columns = tuple((column.title, column.align) for column in titles)
    return DataTable(
        "models and devices" if is_many else "devices",
        ((("model", "left"), *columns) if is_many else columns),
        tuple(rows),
        choice=2 if is_many else 1,
        is_of_cards=True,
        remarks=(_SPAN_REMARK, *remarks),
    )


def _spans(
    figures: Sequence[tuple[int | None, int | None, int | None, int | None]],
) -> list[tuple[int | None, int | None, int | None, int | None] | None]:
    """The figures on one logarithmic axis."""
    known_figures = [each for row in figures for each in row if each]
    if not known_figures:
        return [None] * len(figures)
    first, last = math.log(min(known_figures)), math.log(max(known_figures))
    width = max(last - first, 1e-9)

    def place(figure: int | None) -> int | None:
        if not figure:
            return None
        return round(_MARGIN + (AXIS_END - 2 * _MARGIN) * (math.log(figure) - first) / width)

    return [
        (place(low), place(likely), place(high), place(limit)) if low else None
        for low, likely, high, limit in figures
    ]


def node_tables(profile: Profile) -> Iterator[DataTable]:
    """The nodes of the profile, slowest first."""
    operators = sorted(profile.operators, key=per_run_ns, reverse=True)
    if not operators:
        return
    total_ns = sum(map(per_run_ns, operators))
    columns: list[tuple[str, Align, Callable[[OperatorProfile], Cell]]] = [
        ("node", "left", lambda item: Cell(name_text(item.node, 48))),
        ("operator", "left", lambda item: Cell(name_text(item.op_type, 24))),
        ("time", "right", lambda item: Cell(format_duration(per_run_ns(item)), per_run_ns(item))),
        (
            "share",
            "right",
            lambda item: Cell(share_text(per_run_ns(item), total_ns), per_run_ns(item)),
        ),
        (
            "inputs, outputs, weights",
            "right",
            lambda item: Cell(known(item.bytes, format_bytes, ""), item.bytes),
        ),
    ]
    if any(item.arena_in_use_bytes is not None for item in operators):
        columns.append(
            (
                "arena after the node",
                "right",
                lambda item: Cell(
                    known(item.arena_in_use_bytes, format_bytes, ""), item.arena_in_use_bytes
                ),
            )
        )
    rest = len(operators) - _NODE_LIMIT
    yield DataTable(
        "nodes in one run",
        tuple((title, align) for title, align, _ in columns),
        tuple(tuple(cell(item) for _, _, cell in columns) for item in operators[:_NODE_LIMIT]),
        remarks=(f"{rest} faster nodes with --json",) if rest > 0 else (),
    )
