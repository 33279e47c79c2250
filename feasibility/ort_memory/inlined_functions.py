"""Which operators have no kernel, so that the runtime executes their definition instead?

Source: the functions in the schemas of ONNX, compared with traces of ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from onnx import NodeProto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feasibility.graph.typed_graph import TypedGraph, TypedNode
    from feasibility.graph.value_types import ValueType

# Kernels that compute one tensor of the size of the result each, in order. The last one reads the
# operator's input again if the flag is set.
_KERNELS: Final[dict[str, tuple[tuple[str, ...], bool]]] = {
    "GroupNormalization": (("Pow", "Sub", "Div", "Mul", "Add"), False),
    "HardSwish": (("HardSigmoid", "Mul"), True),
    "Mish": (("Softplus", "Tanh", "Mul"), True),
}


def inlined(graph: TypedGraph) -> TypedGraph:
    """The graph with these operators replaced by their kernels."""
    if not any(node.op_type in _KERNELS for node in graph.nodes):
        return graph
    types = dict(graph.types)
    nodes = [kernel for node in graph.nodes for kernel in _kernels(node, types)]
    return replace(graph, nodes=tuple(nodes), types=types)


def _kernels(node: TypedNode, types: dict[str, ValueType]) -> Iterator[TypedNode]:
    if node.domain or node.is_folded or node.op_type not in _KERNELS or not node.is_given(0):
        yield node
        return
    operators, reads_again = _KERNELS[node.op_type]
    source, result = str(node.node.input[0]), str(node.node.output[0])
    names = [f"{result}:{number}" for number in range(len(operators) - 1)] + [result]
    types.update(dict.fromkeys(names, node.output()))
    read = source
    for operator, name in zip(operators, names, strict=True):
        reads = [source, read] if reads_again and name == result else [read]
        yield replace(
            node,
            node=NodeProto(op_type=operator, input=reads, output=[name]),
            op_type=operator,
            attributes={},
            inputs=(node.output(),) * len(reads),
            values=(None,) * len(reads),
            outputs=(node.output(),),
        )
        read = name
