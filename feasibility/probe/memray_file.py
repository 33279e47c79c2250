"""memray's capture files to allocation figures per phase."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feasibility.records.profile import AllocatorUse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from memray import AllocationRecord

# memray counts a mapping as an allocation whether or not it is backed by a file, so
# mappings are kept apart: what the kernel can evict is not memory used.
MAPPING_CALLS: Final = frozenset({"mmap"})


@dataclass(frozen=True, slots=True)
class PhaseAllocations:
    """What one phase requested from the allocators.

    Args:
        peak_bytes: Heap bytes alive at the phase's high-water mark, counting only
            what the phase itself requested.
        kept_bytes: Heap bytes of the phase that were not freed at its end.
        uses: The high-water mark by allocator call, mappings included.
    """

    peak_bytes: int
    kept_bytes: int
    uses: tuple[AllocatorUse, ...]


def read_phase(path: Path, phase: Literal["load", "inference"]) -> PhaseAllocations:
    """Allocation figures of one capture file.

    Raises:
        OSError: The file is missing, truncated, or written by another memray.
    """
    import memray

    with memray.FileReader(path) as reader:
        peak_sizes, peak_counts = _by_call(
            reader.get_high_watermark_allocation_records(merge_threads=True)
        )
        kept_sizes, _ = _by_call(reader.get_leaked_allocation_records(merge_threads=True))
    return PhaseAllocations(
        peak_bytes=_heap_bytes(peak_sizes),
        kept_bytes=_heap_bytes(kept_sizes),
        uses=tuple(
            AllocatorUse(
                phase=phase,
                allocator=call,
                peak_bytes=size,
                allocation_count=peak_counts[call],
                is_mapping=call in MAPPING_CALLS,
            )
            for call, size in sorted(peak_sizes.items(), key=lambda item: (-item[1], item[0]))
        ),
    )


def _by_call(records: Iterable[AllocationRecord]) -> tuple[Counter[str], Counter[str]]:
    """Bytes and number of allocations by allocator call, in lower case."""
    import memray

    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for record in records:
        call = memray.AllocatorType(record.allocator).name.lower()
        sizes[call] += record.size
        counts[call] += record.n_allocations
    return sizes, counts


def _heap_bytes(sizes: Counter[str]) -> int:
    return sum(size for call, size in sizes.items() if call not in MAPPING_CALLS)
