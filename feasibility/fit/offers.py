"""Which smaller workload would meet the targets? Modelled only, and never chosen for the user."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from feasibility.errors import FeasibilityError
from feasibility.facts.read_model import read_model
from feasibility.fit.candidates import loading_candidates
from feasibility.fit.changes import ChangeSet
from feasibility.measure.profiled_model import profiled_model
from feasibility.records.fit import FitFigures, FitTargets, Offer
from feasibility.records.workload import InputPlan

_MAX_HALVINGS: Final = 6


def smaller_workloads(
    path: Path, plan: InputPlan, targets: FitTargets, isa: str, *, has_glibc: bool
) -> tuple[Offer, ...]:
    """For each open dim, the largest halved size with which some changes meet the targets."""
    if targets.memory_bytes is None and targets.floor_bytes is None:
        return ()
    found = []
    for name, size in plan.dims.items():
        for halvings in range(1, _MAX_HALVINGS + 1):
            smaller = size >> halvings
            if smaller < 1:
                break
            dims = {**plan.dims, name: smaller}
            best = _smallest(path, dims, targets, isa, has_glibc=has_glibc)
            if best is not None:
                changes, peak = best
                found.append(Offer(dims={name: smaller}, changes=changes, memory_bytes=peak))
                break
    return tuple(found)


def _smallest(
    path: Path, dims: dict[str, int], targets: FitTargets, isa: str, *, has_glibc: bool
) -> tuple[ChangeSet, int] | None:
    """The changes that ask least and meet the targets with these dims, and the modelled peak."""
    try:
        facts = read_model(path, dims=dims, all_changes=True).facts
    except FeasibilityError:
        return None
    candidates = loading_candidates(profiled_model(facts), isa, precision=None, has_glibc=has_glibc)
    for changes, figures in candidates.items():
        if figures is not None and _meets(figures, targets):
            return changes, figures.peak_bytes
    return None


def _meets(figures: FitFigures, targets: FitTargets) -> bool:
    most = math.inf if targets.memory_bytes is None else targets.memory_bytes
    most_floor = math.inf if targets.floor_bytes is None else targets.floor_bytes
    return figures.peak_bytes <= most and (figures.floor_bytes or 0) <= most_floor
