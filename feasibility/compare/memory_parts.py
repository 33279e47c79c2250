"""Where is the memory of each subject? The parts of the anatomies side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from feasibility.records.anatomy import Anatomy, MemoryParts
from feasibility.records.comparison import ComparedPart, PartMoment
from feasibility.records.profile import Profile

_MOMENTS: Final[dict[PartMoment, Callable[[Anatomy], MemoryParts | None]]] = {
    "loaded": lambda anatomy: anatomy.loaded,
    "inference-peak": lambda anatomy: anatomy.inference_peak,
}


def compared_parts(profiles: Sequence[Profile]) -> tuple[ComparedPart, ...]:
    """All parts that a subject has; empty unless the reference and another have an anatomy."""
    found = []
    for moment, read in _MOMENTS.items():
        parts = [None if each.anatomy is None else read(each.anatomy) for each in profiles]
        if parts[0] is None or not any(parts[1:]):
            continue
        for name in MemoryParts.__struct_fields__:
            sizes = tuple(None if each is None else getattr(each, name) for each in parts)
            if any(sizes):
                part = name.removesuffix("_bytes")
                found.append(ComparedPart(moment=moment, part=part, sizes=sizes))
    return tuple(found)
