"""How much memory does ONNX Runtime need for a graph, on each instruction set?

The stages of loading, then a simulation of two runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from feasibility.graph.value_types import LARGEST
from feasibility.ort_memory.blocked_operators import BLOCKED_OPERATORS
from feasibility.ort_memory.buffer_reuse import most_in_use_bytes, plan
from feasibility.ort_memory.called_functions import without_calls
from feasibility.ort_memory.channel_blocks import Blocks
from feasibility.ort_memory.foreign_operators import with_full_names
from feasibility.ort_memory.graph_to_steps import lower
from feasibility.ort_memory.half_precision import widened
from feasibility.ort_memory.inlined_functions import inlined
from feasibility.ort_memory.known_shapes import fold_fixed_shapes
from feasibility.ort_memory.load_stages import loading
from feasibility.ort_memory.memory_pattern import pattern_bytes
from feasibility.ort_memory.optimised_graph import optimise
from feasibility.ort_memory.quantized_weights import with_quantized_weights
from feasibility.ort_memory.runtime_order import in_runtime_order
from feasibility.ort_memory.simulated_arena import Arena
from feasibility.ort_memory.steps import Stage
from feasibility.ort_memory.version import MODELLED_VERSION
from feasibility.ort_memory.weight_reads import WeightReads
from feasibility.records.facts import ModelledMemory
from feasibility.units import MIB

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.ort_memory.buffer_reuse import Event
    from feasibility.ort_memory.load_stages import Loading
    from feasibility.ort_memory.steps import OpenAxes, Program
    from feasibility.records.changes import Changes
    from feasibility.records.shared_fields import Isa

# Code pages of kernels, read when they run for the first time.
_KERNEL_BYTES: Final = MIB
# Processes whose runs are simulated; one for larger programs.
_PROCESSES: Final = 7
_MAX_REPEATED_STEPS: Final = 2_000
# Larger graphs are not modelled, because it would take longer than reading them.
MAX_NODES: Final = 20_000
# The layout of each instruction set; None for the plain one.
_LAYOUTS: Final[dict[Isa, Blocks | None]] = {"x86_64": Blocks(), "aarch64": None}
# Changes of how a model runs; the others change how it is stored and loaded.
_RUN_CHANGES: Final = frozenset({"arena-off", "pattern-off"})


class Activations(NamedTuple):
    """Resident memory of the runs.

    Attributes:
        later_runs_bytes: Pages of the arena that are used after the second run, which places all
            activations in one block.
    """

    later_runs_bytes: int
    input_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Highest memory of all runs."""
        return self.later_runs_bytes + self.input_bytes


class MemoryModel:
    """Memory of one graph on each instruction set, with the steady allocator and one thread.

    `external` are initializers in external files, `open_axes` the open axes of inputs by name.
    """

    def __init__(self, graph: TypedGraph, external: frozenset[str], open_axes: OpenAxes) -> None:
        self._targets: tuple[_Target, ...] = ()
        if not graph.nodes or sum(1 for _ in graph.all_nodes()) > MAX_NODES:
            return
        flat = with_full_names(without_calls(graph))
        folded = with_quantized_weights(fold_fixed_shapes(flat, open_axes))
        wide, halves = widened(inlined(folded))
        reads, optimised = WeightReads(wide), optimise(wide, open_axes)
        has_blocks = any(node.op_type in BLOCKED_OPERATORS for node in wide.all_nodes())
        self._targets = tuple(
            _Target(isa, reads, external, blocks, halves, lower(optimised, blocks, halves))
            for isa, blocks in _LAYOUTS.items()
            if has_blocks or blocks is None
        )

    def with_changes(self, changes: Changes = ()) -> tuple[ModelledMemory, ...]:
        """Memory after changes; () for the model as it is.

        Returns:
            One record per instruction set; empty for a graph without nodes or with very many.
        """
        found = tuple(target.memory(changes) for target in self._targets)
        if len(found) == 1:
            # Without blocks there is no difference between the instruction sets.
            return (msgspec.structs.replace(found[0], isa="x86_64"), *found)
        return found


