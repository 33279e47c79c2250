"""Which arrays are the inputs of a plan, for libraries that run a model in this process?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from feasibility.runners.child.child_inputs import make_feeds

if TYPE_CHECKING:
    from feasibility.records.workload import InputPlan


def feeds_of(plan: InputPlan, seed: int) -> dict[str, Any]:
    """Inputs by name, as the child makes them, without those that are left out."""
    import numpy as np

    made = make_feeds(np, {"inputs": msgspec.to_builtins(plan.inputs), "seed": seed})
    return {name: value for name, value in made.items() if value is not None}
