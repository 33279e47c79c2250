"""Which weights does the runtime compute while loading?

A file of 80 kB can hold a model of 100 MB whose weights come from ConstantOfShape, or weights in
half precision that a Cast widens. ONNX Runtime computes nodes whose inputs are all constant
once, keeps the results that other nodes read, and drops weights that no other node reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feasibility.graph.typed_graph import TypedGraph


def generated_bytes(graph: TypedGraph) -> int:
    """Bytes of computed constants, minus the bytes of the weights that they replace.

    A constant counts if a node that runs, or the caller, reads it. Tensors of unknown shape do
    not count.
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
    """The graph and all its bodies."""
    yield graph
    for node in graph.nodes:
        for body in node.bodies:
            yield from _graphs(body)
