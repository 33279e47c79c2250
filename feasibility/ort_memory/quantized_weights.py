"""Which weights stay quantized? Those that only DequantizeLinear reads.

The runtime does not fold these nodes: kernels of quantized values read the weights as they are.
Source: onnxruntime/core/optimizer/constant_folding.cc (DequantizeLinear is left out).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from onnx import TensorProto

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph

_QUANTIZED: Final = frozenset({TensorProto.INT8, TensorProto.UINT8})


def with_quantized_weights(graph: TypedGraph) -> TypedGraph:
    """The graph whose dequantized weights have the type that they are stored in."""
    kept = {
        str(node.node.output[0]): node.output().with_elem_type(node.type_of(0).elem_type)
        for node in graph.nodes
        if node.is_folded
        and node.op_type == "DequantizeLinear"
        and node.type_of(0).elem_type in _QUANTIZED
    }
    if not kept:
        return graph
    nodes = []
    for node in graph.nodes:
        reads, writes = node.node.input, node.node.output
        inputs = [kept.get(name, value) for name, value in zip(reads, node.inputs, strict=True)]
        outputs = [kept.get(name, value) for name, value in zip(writes, node.outputs, strict=True)]
        nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
    return replace(graph, nodes=tuple(nodes), types={**graph.types, **kept})
