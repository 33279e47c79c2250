"""How much memory do the runs of a model add to its weights? A simulation of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feasibility.ort_memory.buffer_reuse import plan
from feasibility.ort_memory.memory_pattern import pattern_bytes
from feasibility.ort_memory.simulated_arena import Arena

if TYPE_CHECKING:
    from feasibility.ort_memory.buffer_reuse import Event
    from feasibility.ort_memory.steps import Program

_PATTERN = "all activations"


class Activations(NamedTuple):
    """Resident memory of the runs.

    Attributes:
        first_run_bytes: Pages of the arena that the first run uses.
        later_runs_bytes: The same after the second run, which places all activations in one
            block.
    """

    first_run_bytes: int
    later_runs_bytes: int
    input_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Highest memory of all runs."""
        return self.later_runs_bytes + self.input_bytes


def simulate(program: Program) -> Activations:
    """Memory of a program that runs repeatedly with the same input shapes."""
    events = plan(program)
    arena = Arena()
    for index, size_bytes in enumerate(program.packed_bytes):
        arena.take(f"packed {index}", size_bytes)
    loaded_bytes = arena.touched_bytes
    kept = _run_first(events, arena)
    first_run_bytes = arena.touched_bytes - loaded_bytes
    _give_back(kept, arena)
    arena.take(_PATTERN, pattern_bytes(events))
    _give_back(_run_again(events, arena), arena)
    return Activations(
        first_run_bytes=first_run_bytes,
        later_runs_bytes=arena.touched_bytes - loaded_bytes,
        input_bytes=sum(program.values[name].size_bytes for name in program.inputs),
    )


def _run_first(events: tuple[Event, ...], arena: Arena) -> list[str]:
    """The first run allocates each value. Returns the values that the caller gets."""
    kept: list[str] = []
    for event in events:
        for name, size_bytes in event.taken:
            arena.take(name, size_bytes)
        _work(event, arena)
        for name in event.released:
            arena.give_back(name)
        kept.extend(event.kept)
    return kept


def _run_again(events: tuple[Event, ...], arena: Arena) -> list[str]:
    """Later runs allocate only outputs and workspaces beside the one block."""
    kept = []
    for event in events:
        for name, size_bytes in event.taken:
            if name in event.kept:
                arena.take(name, size_bytes)
                kept.append(name)
        _work(event, arena)
    return kept


def _work(event: Event, arena: Arena) -> None:
    arena.take("workspace", event.workspace_bytes)
    arena.give_back("workspace")


def _give_back(names: list[str], arena: Arena) -> None:
    for name in names:
        arena.give_back(name)
