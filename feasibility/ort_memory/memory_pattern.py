"""How large is the block that holds all activations from the second run on?

After the first run the runtime knows all sizes and lifetimes. It places each value into the
smallest gap between the values alive, and allocates the whole block at the start of each later
run with the same input shapes. Outputs are not in the block.
Source: the memory pattern planner of ONNX Runtime
(onnxruntime/core/framework/mem_pattern_planner.h).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from feasibility.units import rounded_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feasibility.ort_memory.buffer_reuse import Event

_ALIGNMENT_BYTES: Final = 64


def pattern_bytes(events: Iterable[Event]) -> int:
    """Size of the block for all values except outputs."""
    layout = _Layout()
    placed: dict[str, list[tuple[int, int]]] = {}
    size = 0
    for event in events:
        for name, size_bytes in event.taken:
            if name in event.unplanned or not size_bytes:
                continue
            span = layout.take(rounded_up(size_bytes, _ALIGNMENT_BYTES))
            # A broken graph may give one name to two values.
            placed.setdefault(name, []).append(span)
            size = max(size, layout.end)
        for name in event.released:
            for span in placed.pop(name, ()):
                layout.give_back(*span)
    return size


class _Layout:
    """Positions of values: the end of the last one, and the gaps before it.

    Gaps are sorted by size; a search of all values takes quadratic time with thousands alive.
    """

    def __init__(self) -> None:
        self.end = 0
        self._gaps: list[tuple[int, int]] = []
        self._end_by_start: dict[int, int] = {}
        self._start_by_end: dict[int, int] = {}

    def take(self, needed: int) -> tuple[int, int]:
        """Start and end in the first of the smallest gaps that fit; else after the last value."""
        index = bisect_left(self._gaps, (needed, 0))
        if index == len(self._gaps):
            start, self.end = self.end, self.end + needed
            return start, self.end
        _, start = self._gaps[index]
        end = self._without(start)
        if start + needed < end:
            self._add(start + needed, end)
        return start, start + needed

    def give_back(self, start: int, end: int) -> None:
        """Turn a value into a gap, joined with its neighbours."""
        if start in self._start_by_end:
            start = self._start_by_end[start]
            self._without(start)
        if end in self._end_by_start:
            end = self._without(end)
        if end == self.end:
            self.end = start
        else:
            self._add(start, end)

    def _add(self, start: int, end: int) -> None:
        insort(self._gaps, (end - start, start))
        self._end_by_start[start] = end
        self._start_by_end[end] = start

    def _without(self, start: int) -> int:
        """Remove the gap with that start, and return its end."""
        end = self._end_by_start.pop(start)
        del self._start_by_end[end]
        del self._gaps[bisect_left(self._gaps, (end - start, start))]
        return end
