"""Points in a field of characters: latency against the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from feasibility.records.proof import Proof
from feasibility.units import format_bytes, format_duration

Mark: TypeAlias = Literal["empty", "alive", "killed"]

_HEIGHT: Final = 7
# One tenth more on a logarithmic axis: equal latencies keep to one line.
_FLATTEST_RATIO: Final = 1.25
_WIDEST_RATIO: Final = 3.0


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One line of a plot: what its height means, and a mark per column."""

    label: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A field of marks above an axis.

    Args:
        title: What is drawn.
        lines: From the top down.
        left: What the first column means.
        right: What the last column means.
    """

    title: str
    lines: tuple[PlotLine, ...]
    left: str
    right: str


def latency_plot(proof: Proof, width: int) -> Plot | None:
    """Median latency of every limited run against its limit; None where two limits do not differ.

    Both axes are logarithmic where they span much. Runs that were killed have no latency:
    they stand on a line of their own.

    Args:
        proof: The runs.
        width: Columns of the field.
    """
    runs = [run for run in proof.runs if run.limit_bytes]
    limits = [run.limit_bytes or 0 for run in runs]
    if len(set(limits)) < 2:
        return None
    columns = _positions(limits, width)
    alive = [(run.median_ns, at) for run, at in zip(runs, columns, strict=True) if run.median_ns]
    killed = {at for run, at in zip(runs, columns, strict=True) if not run.median_ns}
    lines: list[PlotLine] = []
    if alive:
        medians = [median for median, _ in alive]
        height = _HEIGHT if max(medians) > _FLATTEST_RATIO * min(medians) else 1
        levels = _positions(medians, height) if height > 1 else [0] * len(medians)
        for level in reversed(range(height)):
            here = [pair for pair, at in zip(alive, levels, strict=True) if at == level]
            label = format_duration(min(median for median, _ in here)) if here else ""
            lines.append(PlotLine(label, _marks({at for _, at in here}, width, "alive")))
    if killed:
        lines.append(PlotLine("killed", _marks(killed, width, "killed")))
    return Plot(
        "time of one run against the limit",
        tuple(lines),
        format_bytes(min(limits)),
        format_bytes(max(limits)),
    )


def _marks(columns: set[int], width: int, mark: Mark) -> tuple[Mark, ...]:
    return tuple(mark if at in columns else "empty" for at in range(width))


def _positions(values: Sequence[int], count: int) -> list[int]:
    """Places from 0 to `count` - 1, the smallest value at 0 and the largest at the end."""
    low, high = min(values), max(values)
    if high > _WIDEST_RATIO * low:
        scaled = [math.log(value / low) / math.log(high / low) for value in values]
    else:
        scaled = [(value - low) / max(high - low, 1) for value in values]
    return [round(share * (count - 1)) for share in scaled]
