"""How are curves drawn in characters? Memory over time, and latency against a limit."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from feasibility.render.reports.sections import AreaPlot, LatencyPlot, Tone
from feasibility.render.terminal.text_lines import TONE_STYLES, fitted, harmless, print_line
from feasibility.units import format_bytes, format_duration

_LABEL_WIDTH: Final = 10
_LEVELS: Final = 8
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"

_MARK_COUNT_LIMIT: Final = 88
_LATENCY_LINE_COUNT: Final = 7
# Latencies that differ by less are on one line.
_FLATTEST_RATIO: Final = 1.25
# An axis that spans more is logarithmic.
_WIDEST_RATIO: Final = 3.0


def print_area_plot(console: Console, plot: AreaPlot) -> None:
    """Print the plot as wide as the terminal."""
    width = console.width - _LABEL_WIDTH - 2
    lines = area_lines(plot, width, ascii_only=console.options.ascii_only)
    for number, line in enumerate(lines):
        label = {0: plot.top, plot.line_count - 1: "0"}.get(number, "")
        print_line(console, Text(f"{fitted(harmless(label), _LABEL_WIDTH, 'right')} {line}"))
    axis = harmless(axis_line(plot.marks, width))
    print_line(console, Text(" " * (_LABEL_WIDTH + 1) + axis, style="dim"))


def area_lines(plot: AreaPlot, width: int, *, ascii_only: bool) -> list[str]:
    """Lines of characters from the top down; each column is the highest point in it."""
    height = plot.line_count
    greatest = max(plot.heights, default=0)
    outer = _levels(_highest(plot.starts, plot.heights, width), greatest, height)
    inner = _levels(_highest(plot.starts, plot.inner, width), greatest, height)
    return [
        "".join(
            _cell(high - base, low - base, two=bool(plot.inner), ascii_only=ascii_only)
            for high, low in zip(outer, inner, strict=True)
        )
        for base in reversed(range(0, height * _LEVELS, _LEVELS))
    ]


def axis_line(marks: Sequence[tuple[float, str]], width: int) -> str:
    """A tick where each part begins, and its name where it has room."""
    line = [" "] * width
    starts = [min(int(ratio * width), width - 1) for ratio, _ in marks]
    for start, end, (_, name) in zip(starts, [*starts[1:], width], marks, strict=True):
        text = f"|{name}" if len(name) < end - start else "|"
        line[start : start + len(text)] = text
    return "".join(line)


def legend_text(console: Console, plot: AreaPlot) -> str:
    """What the two shades of a plot mean; empty where it has one."""
    signs = "#:" if console.options.ascii_only else "█░"
    words = [f"{sign} {word}" for sign, word in zip(signs, plot.legend, strict=False)]
    return f" ({', '.join(words)})" if words else ""


def _highest(starts: Sequence[float], heights: Sequence[int], width: int) -> list[int]:
    """The highest value in each column; a column without a point goes on as the last one ended."""
    if not heights:
        return [0] * width
    columns = []
    for column in range(width):
        first = bisect_right(starts, column / width) - 1
        last = bisect_right(starts, (column + 1) / width)
        columns.append(max(heights[max(first, 0) : max(last, 1)]))
    return columns


def _levels(columns: Sequence[int], greatest: int, height: int) -> list[int]:
    """Heights in eighths of a line, rounded up so that a small value stays visible."""
    if not greatest:
        return [0] * len(columns)
    return [-(-value * height * _LEVELS // greatest) for value in columns]


def _cell(high: int, low: int, *, two: bool, ascii_only: bool) -> str:
    """One character: dark below `low`, light below `high`; half a line decides where both are."""
    half = _LEVELS // 2
    if two or ascii_only:
        dark, light = ("#", ":") if ascii_only else ("█", "░")
        if not two:
            return dark if high >= half else " "
        return dark if low >= half else light if high >= half else " "
    return _EIGHTHS[min(max(high, 0), _LEVELS)]


def print_latency_plot(console: Console, plot: LatencyPlot) -> None:
    """Print a field of marks with latencies on its left and the ends of the limits below."""
    ascii_only = console.options.ascii_only
    bar, corner, axis = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    width = min(console.width - _LABEL_WIDTH - 3, _MARK_COUNT_LIMIT)
    for label, marks, tone in latency_lines(plot, width, "o" if ascii_only else "●"):
        head = Text(f"{fitted(label, _LABEL_WIDTH + 1, 'right')} {bar}")
        print_line(console, head + Text(marks, style=TONE_STYLES[tone]))
    margin = " " * (_LABEL_WIDTH + 2)
    print_line(console, Text(margin + corner + axis * width))
    limits = [limit for limit, _ in plot.points]
    left, right = format_bytes(min(limits)), format_bytes(max(limits))
    print_line(console, Text(margin + left + fitted(right, width + 1 - len(left), "right")))


def latency_lines(plot: LatencyPlot, width: int, mark: str) -> list[tuple[str, str, Tone]]:
    """Label, marks and tone of each line from the top down; killed runs are `x` on the last."""
    columns = _positions([limit for limit, _ in plot.points], width)
    alive = [(ns, column) for (_, ns), column in zip(plot.points, columns, strict=True) if ns]
    killed = {column for (_, ns), column in zip(plot.points, columns, strict=True) if not ns}
    lines: list[tuple[str, str, Tone]] = []
    if alive:
        times = [ns for ns, _ in alive]
        height = _LATENCY_LINE_COUNT if max(times) > _FLATTEST_RATIO * min(times) else 1
        levels = _positions(times, height)
        for level in reversed(range(height)):
            here = [pair for pair, own in zip(alive, levels, strict=True) if own == level]
            label = format_duration(min(ns for ns, _ in here)) if here else ""
            lines.append((label, _marks({column for _, column in here}, width, mark), "good"))
    if killed:
        lines.append(("killed", _marks(killed, width, "x"), "bad"))
    return lines


def _marks(columns: set[int], width: int, mark: str) -> str:
    return "".join(mark if column in columns else " " for column in range(width))


def _positions(values: Sequence[int], count: int) -> list[int]:
    """Places from 0 to `count` - 1, the smallest value at 0 and the largest at the end."""
    low, high = min(values), max(values)
    if high > _WIDEST_RATIO * low:
        shares = [math.log(value / low) / math.log(high / low) for value in values]
    else:
        shares = [(value - low) / max(high - low, 1) for value in values]
    return [round(share * (count - 1)) for share in shares]
