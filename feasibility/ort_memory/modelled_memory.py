"""How much memory does ONNX Runtime need for a graph, on each instruction set?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from feasibility.graph.value_types import LARGEST
from feasibility.ort_memory.blocked_layout import Blocks
from feasibility.ort_memory.graph_to_steps import BLOCKED_OPERATORS, lower
from feasibility.ort_memory.load_stages import loading
from feasibility.ort_memory.simulated_runs import simulate
from feasibility.ort_memory.version import MODELLED_VERSION
from feasibility.records.facts import ModelledMemory
from feasibility.units import MIB

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.ort_memory.steps import OpenAxes
    from feasibility.records.base import Isa

# Code pages of kernels, read when they run for the first time.
_KERNEL_BYTES: Final = MIB
# Larger graphs are not modelled, because it would take longer than reading them.
MAX_NODES: Final = 20_000


def modelled_memory(
    graph: TypedGraph, external: frozenset[str], open_axes: OpenAxes
) -> tuple[ModelledMemory, ...]:
    """Memory on each instruction set, with the steady allocator and one thread.

    `external` are initializers in external files, `open_axes` the open axes of inputs by name.

    Returns:
        One record per instruction set; empty for a graph without nodes or with very many.
    """
    if not graph.nodes or len(graph.nodes) > MAX_NODES:
        return ()
    arm = _on("aarch64", None, graph, external, open_axes)
    if any(node.op_type in BLOCKED_OPERATORS for node in graph.all_nodes()):
        return (_on("x86_64", Blocks(), graph, external, open_axes), arm)
    # Without blocks there is no difference between the instruction sets.
    return (msgspec.structs.replace(arm, isa="x86_64"), arm)


def _on(
    isa: Isa,
    blocks: Blocks | None,
    graph: TypedGraph,
    external: frozenset[str],
    open_axes: OpenAxes,
) -> ModelledMemory:
    weights = loading(graph, external, blocks)
    runs = simulate(lower(graph, blocks, open_axes))
    running = runs.peak_bytes + weights.mapped_bytes + _KERNEL_BYTES
    return ModelledMemory(
        isa=isa,
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
