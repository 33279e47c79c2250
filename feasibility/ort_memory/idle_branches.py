"""Which branches of a node are not analysed, because its condition is known for these inputs?

The runtime loads them all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from feasibility.graph.attributes import graph_of
from feasibility.graph.value_types import tensor_type
from feasibility.model_file.subgraph_names import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto

    from feasibility.graph.typed_graph import TypedNode

_BRANCHES: Final = ("then_branch", "else_branch")


def idle_branches(node: TypedNode) -> Iterator[GraphProto]:
    """Branches of a node without a typed body."""
    if node.op_type == "If":
        walked = {body.name for body in node.bodies}
        for name in _BRANCHES:
            graph = graph_of(node.attributes, name)
            if graph is not None and name not in walked:
                yield graph


def with_inner_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph, and the graphs of its nodes."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(inner for node in current.node for _, inner in bodies(node, ""))


def stored_sizes(graph: GraphProto) -> Iterator[tuple[str, int]]:
    """Names and sizes of the initializers and constants of a graph."""
    for tensor in graph.initializer:
        yield tensor.name, tensor_type(tensor).size_bytes or 0
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t") and node.output:
                yield node.output[0], tensor_type(attribute.t).size_bytes or 0
