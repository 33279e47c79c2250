"""What reports are made of: labelled rows and grids of cells, all text ready to show.

The `view_*` modules turn records into these; renderers only lay them out. Rounding
happens here and nowhere else, and every name that comes out of a model has passed
through `safe_text` by the time it is in a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from feasibility.records.base import Assumption, Notice, TensorSpec
from feasibility.text import safe_text
from feasibility.units import GIB, format_bytes, format_count, format_duration

NOT_MEASURED: Final = "not measured"
NAME_LIMIT: Final = 60

Align: TypeAlias = Literal["left", "right"]
Tone: TypeAlias = Literal["plain", "good", "caution", "bad", "faint"]


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled statement."""

    label: str
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Bar:
    """A quantity as a share of its limit, and how far it might go; None where not known."""

    filled_ratio: float | None
    possible_ratio: float | None = None


Cell: TypeAlias = "str | Bar"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid.

    Args:
        title: Its heading.
        align: Side that its cells keep to.
        shrinks: True if its text may be shortened where the width is short.
        min_width: Narrowest it may become.
        rank: Columns of the highest rank are left out first where the width is short;
            those of rank 0 never are.
        title_width: Width to which a long heading is wrapped.
        gap: Blanks between it and the next column.
    """

    title: str
    align: Align = "left"
    shrinks: bool = False
    min_width: int = 8
    rank: int = 0
    title_width: int | None = None
    gap: int = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells under headings.

    Args:
        columns: The headings.
        rows: As many cells per row as there are columns.
        tones: One per row; empty where none matters.
        tone_column: The cell that its row's tone colours.
        splits: True if a grid that is too wide continues below, its first column repeated.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tones: tuple[Tone, ...] = ()
    tone_column: int = -1
    splits: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report: rows, then a grid, then remarks."""

    title: str
    rows: tuple[Row, ...] = ()
    grid: Grid | None = None
    remarks: tuple[str, ...] = ()


def name_text(name: str, limit: int = NAME_LIMIT) -> str:
    """A name out of a model or a path, on one line and harmless."""
    return safe_text(name, limit)


def bytes_text(count: int | None) -> str:
    """A size, or that it was not measured."""
    return NOT_MEASURED if count is None else format_bytes(count)


def duration_text(ns: int | None) -> str:
    """A duration, or that it was not measured."""
    return NOT_MEASURED if ns is None else format_duration(ns)


def bytes_range_text(low: int, high: int) -> str:
    """Two sizes as a range, the unit said once where it is the same: `407 to 457 MiB`."""
    return range_text(format_bytes(low), format_bytes(high))


def rough_duration_text(ns: int) -> str:
    """A projected duration with two significant digits, for example `1.9 s`."""
    return format_duration(_two_digits(ns))


def rough_range_text(low_ns: int, high_ns: int) -> str:
    """A projected interval with two significant digits in one unit, as `0.48 to 1.2 s`."""
    low_ns, high_ns = _two_digits(low_ns), _two_digits(high_ns)
    if low_ns == high_ns:
        return format_duration(high_ns)
    high = format_duration(high_ns)
    number = high.rpartition(" ")[0]
    low = float(number) * low_ns / high_ns
    return f"{low:.2g} to {high}" if low < 99.5 else f"{low:.0f} to {high}"


def _two_digits(count: int) -> int:
    scale: int = 10 ** max(len(str(count)) - 2, 0)
    return (count + scale // 2) // scale * scale


def range_text(low: str, high: str) -> str:
    """Two quantities as a range, the unit said once where it is the same."""
    if low == high:
        return low
    low_number, _, low_unit = low.rpartition(" ")
    return f"{low_number} to {high}" if high.endswith(f" {low_unit}") else f"{low} to {high}"


def part_of_text(part: int | None, whole: int | None) -> str:
    """A size against its limit: `206 of 220 MiB`, `206 MiB of 2.9 GiB`."""
    if part is None:
        return NOT_MEASURED
    if whole is None:
        return f"{format_bytes(part)}, no limit known"
    number, _, unit = format_bytes(part).rpartition(" ")
    # Two digits are as much as a limit is known to; three would pretend to more.
    limit = format_bytes(whole)
    if GIB <= whole < 10 * GIB:
        limit = f"{whole / GIB:.1f}".removesuffix(".0") + " GiB"
    return f"{number} of {limit}" if limit.endswith(f" {unit}") else f"{number} {unit} of {limit}"


def flops_text(flops: int | None) -> str:
    """Work of one inference, one multiply-add counted as two operations."""
    if flops is None:
        return "work not known"
    text = format_count(flops)
    return f"{text}FLOP" if " " in text else f"{text} FLOP"


def disk_text(file_bytes: int, external_bytes: int) -> str:
    """Size on disk, external data named where there is any."""
    total = f"{format_bytes(file_bytes + external_bytes)} on disk"
    return f"{total} ({format_bytes(external_bytes)} external)" if external_bytes else total


def percent_text(part: float, whole: float) -> str:
    """A share in whole percent; `<1 %` for a little."""
    if not whole:
        return ""
    share = 100 * part / whole
    return "<1 %" if 0 < share < 0.5 else f"{share:.0f} %"


def shape_text(shape: Sequence[int | str | None] | None) -> str:
    """A shape such as `1x3x224x224`, `[N, 128]` or `scalar`; `?` for what is open."""
    if shape is None:
        return "any shape"
    if not shape:
        return "scalar"
    if all(isinstance(dim, int) for dim in shape):
        return "x".join(map(str, shape))
    dims = ("?" if dim is None else name_text(str(dim), 20) for dim in shape)
    return f"[{', '.join(dims)}]"


def tensor_text(spec: TensorSpec) -> str:
    """One declared input or output in a line."""
    kind = f"{spec.dtype} {shape_text(spec.shape)}" if spec.kind == "tensor" else spec.type_text
    return f"{name_text(spec.name, 40)} {name_text(kind, 80)}"


def counted(count: int, noun: str) -> str:
    """A count with its noun, for example `1 node` or `12 nodes`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def limited(items: Sequence[str], limit: int, noun: str) -> str:
    """Items joined by commas, the rest only counted."""
    shown = ", ".join(items[:limit])
    rest = len(items) - limit
    return f"{shown} and {rest} more {noun}" if rest > 0 else shown


def assumption_rows(assumptions: Iterable[Assumption]) -> tuple[Row, ...]:
    """One row that says everything assumed, each with the option that overrides it."""
    texts = [
        f"{name_text(item.subject, 40)} = {name_text(item.value, 40)} "
        f"({name_text(item.option, 60)})"
        for item in assumptions
    ]
    return (Row("assumed", "; ".join(texts)),) if texts else ()


def assumption_section(assumptions: Iterable[Assumption]) -> Section | None:
    """What was assumed, why, and the option that overrides it."""
    rows = tuple(
        Row(
            f"{name_text(item.subject, 24)} = {name_text(item.value, 20)}",
            f"{name_text(item.reason, 200)}; set it with {name_text(item.option, 80)}",
        )
        for item in assumptions
    )
    return Section("assumptions", rows) if rows else None


def notice_rows(notices: Iterable[Notice]) -> tuple[Row, ...]:
    """One row per notice, its hint after it."""
    return tuple(
        Row(
            "note",
            name_text("; ".join(filter(None, (item.message.rstrip("."), item.hint))), 600),
            "caution",
        )
        for item in notices
    )
