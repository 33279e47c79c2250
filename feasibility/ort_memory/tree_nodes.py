"""How much memory do trees need? Their nodes are attributes, not weights.

While loading, the file, the graph and the kernel each have a copy of the attributes. The graph
keeps its copy, beside the nodes and leaf values that the kernel unpacks.
Source: TreeEnsembleCommon (core/providers/cpu/ml/tree_ensemble_common.h); the bytes per node and
per leaf value are measured on forests and boosted trees of 10,000 to 900,000 nodes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from onnx import TensorProto

from feasibility.graph.attributes import list_length, tensor_of

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph

_OPERATORS: Final = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})


class Trees(NamedTuple):
    """Bytes of all trees of a graph, while loading and after it."""

    loading_bytes: int = 0
    resident_bytes: int = 0

    def plus(self, each: Trees, count: int) -> Trees:
        """With a number of nodes or values."""
        return Trees(*(now + one * count for now, one in zip(self, each, strict=True)))


_PER_NODE: Final = Trees(394, 259)
_PER_VALUE: Final = Trees(139, 46)
# The same for a node of TreeEnsemble with its leaf; more if it says where missing values go, and if
# its numbers are doubles.
_PER_NODE_AND_LEAF: Final = Trees(580, 220)
_PER_MISSING: Final = Trees(40, 8)
_PER_DOUBLE: Final = Trees(51, 26)


def trees_of(graph: TypedGraph) -> Trees:
    """Memory of the trees of a graph."""
    trees = Trees()
    for node in graph.all_nodes():
        lengths = partial(list_length, node.attributes)
        if node.op_type in _OPERATORS:
            trees = trees.plus(_PER_NODE, lengths("nodes_treeids"))
            trees = trees.plus(_PER_VALUE, lengths("class_ids") + lengths("target_ids"))
        elif node.op_type == "TreeEnsemble":
            count = lengths("nodes_featureids")
            splits = tensor_of(node.attributes, "nodes_splits")
            is_double = splits is not None and splits.data_type == TensorProto.DOUBLE
            trees = trees.plus(_PER_NODE_AND_LEAF, count)
            trees = trees.plus(_PER_MISSING, lengths("nodes_missing_value_tracks_true"))
            trees = trees.plus(_PER_DOUBLE, count * is_double)
    return trees
