"""How much memory do trees need? Their nodes are attributes, not weights.

While loading, the file, the graph and the kernel each have a copy of the attributes. The graph
keeps its copy, beside the nodes and leaf values that the kernel unpacks.
Source: TreeEnsembleCommon (core/providers/cpu/ml/tree_ensemble_common.h); the bytes per node and
per leaf value are measured on forests and boosted trees of 10,000 to 900,000 nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.graph.attributes import list_length

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph

_OPERATORS: Final = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})


class Trees(NamedTuple):
    """Bytes of all trees of a graph, while loading and after it."""

    loading_bytes: int = 0
    resident_bytes: int = 0


_PER_NODE: Final = Trees(394, 259)
_PER_VALUE: Final = Trees(139, 46)


def trees_of(graph: TypedGraph) -> Trees:
    """Memory of the trees of a graph."""
    nodes = values = 0
    for node in graph.all_nodes():
        if node.op_type in _OPERATORS:
            nodes += list_length(node.attributes, "nodes_treeids")
            values += sum(
                list_length(node.attributes, name) for name in ("class_ids", "target_ids")
            )
    return Trees(
        *(one * nodes + other * values for one, other in zip(_PER_NODE, _PER_VALUE, strict=True))
    )
