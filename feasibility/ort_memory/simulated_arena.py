"""How does the runtime's arena place tensors, and which of its pages become resident?

The arena allocates regions from the system, each twice the size of the last or as large as the
request needs. It splits them into chunks and uses the smallest chunk that fits. It never returns
a region, so every page that was used once stays resident.
Source: the best-fit-with-coalescing arena of ONNX Runtime
(onnxruntime/core/framework/bfc_arena.cc), with the settings of its CPU provider.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from feasibility.units import KIB, MIB, rounded_up

_ALIGNMENT_BYTES: Final = 256
_FIRST_REGION_BYTES: Final = MIB
# Regions do not double beyond this size.
_MAX_DOUBLED_BYTES: Final = 1024 * MIB
# A larger rest is split off even if it is smaller than the request.
_MAX_WASTE_BYTES: Final = 128 * MIB
_PAGE_BYTES: Final = 4 * KIB
# The arena has a table with a handle for each possible position of a chunk.
_HANDLE_BYTES: Final = 8


class _Chunk:
    """A piece of a region, linked to its neighbours."""

    __slots__ = ("after", "before", "is_free", "region", "size", "start")

    def __init__(self, region: int, start: int, size: int) -> None:
        self.region = region
        self.start = start
        self.size = size
        self.is_free = True
        self.before: _Chunk | None = None
        self.after: _Chunk | None = None

    @property
    def rank(self) -> tuple[int, int, int]:
        """Order in which free chunks are tried: by size, then by address.

        The system places later regions at lower addresses.
        """
        return self.size, -self.region, self.start


class Arena:
    """An arena that is empty at first; `held_bytes` are its regions, taken from the system."""

    def __init__(self) -> None:
        self._next_region_bytes = _FIRST_REGION_BYTES
        self.held_bytes = 0
        self._touched: list[list[tuple[int, int]]] = []
        self._free: list[_Chunk] = []
        self._places: dict[str, _Chunk] = {}

    @property
    def touched_bytes(self) -> int:
        """Bytes of the pages that were allocated at least once."""
        self._touched = [_merged(spans) for spans in self._touched]
        return sum(end - start for spans in self._touched for start, end in spans)

    @property
    def resident_bytes(self) -> int:
        """Bytes of these pages and of the tables of handles."""
        return self.touched_bytes + self.held_bytes // _ALIGNMENT_BYTES * _HANDLE_BYTES

    def take(self, name: str, size_bytes: int) -> None:
        """Allocate memory, all of which is then written."""
        if size_bytes <= 0:
            return
        rounded = rounded_up(size_bytes, _ALIGNMENT_BYTES)
        index = bisect_left(self._free, (rounded, -len(self._touched), 0), key=_rank)
        chunk = self._free.pop(index) if index < len(self._free) else self._extend(rounded)
        if chunk.size >= 2 * rounded or chunk.size - rounded >= _MAX_WASTE_BYTES:
            self._split(chunk, rounded)
        chunk.is_free = False
        first = chunk.start // _PAGE_BYTES * _PAGE_BYTES
        last = rounded_up(chunk.start + size_bytes, _PAGE_BYTES)
        self._touched[chunk.region].append((first, last))
        self._places[name] = chunk

    def give_back(self, name: str) -> None:
        """Free the memory of a name, if it has any."""
        chunk = self._places.pop(name, None)
        if chunk is None:
            return
        for neighbour in (chunk.before, chunk.after):
            if neighbour is not None and neighbour.is_free:
                del self._free[bisect_left(self._free, neighbour.rank, key=_rank)]
                chunk.start = min(chunk.start, neighbour.start)
                chunk.size += neighbour.size
                _unlink(neighbour)
        chunk.is_free = True
        insort(self._free, chunk, key=_rank)

    def _extend(self, size: int) -> _Chunk:
        is_larger = size > self._next_region_bytes
        while size > self._next_region_bytes:
            self._next_region_bytes *= 2
        chunk = _Chunk(len(self._touched), 0, self._next_region_bytes)
        self.held_bytes += chunk.size
        if not is_larger:
            self._next_region_bytes = min(self._next_region_bytes * 2, _MAX_DOUBLED_BYTES)
        self._touched.append([])
        return chunk

    def _split(self, chunk: _Chunk, size: int) -> None:
        rest = _Chunk(chunk.region, chunk.start + size, chunk.size - size)
        rest.before, rest.after, chunk.after = chunk, chunk.after, rest
        if rest.after is not None:
            rest.after.before = rest
        chunk.size = size
        insort(self._free, rest, key=_rank)


def _rank(chunk: _Chunk) -> tuple[int, int, int]:
    return chunk.rank


def _unlink(chunk: _Chunk) -> None:
    if chunk.before is not None:
        chunk.before.after = chunk.after
    if chunk.after is not None:
        chunk.after.before = chunk.before


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of spans, in order."""
    union: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return union
