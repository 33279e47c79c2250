"""What is the largest sum of activations alive at once?

A tensor is alive from the node that computes it to the last node that reads it, in execution
order. Inputs are alive from the start, outputs until the end. Weights and folded constants do
not count. Only views share the memory of their input. The peak of a node's body is added at
that node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

from msgspec.structs import replace

from feasibility.graph.cost.node_cost import VIEWS
from feasibility.graph.typed_graph import TypedGraph, TypedNode
from feasibility.graph.value_types import LARGEST
from feasibility.records.facts import ActivationPeak, LiveTensor

# How many of the tensors alive at the peak are named.
MAX_TENSORS: Final = 32
# Position of inputs, before the first node; an input that no node reads stays alive.
_BEFORE: Final = -1
_NO_PEAK: Final = ActivationPeak(peak_bytes=0, node="", op_type="", tensors=())


def activation_peak(graph: TypedGraph) -> ActivationPeak | None:
    """Largest sum of activations alive at once; None for a graph without nodes."""
    if not graph.nodes:
        return None
    peak = _peak(graph)
    return replace(
        peak,
        peak_bytes=min(peak.peak_bytes, LARGEST),
        tensors=tuple(sorted(peak.tensors, key=lambda tensor: -tensor.size_bytes)[:MAX_TENSORS]),
    )


@dataclass(slots=True)
class _Tensor:
    """Memory that one or more names share."""

    name: str
    size_bytes: int
    producer: str
    last_use: int


def _peak(graph: TypedGraph, given: frozenset[str] | None = None) -> ActivationPeak:
    """Peak of one graph.

    `given` has the names in a body that the enclosing graph counts; None for the main graph.
    """
    tensors, unknown_count = _tensors(graph, given)
    born: dict[int, int] = {}
    dying: dict[int, int] = {}
    for index, tensor in tensors:
        born[index] = born.get(index, 0) + tensor.size_bytes
        if tensor.last_use != _BEFORE:
            dying[tensor.last_use] = dying.get(tensor.last_use, 0) + tensor.size_bytes
    live_bytes = born.get(_BEFORE, 0)
    best, best_at = _NO_PEAK, None
    for index, node in enumerate(graph.nodes):
        live_bytes += born.get(index, 0)
        inner = body_peak(node)
        unknown_count += inner.unknown_tensor_count
        if best_at is None or live_bytes + inner.peak_bytes > best.peak_bytes:
            best_at = index
            best = replace(
                inner,
                peak_bytes=live_bytes + inner.peak_bytes,
                node=inner.node or node.name,
                op_type=inner.op_type or node.node.op_type,
            )
        live_bytes -= dying.get(index, 0)
    named = () if best_at is None else _alive(tensors, best_at)
    return replace(best, tensors=(*named, *best.tensors), unknown_tensor_count=unknown_count)


def _alive(tensors: Iterable[tuple[int, _Tensor]], index: int) -> tuple[LiveTensor, ...]:
    """The largest of the tensors alive while a node runs."""
    alive = (
        tensor
        for born_at, tensor in tensors
        if born_at <= index and (index <= tensor.last_use or tensor.last_use == _BEFORE)
    )
    return tuple(
        LiveTensor(
            name=tensor.name, size_bytes=min(tensor.size_bytes, LARGEST), producer=tensor.producer
        )
        for tensor in nsmallest(MAX_TENSORS, alive, key=lambda tensor: -tensor.size_bytes)
    )


def body_peak(node: TypedNode) -> ActivationPeak:
    """Largest peak of the bodies: only one branch of an If runs, a loop has one body."""
    peaks = [_peak(body, _given(node, body)) for body in node.bodies]
    return max(peaks, key=lambda peak: peak.peak_bytes, default=_NO_PEAK)


def _given(node: TypedNode, body: TypedGraph) -> frozenset[str]:
    """Names in a body that are values of the enclosing graph.

    These are its inputs, and its outputs except those of a loop, which are new in every
    iteration.
    """
    names = set(body.inputs)
    if node.op_type not in ("Loop", "Scan"):
        outputs = zip(body.outputs, node.outputs, strict=False)
        names.update(name for name, value in outputs if value.size_bytes is not None)
    return frozenset(names)


def _tensors(
    graph: TypedGraph, given: frozenset[str] | None
) -> tuple[list[tuple[int, _Tensor]], int]:
    """Tensors with the position of the node that computes them, and the number of unknown size."""
    owners: dict[str, _Tensor] = {}
    tensors: list[tuple[int, _Tensor]] = []
    unknown_count = 0

    def add(index: int, name: str, producer: str) -> None:
        nonlocal unknown_count
        size = graph.types[name].size_bytes if name in graph.types else None
        if size is None:
            unknown_count += 1
        elif name not in owners:
            tensor = _Tensor(name, size, producer, index)
            owners[name] = tensor
            tensors.append((index, tensor))

    if given is None:
        for name in graph.inputs:
            add(_BEFORE, name, "input")
    end = len(graph.nodes)
    for index, node in enumerate(graph.nodes):
        for name in (*node.node.input, *node.outer_reads()):
            if name in owners:
                owners[name].last_use = index
        if node.is_folded or all(not name for name in node.node.output):
            continue
        source = node.node.input[0] if node.node.input else ""
        is_view = not node.domain and node.op_type in VIEWS
        for name in node.node.output:
            if not name or (given is not None and name in given):
                continue
            if is_view and (source in owners or graph.constants.get(source, False)):
                if source in owners:
                    owners[name] = owners[source]
            else:
                add(index, name, node.name)
    for name in graph.outputs:
        if name in owners:
            owners[name].last_use = end
    return tensors, unknown_count
