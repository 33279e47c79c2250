"""What is the type of a graph value, and how many bytes does it need?

A dim is an integer or None (open); a shape is a tuple or None (unknown rank). Sizes come from
untrusted files, so they are multiplied as Python integers, which cannot overflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, Literal, TypeAlias

from numpy.typing import NDArray
from onnx import TensorProto, TypeProto

from feasibility.model_file.element_types import ELEMENT_TYPES
from feasibility.records.shared_fields import Dim

Shape: TypeAlias = tuple[int | None, ...]
Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["tensor", "sequence", "map", "optional", "sparse"]

# Largest integer of a document or a TensorProto; products of hostile dims are larger.
LARGEST: Final = 2**63 - 1

# Longest shape that is read; a hostile file may declare millions of dims.
MAX_RANK: Final = 64

# Size of a string object; its characters are stored elsewhere and are unknown.
_STRING_BITS: Final = 32 * 8
_BITS: Final = {code: kind.bit_count or _STRING_BITS for code, kind in ELEMENT_TYPES.items()}
_RUNTIME_NAMES: Final = {
    code: {"float32": "float", "float64": "double"}.get(kind.name, kind.name.replace("_", ""))
    for code, kind in ELEMENT_TYPES.items()
}
_INTEGER_TYPES: Final = frozenset(
    code for code, kind in ELEMENT_TYPES.items() if kind.name.lstrip("u").startswith("int")
)


@dataclass(frozen=True, slots=True)
class ValueType:
    """Type of one value of a graph.

    Args:
        elem_type: `TensorProto.DataType`; 0 if unknown. For sequences and optionals, that of
            the tensors inside.
        shape: Shape of the tensor, or of the tensors inside.
        container: The declared type, if it is not a dense tensor.
    """

    elem_type: int = 0
    shape: Shape | None = None
    kind: Kind = "tensor"
    container: TypeProto | None = None

    @property
    def element_count(self) -> int | None:
        """Number of elements; None if a dim is open."""
        return element_count(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of a dense tensor; None if its type or shape is unknown."""
        count = self.element_count
        if count is None or self.kind != "tensor" or self.elem_type not in _BITS:
            return None
        return (count * _BITS[self.elem_type] + 7) // 8

    @property
    def is_integer(self) -> bool:
        """True for integers of any width, but not for bool."""
        return self.elem_type in _INTEGER_TYPES

    def with_shape(self, shape: Iterable[int | None] | None) -> ValueType:
        """The same element type as a dense tensor of another shape."""
        return ValueType(self.elem_type, None if shape is None else tuple(shape))

    def with_elem_type(self, elem_type: int) -> ValueType:
        """The same shape with another element type."""
        return replace(self, elem_type=elem_type)


UNKNOWN: Final = ValueType()


def bounded(count: int | None) -> int | None:
    """The count, or the largest that a document can hold."""
    return None if count is None else min(count, LARGEST)


def element_count(shape: Shape | None) -> int | None:
    """Product of the dims, 1 for a scalar; None if a dim is open."""
    if shape is None or None in shape:
        return None
    return prod(dim or 0 for dim in shape)


def value_type(proto: TypeProto) -> ValueType:
    """Type of a `TypeProto`; symbolic and negative dims are open."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        tensor = proto.tensor_type
        return ValueType(tensor.elem_type, _shape(tensor))
    if kind == "sparse_tensor_type":
        sparse = proto.sparse_tensor_type
        return ValueType(sparse.elem_type, _shape(sparse), "sparse", proto)
    if kind in ("sequence_type", "optional_type"):
        inner = value_type(getattr(proto, kind).elem_type)
        name: Kind = "sequence" if kind == "sequence_type" else "optional"
        return ValueType(inner.elem_type, inner.shape, name, proto)
    if kind == "map_type":
        return ValueType(value_type(proto.map_type.value_type).elem_type, None, "map", proto)
    return UNKNOWN


def type_proto(value: ValueType) -> TypeProto:
    """The `TypeProto` of a value, for the shape inference of onnx."""
    if value.container is not None:
        return value.container
    proto = TypeProto()
    if value.elem_type:
        proto.tensor_type.elem_type = value.elem_type
    if value.shape is not None:
        shape = proto.tensor_type.shape
        shape.SetInParent()
        for size in value.shape:
            dim = shape.dim.add()
            # Products of hostile dims can exceed 64 bits; such dims stay open.
            if size is not None and size <= LARGEST:
                dim.dim_value = size
    return proto


def tensor_type(tensor: TensorProto) -> ValueType:
    """Type of an initializer or attribute tensor."""
    if len(tensor.dims) > MAX_RANK or any(dim < 0 for dim in tensor.dims):
        return ValueType(tensor.data_type)
    return ValueType(tensor.data_type, tuple(tensor.dims))


def type_text(proto: TypeProto, depth: int = 0) -> str:
    """The type as ONNX Runtime writes it, for example `seq(map(int64,tensor(float)))`."""
    kind = proto.WhichOneof("value")
    if depth > 8 or kind in (None, "opaque_type"):
        return "unknown"
    if kind == "map_type":
        key = _RUNTIME_NAMES.get(proto.map_type.key_type, "unknown")
        return f"map({key},{type_text(proto.map_type.value_type, depth + 1)})"
    name = {"sequence_type": "seq"}.get(kind, kind.removesuffix("_type"))
    element = getattr(proto, kind).elem_type
    if isinstance(element, int):
        return f"{name}({_RUNTIME_NAMES.get(element, 'unknown')})"
    return f"{name}({type_text(element, depth + 1)})"


def declared_dims(tensor: TypeProto.Tensor | TypeProto.SparseTensor) -> tuple[Dim, ...] | None:
    """Size or symbolic name of each dim, None for an open one; None if the rank is unknown."""
    if not tensor.HasField("shape") or len(tensor.shape.dim) > MAX_RANK:
        return None
    # Exporters write -1 for an open dim. 0 is a size.
    return tuple(
        (dim.dim_value if dim.dim_value >= 0 else None)
        if dim.HasField("dim_value")
        else dim.dim_param or None
        for dim in tensor.shape.dim
    )


def _shape(tensor: TypeProto.Tensor | TypeProto.SparseTensor) -> Shape | None:
    dims = declared_dims(tensor)
    return None if dims is None else tuple(dim if isinstance(dim, int) else None for dim in dims)


def merge(first: ValueType, second: ValueType) -> ValueType:
    """The type that is true for both, for a value from one of two branches."""
    if first == second:
        return first
    if first.kind != second.kind or first.elem_type != second.elem_type:
        return UNKNOWN
    if first.shape is None or second.shape is None or len(first.shape) != len(second.shape):
        return replace(first, shape=None)
    shape = tuple(
        one if one == other else None for one, other in zip(first.shape, second.shape, strict=True)
    )
    return replace(first, shape=shape)
