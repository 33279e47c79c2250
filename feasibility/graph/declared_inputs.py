"""Which inputs and outputs does a model declare?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from feasibility.graph.value_types import MAX_RANK, type_text, value_type
from feasibility.model_file.element_types import dtype_name
from feasibility.records.shared_fields import Dim, TensorSpec

if TYPE_CHECKING:
    from onnx import GraphProto, TypeProto, ValueInfoProto


def declared_inputs(graph: GraphProto) -> tuple[TensorSpec, ...]:
    """Inputs that a caller must give.

    Inputs with an initializer are left out. Up to IR version 3 every initializer is also an
    input; in later versions such an input is optional.
    """
    initialized = {tensor.name for tensor in graph.initializer}
    initialized.update(sparse.values.name for sparse in graph.sparse_initializer)
    return tuple(tensor_spec(value) for value in graph.input if value.name not in initialized)


def declared_outputs(graph: GraphProto) -> tuple[TensorSpec, ...]:
    """Outputs of the graph."""
    return tuple(tensor_spec(value) for value in graph.output)


def open_axes(graph: GraphProto) -> dict[str, dict[int, str]]:
    """Names of the axes without a number, by the name of the input; empty for axes without any.

    Also those of other values, if each axis that they declare has a number or a name.
    """
    found = {}
    for value in (*graph.value_info, *graph.output):
        shape = _shape(value.type)
        if shape is not None and None not in shape:
            found[value.name] = _open(shape)
    found.update((spec.name, _open(spec.shape or ())) for spec in declared_inputs(graph))
    return found


def _open(shape: tuple[Dim, ...]) -> dict[int, str]:
    return {axis: dim or "" for axis, dim in enumerate(shape) if not isinstance(dim, int)}


def tensor_spec(value: ValueInfoProto) -> TensorSpec:
    """One declared input or output, its symbolic dims by name."""
    known = value_type(value.type)
    return TensorSpec(
        name=value.name,
        dtype=dtype_name(known.elem_type),
        shape=_shape(value.type),
        kind=known.kind,
        type_text=type_text(value.type),
    )


def _shape(proto: TypeProto) -> tuple[Dim, ...] | None:
    kind = proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return None
    tensor = getattr(proto, kind)
    if not tensor.HasField("shape") or len(tensor.shape.dim) > MAX_RANK:
        return None
    dims: list[Dim] = []
    for dim in tensor.shape.dim:
        if dim.HasField("dim_value"):
            # Exporters write -1 for an open dim. 0 is a size.
            dims.append(dim.dim_value if dim.dim_value >= 0 else None)
        else:
            dims.append(dim.dim_param or None)
    return tuple(dims)
