"""How much work is a model with these sizes? Per node and in total, with the activation peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feasibility.graph.cost.activation_peak import activation_peak
from feasibility.graph.cost.generated_weights import generated_bytes
from feasibility.graph.cost.node_cost import Cost, node_cost
from feasibility.graph.cost.operator_class import operator_class
from feasibility.graph.declared_inputs import declared_inputs, declared_outputs
from feasibility.graph.value_types import LARGEST, bounded
from feasibility.records.facts import NodeFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto

    from feasibility.graph.inputs.dim_sizes import DimBinding
    from feasibility.graph.typed_graph import TypedGraph, TypedNode
    from feasibility.records.base import Assumption, TensorSpec
    from feasibility.records.facts import ActivationPeak


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a model costs with its dims bound.

    Args:
        dims: Symbolic dims and the sizes they were bound to.
        assumptions: Sizes that were assumed, and why.
        nodes: Work per node in execution order, bodies behind the node that runs them.
        flops: Operations of one inference; None where no node's work is known.
        macs: Multiply-adds of one inference.
        moved_bytes: Bytes read and written by all nodes.
        unknown_node_count: Nodes whose work is not known and is missing in the totals.
        per_iteration: True if a loop of unknown trip count was counted as one iteration.
        activation_peak: Largest sum of tensors alive at once.
        generated_bytes: Bytes of weights that the graph makes itself.
        inputs: Declared inputs that a caller gives.
        outputs: Declared outputs.
        graph: The graph with the types of all its values.
    """

    dims: dict[str, int]
    assumptions: tuple[Assumption, ...]
    nodes: tuple[NodeFacts, ...]
    flops: int | None
    macs: int | None
    moved_bytes: int | None
    unknown_node_count: int
    per_iteration: bool
    activation_peak: ActivationPeak | None
    generated_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    graph: TypedGraph


def analyse(model: ModelProto, binding: DimBinding, graph: TypedGraph) -> Analysis:
    """Static cost of a model."""
    nodes = tuple(_facts(graph, 1, ""))
    known = [node for node in nodes if node.flops is not None]
    return Analysis(
        dims=dict(binding.dims),
        assumptions=binding.assumptions,
        nodes=nodes,
        flops=_total(nodes, "flops"),
        macs=_total(nodes, "macs"),
        moved_bytes=_total(nodes, "moved_bytes"),
        unknown_node_count=len(nodes) - len(known),
        per_iteration=any(node.repeat_count is None for node in nodes),
        activation_peak=activation_peak(graph),
        generated_bytes=min(generated_bytes(graph), LARGEST),
        inputs=declared_inputs(model.graph),
        outputs=declared_outputs(model.graph),
        graph=graph,
    )


def _total(nodes: tuple[NodeFacts, ...], name: str) -> int | None:
    """Sum over all runs; a loop of unknown trip count counts as one iteration."""
    total = 0
    is_known = not nodes
    for node in nodes:
        amount: int | None = getattr(node, name)
        if amount is not None:
            is_known = True
            total += amount * (1 if node.repeat_count is None else node.repeat_count)
    return bounded(total) if is_known else None


def _facts(graph: TypedGraph, repeats: int | None, scope: str) -> Iterator[NodeFacts]:
    for node in graph.nodes:
        # What is folded while loading does not run again.
        yield _node_facts(node, 0 if node.is_folded else repeats, scope, graph)
        runs = None if repeats is None or node.trip_count is None else repeats * node.trip_count
        for body, body_runs in _body_runs(node, runs):
            path = "/".join(part for part in (scope, node.name, body.name) if part)
            yield from _facts(body, body_runs, path)


def _body_runs(node: TypedNode, runs: int | None) -> list[tuple[TypedGraph, int | None]]:
    """Bodies with how often they run; of the branches of an If, the cheaper does not."""
    if len(node.bodies) < 2:
        return [(body, runs) for body in node.bodies]
    dearest = max(node.bodies, key=_body_flops)
    return [(body, runs if body is dearest else 0) for body in node.bodies]


def _body_flops(graph: TypedGraph) -> tuple[int, int]:
    """FLOPs, and nodes to decide between bodies without any."""
    flops = 0
    for node in graph.nodes:
        flops += node_cost(node).flops or 0
        times = 1 if node.trip_count is None else node.trip_count
        flops += times * max((_body_flops(body)[0] for body in node.bodies), default=0)
    return flops, len(graph.nodes)


def _node_facts(node: TypedNode, repeats: int | None, scope: str, graph: TypedGraph) -> NodeFacts:
    cost: Cost = node_cost(node)
    sizes = [
        value.size_bytes for name, value in zip(node.node.output, node.outputs, strict=True) if name
    ]
    output_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    return NodeFacts(
        name=node.name,
        op_type=node.op_type,
        domain=node.domain or "ai.onnx",
        op_class=operator_class(node),
        flops=bounded(cost.flops),
        macs=bounded(cost.macs),
        moved_bytes=bounded(cost.moved_bytes),
        weight_bytes=min(_weight_bytes(node, graph), LARGEST),
        output_bytes=bounded(output_bytes),
        output_shape=_output_shape(node),
        repeat_count=bounded(repeats),
        scope=scope,
    )


def _output_shape(node: TypedNode) -> tuple[int, ...] | None:
    shape = node.output().shape
    if shape is None:
        return None
    known = tuple(dim for dim in shape if dim is not None and dim <= LARGEST)
    return known if len(known) == len(shape) else None


def _weight_bytes(node: TypedNode, graph: TypedGraph) -> int:
    """Bytes of constants among its inputs: initializers, or what was folded from them."""
    return sum(
        value.size_bytes or 0
        for name, value in zip(node.node.input, node.inputs, strict=True)
        if name and graph.constants.get(name, False)
    )
