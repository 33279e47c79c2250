"""What does a file in ONNX Runtime's own format say? Its versions, inputs and outputs.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs; the numbers below are the fields'
places in its tables.
"""

from __future__ import annotations

from typing import Final

from onnx import GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto

from feasibility import __version__
from feasibility.facts.operator_counts import DEFAULT_DOMAIN, domain_name
from feasibility.graph.declared_inputs import declared_inputs, declared_outputs
from feasibility.model_file.flatbuffer import Table, flatbuffer_of
from feasibility.model_file.open_model import ModelFile
from feasibility.records.facts import ModelFacts
from feasibility.records.shared_fields import Notice
from feasibility.text import safe_text

_TENSOR_TYPE: Final = 1
_SEQUENCE_TYPE: Final = 2
_DIM_SIZE: Final = 1
_DIM_NAME: Final = 2


def ort_facts(file: ModelFile) -> tuple[ModelFacts, ModelProto]:
    """Facts of an ORT-format model, most of them None, and a model with its inputs and no nodes."""
    with flatbuffer_of(file, "ONNX Runtime's format") as buffer:
        session = buffer.root()
        format_version = session.text(0)
        model = session.required_table(1, "model")
        opsets = {domain_name(entry.text(0)): max(entry.integer(1), 0) for entry in model.tables(1)}
        graph = _declared(model.required_table(7, "graph"))
        producer = f"{model.text(2)} {model.text(3)}".strip()
        ir_version = model.integer(0)
    version = f", version {safe_text(format_version, 20)}" if format_version else ""
    facts = ModelFacts(
        tool_version=__version__,
        name="",
        path="",
        format="ort",
        file_bytes=file.size_bytes,
        producer=producer,
        ir_version=ir_version,
        opset=opsets.get(DEFAULT_DOMAIN),
        opsets=opsets,
        inputs=declared_inputs(graph),
        outputs=declared_outputs(graph),
        warnings=(
            Notice(
                code="ort-format",
                message=f"in ONNX Runtime's own format{version}: parameters, operators and "
                "work are not known from the file",
                hint="measure it, or inspect the .onnx file that it was made from",
            ),
        ),
    )
    return facts, ModelProto(graph=graph)


def _declared(graph: Table) -> GraphProto:
    """The graph's inputs and outputs as onnx declares them."""
    initialized = {tensor.text(0) for tensor in (*graph.tables(0), *graph.tables(7))}
    inputs = [name for name in graph.texts(5) if name not in initialized]
    outputs = graph.texts(6)
    wanted = {*inputs, *outputs}
    values = {name: table for table in graph.tables(1) if (name := table.text(0)) in wanted}
    return GraphProto(
        input=[_value(name, values.get(name)) for name in inputs],
        output=[_value(name, values.get(name)) for name in outputs],
    )


def _value(name: str, value: Table | None) -> ValueInfoProto:
    info = ValueInfoProto(name=name)
    type_info = value.table(2) if value is not None else None
    if type_info is not None:
        _set_type(info.type, type_info)
    return info


def _set_type(proto: TypeProto, type_info: Table) -> None:
    kind, content = type_info.integer(1, "<B"), type_info.table(2)
    if content is None:
        return
    if kind == _SEQUENCE_TYPE:
        element = content.table(0)
        if element is not None and element.integer(1, "<B") == _TENSOR_TYPE:
            _set_type(proto.sequence_type.elem_type, element)
    elif kind == _TENSOR_TYPE:
        proto.tensor_type.elem_type = content.integer(0, "<i")
        shape = content.table(1)
        if shape is not None:
            proto.tensor_type.shape.SetInParent()
            proto.tensor_type.shape.dim.extend(map(_dim, shape.tables(0)))


def _dim(dimension: Table) -> TensorShapeProto.Dimension:
    value, dim = dimension.table(0), TensorShapeProto.Dimension()
    kind = value.integer(0, "<b") if value is not None else None
    if value is not None and kind == _DIM_SIZE and value.integer(1) >= 0:
        dim.dim_value = value.integer(1)
    elif value is not None and kind == _DIM_NAME:
        dim.dim_param = value.text(2)
    return dim
