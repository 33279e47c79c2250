"""How much work does one inference take? Per node and in total, with the activation peak."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from feasibility.graph.cost.activation_peak import activation_peak
from feasibility.graph.cost.node_cost import node_cost
from feasibility.graph.cost.operator_class import operator_class
from feasibility.graph.typed_graph import TypedGraph, TypedNode
from feasibility.graph.value_types import LARGEST, bounded
from feasibility.records.facts import ModelFacts, NodeFacts


def with_work(facts: ModelFacts, graph: TypedGraph) -> ModelFacts:
    """The facts with the work of a model whose dims are bound.

    Nodes are in execution order, each followed by those of its bodies.
    """
    nodes = tuple(_facts(graph, 1, ""))
    return replace(
        facts,
        nodes=nodes,
        flops=_total(nodes, "flops"),
        macs=_total(nodes, "macs"),
        moved_bytes=_total(nodes, "moved_bytes"),
        unknown_node_count=sum(node.flops is None for node in nodes),
        per_iteration=any(node.repeat_count is None for node in nodes),
        activation_peak=activation_peak(graph),
        generated_bytes=min(_generated_bytes(graph), LARGEST),
    )


def _total(nodes: tuple[NodeFacts, ...], name: str) -> int | None:
    """Sum over all runs; a loop of unknown trip count counts as one iteration."""
    amounts = [
        amount * (1 if node.repeat_count is None else node.repeat_count)
        for node in nodes
        if (amount := getattr(node, name)) is not None
    ]
    return bounded(sum(amounts)) if amounts or not nodes else None


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
    cost = node_cost(node)
    sizes = [
        value.size_bytes for name, value in zip(node.node.output, node.outputs, strict=True) if name
    ]
    output_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    return NodeFacts(
        name=node.name,
        op_type=node.node.op_type,
        domain=node.node.domain or "ai.onnx",
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


def _generated_bytes(graph: TypedGraph) -> int:
    """Bytes of weights that the runtime computes while loading, minus those that they replace.

    A file of 80 kB can hold a model of 100 MB whose weights come from ConstantOfShape, or weights
    in half precision that a Cast widens. ONNX Runtime computes nodes whose inputs are all constant
    once, keeps the results that other nodes read, and drops weights that no other node reads.
    A constant counts if a node that runs, or the caller, reads it. Tensors of unknown shape do
    not count.
    """
    folded: dict[str, int] = {}
    stored: dict[str, int] = {}
    read: set[str] = set(graph.outputs)
    replaced: set[str] = set()
    for scope in graph.all_graphs():
        for name in scope.initializers:
            stored[name] = scope.types[name].size_bytes or 0
        for node in scope.nodes:
            if not node.is_folded:
                read.update(node.node.input)
                continue
            replaced.update(node.node.input)
            kept = stored if node.op_type == "Constant" else folded
            for name, value in zip(node.node.output, node.outputs, strict=True):
                kept[name] = value.size_bytes or 0
    made = sum(size for name, size in folded.items() if name in read)
    gone = sum(size for name, size in stored.items() if name in replaced and name not in read)
    return max(made - gone, 0)
