"""A child's course of memory to a timeline of few points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, get_args

from feasibility.probe.wire import Course
from feasibility.records.anatomy import ArenaPeak, Timeline, TimelinePhase, TimelinePhaseName

MAX_POINT_COUNT: Final = 200
_PHASES: Final = get_args(TimelinePhaseName)


def timeline(
    course: Course, load_phases: Sequence[tuple[str, int]], arena_peak: ArenaPeak | None
) -> Timeline | None:
    """The course with its phases named and thinned out; None where nothing was recorded.

    Args:
        course: What the child saw.
        load_phases: Beginnings within the load phase, after its own beginning; may be empty.
        arena_peak: Where the arena was fullest.
    """
    marks = dict(course.marks)
    if not course.at or "import" not in marks or "load" not in marks:
        return None
    origin = min(course.at[0], marks["import"])
    kept = thinned(course.at, course.resident, MAX_POINT_COUNT)
    told = all(allocated >= 0 for allocated in course.allocated)
    return Timeline(
        baseline_bytes=_last_before(course, marks["load"]),
        phases=phases(course.marks, load_phases, origin),
        at_ns=tuple(course.at[index] - origin for index in kept),
        resident_bytes=tuple(course.resident[index] for index in kept),
        allocated_bytes=tuple(course.allocated[index] for index in kept) if told else None,
        arena_peak=arena_peak,
    )


def thinned(at: Sequence[int], heights: Sequence[int], count: int) -> tuple[int, ...]:
    """Indices of at most `count` points: the highest one of each stretch of equal time."""
    if len(at) <= count:
        return tuple(range(len(at)))
    first, span = at[0], max(1, at[-1] - at[0])
    highest: dict[int, int] = {}
    for index, (moment, height) in enumerate(zip(at, heights, strict=True)):
        stretch = min((moment - first) * count // span, count - 1)
        if stretch not in highest or height > heights[highest[stretch]]:
            highest[stretch] = index
    return tuple(highest.values())


def phases(
    marks: Sequence[tuple[str, int]], load_phases: Sequence[tuple[str, int]], origin: int
) -> tuple[TimelinePhase, ...]:
    """Phases from their beginnings, loading divided as far as its own phases fit into it."""
    beginnings: list[tuple[str, int]] = []
    for (name, begin), (_, end) in pairwise(marks):
        inner = [(inner_name, begin + offset) for inner_name, offset in load_phases[:-1]]
        divides = name == "load" and inner and begin + load_phases[-1][1] <= end
        beginnings += inner if divides else [(name, begin)]
    ends = [begin for _, begin in beginnings[1:]] + [marks[-1][1]]
    return tuple(
        TimelinePhase(
            name=_PHASES[_PHASES.index(name)], begin_ns=begin - origin, end_ns=end - origin
        )
        for (name, begin), end in zip(beginnings, ends, strict=True)
        if name in _PHASES
    )


def _last_before(course: Course, moment: int) -> int:
    """Resident memory when last looked at before a moment; the first look if there is none."""
    earlier = [
        resident for at, resident in zip(course.at, course.resident, strict=True) if at <= moment
    ]
    return earlier[-1] if earlier else course.resident[0]
