"""How does the CPU provider compute in half precision? In single precision.

It casts inputs and weights to float when it loads, and results back. Between them there are no
halves, so the graph is that of the same network in single precision.
Source: onnxruntime/core/optimizer/insert_cast_transformer.cc, compared with the graphs that it
writes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from onnx import TensorProto

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.graph.value_types import ValueType

_PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


class Widened(NamedTuple):
    """A graph in single precision, and the names of the values that were halves."""

    graph: TypedGraph
    halves: frozenset[str] = frozenset()


def widened(graph: TypedGraph) -> Widened:
    """The graph as the CPU provider computes it."""
    has_products = any(
        node.op_type in _PRODUCTS and _is_half(node.type_of(0)) for node in graph.all_nodes()
    )
    return Widened(_in_floats(graph), _halves(graph)) if has_products else Widened(graph)


def _in_floats(graph: TypedGraph) -> TypedGraph:
    return replace(
        graph,
        types={name: _float(value) for name, value in graph.types.items()},
        nodes=tuple(
            replace(
                node,
                inputs=tuple(map(_float, node.inputs)),
                outputs=tuple(map(_float, node.outputs)),
                bodies=tuple(map(_in_floats, node.bodies)),
            )
            for node in graph.nodes
        ),
    )


def _halves(graph: TypedGraph) -> frozenset[str]:
    return frozenset(
        name
        for inner in graph.all_graphs()
        for name, value in inner.types.items()
        if _is_half(value)
    )


def _float(value: ValueType) -> ValueType:
    return value.with_elem_type(TensorProto.FLOAT) if _is_half(value) else value


def _is_half(value: ValueType) -> bool:
    return value.elem_type == TensorProto.FLOAT16 and value.kind == "tensor"
