"""How much memory did a child need, and where? Its readings and surveys above the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_profile import Trace
from feasibility.records.profile import Memory
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, HeapReading, Loaded, Ready, Survey

_HEAP_MAPPINGS: Final = frozenset({"", "[heap]"})


@dataclass(frozen=True, slots=True)
class ChildMemory:
    """Kernel figures of one child, in bytes above its baseline.

    The two peaks are high-water marks less the baseline, which is a current value. The
    anonymous and file-backed figures are differences of current values.
    """

    peak_source: Literal["vmhwm", "sampled"]
    baseline_bytes: int
    load_peak_bytes: int
    resident_bytes: int
    resident_anonymous_bytes: int
    resident_file_bytes: int
    inference_peak_bytes: int
    inference_anonymous_bytes: int
    inference_file_bytes: int
    inference_pss_bytes: int | None
    inference_private_dirty_bytes: int | None

    @property
    def peak_bytes(self) -> int:
        """Highest memory while loading and running."""
        return max(self.load_peak_bytes, self.inference_peak_bytes)

    @property
    def floor_bytes(self) -> int:
        """Highest non-evictable memory at any time, loading included."""
        return max(
            0,
            self.load_peak_bytes - self.resident_file_bytes,
            self.inference_peak_bytes - self.inference_file_bytes,
            self.inference_anonymous_bytes,
        )


def memory_of(result: ChildResult) -> ChildMemory:
    """Figures of a child that finished."""
    ready, loaded, done = result.sent(Ready), result.sent(Loaded), result.sent(Done)
    base, after_load, after_runs = ready.baseline, loaded.memory, done.memory
    return ChildMemory(
        peak_source=ready.peak_source,
        baseline_bytes=base.resident_bytes,
        load_peak_bytes=_above(base.resident_bytes, loaded.peak_bytes),
        resident_bytes=_above(base.resident_bytes, after_load.resident_bytes),
        resident_anonymous_bytes=_above(base.anonymous_bytes, after_load.anonymous_bytes),
        resident_file_bytes=_above(base.file_bytes, after_load.file_bytes),
        inference_peak_bytes=_above(base.resident_bytes, done.peak_bytes),
        inference_anonymous_bytes=_above(base.anonymous_bytes, after_runs.anonymous_bytes),
        inference_file_bytes=_above(base.file_bytes, after_runs.file_bytes),
        inference_pss_bytes=_above_or_none(base.pss_bytes, after_runs.pss_bytes),
        inference_private_dirty_bytes=_above_or_none(
            base.private_dirty_bytes, after_runs.private_dirty_bytes
        ),
    )


def steady_memory(
    kernel: ChildMemory,
    load: PhaseAllocations | None,
    inference: PhaseAllocations | None,
    trace: Trace | None,
    default_anonymous_bytes: int,
) -> Memory:
    """The memory of a profile. The last argument is a figure of the default allocator."""
    kept = None if load is None else load.kept_bytes
    return Memory(
        **dataclasses.asdict(kernel),
        allocator="steady",
        floor_bytes=kernel.floor_bytes,
        # Not the floor plus file pages: loading needs its most before the runs read those pages.
        comfort_bytes=max(kernel.floor_bytes, kernel.inference_peak_bytes),
        allocated_load_peak_bytes=None if load is None else load.peak_bytes,
        allocated_resident_bytes=kept,
        allocated_inference_peak_bytes=(
            None if kept is None or inference is None else kept + inference.peak_bytes
        ),
        retained_bytes=None if kept is None else max(0, default_anonymous_bytes - kept),
        arena_held_bytes=None if trace is None else trace.arena_held_bytes,
        arena_in_use_peak_bytes=None if trace is None else trace.arena_in_use_peak_bytes,
    )


def _above(base: int, value: int) -> int:
    """Bytes above the baseline; 0 if the process returned more memory than it took."""
    return max(0, value - base)


def _above_or_none(base: int | None, value: int | None) -> int | None:
    return None if base is None or value is None else _above(base, value)


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
    """The surveys of a child that finished, None without any; `model_files` are absolute paths."""
    if result is None:
        return None
    ready, loaded, done = result.sent(Ready), result.sent(Loaded), result.sent(Done)
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
