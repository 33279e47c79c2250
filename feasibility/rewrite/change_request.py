"""What do the functions need to know that write a changed model?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feasibility.records.workload import InputPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A changed copy that somebody wants.

    Args:
        source: The model.
        target: The changed model, in a folder where functions may also write temporary files.
        what: First part of the messages of errors.
        for_this_machine: Whether the result may use what only this instruction set has.
        reduce_range: Whether 8-bit weights take 7 bits, for CPUs whose 8-bit sums can overflow.
        samples: Inputs for the ranges of activations, each with its seed.
        keep_float: Names of nodes that stay in float.
    """

    source: Path
    target: Path
    what: str
    for_this_machine: bool
    reduce_range: bool
    samples: tuple[tuple[InputPlan, int], ...]
    keep_float: tuple[str, ...]
