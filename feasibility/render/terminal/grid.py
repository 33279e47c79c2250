"""How is a table laid out? Columns as wide as their cells, fewer or shorter where needed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from feasibility.render.reports.sections import Align, Bar, Cell, Column, Grid, Tone
from feasibility.render.terminal.bar import bar_text
from feasibility.render.terminal.text_lines import (
    TONE_STYLES,
    fitted,
    harmless,
    print_line,
    shortened,
)

NARROWEST_COLUMN: Final = 6
BAR_WIDTHS: Final = (8, 16)


def print_grid(console: Console, grid: Grid, *, indent: int = 2) -> None:
    """Headings and rows; a grid that splits continues below where it is too wide."""
    room = console.width - indent
    if grid.splits:
        for part in _split(grid, room):
            _print_table(console, part, room, indent)
    else:
        _print_table(console, grid, room, indent)


def _print_table(console: Console, grid: Grid, room: int, indent: int) -> None:
    kept = _kept_columns(grid, room)
    widths = _widths(grid, kept, room)
    columns = [grid.columns[index] for index in kept]
    for heading in _heading_lines(columns, widths):
        print_line(console, Text(" " * indent) + Text(heading, style="dim"))
    plain: Tone = "plain"
    for row, tone in zip(grid.rows, grid.tones or (plain,) * len(grid.rows), strict=True):
        line = Text(" " * indent)
        tone_index = grid.tone_column % len(grid.columns)
        for index, width in zip(kept, widths, strict=True):
            style = TONE_STYLES[tone] if index == tone_index else ""
            cell = _cell_text(console, row[index], width, grid.columns[index].align)
            line += Text(cell, style=style) + Text(" " * grid.columns[index].gap)
        print_line(console, line)


def _kept_columns(grid: Grid, room: int) -> list[int]:
    """Columns that fit, the highest ranks left out first."""
    kept = list(range(len(grid.columns)))
    while _narrowest(grid, kept) > room:
        rank, index = max((grid.columns[index].rank, index) for index in kept)
        if rank == 0:
            break
        kept.remove(index)
    return kept


def _narrowest(grid: Grid, kept: Sequence[int]) -> int:
    least = (
        min(_natural_width(grid, index), grid.columns[index].min_width)
        if grid.columns[index].shrinks
        else _natural_width(grid, index)
        for index in kept
    )
    return sum(least) + _gaps(grid, kept)


def _gaps(grid: Grid, kept: Sequence[int]) -> int:
    return sum(grid.columns[index].gap for index in kept[:-1])


def _widths(grid: Grid, kept: Sequence[int], room: int) -> list[int]:
    """Natural widths, shortened where columns allow it; bars take the width that is left."""
    widths = {index: _natural_width(grid, index) for index in kept}
    excess = sum(widths.values()) + _gaps(grid, kept) - room
    shrinking = [index for index in kept if grid.columns[index].shrinks]
    # First to the width that still reads well, then as far as necessary.
    steps = [(index, grid.columns[index].min_width) for index in shrinking]
    steps += [(index, NARROWEST_COLUMN) for index in (*shrinking, *kept)]
    for index, least in steps:
        cut = min(max(excess, 0), max(widths[index] - least, 0))
        widths[index] -= cut
        excess -= cut
    for index in kept:
        if excess < 0 and _holds_bars(grid, index):
            grown = min(widths[index] - excess, BAR_WIDTHS[1])
            excess += grown - widths[index]
            widths[index] = grown
    return [widths[index] for index in kept]


def _natural_width(grid: Grid, index: int) -> int:
    if _holds_bars(grid, index):
        return BAR_WIDTHS[0]
    cells = (cell_len(cell) for row in grid.rows if isinstance(cell := row[index], str))
    headings = map(cell_len, _wrapped_title(grid.columns[index]))
    return max((*cells, *headings), default=0)


def _holds_bars(grid: Grid, index: int) -> bool:
    return any(isinstance(row[index], Bar) for row in grid.rows)


def _wrapped_title(column: Column) -> list[str]:
    """The heading in lines of whole words."""
    if column.title_width is None:
        return [column.title]
    return wrap(column.title, column.title_width, break_long_words=False) or [""]


def _heading_lines(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    titles = [_wrapped_title(column) for column in columns]
    height = max(map(len, titles), default=0)
    if not any(column.title for column in columns):
        return []
    lines = []
    for number in range(height):
        parts = []
        for title, column, width in zip(titles, columns, widths, strict=True):
            # Headings are on the bottom line, next to their cells.
            position = number - (height - len(title))
            text = shortened(title[position] if position >= 0 else "", width)
            parts.append(fitted(text, width, column.align) + " " * column.gap)
        lines.append("".join(parts))
    return lines


def _split(grid: Grid, room: int) -> list[Grid]:
    """The grid in parts that fit, each with the first column repeated."""
    first = grid.columns[0]
    used = first.min_width if first.shrinks else _natural_width(grid, 0)
    groups: list[list[int]] = [[]]
    width = used
    for index in range(1, len(grid.columns)):
        width += first.gap + _natural_width(grid, index)
        if width > room and groups[-1]:
            groups.append([])
            width = used + first.gap + _natural_width(grid, index)
        groups[-1].append(index)
    colored = grid.tone_column % len(grid.columns)
    return [
        Grid(
            tuple(grid.columns[index] for index in (0, *group)),
            tuple(tuple(row[index] for index in (0, *group)) for row in grid.rows),
            grid.tones if colored in group else (),
            (0, *group).index(colored) if colored in group else -1,
        )
        for group in groups
    ]


def _cell_text(console: Console, cell: Cell, width: int, align: Align) -> str:
    if isinstance(cell, Bar):
        return bar_text(cell, width, ascii_only=console.options.ascii_only)
    return fitted(shortened(harmless(cell), width), width, align)
