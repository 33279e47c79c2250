"""Weights that a graph makes itself: constants that the runtime computes while loading.

A file of 80 kB may hold a model of 100 MB whose weights are filled in by
ConstantOfShape, or weights in half precision that a Cast widens. ONNX Runtime
computes every node that depends on nothing but constants once and keeps what the
other nodes read; initializers that only such nodes read are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph, TypedNode


def generated_bytes(graph: TypedGraph) -> int:
    """Bytes of constants that the graph makes beyond the initializers that they replace.

    Counted where a node that is not constant (or the caller) reads them; tensors of
    open shape are left out.
    """
    folded: dict[str, int] = {}
    read: set[str] = set(graph.outputs)
    replaced: set[str] = set()
    for node in _nodes(graph, set()):
        if not node.is_folded:
            read.update(node.node.input)
            continue
        replaced.update(node.node.input)
        if node.op_type != "Constant":
            for name, value in zip(node.node.output, node.outputs, strict=True):
                folded[name] = value.size_bytes or 0
    made = sum(size for name, size in folded.items() if name in read)
    gone = sum(
        graph.types[name].size_bytes or 0
        for name in replaced
        if name in graph.initializers and name not in read
    )
    return max(made - gone, 0)


def _nodes(graph: TypedGraph, seen: set[int]) -> list[TypedNode]:
    """All nodes, bodies first, each body once."""
    found: list[TypedNode] = []
    for node in graph.nodes:
        for body in node.bodies:
            if id(body) not in seen:
                seen.add(id(body))
                found.extend(_nodes(body, seen))
        found.append(node)
    return found
