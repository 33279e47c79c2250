"""Which node of a changed model should stay in float? The first whose values drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feasibility.records.workload import InputPlan
from feasibility.rewrite.change_process import run_libraries
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text


@dataclass(frozen=True, slots=True)
class DriftingNode:
    """The first node whose values differ much.

    Attributes:
        name: Its name, or that of its output if it has none; untrusted text.
        ratio: Largest difference of an element, relative to the original's largest element. The
            largest float if shapes differ, or a value is finite in one model only.
    """

    name: str
    ratio: float


def first_drifting_node(
    original: Path, changed: Path, plan: InputPlan, seed: int, *, threshold_ratio: float
) -> DriftingNode | None:
    """The first node of the original, in its order, whose values drift in the changed model.

    None if no value that has the same name in both models differs by more than the threshold.
    Bodies of nodes are not looked into.

    Args:
        original: The original.
        changed: The changed model.
        plan: Inputs.
        seed: Seed of generated inputs.
        threshold_ratio: Largest difference of an element, relative to the largest element.

    Raises:
        FeasibilityError: A model cannot be read, or a copy cannot be written.
    """

    def find() -> list[DriftingNode]:
        from feasibility.rewrite.forked.first_drift import first_drift

        found = first_drift(original, changed, folder, plan, seed, threshold_ratio)
        return [] if found is None else [DriftingNode(*found)]

    what = f"Cannot compare '{safe_text(str(changed))}' with the original, node by node"
    with scratch_folder() as folder:
        found = run_libraries(
            find, list[DriftingNode], what, doing="running", hint="compare the outputs only"
        )
    return found[0] if found else None