class _Target:
    """Memory on one instruction set.

    Runs do not depend on how a model is stored, and loading does not depend on how it runs. So
    each is modelled once for all changes of the other.
    """

    def __init__(
        self,
        isa: Isa,
        reads: WeightReads,
        external: frozenset[str],
        blocks: Blocks | None,
        halves: frozenset[str],
        program: Program,
    ) -> None:
        self._isa = isa
        self._reads = reads
        self._external = external
        self._blocks = blocks
        self._halves = halves
        self._program = program
        self._runs: dict[frozenset[str], Activations] = {}
        self._loads: dict[frozenset[str], Loading] = {}

    def memory(self, changes: Changes) -> ModelledMemory:
        """Memory after changes."""
        runs = self._run(_RUN_CHANGES.intersection(changes))
        weights = self._load(frozenset(changes) - _RUN_CHANGES)
        running = runs.peak_bytes + weights.mapped_bytes + _KERNEL_BYTES
        return ModelledMemory(
            isa=self._isa,
            changes=changes,
            runtime_version=MODELLED_VERSION,
            load_peak_bytes=min(weights.peak_bytes, LARGEST),
            resident_bytes=min(weights.resident_bytes, LARGEST),
            inference_peak_bytes=min(weights.resident_bytes + running, LARGEST),
            weight_bytes=min(weights.weight_bytes, LARGEST),
            own_bytes=min(weights.own_bytes + _KERNEL_BYTES, LARGEST),
            activation_bytes=min(runs.later_runs_bytes, LARGEST),
            input_bytes=min(runs.input_bytes, LARGEST),
            mapped_bytes=min(weights.mapped_bytes, LARGEST),
        )

    def _run(self, changes: frozenset[str]) -> Activations:
        if changes not in self._runs:
            has_arena = "arena-off" not in changes
            self._runs[changes] = _usual_runs(
                self._program,
                has_arena=has_arena,
                has_pattern=has_arena and "pattern-off" not in changes,
            )
        return self._runs[changes]

    def _load(self, changes: frozenset[str]) -> Loading:
        if changes not in self._loads:
            self._loads[changes] = loading(
                self._reads,
                self._external,
                self._blocks,
                changes,
                len(self._program.steps),
                self._halves,
            )
        return self._loads[changes]


def _usual_runs(program: Program, *, has_arena: bool, has_pattern: bool) -> Activations:
    """The median of several processes, whose order of steps differs."""
    unblocked = sum(step.age[0] == Stage.UNBLOCKED for step in program.steps)
    count = _PROCESSES if unblocked > 1 and len(program.steps) <= _MAX_REPEATED_STEPS else 1
    runs = [
        simulate(
            program._replace(steps=in_runtime_order(program.steps, process)),
            has_arena=has_arena,
            has_pattern=has_pattern,
        )
        for process in range(count)
    ]
    return sorted(runs, key=lambda run: run.later_runs_bytes)[count // 2]


def simulate(program: Program, *, has_arena: bool = True, has_pattern: bool = True) -> Activations:
    """Memory of a program that runs repeatedly with the same input shapes.

    Without an arena, values come from the C library, which returns what is freed.
    """
    events = plan(program)
    used_bytes = (
        _in_arena(events, program.packed_bytes, has_pattern=has_pattern)
        if has_arena
        else most_in_use_bytes(events)
    )
    return Activations(
        later_runs_bytes=used_bytes + program.scratch_bytes,
        input_bytes=sum(program.values[name].size_bytes for name in program.inputs),
    )


def _in_arena(events: tuple[Event, ...], packed: tuple[int, ...], *, has_pattern: bool) -> int:
    """Bytes of the arena that two runs use, beside the packed weights in it."""
    arena = Arena()
    for index, size_bytes in enumerate(packed):
        arena.take(f"packed {index}", size_bytes)
    loaded_bytes = arena.resident_bytes
    _give_back(_run(events, arena), arena)
    if has_pattern:
        arena.take("all activations", pattern_bytes(events))
    # Also without a pattern, because the free chunks differ from those of the first run.
    _give_back(_run(events, arena, in_one_block=has_pattern), arena)
    return arena.resident_bytes - loaded_bytes


def _run(events: tuple[Event, ...], arena: Arena, *, in_one_block: bool = False) -> list[str]:
    """One run. Returns the values that the caller gets.

    The first run allocates each value. Later runs have all planned activations in one block; they
    allocate workspaces and unplanned values outside this block.
    """
    kept: list[str] = []
    for event in events:
        for name, size_bytes in event.taken:
            if not in_one_block or name in event.unplanned:
                arena.take(name, size_bytes)
        _work(event.later_workspace if in_one_block else event.workspace, arena)
        for name in event.released:
            arena.give_back(name)
        kept.extend(event.kept)
    return kept


def _work(sizes: tuple[int, ...], arena: Arena) -> None:
    names = [f"workspace {index}" for index in range(len(sizes))]
    for name, size_bytes in zip(names, sizes, strict=True):
        arena.take(name, size_bytes)
    _give_back(names, arena)


def _give_back(names: list[str], arena: Arena) -> None:
    for name in names:
        arena.give_back(name)
