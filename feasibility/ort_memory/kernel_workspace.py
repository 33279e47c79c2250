"""How much workspace does a kernel allocate while it runs?

Transposed convolutions and convolutions with few pixels unroll their image, and Einsum transposes
its operands. Control flow needs memory for its bodies. Other kernels use small buffers, which do
not count.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from feasibility.graph.cost.activation_peak import activation_peak

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.graph.value_types import ValueType

_FLOAT_BYTES: Final = 4


def workspace_bytes(node: TypedNode) -> int:
    """Workspace of a node's kernel."""
    bodies = [activation_peak(body) for body in node.bodies]
    inner = max((peak.peak_bytes for peak in bodies if peak is not None), default=0)
    if node.domain:
        return inner
    if node.op_type == "Einsum":
        values = [*node.inputs, node.output()]
        return sum(value.size_bytes or 0 for value in values)
    if node.op_type == "ConvTranspose":
        return _columns_bytes(node, node.type_of(0))
    if node.op_type == "Conv" and _has_few_pixels(node):
        return _columns_bytes(node, node.output())
    return inner


def _has_few_pixels(node: TypedNode) -> bool:
    """Whether a convolution unrolls its image: it has fewer pixels than filters."""
    weights, shape = node.type_of(1).shape, node.output().shape
    if not weights or not shape or None in weights or None in shape:
        return False
    kernel = prod(dim or 0 for dim in weights[2:])
    return kernel > 1 and prod(dim or 0 for dim in shape[2:]) < (weights[0] or 0)


def _columns_bytes(node: TypedNode, image: ValueType) -> int:
    """Size of the unrolled image, the operand of a matrix product."""
    weights, shape = node.type_of(1).shape, image.shape
    if weights is None or len(weights) < 2 or not shape:
        return 0
    if None in weights or None in shape:
        return 0
    kernel = prod(dim or 0 for dim in weights[2:])
    pixels = prod(dim or 0 for dim in shape[2:])
    return (weights[1] or 0) * kernel * pixels * _FLOAT_BYTES
