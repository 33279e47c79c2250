"""Where was a child's memory after loading and after its runs? Its surveys above the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, HeapReading, Loaded, Ready, Survey

_HEAP_MAPPINGS: Final = frozenset({"", "[heap]"})


@dataclass(frozen=True, slots=True)
class SurveyedMemory:
    """One survey of a child, in bytes above its baseline.

    `private_bytes` is anonymous memory, where the heap is. `library_bytes` are resident pages of
    all files but the model's. `heap` is None if the C library has no account of it.
    """

    resident_bytes: int
    private_bytes: int
    model_file_bytes: int
    library_bytes: int
    heap: HeapReading | None

    @property
    def retained_bytes(self) -> int:
        """Freed and not returned to the kernel."""
        return 0 if self.heap is None else self.heap.retained_bytes

    @property
    def untouched_bytes(self) -> int:
        """Allocated and never written."""
        if self.heap is None:
            return 0
        return max(0, self.heap.in_use_bytes + self.heap.retained_bytes - self.private_bytes)

    @property
    def small_bytes(self) -> int:
        """In use in small blocks; 0 if the C library has no account."""
        return 0 if self.heap is None else max(0, self.heap.in_use_bytes - self.heap.mapped_bytes)


@dataclass(frozen=True, slots=True)
class Surveys:
    """The surveys of one child: after loading, and after its runs."""

    loaded: SurveyedMemory
    done: SurveyedMemory

    @property
    def growth_bytes(self) -> int:
        """Private memory that the runs added and did not free."""
        done = self.done.private_bytes - self.done.retained_bytes
        return done - (self.loaded.private_bytes - self.loaded.retained_bytes)


def surveys_of(result: ChildResult | None, model_files: AbstractSet[str]) -> Surveys | None:
    """The surveys of a child, None without any; `model_files` are absolute paths."""
    if result is None:
        return None
    ready, loaded, done = result.event(Ready), result.event(Loaded), result.event(Done)
    if ready is None or loaded is None or done is None:
        return None
    if ready.survey is None or loaded.survey is None or done.survey is None:
        return None
    base = ready.baseline.resident_bytes
    return Surveys(
        surveyed_memory(
            ready.survey, loaded.survey, loaded.memory.resident_bytes - base, model_files
        ),
        surveyed_memory(ready.survey, done.survey, done.memory.resident_bytes - base, model_files),
    )


def surveyed_memory(
    base: Survey, now: Survey, resident_bytes: int, model_files: AbstractSet[str]
) -> SurveyedMemory:
    """A survey less the baseline's; `resident_bytes` is already above the baseline."""
    files = {name for name in now.mappings_bytes if name.startswith("/")}
    first, last = base.heap, now.heap
    return SurveyedMemory(
        resident_bytes=max(0, resident_bytes),
        private_bytes=_grown(base.mappings_bytes, now.mappings_bytes, _HEAP_MAPPINGS),
        model_file_bytes=_grown(base.mappings_bytes, now.mappings_bytes, model_files),
        library_bytes=_grown(base.mappings_bytes, now.mappings_bytes, files - model_files),
        heap=None
        if first is None or last is None
        else HeapReading(
            in_use_bytes=max(0, last.in_use_bytes - first.in_use_bytes),
            retained_bytes=max(0, last.retained_bytes - first.retained_bytes),
            mapped_bytes=max(0, last.mapped_bytes - first.mapped_bytes),
        ),
    )


def _grown(base: Mapping[str, int], now: Mapping[str, int], names: AbstractSet[str]) -> int:
    """Resident bytes that the named mappings gained."""
    return max(0, sum(now.get(name, 0) - base.get(name, 0) for name in names))
