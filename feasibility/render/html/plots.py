"""What is a plot made of? Named positions, figures at these positions, axes and marks.

A plot is a table: one label per position, and one column of figures per series. So the numbers
behind each plot are shown without JavaScript too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from feasibility.render.reports.sections import Column, Grid
from feasibility.units import bytes_unit, duration_unit, format_bytes, format_duration

Form: TypeAlias = Literal["area", "bars", "points", "intervals"]
# A tone, `c0` to `c9` for a colour of the palette, or empty for the next colour.
Colour: TypeAlias = str
# A figure, both ends of an interval, or None where there is no figure.
Value: TypeAlias = "float | tuple[float, float] | None"


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis with its unit in the title."""

    title: str
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Figures of one kind, one per position.

    Args:
        values: Figures in the unit of the axis.
        texts: The same figures as reports print them.
    """

    name: str
    form: Form
    values: tuple[Value, ...]
    texts: tuple[str, ...]
    colour: Colour = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the plot at one value of an axis, or a band up to another value."""

    axis: Literal["x", "y"]
    at: float
    text: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Guide:
    """A line through points, for example a limit that depends on both axes."""

    text: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and the table behind it.

    Args:
        positions: What a label names, for example `device`; heading of the first column.
        labels: One name per position.
        places: Positions on the x axis; empty if the labels are categories.
        is_stacked: True if the bars of one position are parts of one sum.
        is_horizontal: True if categories go from top to bottom.
        shows_labels: True if the labels are written beside the points.
    """

    title: str
    positions: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    value_axis: Axis
    place_axis: Axis = field(default_factory=lambda: Axis(""))
    places: tuple[float, ...] = ()
    marks: tuple[Mark, ...] = ()
    guides: tuple[Guide, ...] = ()
    is_stacked: bool = False
    is_horizontal: bool = False
    shows_labels: bool = False
    remarks: tuple[str, ...] = ()

    def grid(self) -> Grid:
        """The figures as a table: one row per position, one column per series."""
        columns = (Column(self.positions), *(Column(each.name, "right") for each in self.series))
        texts = (each.texts for each in self.series)
        return Grid(columns, tuple(zip(self.labels, *texts, strict=True)))


@dataclass(frozen=True, slots=True)
class Scale:
    """Figures of one axis: their unit, its size, and how a report writes one."""

    unit: str
    factor: float
    text: Callable[[int], str]

    def of(self, figure: float | None) -> float | None:
        """The figure in the unit of the axis."""
        return None if figure is None else significant(figure / self.factor)

    def interval(self, low: float | None, high: float | None) -> tuple[float, float] | None:
        """Both ends in the unit of the axis; None if one is missing."""
        if low is None or high is None:
            return None
        return significant(low / self.factor), significant(high / self.factor)

    def axis(self, name: str, *, is_log: bool = False) -> Axis:
        """An axis with this unit."""
        return Axis(f"{name}, {self.unit}", is_log)

    def series(
        self,
        name: str,
        form: Form,
        figures: Sequence[int | None],
        colour: Colour = "",
    ) -> Series:
        """A series of single figures."""
        return Series(
            name,
            form,
            tuple(self.of(figure) for figure in figures),
            tuple("" if figure is None else self.text(figure) for figure in figures),
            colour,
        )


def bytes_scale(figures: Sequence[int | None]) -> Scale:
    """The scale of sizes; the largest one sets the unit."""
    return Scale(*bytes_unit(_largest(figures)), format_bytes)


def time_scale(figures: Sequence[int | None]) -> Scale:
    """The scale of durations; the largest one sets the unit."""
    return Scale(*duration_unit(_largest(figures)), format_duration)


def _largest(figures: Sequence[int | None]) -> int:
    return max((figure for figure in figures if figure is not None), default=0)


def significant(value: float) -> float:
    """The value with four digits, more than a screen shows."""
    return float(f"{value:.4g}")


def thinned(values: Sequence[int], limit: int) -> list[int]:
    """At most `limit` indexes: the index of the largest value in each slice of the values."""
    count = len(values)
    if count <= limit:
        return list(range(count))
    starts = [count * part // limit for part in range(limit + 1)]
    return [max(range(first, last), key=values.__getitem__) for first, last in pairwise(starts)]
