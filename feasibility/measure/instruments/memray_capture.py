"""How much does each phase allocate? Replays the records of memray's capture files.

memray's own summaries group allocations by call site. The whole runtime is one call site, so files
mapped with `mmap` would count as allocated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from feasibility.records.profile import AllocatorUse

_MAP_CALL: Final = "mmap"
_UNMAP_CALL: Final = "munmap"
# The runtime requests tensors with an alignment, and everything else without.
TENSOR_CALLS: Final = frozenset({"aligned_alloc", "memalign", "posix_memalign"})
_FREE_CALLS: Final = frozenset({"free", "pymalloc_free"})


@dataclass(frozen=True, slots=True)
class PhaseAllocations:
    """Bytes that one phase requested from allocators.

    Peak and kept bytes are heap bytes of this phase only. `uses` are the allocations at the peak
    of the heap, mappings included. `mapped_bytes` are mappings at the end of the phase, in full
    size, touched or not.
    """

    peak_bytes: int
    kept_bytes: int
    uses: tuple[AllocatorUse, ...]
    mapped_bytes: int = 0
    kept_tensor_bytes: int = 0


@dataclass(slots=True)
class Replay:
    """The allocations after a number of calls, and at the peak of the heap."""

    blocks: dict[int, tuple[str, int]] = field(default_factory=dict)
    mappings: dict[int, int] = field(default_factory=dict)
    sizes: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    heap_bytes: int = 0
    peak_bytes: int = 0
    peak_sizes: Counter[str] = field(default_factory=Counter)
    peak_counts: Counter[str] = field(default_factory=Counter)

    def run(self, calls: Iterable[tuple[str, int, int]]) -> None:
        """Follows calls, each with its name, an address and a size, to the end."""
        # There are hundreds of thousands of calls, so this loop calls no function for heap calls.
        blocks, sizes, counts = self.blocks, self.sizes, self.counts
        for call, address, size in calls:
            if call in (_MAP_CALL, _UNMAP_CALL):
                self._unmap(address, address + size)
                if call == _MAP_CALL:
                    self.mappings[address] = size
                continue
            freed = blocks.pop(address, None)  # None if allocated before the phase
            if freed is not None:
                if self.heap_bytes > self.peak_bytes:
                    self._note_peak()
                freed_call, freed_size = freed
                sizes[freed_call] -= freed_size
                counts[freed_call] -= 1
                self.heap_bytes -= freed_size
            if call not in _FREE_CALLS:
                blocks[address] = call, size
                sizes[call] += size
                counts[call] += 1
                self.heap_bytes += size
        if self.heap_bytes > self.peak_bytes:
            self._note_peak()

    def _unmap(self, begin: int, end: int) -> None:
        """Removes a range of addresses from the mappings; parts of them may remain."""
        for start, size in list(self.mappings.items()):
            stop = start + size
            if start < end and begin < stop:
                del self.mappings[start]
                if start < begin:
                    self.mappings[start] = begin - start
                if end < stop:
                    self.mappings[end] = stop - end

    def _note_peak(self) -> None:
        self.peak_bytes = self.heap_bytes
        self.peak_sizes, self.peak_counts = self.sizes.copy(), self.counts.copy()
        self.peak_sizes[_MAP_CALL] = sum(self.mappings.values())
        self.peak_counts[_MAP_CALL] = len(self.mappings)


def read_phase(path: Path, phase: Literal["load", "inference"]) -> PhaseAllocations:
    """Allocation figures of one capture file.

    Raises:
        OSError: The file is missing, truncated, or written by another memray.
    """
    import memray

    names = {kind.value: kind.name.lower() for kind in memray.AllocatorType}
    replay = Replay()
    with memray.FileReader(path) as reader:
        replay.run(
            (names[record.allocator], record.address, record.size)
            for record in reader.get_allocation_records()
        )
    return PhaseAllocations(
        peak_bytes=replay.peak_bytes,
        kept_bytes=replay.heap_bytes,
        uses=tuple(
            AllocatorUse(
                phase=phase,
                allocator=call,
                peak_bytes=size,
                allocation_count=replay.peak_counts[call],
                is_mapping=call == _MAP_CALL,
            )
            for call, size in sorted(
                replay.peak_sizes.items(), key=lambda item: (-item[1], item[0])
            )
            if size
        ),
        mapped_bytes=sum(replay.mappings.values()),
        kept_tensor_bytes=sum(replay.sizes[call] for call in TENSOR_CALLS),
    )
