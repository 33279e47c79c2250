"""How is a report laid out on a terminal? Section by section, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from feasibility.render.reports.sections import AreaPlot, Row, Section
from feasibility.render.terminal.curves import legend_text, print_area_plot, print_latency_plot
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
_INDENT: Final = 2


def print_report(console: Console, sections: Iterable[Section | None]) -> None:
    """Print sections with an empty line between them."""
    shown = [section for section in sections if section is not None]
    for number, section in enumerate(shown):
        if number:
            console.print()
        print_section(console, section)


def print_section(console: Console, section: Section) -> None:
    """Print title, rows, plot, grid and remarks; below a title they are indented."""
    indent = _INDENT if section.title else 0
    plot = section.plot
    if section.title:
        legend = legend_text(console, plot) if isinstance(plot, AreaPlot) else ""
        style = f"bold {TONE_STYLES[section.tone]}".strip()
        print_hanging(console, Text(), Text(harmless(section.title + legend), style=style))
    print_rows(console, section.rows, indent=indent)
    if isinstance(plot, AreaPlot):
        print_area_plot(console, plot)
    elif plot is not None:
        print_latency_plot(console, plot)
    if section.grid is not None:
        print_grid(console, section.grid, indent=indent)
    for remark in section.remarks:
        print_hanging(console, Text(" " * _INDENT), Text(harmless(remark), style="dim"))


def print_rows(console: Console, rows: Iterable[Row], *, indent: int = _INDENT) -> None:
    """Print labels on the left, their statements wrapped beside them."""
    rows = tuple(rows)
    widest = max((cell_len(row.label) for row in rows), default=0)
    width = min(widest, LABEL_LIMIT, console.width // 3)
    for row in rows:
        label = shortened(harmless(row.label), width)
        head = Text(" " * indent) + Text(fitted(label, width), style="bold")
        body = Text(harmless(row.text), style=TONE_STYLES[row.tone])
        print_hanging(console, head + Text(" " * GAP) if width else head, body)
