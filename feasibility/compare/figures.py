"""Which figures do two profiles have, and which of them differ?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from feasibility.compare import noise
from feasibility.records.comparison import (
    Affected,
    ComparedFigure,
    FigureDifference,
    FigureName,
    FigureUnit,
)
from feasibility.records.profile import DefaultAllocator, GpuMemory, Latency, Memory, Profile

Series: TypeAlias = Mapping[FigureName, tuple[int, ...]]
_Kind: TypeAlias = Literal["file", "work", "memory", "single-memory", "time"]
_AFFECTED: Final[dict[_Kind, Affected]] = {
    "work": "work",
    "memory": "memory",
    "single-memory": "memory",
    "time": "time",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One subject with its figures.

    Attributes:
        series: Figures of several processes, for a model that was measured now: memory in any
            order, times in the order of the rounds.
    """

    profile: Profile
    series: Series = field(default_factory=dict)

    def values(self, name: FigureName) -> tuple[int, ...]:
        """All figures of that name; empty if it was not measured."""
        if name in self.series:
            return self.series[name]
        value = _FIGURES[name].value(self.profile)
        return () if value is None else (value,)


class _Figure(NamedTuple):
    unit: FigureUnit
    kind: _Kind
    value: Callable[[Profile], int | None]


def compared_figures(
    sides: Sequence[Side], obstacles: Sequence[Collection[Affected]]
) -> tuple[ComparedFigure, ...]:
    """All figures that a side has; obstacles are those of each side after the first."""
    found = [_compared(name, sides, obstacles) for name in _FIGURES]
    found += [_compared_range(name, sides, obstacles) for name in _RANGES]
    return tuple(each for each in found if any(value is not None for value in each.values))


def _compared(
    name: FigureName, sides: Sequence[Side], obstacles: Sequence[Collection[Affected]]
) -> ComparedFigure:
    figure = _FIGURES[name]
    values = [side.values(name) for side in sides]
    differences = [
        _judged(_difference(name, sides[0], side), figure.kind, obstacle)
        for side, obstacle in zip(sides[1:], obstacles, strict=True)
    ]
    return ComparedFigure(
        name=name,
        unit=figure.unit,
        values=tuple(statistics.median_low(each) if each else None for each in values),
        differences=tuple(differences),
    )


def _difference(name: FigureName, reference: Side, other: Side) -> FigureDifference | None:
    before, after = reference.values(name), other.values(name)
    if not (before and after):
        return None
    kind = _FIGURES[name].kind
    if kind in ("file", "work"):
        return noise.exact(before[0], after[0])
    if kind == "memory":
        same_cpu = reference.profile.host.cpu == other.profile.host.cpu
        return noise.by_repeats(
            before,
            after,
            least_ratio=0.0 if same_cpu else noise.OTHER_CPU_RATIO,
            is_counted=name == "allocated_peak",
        )
    if kind == "time" and name in reference.series and name in other.series:
        return noise.in_turns(before, after)
    if name == "latency":
        samples = [_samples(side) for side in (reference, other)]
        return noise.by_samples(*samples)
    return noise.single(before[0], after[0])


def _samples(side: Side) -> tuple[int, ...]:
    """The latency samples of a profile; its median if it has no samples."""
    latency = side.profile.latency
    return (
        side.values("latency")
        if latency is None or not latency.samples_ns
        else (latency.samples_ns)
    )


def _judged(
    difference: FigureDifference | None, kind: _Kind, obstacle: Collection[Affected]
) -> FigureDifference | None:
    if difference is None or _AFFECTED.get(kind) not in obstacle:
        return difference
    return replace(difference, outcome="not-comparable")


def _compared_range(
    name: FigureName, sides: Sequence[Side], obstacles: Sequence[Collection[Affected]]
) -> ComparedFigure:
    ranges = [_range(name, side.profile.default_allocator) for side in sides]
    differences = []
    for other, obstacle in zip(ranges[1:], obstacles, strict=True):
        reference = ranges[0]
        difference = None
        if reference is not None and other is not None:
            difference = noise.by_ranges(reference, other)
        differences.append(_judged(difference, "memory", obstacle))
    return ComparedFigure(
        name=name,
        unit="bytes",
        values=tuple(each and each[1] for each in ranges),
        lows=tuple(each and each[0] for each in ranges),
        differences=tuple(differences),
    )


def _range(name: FigureName, found: DefaultAllocator | None) -> tuple[int, int] | None:
    if found is None:
        return None
    figure = _RANGES[name]
    low, high = (getattr(found, f"{figure}_{end}_bytes") for end in ("low", "high"))
    return None if low is None or high is None else (low, high)


def _memory(read: Callable[[Memory], int | None]) -> Callable[[Profile], int | None]:
    return lambda profile: None if profile.memory is None else read(profile.memory)


def _time(read: Callable[[Latency], int | None]) -> Callable[[Profile], int | None]:
    return lambda profile: None if profile.latency is None else read(profile.latency)


def _file_bytes(profile: Profile) -> int | None:
    """None for figures of other programs without the model."""
    return (profile.model.file_bytes + profile.model.external_bytes) or None


def _allocated_peak(memory: Memory) -> int | None:
    peaks = (memory.allocated_load_peak_bytes, memory.allocated_inference_peak_bytes)
    return max((each for each in peaks if each is not None), default=None)


def _gpu_peak(profile: Profile) -> int | None:
    gpu: GpuMemory | None = profile.gpu
    return None if gpu is None else gpu.peak_bytes


# In the order of reports.
_FIGURES: Final[dict[FigureName, _Figure]] = {
    "load_peak": _Figure("bytes", "memory", _memory(lambda memory: memory.load_peak_bytes)),
    "resident": _Figure("bytes", "memory", _memory(lambda memory: memory.resident_bytes)),
    "inference_peak": _Figure(
        "bytes", "memory", _memory(lambda memory: memory.inference_peak_bytes)
    ),
    "floor": _Figure("bytes", "memory", _memory(lambda memory: memory.floor_bytes)),
    "process_peak": _Figure("bytes", "single-memory", lambda each: each.process_peak_bytes),
    "gpu_peak": _Figure("bytes", "single-memory", _gpu_peak),
    "latency": _Figure("ns", "time", _time(lambda latency: latency.median_ns)),
    "first_run": _Figure("ns", "time", _time(lambda latency: latency.first_run_ns)),
    "load": _Figure("ns", "time", _time(lambda latency: latency.load_ns)),
    "file_size": _Figure("bytes", "file", _file_bytes),
    "parameters": _Figure("count", "file", lambda each: each.model.parameter_count),
    "nodes": _Figure("count", "file", lambda each: each.model.node_count),
    "flops": _Figure("count", "work", lambda each: each.model.flops),
    "allocated_peak": _Figure("bytes", "memory", _memory(_allocated_peak)),
}
_RANGES: Final[dict[FigureName, str]] = {
    "default_load_peak": "load_peak",
    "default_resident": "resident",
    "default_inference_peak": "inference_peak",
}
