"""How does memory change over time? Reduces a child's recording to a timeline of few points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, cast, get_args

from feasibility.records.anatomy import ArenaPeak, Timeline, TimelinePhase, TimelinePhaseName
from feasibility.runners.child_protocol import Recording

MAX_POINT_COUNT: Final = 200
_PHASE_NAMES: Final = frozenset(get_args(TimelinePhaseName))


class MemorySample(NamedTuple):
    """The memory of a child at one time; -1 allocated bytes if the C library cannot count them."""

    time_ns: int
    resident_bytes: int
    allocated_bytes: int


def timeline(
    recording: Recording, load_phases: Sequence[tuple[str, int]], arena_peak: ArenaPeak | None
) -> Timeline | None:
    """The recording with named phases and few points; None if phases are missing."""
    begins = {name: MemorySample(*figures) for name, *figures in recording.phases}
    if "import" not in begins or "load" not in begins or "end" not in begins:
        return None
    columns = (recording.times_ns, recording.resident_bytes, recording.allocated_bytes)
    samples = [MemorySample(*figures) for figures in zip(*columns, strict=True)]
    samples = sorted([*samples, *begins.values()], key=lambda sample: sample.time_ns)
    points = thinned(samples, MAX_POINT_COUNT)
    counted = all(sample.allocated_bytes >= 0 for sample in samples)
    return Timeline(
        baseline_bytes=begins["load"].resident_bytes,
        phases=phases([phase[:2] for phase in recording.phases], load_phases, samples),
        at_ns=tuple(point.time_ns - samples[0].time_ns for point in points),
        resident_bytes=tuple(point.resident_bytes for point in points),
        allocated_bytes=tuple(point.allocated_bytes for point in points) if counted else None,
        arena_peak=arena_peak,
    )


def thinned(samples: Sequence[MemorySample], count: int) -> tuple[MemorySample, ...]:
    """At most `count` samples: the highest one of each time slice."""
    if len(samples) <= count:
        return tuple(samples)
    first = samples[0].time_ns
    span = max(1, samples[-1].time_ns - first)
    highest: dict[int, MemorySample] = {}
    for sample in samples:
        time_slice = min((sample.time_ns - first) * count // span, count - 1)
        if time_slice not in highest or sample.resident_bytes > highest[time_slice].resident_bytes:
            highest[time_slice] = sample
    return tuple(highest.values())


def phases(
    begins: Sequence[tuple[str, int]],
    load_phases: Sequence[tuple[str, int]],
    samples: Sequence[MemorySample],
) -> tuple[TimelinePhase, ...]:
    """Phases from their beginnings; loading is divided if its own phases fit into it.

    The last entry of both lists is called `end`. `load_phases` are relative to the first of them.
    """
    divided: list[tuple[str, int]] = []
    for (name, begin), (_, end) in pairwise(begins):
        inner = [(inner_name, begin + offset) for inner_name, offset in load_phases[:-1]]
        fits = name == "load" and inner and begin + load_phases[-1][1] <= end
        divided += inner if fits else [(name, begin)]
    divided.append(begins[-1])
    return tuple(
        _phase(cast(TimelinePhaseName, name), begin, end, samples)
        for (name, begin), (_, end) in pairwise(divided)
        if name in _PHASE_NAMES
    )


def _phase(
    name: TimelinePhaseName, begin: int, end: int, samples: Sequence[MemorySample]
) -> TimelinePhase:
    before = [sample for sample in samples if sample.time_ns <= begin][-1:]
    inside = before + [sample for sample in samples if begin < sample.time_ns <= end]
    allocated = max((sample.allocated_bytes for sample in inside), default=-1)
    return TimelinePhase(
        name=name,
        begin_ns=begin - samples[0].time_ns,
        end_ns=end - samples[0].time_ns,
        resident_peak_bytes=max((sample.resident_bytes for sample in inside), default=0),
        allocated_peak_bytes=allocated if allocated >= 0 else None,
    )
