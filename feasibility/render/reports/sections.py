"""What are reports made of? Sections of labelled rows, grids of cells and plots.

The other modules here turn records into sections; `terminal/` only lays them out. All text
is ready to show: every name out of a model has passed through `safe_text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from feasibility.records.shared_fields import Assumption, Notice, TensorSpec
from feasibility.text import safe_text
from feasibility.units import format_bytes, format_percent

NAME_LIMIT: Final = 60
NOT_KNOWN: Final = "not known"
_LABEL_LIMIT: Final = 24

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
    """A share, drawn as a bar; empty if it is None."""

    filled_ratio: float | None


Cell: TypeAlias = "str | Bar"
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid.

    Args:
        min_width: Least width of a column that may be shortened; None for other columns.
        rank: On a narrow terminal columns of the highest rank are left out first; columns
            of rank 0 always stay.
        title_width: Width to which a long heading is wrapped.
    """

    title: str
    align: Align = "left"
    min_width: int | None = None
    rank: int = 0
    title_width: int | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells under headings.

    Args:
        tones: One per row, or empty.
        tone_column: The cell that has its row's tone.
        splits: True if a grid that is too wide continues below, with its first column again.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tones: tuple[Tone, ...] = ()
    tone_column: int = -1
    splits: bool = False


def table(
    items: Sequence[_Item],
    *columns: tuple[Column, Callable[[_Item], Cell]],
    tone: Callable[[_Item], Tone] | None = None,
    tone_column: int = -1,
    splits: bool = False,
) -> Grid:
    """One row per item; each column comes with the function that writes its cells."""
    rows = tuple(tuple(cell(item) for _, cell in columns) for item in items)
    tones = () if tone is None else tuple(map(tone, items))
    return Grid(tuple(column for column, _ in columns), rows, tones, tone_column, splits)


@dataclass(frozen=True, slots=True)
class AreaPlot:
    """Heights over a span from 0 to 1, with the names of the span's parts below.

    Args:
        starts: Where each height begins, rising.
        inner: Heights within the others that are drawn darker; may be empty.
        marks: Beginnings of the span's parts with their names.
        top: The greatest height as text.
        legend: What the two shades are; the darker one first.
    """

    starts: tuple[float, ...]
    heights: tuple[int, ...]
    inner: tuple[int, ...]
    marks: tuple[tuple[float, str], ...]
    top: str
    legend: tuple[str, ...] = ()
    line_count: int = 10


@dataclass(frozen=True, slots=True)
class LatencyPlot:
    """Latencies in ns against memory limits in bytes; None for a run that was killed."""

    points: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report: title, rows, plot, grid and remarks, each of which may be missing."""

    title: str = ""
    rows: tuple[Row, ...] = ()
    grid: Grid | None = None
    remarks: tuple[str, ...] = ()
    plot: AreaPlot | LatencyPlot | None = None
    tone: Tone = "plain"


# The sections of a report in their order; None where there is nothing to show.
Report: TypeAlias = "tuple[Section | None, ...]"


def name_text(name: str, limit: int = NAME_LIMIT) -> str:
    """A name out of a model, or a path, on one line and without control characters."""
    return safe_text(name, limit)


def node_text(node: str, op_type: str) -> str:
    """A node with its operator."""
    return f"{name_text(node, 48)} ({name_text(op_type, 24)})"


def known(
    figure: int | None, form: Callable[[int], str] = format_bytes, unknown: str = NOT_KNOWN
) -> str:
    """A figure as `form` writes it, or the text for an unknown one."""
    return unknown if figure is None else form(figure)


def disk_text(file_bytes: int, external_bytes: int) -> str:
    """Size on disk, external data named where there is any."""
    total = f"{format_bytes(file_bytes + external_bytes)} on disk"
    return f"{total} ({format_bytes(external_bytes)} external)" if external_bytes else total


def share_text(part: float, whole: float) -> str:
    """A share in percent; empty if the whole is 0."""
    return format_percent(part / whole) if whole else ""


def shape_text(shape: Sequence[int | str | None] | None) -> str:
    """A shape such as `1x3x224x224`, `[N, 128]` or `scalar`; `?` for an unknown dimension."""
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


def joined(names: Sequence[str]) -> str:
    """Names as a sentence lists them: `a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def section_of(title: str, rows: Iterable[Row]) -> Section | None:
    """A section of rows; None without a row."""
    rows = tuple(rows)
    return Section(title, rows) if rows else None


def listed_rows(label: str, texts: Iterable[str]) -> tuple[Row, ...]:
    """One row per text, with the label on the first."""
    return tuple(
        Row("" if number else label, name_text(text, 400)) for number, text in enumerate(texts)
    )


def assumption_rows(assumptions: Iterable[Assumption]) -> tuple[Row, ...]:
    """One row per option that overrides assumptions: what was assumed, and how to set it."""
    by_option: dict[str, list[Assumption]] = {}
    for item in assumptions:
        by_option.setdefault(item.option.partition(" ")[0], []).append(item)
    texts = []
    for option, items in by_option.items():
        values = (f"{name_text(one.subject, 40)} = {name_text(one.value, 40)}" for one in items)
        is_single, is_dim = len(items) == 1, option == "--dim"
        it = "it" if is_single else "them"
        why = f", because the model leaves {it} open; set {it}" if is_dim else "; give other values"
        example = f"{option} NAME={'VALUE' if is_dim else 'FILE.npy'}"
        how = _option_text(items[0].option) if is_single else example
        texts.append(f"{', '.join(values)}{why} with {how}")
    return tuple(Row("" if number else "assumed", text) for number, text in enumerate(texts))


def _option_text(option: str) -> str:
    """The option with a placeholder that cannot be read as the name of the dim."""
    return name_text(re.sub(r"=N('?)$", r"=VALUE\1", option), 80)


def assumption_section(assumptions: Iterable[Assumption]) -> Section | None:
    """What was assumed, why, and the option that overrides it."""
    rows = (
        Row(
            f"{name_text(item.subject, 24)} = {name_text(item.value, 20)}",
            f"{name_text(item.reason, 200)}; set it with {_option_text(item.option)}",
        )
        for item in assumptions
    )
    return section_of("assumptions", rows)


def answer_section(model: str, text: str, tone: Tone) -> Section:
    """The first line of a report: the model and the answer. A long name has a line of its own."""
    name = name_text(model, 200)
    title, label = (name, "") if len(name) > _LABEL_LIMIT else ("", name)
    return Section(title, (Row(label, text, tone),))


def notice_rows(notices: Iterable[Notice]) -> tuple[Row, ...]:
    """One row per notice, its hint after it; a repeated notice once."""
    texts = dict.fromkeys(
        "; ".join(filter(None, (item.message.rstrip("."), item.hint))) for item in notices
    )
    return tuple(Row("note", name_text(text, 600), "caution") for text in texts)


def notice_section(notices: Iterable[Notice]) -> Section | None:
    """The notices as a section of their own."""
    return section_of("", notice_rows(notices))
