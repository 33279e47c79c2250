"""The one block that the runtime lays activations out in from the second run on.

After a first run whose inputs were plain tensors it knows every size and lifetime, places
each value into the smallest gap between those alive, and asks the arena for the whole block
at the start of each later run with the same input shapes. What the caller gets stays outside.
Source: the memory pattern planner of ONNX Runtime
(onnxruntime/core/framework/mem_pattern_planner.h).
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feasibility.graph.runtime_memory.reuse import Event

_ALIGNMENT_BYTES: Final = 64


def pattern_bytes(events: Iterable[Event]) -> int:
    """Size of the block that holds all values that the caller does not get."""
    alive: list[tuple[int, int, str]] = []
    size = 0
    for event in events:
        for name, size_bytes in event.taken:
            if name in event.kept or not size_bytes:
                continue
            needed = -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
            start = _smallest_gap(alive, needed)
            insort(alive, (start, start + needed, name))
            size = max(size, start + needed)
        released = set(event.released)
        if released:
            alive = [block for block in alive if block[2] not in released]
    return size


def _smallest_gap(alive: list[tuple[int, int, str]], needed: int) -> int:
    """Start of the smallest gap that fits, the end of the last block if there is none."""
    best_start, least_waste, position = None, 0, 0
    for start, end, _ in alive:
        waste = start - position - needed
        if waste >= 0 and (best_start is None or waste < least_waste):
            best_start, least_waste = position, waste
        position = max(position, end)
    return position if best_start is None else best_start
