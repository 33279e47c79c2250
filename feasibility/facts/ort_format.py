"""What can be told of a model in ONNX Runtime's own format without the runtime.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs; the numbers below are the fields'
places in its tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from feasibility import __version__
from feasibility.errors import ModelError
from feasibility.facts.operator_counts import DEFAULT_DOMAIN, domain_name
from feasibility.model_file.element_types import ELEMENT_TYPES
from feasibility.model_file.flatbuffer import Flatbuffer, FlatbufferError, Table
from feasibility.records.base import Dim, Notice, TensorSpec
from feasibility.records.facts import ModelFacts
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.model_file.open_model import ModelFile

_TENSOR_TYPE: Final = 1
_DIM_SIZE: Final = 1
_DIM_NAME: Final = 2


def ort_facts(file: ModelFile, sha256: str | None) -> ModelFacts:
    """Versions, inputs and outputs of an ORT-format model; the rest stays None.

    Raises:
        ModelError: The file is damaged.
    """
    try:
        session = Flatbuffer(file.descriptor, file.size_bytes).root()
        format_version = session.text(0)
        model = session.required_table(1, "model")
        opsets = {domain_name(entry.text(0)): max(entry.integer(1), 0) for entry in model.tables(1)}
        inputs, outputs = _declared(model.required_table(7, "graph"))
        producer = f"{model.text(2)} {model.text(3)}".strip()
        ir_version = model.integer(0)
    except FlatbufferError as error:
        raise ModelError(
            f"Cannot read model '{safe_text(str(file.path))}'",
            f"it has the mark of ONNX Runtime's format, but {error}",
            "it is damaged or cut short; download or convert it again",
        ) from error
    version = f", version {safe_text(format_version, 20)}" if format_version else ""
    return ModelFacts(
        tool_version=__version__,
        name=file.path.name,
        path=str(file.path),
        format="ort",
        sha256=sha256,
        file_bytes=file.size_bytes,
        producer=producer,
        ir_version=ir_version,
        opset=opsets.get(DEFAULT_DOMAIN),
        opsets=opsets,
        inputs=inputs,
        outputs=outputs,
        warnings=(
            Notice(
                code="ort-format",
                message=f"in ONNX Runtime's own format{version}: parameters, operators and "
                "work are not known from the file",
                hint="measure it, or inspect the .onnx file that it was made from",
            ),
        ),
    )


def _declared(graph: Table) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    initialized = {tensor.text(0) for tensor in (*graph.tables(0), *graph.tables(7))}
    inputs = [name for name in graph.texts(5) if name not in initialized]
    outputs = graph.texts(6)
    wanted = {*inputs, *outputs}
    values = {name: table for table in graph.tables(1) if (name := table.text(0)) in wanted}
    return (
        tuple(_spec(name, values.get(name)) for name in inputs),
        tuple(_spec(name, values.get(name)) for name in outputs),
    )


def _spec(name: str, value: Table | None) -> TensorSpec:
    type_info = value.table(2) if value is not None else None
    tensor = type_info.table(2) if type_info is not None else None
    if type_info is None or tensor is None or type_info.integer(1, "<B") != _TENSOR_TYPE:
        return TensorSpec(name=name, dtype="unknown")
    element_type = ELEMENT_TYPES.get(tensor.integer(0, "<i"))
    shape = tensor.table(1)
    return TensorSpec(
        name=name,
        dtype=element_type.name if element_type else "unknown",
        shape=None if shape is None else tuple(map(_dim, shape.tables(0))),
    )


def _dim(dimension: Table) -> Dim:
    value = dimension.table(0)
    if value is None:
        return None
    kind = value.integer(0, "<b")
    if kind == _DIM_SIZE and value.integer(1) >= 0:
        return value.integer(1)
    return value.text(2) or None if kind == _DIM_NAME else None
