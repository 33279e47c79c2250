"""Which weights does a graph hold, and which nodes read them?

A weight is an initializer, the value of a Constant node, or a result that the runtime computes
while loading. Bodies have weights of their own.
"""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES
from feasibility.ort_memory.idle_branches import idle_branches, stored_sizes, with_inner_graphs
from feasibility.ort_memory.tree_nodes import trees_of
from feasibility.ort_memory.value_uses import Usage, computation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto

    from feasibility.graph.typed_graph import TypedGraph, TypedNode

# Operators whose result is the stored weight, if its type stays the same.
_SAME: Final = frozenset({"DequantizeLinear", "Identity"})


class Weight(NamedTuple):
    """A weight of one graph or body.

    Attributes:
        depth: Number of bodies around it; 0 in the main graph.
        is_in_body: True if the runtime keeps the body. It puts the branch of an If with a constant
            condition in place of the If.
    """

    scope: int
    name: str
    depth: int = 0
    is_in_body: bool = False


class Read(NamedTuple):
    """One input of a node that is a weight.

    Attributes:
        is_in_body: True if the node is in a body.
        is_own: True if the node gets weights of its own, because the batch normalisation that
            follows it is folded into them.
    """

    usage: Usage
    node: TypedNode
    position: int
    is_in_body: bool
    is_own: bool


class WeightReads:
    """The weights of a graph and its bodies.

    Attributes:
        sizes: Bytes of each weight.
        stored: Weights that the file holds. The others are computed while loading.
        constants: Those of them that are values of Constant nodes.
        reads: Inputs of nodes that are weights. Empty for a weight that the caller gets.
        in_order: The same in the order of the nodes.
        nodes: All nodes that run, with the uses of values in their graph.
        renormalised_bytes: Sizes of the weights of convolutions that contain the batch
            normalisation that follows them.
        trees: Memory of all trees.
        folded_bytes: Bytes of all computed weights.
        largest_folded_bytes: Bytes of the largest of them.
        movable: Names of stored weights that can move to an external file.
    """

    def __init__(self, graph: TypedGraph) -> None:
        self.sizes: dict[Weight, int] = {}
        self.stored: list[Weight] = []
        self.constants: set[Weight] = set()
        self.reads: dict[Weight, list[Read]] = {}
        self.in_order: list[tuple[Weight, Read]] = []
        self.nodes: list[tuple[TypedNode, Usage]] = []
        self.renormalised_bytes: list[int] = []
        self.trees = trees_of(graph)
        self.node_count = 0
        self.folded_bytes = self.largest_folded_bytes = 0
        self._scope_count = 0
        self._collect(graph, ChainMap(), Weight(0, ""))
        self.movable = frozenset(
            weight.name for weight in self.stored if self.sizes[weight] >= LEAST_EXTERNAL_BYTES
        )

    def _collect(self, graph: TypedGraph, outer: ChainMap[str, Weight], place: Weight) -> None:
        """Collect the weights of a graph and its bodies, and the nodes that read them.

        `outer` has the weights by name in the enclosing graphs, and `place` stands for those of
        this graph. Two bodies may use one name for different weights.
        """
        self._scope_count += 1
        place, names = place._replace(scope=self._scope_count), outer.new_child()
        for name in graph.initializers:
            names[name] = place._replace(name=name)
            self._store(names[name], graph.types[name].size_bytes or 0)
        done: dict[tuple[object, ...], TypedNode] = {}
        for node in graph.nodes:
            if not node.is_folded:
                continue
            is_same = node.op_type in _SAME and node.type_of(0).elem_type == node.output().elem_type
            if is_same and node.is_given(0) and node.node.input[0] in names:
                names.update(dict.fromkeys(node.node.output, names[node.node.input[0]]))
                continue
            is_stored = node.op_type == "Constant" and not node.domain
            # The runtime does equal computations once; their results are one weight.
            first = (
                node if is_stored else done.setdefault(computation(node, lambda _: True, str), node)
            )
            if first is not node:
                pairs = zip(node.node.output, first.node.output, strict=True)
                names.update({name: names[same] for name, same in pairs})
                continue
            for name, value in zip(node.node.output, node.outputs, strict=True):
                size = value.size_bytes or 0
                names[name] = place._replace(name=name)
                if is_stored:
                    self._store(names[name], size)
                    self.constants.add(names[name])
                else:
                    self.sizes[names[name]] = size
                    self.folded_bytes += size
                    self.largest_folded_bytes = max(self.largest_folded_bytes, size)
        self._note_reads(graph, names, place)
        for node in graph.nodes:
            self.node_count += node.op_type != "Constant"
            stays = place.is_in_body or not _has_constant_condition(node, graph)
            inner = place._replace(depth=place.depth + 1, is_in_body=stays)
            for body in node.bodies:
                self._collect(body, names, inner)
            for branch in idle_branches(node):
                self._collect_idle(branch, names, inner)

    @property
    def body_count(self) -> int:
        """Number of all bodies."""
        return self._scope_count - 1

    def _collect_idle(self, branch: GraphProto, names: Mapping[str, Weight], place: Weight) -> None:
        """Collect the weights of a branch that is not analysed; it keeps them as they are."""
        for graph in with_inner_graphs(branch):
            self._scope_count += 1
            for name, size in stored_sizes(graph):
                weight = place._replace(scope=self._scope_count, name=name)
                self._store(weight, size)
                if weight.is_in_body:
                    self.reads[weight] = []
            for node in graph.node:
                self.node_count += node.op_type != "Constant"
                for name in node.input:
                    if name in names:
                        self.reads.setdefault(names[name], [])

    def _store(self, weight: Weight, size: int) -> None:
        self.sizes[weight] = size
        self.stored.append(weight)

    def _note_reads(self, graph: TypedGraph, names: ChainMap[str, Weight], place: Weight) -> None:
        usage = Usage(graph)
        for name in graph.outputs:
            if name in names:
                self.reads.setdefault(names[name], [])
        for node in usage.nodes:
            self.nodes.append((node, usage))
            is_renormalised = _is_renormalised(node, usage)
            if is_renormalised:
                self.renormalised_bytes.append(node.type_of(1).size_bytes or 0)
            for position, name in enumerate(node.node.input):
                if name in names:
                    read = Read(usage, node, position, place.is_in_body, is_renormalised)
                    self.reads.setdefault(names[name], []).append(read)
                    self.in_order.append((names[name], read))


def _is_renormalised(node: TypedNode, usage: Usage) -> bool:
    """Whether a convolution contains the batch normalisation that follows it."""
    reader = usage.only_reader(node.node.output[0]) if node.op_type == "Conv" else None
    return reader is not None and reader.op_type == "BatchNormalization"


def _has_constant_condition(node: TypedNode, graph: TypedGraph) -> bool:
    is_if = node.op_type == "If" and not node.domain and node.is_given(0)
    return is_if and bool(graph.constants.get(node.node.input[0], False))
