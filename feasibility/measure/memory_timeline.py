"""A child's recording of memory to a timeline of few points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast, get_args

from feasibility.records.anatomy import ArenaPeak, Timeline, TimelinePhase, TimelinePhaseName
from feasibility.runners.child_protocol import Recording

MAX_POINT_COUNT: Final = 200
_PHASE_NAMES: Final = frozenset(get_args(TimelinePhaseName))


@dataclass(frozen=True, slots=True)
class Look:
    """The memory of a child at one moment; -1 allocated where that is not told."""

    at: int
    resident: int
    allocated: int


def timeline(
    recording: Recording, load_phases: Sequence[tuple[str, int]], arena_peak: ArenaPeak | None
) -> Timeline | None:
    """The recording with its phases named and thinned out; None where its phases are missing.

    Args:
        recording: What the child saw.
        load_phases: Beginnings within the load phase, after its own beginning; may be empty.
        arena_peak: Where the arena was fullest.
    """
    looks = looks_of(recording)
    begin = {name: Look(*figures) for name, *figures in recording.phases}
    if "import" not in begin or "load" not in begin or "end" not in begin:
        return None
    origin = looks[0].at
    kept = thinned(looks, MAX_POINT_COUNT)
    told = all(look.allocated >= 0 for look in looks)
    return Timeline(
        baseline_bytes=begin["load"].resident,
        phases=phases([phase[:2] for phase in recording.phases], load_phases, looks),
        at_ns=tuple(look.at - origin for look in kept),
        resident_bytes=tuple(look.resident for look in kept),
        allocated_bytes=tuple(look.allocated for look in kept) if told else None,
        arena_peak=arena_peak,
    )


def looks_of(recording: Recording) -> tuple[Look, ...]:
    """Everything that was seen, those of the phases' beginnings included, in order of time."""
    columns = zip(
        recording.times_ns, recording.resident_bytes, recording.allocated_bytes, strict=True
    )
    looks = [Look(*figures) for figures in columns]
    looks += [Look(*figures) for _, *figures in recording.phases]
    return tuple(sorted(looks, key=lambda look: look.at))


def thinned(looks: Sequence[Look], count: int) -> tuple[Look, ...]:
    """At most `count` looks: the highest one of each stretch of equal time."""
    if len(looks) <= count:
        return tuple(looks)
    first, span = looks[0].at, max(1, looks[-1].at - looks[0].at)
    highest: dict[int, Look] = {}
    for look in looks:
        stretch = min((look.at - first) * count // span, count - 1)
        if stretch not in highest or look.resident > highest[stretch].resident:
            highest[stretch] = look
    return tuple(highest.values())


def phases(
    marks: Sequence[tuple[str, int]],
    load_phases: Sequence[tuple[str, int]],
    looks: Sequence[Look],
) -> tuple[TimelinePhase, ...]:
    """Phases from their beginnings, loading divided as far as its own phases fit into it.

    Args:
        marks: Each phase with its beginning, the last one called `end`.
        load_phases: Beginnings after that of loading, the last one called `end`.
        looks: What was seen, in order of time.
    """
    beginnings: list[tuple[str, int]] = []
    for (name, begin), (_, end) in pairwise(marks):
        inner = [(inner_name, begin + offset) for inner_name, offset in load_phases[:-1]]
        divides = name == "load" and inner and begin + load_phases[-1][1] <= end
        beginnings += inner if divides else [(name, begin)]
    beginnings.append(marks[-1])
    return tuple(
        _phase(cast(TimelinePhaseName, name), begin, end, looks)
        for (name, begin), (_, end) in pairwise(beginnings)
        if name in _PHASE_NAMES
    )


def _phase(name: TimelinePhaseName, begin: int, end: int, looks: Sequence[Look]) -> TimelinePhase:
    before = [look for look in looks if look.at <= begin][-1:]
    inside = before + [look for look in looks if begin < look.at <= end]
    allocated = max((look.allocated for look in inside), default=-1)
    return TimelinePhase(
        name=name,
        begin_ns=begin - looks[0].at,
        end_ns=end - looks[0].at,
        resident_peak_bytes=max((look.resident for look in inside), default=0),
        allocated_peak_bytes=allocated if allocated >= 0 else None,
    )
