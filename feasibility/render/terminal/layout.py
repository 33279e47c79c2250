"""Lays the parts of a report out on a terminal: labelled rows, sections, remarks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from feasibility.render.rows.rows import Row, Section
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.text_lines import (
    TONE_STYLES,
    fitted,
    harmless,
    print_hanging,
    shortened,
)

LABEL_LIMIT: Final = 24
GAP: Final = 2


def print_rows(
    console: Console, rows: Iterable[Row], *, indent: int = 2, label_width: int | None = None
) -> None:
    """Labels on the left, their statements wrapped beside them."""
    rows = tuple(rows)
    widest = max((cell_len(row.label) for row in rows), default=0)
    width = min(widest, LABEL_LIMIT, console.width // 3) if label_width is None else label_width
    for row in rows:
        label = shortened(harmless(row.label), width)
        head = Text(" " * indent) + Text(fitted(label, width), style="bold")
        body = Text(harmless(row.text), style=TONE_STYLES[row.tone])
        print_hanging(console, head + Text(" " * GAP) if width else head, body)


def print_heading(console: Console, text: str) -> None:
    """A line that starts a part of a report."""
    print_hanging(console, Text(), Text(harmless(text), style="bold"))


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
        print_hanging(console, Text("  "), Text(harmless(remark), style="dim"))
