"""Which operators have the name of an ONNX operator, but belong to another domain?

They get their domain as part of their name, so that no rule for the operator of ONNX applies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph

# Domains whose operators do the same as those of equal names here.
_DOMAINS: Final = frozenset({"", "ai.onnx.ml", "com.microsoft"})


def with_full_names(graph: TypedGraph) -> TypedGraph:
    """The graph whose operators of other domains are named with their domain."""
    if all(node.domain in _DOMAINS for node in graph.all_nodes()):
        return graph
    return replace(
        graph,
        nodes=tuple(
            replace(
                node,
                op_type=node.op_type
                if node.domain in _DOMAINS
                else f"{node.domain}:{node.op_type}",
                bodies=tuple(map(with_full_names, node.bodies)),
            )
            for node in graph.nodes
        ),
    )
