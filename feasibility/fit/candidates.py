"""Which changes of how a model is stored and loaded are worth a run, and in which order?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from feasibility.fit.changes import ChangeSet, loading_changes, ordered, precision_of, weight
from feasibility.predict.projected_memory import GRAPH_LOW_RATIO
from feasibility.records.changes import ALL_CHANGES, ChangeCode
from feasibility.records.facts import ModelledMemory
from feasibility.records.fit import FitFigures, FitTargets
from feasibility.records.profile import ProfiledModel
from feasibility.units import MIB

# A change that lowers memory by less is not worth its weight.
_GAIN_RATIO: Final = 0.02
# Pages of the runtime's library that are resident and can be evicted.
_LIBRARY_BYTES: Final = 7 * MIB
# Settings that need no model of the memory, for graphs that are not known.
_SETTINGS_ONLY: Final = frozenset({"prepacking-off", "pattern-off", "arena-off"})


class Destination(NamedTuple):
    """The machine that the model is for.

    Attributes:
        has_glibc: True if its processes get glibc's allocator.
        is_here: True if it is this machine, so that files may hold what only its processor reads.
        limit_bytes: Memory that a device leaves for the model; None if it is not known.
    """

    isa: str
    has_glibc: bool
    is_here: bool
    limit_bytes: int | None = None


def loading_candidates(
    model: ProfiledModel, destination: Destination, made: ChangeSet = ()
) -> dict[ChangeSet, FitFigures | None]:
    """Sets of changes with their modelled figures, those that ask least first.

    `made` are the changes of the graph that `model` has already; all sets contain them.

    A set is left out if a smaller part of it needs as little memory. Without a modelled graph,
    settings are left, and their figures are None. Weights are packed for the processor that packs
    them. Kernels for quantized weights pack them for one kind of processor, so these are not packed
    offline.
    """
    can_pack = destination.is_here and precision_of(made) is None
    always: tuple[ChangeCode, ...] = ("steady-allocator",) if destination.has_glibc else ()
    always += made
    known = {
        frozenset(memory.changes): modelled_figures(memory)
        for memory in (*model.modelled_memory, *model.changed_memory)
        if memory.isa == destination.isa
    }
    sets = (
        frozenset[ChangeCode](changes)
        for changes in ((), *ALL_CHANGES)
        if can_pack or "prepacked-offline" not in changes
    )
    found: dict[frozenset[ChangeCode], FitFigures | None] = {}
    for changes in sorted(sets, key=weight):
        figures = known.get(frozenset(loading_changes(changes)))
        if figures is None and (known or not changes <= _SETTINGS_ONLY):
            continue
        if figures is None or not _is_useless(changes, figures, found):
            found[changes] = figures
    every = {ordered((*changes, *always)): figures for changes, figures in found.items()}
    every.pop((), None)
    return every


def modelled_figures(memory: ModelledMemory) -> FitFigures:
    """Figures of a candidate that was not run."""
    floor = max(memory.load_peak_bytes, memory.inference_peak_bytes - memory.mapped_bytes)
    return FitFigures(
        load_peak_bytes=memory.load_peak_bytes,
        inference_peak_bytes=memory.inference_peak_bytes,
        floor_bytes=max(0, floor - _LIBRARY_BYTES),
    )


def may_meet(
    figures: FitFigures | None, targets: FitTargets, limit_bytes: int | None = None
) -> bool:
    """Whether modelled memory is close enough to targets and limit for a run to decide."""
    if figures is None:
        return True
    pairs = (
        (figures.peak_bytes, targets.memory_bytes),
        (figures.peak_bytes, limit_bytes),
        (figures.floor_bytes, targets.floor_bytes),
    )
    return all(
        size is None or target is None or size * GRAPH_LOW_RATIO <= target for size, target in pairs
    )


def rewritings_for(missed: Iterable[str]) -> ChangeSet:
    """Changes of the graph that can help with the missed targets, least drift first."""
    wanted = frozenset(missed) - {"drift"}
    return tuple(code for code, helped in _HELPS.items() if wanted & helped)


_MEMORY: Final = frozenset({"memory", "floor"})
# On a CPU, half precision is computed in single precision: it saves space in files only.
_HELPS: Final[dict[ChangeCode, frozenset[str]]] = {
    "merged-weights": _MEMORY | {"size"},
    "fp16": frozenset({"size"}),
    "int8-weights": _MEMORY | {"size"},
    "int8-dynamic": _MEMORY | {"size", "latency", "latency_ratio"},
    "int8-static": _MEMORY | {"size", "latency", "latency_ratio"},
    "int4-weights": _MEMORY | {"size"},
}


def _is_useless(
    changes: frozenset[ChangeCode],
    figures: FitFigures,
    smaller: dict[frozenset[ChangeCode], FitFigures | None],
) -> bool:
    """Whether a part of these changes needs as little memory."""
    return any(
        part < changes
        and other is not None
        and other.peak_bytes <= figures.peak_bytes * (1 + _GAIN_RATIO)
        and (other.floor_bytes or 0) <= (figures.floor_bytes or 0) * (1 + _GAIN_RATIO)
        for part, other in smaller.items()
    )
