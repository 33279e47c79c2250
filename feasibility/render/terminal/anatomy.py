"""Draws where a model's memory is: the divided figures, and plots in characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from feasibility.records.profile import Profile
from feasibility.render.rows.anatomy import (
    Plot,
    anatomy_section,
    arena_plot,
    arena_section,
    phase_grid,
    timeline_plot,
)
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import print_heading, print_section
from feasibility.render.terminal.text_lines import fitted, harmless, print_line

PLOT_HEIGHT: Final = 10
ARENA_PLOT_HEIGHT: Final = 6
_INDENT: Final = 2
_LABEL_WIDTH: Final = 8
_LEVELS: Final = 8
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


def render_anatomy(profile: Profile, console: Console) -> None:
    """Print where the memory is and how it got there, as far as it was measured."""
    section = anatomy_section(profile.anatomy)
    if section is not None:
        print_section(console, section)
    plot = timeline_plot(profile.timeline)
    if plot is not None and profile.timeline is not None:
        print_plot(console, plot, PLOT_HEIGHT)
        print_grid(console, phase_grid(profile.timeline))
    section = arena_section(profile)
    if section is not None:
        print_section(console, section)
    plot = arena_plot(profile)
    if plot is not None:
        print_plot(console, plot, ARENA_PLOT_HEIGHT)


def print_plot(console: Console, plot: Plot, height: int) -> None:
    """The plot as wide as the terminal, an empty line before it."""
    console.print()
    ascii_only = console.options.ascii_only
    print_heading(console, plot.title + _legend(plot, ascii_only=ascii_only))
    width = console.width - _INDENT - _LABEL_WIDTH - 2
    lines = plot_lines(plot, width, height, ascii_only=ascii_only)
    for number, line in enumerate(lines):
        label = {0: plot.top, height - 1: "0"}.get(number, "")
        head = " " * _INDENT + fitted(harmless(label), _LABEL_WIDTH, "right")
        print_line(console, Text(f"{head} {line}"))
    axis = axis_line(plot.marks, width)
    print_line(console, Text(" " * (_INDENT + _LABEL_WIDTH + 1) + harmless(axis), style="dim"))


def plot_lines(plot: Plot, width: int, height: int, *, ascii_only: bool) -> list[str]:
    """Rows of characters from the top down; each column is the highest point in it."""
    greatest = max(plot.heights, default=0)
    outer = _levels(_columns(plot.at, plot.heights, width), greatest, height)
    inner = _levels(_columns(plot.at, plot.inner, width), greatest, height)
    lines = []
    for row in reversed(range(height)):
        base = row * _LEVELS
        cells = (
            _cell(high - base, low - base, two=bool(plot.inner), ascii_only=ascii_only)
            for high, low in zip(outer, inner, strict=True)
        )
        lines.append("".join(cells))
    return lines


def axis_line(marks: Sequence[tuple[float, str]], width: int) -> str:
    """The names below the beginnings of their parts, cut where the next one begins."""
    line = [" "] * width
    starts = [min(int(ratio * width), width - 1) for ratio, _ in marks]
    for start, end, (_, name) in zip(starts, [*starts[1:], width], marks, strict=True):
        for offset, character in enumerate(f"|{name}"[: max(end - start, 1)]):
            line[start + offset] = character
    return "".join(line)


def _columns(at: Sequence[float], heights: Sequence[int], width: int) -> list[int]:
    """The highest value in each column; a column without a point goes on as the last one ended."""
    if not heights:
        return [0] * width
    columns = []
    for column in range(width):
        first = bisect_right(at, column / width) - 1
        last = bisect_right(at, (column + 1) / width)
        columns.append(max(heights[max(first, 0) : max(last, 1)]))
    return columns


def _levels(columns: Sequence[int], greatest: int, height: int) -> list[int]:
    """Heights in eighths of a row, rounded up so that nothing that is there vanishes."""
    if not greatest:
        return [0] * len(columns)
    return [-(-value * height * _LEVELS // greatest) for value in columns]


def _cell(high: int, low: int, *, two: bool, ascii_only: bool) -> str:
    """One character: dark below `low`, light below `high`; half a row decides where both are."""
    half = _LEVELS // 2
    if two or ascii_only:
        dark, light = ("#", ":") if ascii_only else ("█", "░")
        if not two:
            return dark if high >= half else " "
        return dark if low >= half else light if high >= half else " "
    return _EIGHTHS[min(max(high, 0), _LEVELS)]


def _legend(plot: Plot, *, ascii_only: bool) -> str:
    if not plot.legend:
        return ""
    signs = "#:" if ascii_only else "█░"
    words = (f"{sign} {word}" for sign, word in zip(signs, plot.legend, strict=True))
    return f" ({', '.join(words)})"
