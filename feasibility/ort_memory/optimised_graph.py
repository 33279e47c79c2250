"""What does the optimizer do to a graph on every instruction set?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feasibility.ort_memory.fusions import find_fusions
from feasibility.ort_memory.known_shapes import KnownShapes
from feasibility.ort_memory.runtime_order import in_runtime_order
from feasibility.ort_memory.steps import Stage, Step
from feasibility.ort_memory.value_uses import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.ort_memory.merges import Fusions
    from feasibility.ort_memory.steps import OpenAxes


class Optimised(NamedTuple):
    """A graph, and what does not depend on the layout.

    Attributes:
        shapes: What the runtime knows about shapes before it runs.
        ranks: Places of the nodes in the order in which the graph would run without merges.
    """

    graph: TypedGraph
    shapes: KnownShapes
    usage: Usage
    fusions: Fusions
    ranks: Mapping[int, int]


def optimise(graph: TypedGraph, open_axes: OpenAxes) -> Optimised:
    """The graph with its merges; the runtime plans without the sizes of `open_axes`."""
    usage = Usage(graph)
    shapes = KnownShapes(open_axes, usage.is_constant)
    for node in usage.nodes:
        shapes.note(node)
    fusions = find_fusions(usage, shapes)
    order = in_runtime_order(_as_steps(usage))
    ranks = {step.age[1]: rank for rank, step in enumerate(order)}
    return Optimised(graph, shapes, usage, fusions, ranks)


def _as_steps(usage: Usage) -> list[Step]:
    """A step for each node of a graph."""
    return [
        Step(
            node.op_type,
            (*usage.variable_inputs(node), *node.outer_reads()),
            tuple(filter(None, node.node.output)),
            age=(Stage.READ, index),
        )
        for index, node in enumerate(usage.nodes)
    ]
