"""What a child's surveys say of one moment, above its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import (
    Done,
    HeapReading,
    Loaded,
    MemoryReading,
    Ready,
    Survey,
)

_HEAP_MAPPINGS: Final = frozenset({"", "[heap]"})


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of a child, in bytes above its baseline.

    Args:
        resident_bytes: Resident memory.
        private_bytes: Memory that no file stands behind, where heaps lie.
        model_file_bytes: Resident pages of the model's own files.
        library_bytes: Resident pages of all other files.
        heap: What the C library says; None where it does not.
    """

    resident_bytes: int
    private_bytes: int
    model_file_bytes: int
    library_bytes: int
    heap: HeapReading | None

    @property
    def kept_bytes(self) -> int:
        """Freed and not given back to the kernel."""
        return 0 if self.heap is None else self.heap.retained_bytes

    @property
    def untouched_bytes(self) -> int:
        """Allocated and never written to."""
        if self.heap is None:
            return 0
        return max(0, self.heap.in_use_bytes + self.heap.retained_bytes - self.private_bytes)

    @property
    def small_bytes(self) -> int | None:
        """Bytes in use in small blocks."""
        return (
            None if self.heap is None else max(0, self.heap.in_use_bytes - self.heap.mapped_bytes)
        )


@dataclass(frozen=True, slots=True)
class Moments:
    """A child after loading and after its runs."""

    loaded: Moment
    done: Moment

    @property
    def growth_bytes(self) -> int:
        """Private memory that the runs added and did not free."""
        done = self.done.private_bytes - self.done.kept_bytes
        return done - (self.loaded.private_bytes - self.loaded.kept_bytes)


def moments_of(result: ChildResult, model_files: AbstractSet[str]) -> Moments | None:
    """A surveyed child after loading and after its runs; None where it was not surveyed."""
    ready, loaded, done = result.event(Ready), result.event(Loaded), result.event(Done)
    if ready is None or loaded is None or done is None:
        return None
    if ready.survey is None or loaded.survey is None or done.survey is None:
        return None
    base = ready.baseline, ready.survey
    return Moments(
        loaded=moment(base, (loaded.memory, loaded.survey), model_files),
        done=moment(base, (done.memory, done.survey), model_files),
    )


def moment(
    base: tuple[MemoryReading, Survey],
    now: tuple[MemoryReading, Survey],
    model_files: AbstractSet[str],
) -> Moment:
    """The difference of two looks at one child.

    Args:
        base: Readings of the baseline.
        now: Readings of the moment.
        model_files: Absolute paths of the model and its external data.
    """
    (base_memory, base_survey), (memory, survey) = base, now
    first, last = base_survey.heap, survey.heap
    return Moment(
        resident_bytes=max(0, memory.resident_bytes - base_memory.resident_bytes),
        private_bytes=_grown(base_survey.mappings_bytes, survey.mappings_bytes, _HEAP_MAPPINGS),
        model_file_bytes=_grown(base_survey.mappings_bytes, survey.mappings_bytes, model_files),
        library_bytes=_grown(
            base_survey.mappings_bytes,
            survey.mappings_bytes,
            {name for name in survey.mappings_bytes if name.startswith("/")} - model_files,
        ),
        heap=None
        if first is None or last is None
        else HeapReading(
            in_use_bytes=max(0, last.in_use_bytes - first.in_use_bytes),
            retained_bytes=max(0, last.retained_bytes - first.retained_bytes),
            mapped_bytes=max(0, last.mapped_bytes - first.mapped_bytes),
        ),
    )


def _grown(
    base: Mapping[str, tuple[int, int]], now: Mapping[str, tuple[int, int]], names: AbstractSet[str]
) -> int:
    """Resident bytes that the named mappings gained."""
    nothing = (0, 0)
    return max(0, sum(now.get(name, nothing)[0] - base.get(name, nothing)[0] for name in names))
