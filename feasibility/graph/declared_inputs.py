"""Which inputs and outputs does a model declare?"""

from __future__ import annotations

from onnx import GraphProto, ValueInfoProto

from feasibility.graph.value_types import declared_dims, type_text, value_type
from feasibility.model_file.element_types import dtype_name
from feasibility.records.shared_fields import Dim, TensorSpec


def required_inputs(graph: GraphProto) -> tuple[ValueInfoProto, ...]:
    """Inputs that a caller must give.

    Inputs with an initializer are left out. Up to IR version 3 every initializer is also an
    input; in later versions such an input is optional.
    """
    initialized = {tensor.name for tensor in graph.initializer}
    initialized.update(sparse.values.name for sparse in graph.sparse_initializer)
    return tuple(value for value in graph.input if value.name not in initialized)


def declared_inputs(graph: GraphProto) -> tuple[TensorSpec, ...]:
    """Inputs that a caller must give, as they are declared."""
    return tuple(map(tensor_spec, required_inputs(graph)))


def declared_outputs(graph: GraphProto) -> tuple[TensorSpec, ...]:
    """Outputs of the graph."""
    return tuple(map(tensor_spec, graph.output))


def open_axes(graph: GraphProto) -> dict[str, dict[int, str]]:
    """Names of the axes without a number, by the name of the input; empty for axes without any.

    Also those of other values, if each axis that they declare has a number or a name.
    """
    found = {}
    for spec in map(tensor_spec, (*graph.value_info, *graph.output)):
        shape = spec.shape
        if shape is not None and None not in shape:
            found[spec.name] = _open(shape)
    found.update((spec.name, _open(spec.shape or ())) for spec in declared_inputs(graph))
    return found


def _open(shape: tuple[Dim, ...]) -> dict[int, str]:
    return {axis: dim or "" for axis, dim in enumerate(shape) if not isinstance(dim, int)}


def tensor_spec(value: ValueInfoProto) -> TensorSpec:
    """One declared input or output, its symbolic dims by name."""
    known = value_type(value.type)
    kind = value.type.WhichOneof("value")
    is_tensor = kind in ("tensor_type", "sparse_tensor_type")
    return TensorSpec(
        name=value.name,
        dtype=dtype_name(known.elem_type),
        shape=declared_dims(getattr(value.type, kind)) if is_tensor else None,
        kind=known.kind,
        type_text=type_text(value.type),
    )
