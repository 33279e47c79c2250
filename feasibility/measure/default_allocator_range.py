"""Which range of memory does a process get with the default allocator? Several children show it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from feasibility.measure.memory_figures import ChildMemory, memory_of
from feasibility.measure.passes import Passes
from feasibility.records.profile import DefaultAllocator
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.units import SECOND_NS

# The peak of one process depends on its addresses and its heap, and some of the possible values
# are rare. So at least this many children run, and then more until several in a row have not
# widened the range, or the time is used up.
_CHILD_COUNT_MIN: Final = 5
_CHILD_COUNT_MAX: Final = 16
_EMULATED_COUNT_MIN: Final = 3
_UNCHANGED_COUNT: Final = 6
_TIME_NS: Final = 3 * SECOND_NS // 2
_WIDER_RATIO: Final = 0.01
_FIGURES: Final = ("load_peak", "resident", "inference_peak")


def measure_range(
    passes: Passes, plan: InputPlan, first: ChildMemory
) -> tuple[list[ChildMemory], ChildResult | None]:
    """Memory of `first` and of further children with the default allocator, and a failed child."""
    children = [first]
    unchanged_count, deadline = 0, time.monotonic_ns() + _TIME_NS
    wanted = _EMULATED_COUNT_MIN if passes.session.is_emulated else _CHILD_COUNT_MIN
    while len(children) < wanted or (
        unchanged_count < _UNCHANGED_COUNT
        and len(children) < _CHILD_COUNT_MAX
        and time.monotonic_ns() < deadline
    ):
        width = passes.concurrency(largest_peak_bytes(children))
        numbers = range(len(children), len(children) + width)
        for result in passes.repeats(plan, numbers):
            if result.ending != "done":
                return children, result
            child = memory_of(result)
            unchanged_count = 0 if _widens(children, child) else unchanged_count + 1
            children.append(child)
    return children, None


def largest_peak_bytes(children: Sequence[ChildMemory]) -> int:
    """The highest peak of all children."""
    return max(child.peak_bytes for child in children)


def default_range(children: Sequence[ChildMemory]) -> DefaultAllocator:
    """The range that further children with the default allocator are expected to stay in."""
    ends: dict[str, int] = {}
    for figure in _FIGURES:
        low, high = _range([getattr(child, f"{figure}_bytes") for child in children])
        ends |= {f"{figure}_low_bytes": low, f"{figure}_high_bytes": high}
    return DefaultAllocator(repeat_count=len(children), **ends)


def _range(figures: Sequence[int]) -> tuple[int, int]:
    """Ends of the range that the figures come from.

    The lowest and the highest of n figures, each moved outwards by 1/(n-1) of the distance
    between them: unbiased for evenly distributed figures, and unchanged if all are equal.

    Source: the minimum-variance unbiased estimator of the ends of a uniform distribution.
    """
    low, high = min(figures), max(figures)
    margin = round((high - low) / max(1, len(figures) - 1))
    return max(0, low - margin), high + margin


def _widens(known: Sequence[ChildMemory], new: ChildMemory) -> bool:
    """Whether a child's figures lie outside the range so far by more than the tolerance."""
    for figure in _FIGURES:
        figures = [getattr(child, f"{figure}_bytes") for child in known]
        value = getattr(new, f"{figure}_bytes")
        if value < min(figures) * (1 - _WIDER_RATIO) or value > max(figures) * (1 + _WIDER_RATIO):
            return True
    return False
