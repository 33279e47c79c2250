"""Weights that a graph makes itself: constants that the runtime computes while loading.

A file of 80 kB may hold a model of 100 MB whose weights are filled in by
ConstantOfShape, or weights in half precision that a Cast widens. ONNX Runtime
computes every node that depends on nothing but constants once and keeps what the
other nodes read; weights that only such nodes read are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feasibility.graph.typed_graph import TypedGraph


def generated_bytes(graph: TypedGraph) -> int:
    """Bytes of constants that the graph makes beyond the weights that they replace.

    Counted where a node that is not constant (or the caller) reads them; tensors of
    open shape are left out.
    """
    folded: dict[str, int] = {}
    stored: dict[str, int] = {}
    read: set[str] = set(graph.outputs)
    replaced: set[str] = set()
    for scope in _graphs(graph):
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


def _graphs(graph: TypedGraph) -> Iterator[TypedGraph]:
    """The graph and all bodies in it."""
    yield graph
    for node in graph.nodes:
        for body in node.bodies:
            yield from _graphs(body)
