"""Lays rows, grids and sections out on a terminal of any width.

Text never passes through rich's markup, and colour only repeats what the words say.
Lines carry no trailing blanks, so that reports can be piped, pasted and compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import IO, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from feasibility.render.view import Align, Bar, Cell, Column, Grid, Row, Section, Tone
from feasibility.text import ELLIPSIS, safe_text, shorten

DEFAULT_WIDTH: Final = 80
NARROWEST_WIDTH: Final = 40
LABEL_LIMIT: Final = 24
NARROWEST_COLUMN: Final = 6
GAP: Final = 2
BAR_WIDTHS: Final = (4, 16)

_TONE_STYLES: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "green",
    "caution": "yellow",
    "bad": "bold red",
    "faint": "dim",
}
_ASCII: Final = str.maketrans({ELLIPSIS: "~", "µ": "u", "±": "~"})
_TEXT_LIMIT: Final = 4000
# A number and its unit stay on one line. The glue is a character that is never shown: it
# is of one column like the blank it stands for, and `safe_text` lets none of its kind through.
_QUANTITY: Final = re.compile(r"(\d) (?=(?:[KMGT]?i?B|[kMGT]?FLOP|[num]?s|%)(?!\w))")
_GLUE: Final = "\ue000"
_EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


class _PipeConsole(Console):
    """A console that leaves it to its caller what becomes of a closed pipe."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_console(stream: IO[str]) -> Console:
    """A console on a stream: as wide as its terminal, or COLUMNS, or 80 where it is none."""
    console = _PipeConsole(file=stream, highlight=False, markup=False, emoji=False)
    if not stream.isatty():
        columns = os.environ.get("COLUMNS", "")
        console.width = int(columns) if columns.isdecimal() and int(columns) else DEFAULT_WIDTH
    console.width = max(console.width, NARROWEST_WIDTH)
    return console


def print_rows(
    console: Console, rows: Iterable[Row], *, indent: int = 2, label_width: int | None = None
) -> None:
    """Labels on the left, their statements wrapped beside them."""
    rows = tuple(rows)
    widest = max((cell_len(row.label) for row in rows), default=0)
    width = min(widest, LABEL_LIMIT, console.width // 3) if label_width is None else label_width
    for row in rows:
        label = _shortened(_harmless(row.label), width)
        head = Text(" " * indent) + Text(_fitted(label, width), style="bold")
        body = Text(_harmless(row.text), style=_TONE_STYLES[row.tone])
        print_hanging(console, head + Text(" " * GAP) if width else head, body)


def print_hanging(console: Console, head: Text, body: Text) -> None:
    """The body wrapped to the width, its further lines under its first."""
    indent = head.cell_len
    room = max(console.width - indent, 16)
    body.plain = _QUANTITY.sub(rf"\1{_GLUE}", body.plain)
    lines = body.wrap(console, room, overflow="fold") or [Text()]
    for number, line in enumerate(lines):
        line.plain = line.plain.replace(_GLUE, " ")
        print_line(console, (head if number == 0 else Text(" " * indent)) + line)


def print_line(console: Console, line: Text) -> None:
    """One line as it is, in characters the terminal has, without trailing blanks."""
    if console.options.ascii_only:
        line = _asciified(line)
    line.rstrip()
    console.print(line, soft_wrap=True)


def print_heading(console: Console, text: str) -> None:
    """A line that starts a part of a report."""
    print_hanging(console, Text(), Text(_harmless(text), style="bold"))


def print_section(console: Console, section: Section, *, separate: bool = True) -> None:
    """Title, rows, grid and remarks, an empty line before them if they are to be separate."""
    if separate:
        console.print()
    print_heading(console, section.title)
    print_rows(console, section.rows)
    if section.grid is not None:
        print_grid(console, section.grid)
    print_remarks(console, section.remarks)


def print_remarks(console: Console, remarks: Iterable[str]) -> None:
    """What belongs to a table and is no row of it."""
    for remark in remarks:
        print_hanging(console, Text("  "), Text(_harmless(remark), style="dim"))


def print_grid(console: Console, grid: Grid, *, indent: int = 2) -> None:
    """Columns as wide as their cells, fewer or shorter where the width is short."""
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
            style = _TONE_STYLES[tone] if index == tone_index else ""
            cell = _cell_text(console, row[index], width, grid.columns[index].align)
            line += Text(cell, style=style) + Text(" " * grid.columns[index].gap)
        print_line(console, line)


def _kept_columns(grid: Grid, room: int) -> list[int]:
    """Columns that have a place, the highest ranks left out first."""
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
    """Natural widths, shortened where columns allow it, then bars grown into what is left."""
    widths = {index: _natural_width(grid, index) for index in kept}
    excess = sum(widths.values()) + _gaps(grid, kept) - room
    shrinking = [index for index in kept if grid.columns[index].shrinks]
    # First as far as reads well, then as far as it must be.
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
    lines: list[str] = []
    for word in column.title.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= column.title_width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _heading_lines(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    titles = [_wrapped_title(column) for column in columns]
    height = max(map(len, titles), default=0)
    if not any(column.title for column in columns):
        return []
    lines = []
    for number in range(height):
        parts = []
        for title, column, width in zip(titles, columns, widths, strict=True):
            # Headings stand on the bottom line, next to their cells.
            position = number - (height - len(title))
            text = _shortened(title[position] if position >= 0 else "", width)
            parts.append(_fitted(text, width, column.align) + " " * column.gap)
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
    return [
        Grid(
            tuple(grid.columns[index] for index in (0, *group)),
            tuple(tuple(row[index] for index in (0, *group)) for row in grid.rows),
        )
        for group in groups
    ]


def _cell_text(console: Console, cell: Cell, width: int, align: Align) -> str:
    if isinstance(cell, Bar):
        return bar_text(cell, width, ascii_only=console.options.ascii_only)
    return _fitted(_shortened(_harmless(cell), width), width, align)


def bar_text(bar: Bar, width: int, *, ascii_only: bool) -> str:
    """A bar of the limit's width: full blocks to the value, shaded ones to the possible value.

    Beyond the limit the last place is an arrow, so that "just full" and "too much" differ.
    """
    full, shaded, empty, beyond = ("#", "+", ".", ">") if ascii_only else ("█", "▒", "·", "▶")
    ratio = bar.filled_ratio
    if ratio is None:
        return " " * width
    if ratio > 1:
        return full * (width - 1) + beyond
    # Rounded down, so that only what reaches the limit fills the bar, but up from nothing.
    eighths = max(int(ratio * width * 8), int(ratio > 0))
    if ascii_only:
        filled = full * max(eighths // 8, int(ratio > 0))
    else:
        filled = full * (eighths // 8) + _EIGHTHS[eighths % 8]
    possible = min(int((bar.possible_ratio or 0.0) * width), width)
    text = filled + shaded * (possible - len(filled))
    return text + empty * (width - len(text))


def _harmless(text: str) -> str:
    """The text as the views made it; should one have let a control character through, escaped."""
    return safe_text(text, _TEXT_LIMIT)


def _fitted(text: str, width: int, align: Align = "left") -> str:
    if align == "right":
        return " " * max(width - cell_len(text), 0) + text
    return set_cell_size(text, width)


def _shortened(text: str, width: int) -> str:
    """At most `width` cells; characters that take two cells count twice."""
    limit = width
    while cell_len(text) > width:
        text = shorten(text, limit)
        limit -= 1
    return text


def _asciified(line: Text) -> Text:
    """The line with the few characters that reports use beyond ASCII replaced."""
    plain = line.plain.translate(_ASCII)
    return Text(plain, style=line.style, spans=line.spans)
