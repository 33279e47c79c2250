"""How is a table laid out? Columns as wide as their cells, fewer or shorter where needed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from feasibility.render.reports.sections import Bar, Column, Grid, Tone
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
GAP: Final = 2


def print_grid(console: Console, grid: Grid, *, indent: int = 2) -> None:
    """Headings and rows; a grid that splits continues below where it is too wide."""
    room = console.width - indent
    for part in _split(grid, room) if grid.splits else [grid]:
        _print_table(console, _narrowed(part, room), room, Text(" " * indent))


def _print_table(console: Console, grid: Grid, room: int, margin: Text) -> None:
    widths = _widths(grid, room)
    for heading in _heading_lines(grid.columns, widths):
        print_line(console, margin + Text(heading, style="dim"))
    plain: Tone = "plain"
    tone_index = grid.tone_column % len(grid.columns)
    for row, tone in zip(grid.rows, grid.tones or (plain,) * len(grid.rows), strict=True):
        line = margin.copy()
        for index, (column, width) in enumerate(zip(grid.columns, widths, strict=True)):
            cell = row[index]
            if isinstance(cell, Bar):
                text = bar_text(cell, width, ascii_only=console.options.ascii_only)
            else:
                text = fitted(shortened(harmless(cell), width), width, column.align)
            style = TONE_STYLES[tone] if index == tone_index else ""
            line += Text(text, style=style) + Text(" " * GAP)
        print_line(console, line)


def _selected(grid: Grid, indexes: Sequence[int]) -> Grid:
    """The grid with some of its columns."""
    toned = grid.tone_column % len(grid.columns)
    return Grid(
        tuple(grid.columns[index] for index in indexes),
        tuple(tuple(row[index] for index in indexes) for row in grid.rows),
        grid.tones if toned in indexes else (),
        indexes.index(toned) if toned in indexes else -1,
    )


def _split(grid: Grid, room: int) -> list[Grid]:
    """The grid in parts that fit, each with the first column repeated."""
    used = grid.columns[0].min_width or _natural_width(grid, 0)
    groups: list[list[int]] = [[]]
    width = used
    for index in range(1, len(grid.columns)):
        added = GAP + _natural_width(grid, index)
        width += added
        if width > room and groups[-1]:
            groups.append([])
            width = used + added
        groups[-1].append(index)
    return [_selected(grid, (0, *group)) for group in groups]


def _narrowed(grid: Grid, room: int) -> Grid:
    """The grid without columns that do not fit, the highest ranks left out first."""
    while _least_width(grid) > room:
        rank, last = max((column.rank, index) for index, column in enumerate(grid.columns))
        if rank == 0:
            break
        grid = _selected(grid, [index for index in range(len(grid.columns)) if index != last])
    return grid


def _least_width(grid: Grid) -> int:
    widths = [_natural_width(grid, index) for index in range(len(grid.columns))]
    least = (
        min(width, column.min_width or width)
        for width, column in zip(widths, grid.columns, strict=True)
    )
    return sum(least) + GAP * (len(grid.columns) - 1)


def _widths(grid: Grid, room: int) -> list[int]:
    """Natural widths, shortened where columns allow it; bars take the width that is left."""
    indexes = range(len(grid.columns))
    widths = [_natural_width(grid, index) for index in indexes]
    excess = sum(widths) + GAP * (len(widths) - 1) - room
    # First to the width that still reads well, then as far as necessary.
    steps = [(index, least) for index in indexes if (least := grid.columns[index].min_width)]
    steps += [(index, NARROWEST_COLUMN) for index in (*(index for index, _ in steps), *indexes)]
    for index, least in steps:
        cut = min(max(excess, 0), max(widths[index] - least, 0))
        widths[index] -= cut
        excess -= cut
    for index in indexes:
        if excess < 0 and _holds_bars(grid, index):
            grown = min(widths[index] - excess, BAR_WIDTHS[1])
            excess += grown - widths[index]
            widths[index] = grown
    return widths


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
    if not any(column.title for column in columns):
        return []
    titles = [_wrapped_title(column) for column in columns]
    height = max(map(len, titles))
    lines = [""] * height
    for title, column, width in zip(titles, columns, widths, strict=True):
        # Headings are on the bottom line, next to their cells.
        for number, text in enumerate([""] * (height - len(title)) + title):
            lines[number] += fitted(shortened(text, width), width, column.align) + " " * GAP
    return lines
