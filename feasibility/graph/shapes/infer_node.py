"""What are the output types of one node? By onnx's shape inference, or by own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from onnx import NodeProto, OperatorSetIdProto, TensorProto, TypeProto, checker, defs, numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

from feasibility.graph.attributes import Attributes, int_of, list_length, tensor_of
from feasibility.graph.shapes.contrib_operators import contrib_types
from feasibility.graph.shapes.impossible_shapes import contradiction
from feasibility.graph.shapes.unsafe_for_onnx import why_unsafe
from feasibility.graph.typed_graph import Call
from feasibility.graph.value_types import (
    UNKNOWN,
    Array,
    ValueType,
    tensor_type,
    type_proto,
    value_type,
)

# Operators whose output shape depends on the value of an input.
_VALUE_DEPENDENT: Final = frozenset(
    {
        "AffineGrid", "BlackmanWindow", "CenterCropPad", "Col2Im", "ConstantOfShape", "DFT",
        "Expand", "HammingWindow", "HannWindow", "MelWeightMatrix", "NonMaxSuppression", "OneHot",
        "Pad", "Range", "Reshape", "Resize", "STFT", "Slice", "Split", "SplitToSequence",
        "Squeeze", "Tile", "TopK", "Unsqueeze", "Upsample", "ReduceSum", "ReduceMean",
        "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Alias:
    """A standard operator with the same shapes.

    Args:
        inputs: Positions of the inputs that the standard operator gets.
        elem_type_of: Input whose element type the output has.
    """

    op_type: str
    inputs: tuple[int, ...]
    channels_last: bool = False
    elem_type_of: int = 0


# Source: the schemas of ONNX Runtime 1.31 (docs/ContribOperators.md).
_ALIASES: Final = {
    "com.microsoft": {
        "FusedConv": _Alias("Conv", (0, 1, 2)),
        "FusedGemm": _Alias("Gemm", (0, 1, 2)),
        "QGemm": _Alias("Gemm", (0, 3)),
        "NhwcConv": _Alias("Conv", (0, 1, 2), channels_last=True),
        "NhwcFusedConv": _Alias("Conv", (0, 1, 2), channels_last=True),
        "NhwcMaxPool": _Alias("MaxPool", (0,), channels_last=True),
        "QLinearConv": _Alias("Conv", (0, 3)),
        "QLinearAveragePool": _Alias("AveragePool", (0,)),
        "QLinearGlobalAveragePool": _Alias("GlobalAveragePool", (0,)),
        "QLinearReduceMean": _Alias("ReduceMean", (0,)),
        "QLinearAdd": _Alias("Add", (0, 3)),
        "QLinearMul": _Alias("Mul", (0, 3)),
        "QLinearWhere": _Alias("Where", (0, 1, 4), elem_type_of=1),
        "MulInteger": _Alias("Mul", (0, 2)),
        "ComplexMul": _Alias("Mul", (0, 1)),
        "ComplexMulConj": _Alias("Mul", (0, 1)),
        "Pad": _Alias("Pad", (0, 1, 2)),
        "GatherND": _Alias("GatherND", (0, 1)),
        "Range": _Alias("Range", (0, 1, 2)),
        "GridSample": _Alias("GridSample", (0, 1)),
        "Trilu": _Alias("Trilu", (0, 1)),
        "DynamicQuantizeMatMul": _Alias("MatMul", (0, 1)),
        "MatMulIntegerToFloat": _Alias("MatMul", (0, 1), elem_type_of=2),
        "MatMulInteger16": _Alias("MatMul", (0, 1)),
        "GatherBlockQuantized": _Alias("Gather", (0, 1), elem_type_of=2),
    },
    "com.microsoft.nchwc": {
        "Conv": _Alias("Conv", (0, 1, 2)),
        **{
            name: _Alias(name, (0,))
            for name in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
        },
    },
    "com.ms.internal.nhwc": {
        "Conv": _Alias("Conv", (0, 1, 2), channels_last=True),
        "MaxPool": _Alias("MaxPool", (0,), channels_last=True),
        "AveragePool": _Alias("AveragePool", (0,), channels_last=True),
        "QLinearConv": _Alias("Conv", (0, 3), channels_last=True),
    },
}

# What the C++ code raises for a node that is not valid.
_REFUSALS: Final = (
    InferenceError,
    checker.ValidationError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
)


class NodeTypes:
    """Infers nodes under one set of operator versions.

    Args:
        opsets: Operator set version by domain; the default domain is the empty string.
    """

    def __init__(self, opsets: dict[str, int]) -> None:
        self.opsets = opsets
        self._imports = [
            OperatorSetIdProto(domain=domain, version=version) for domain, version in opsets.items()
        ]
        self._schemas: dict[tuple[str, str], defs.OpSchema | None] = {}
        self._protos: dict[ValueType, TypeProto] = {}

    def infer(self, call: Call) -> tuple[tuple[ValueType, ...], str]:
        """Types of a node's outputs, none if unknown, and why it cannot run; empty if it can."""
        node, op_type, domain = call.node, call.op_type, call.domain
        if op_type == "Constant" and not domain:
            return (_constant_type(call.attributes),), ""
        own = contrib_types(call) if domain else None
        if own is None and (alias := _ALIASES.get(domain, {}).get(op_type)) is not None:
            own = self._infer_alias(alias, call)
        refusal = ""
        schema = self._schema(domain, op_type)
        if own is None and schema is not None and schema.has_type_and_shape_inference_function:
            own, refusal = self._infer_standard(schema, node, call.inputs, call.values)
        elif own is None and not domain:
            own = contrib_types(call)
        outputs = (own or ())[: len(node.output)]
        return outputs, contradiction(call, outputs) or refusal

    def _schema(self, domain: str, op_type: str) -> defs.OpSchema | None:
        key = (domain, op_type)
        if key not in self._schemas:
            version = self.opsets.get(domain, 1)
            try:
                self._schemas[key] = defs.get_schema(op_type, version, domain)
            except (defs.SchemaError, TypeError, ValueError):
                self._schemas[key] = None
        return self._schemas[key]

    def _infer_standard(
        self,
        schema: defs.OpSchema,
        node: NodeProto,
        inputs: Sequence[ValueType],
        values: Sequence[Array | None],
    ) -> tuple[tuple[ValueType, ...] | None, str]:
        if reason := why_unsafe(node, inputs):
            return None, reason
        data: dict[str, TensorProto] = {}
        if node.op_type in _VALUE_DEPENDENT:
            data = {
                name: numpy_helper.from_array(value)
                for name, value in zip(node.input, values, strict=False)
                if value is not None
            }
        types = {
            name: self._proto(value) for name, value in zip(node.input, inputs, strict=True) if name
        }
        try:
            found = infer_node_outputs(schema, node, types, data, None, self._imports)
        except _REFUSALS as error:
            known = all(
                value.elem_type for name, value in zip(node.input, inputs, strict=True) if name
            )
            return None, str(error) if known else ""
        return tuple(
            value_type(found[name]) if name in found else UNKNOWN for name in node.output
        ), ""

    def _infer_alias(self, alias: _Alias, call: Call) -> tuple[ValueType, ...]:
        """Types by the standard operator that has the same shapes."""
        picked = [call.type_of(index) for index in alias.inputs if index < len(call.inputs)]
        schema = self._schema("", alias.op_type)
        if schema is None or not picked:
            return ()
        channels_last = alias.channels_last or int_of(call.attributes, "channels_last", 0) == 1
        # Only the shapes matter here, and mixed element types would be refused. So all data is
        # float; int64 inputs are indices, axes and sizes.
        plain = [
            value if value.elem_type == TensorProto.INT64 else value.with_elem_type(1)
            for value in picked
        ]
        if channels_last and plain[0].shape:
            batch, *area, last = plain[0].shape
            plain[0] = plain[0].with_shape((batch, last, *area))
        names = [
            "" if value.shape is None and index else f"input_{index}"
            for index, value in enumerate(plain)
        ]
        node = NodeProto(op_type=alias.op_type, input=names, output=["output"])
        node.attribute.extend(
            item for name, item in call.attributes.items() if name in schema.attributes
        )
        known = tuple(call.value(index) for index in alias.inputs if index < len(call.inputs))
        found, _ = self._infer_standard(schema, node, plain, known)
        if not found:
            return ()
        shape = found[0].shape
        if channels_last and shape:
            batch, channels, *area = shape
            shape = (batch, *area, channels)
        return (ValueType(call.type_of(alias.elem_type_of).elem_type, shape),)

    def _proto(self, value: ValueType) -> TypeProto:
        if value.container is not None:  # a protobuf message cannot be a key
            return value.container
        if value not in self._protos:
            self._protos[value] = type_proto(value)
        return self._protos[value]


def _constant_type(attributes: Attributes) -> ValueType:
    """Type of a Constant, also for strings and sparse tensors, which old schemas do not know."""
    tensor = tensor_of(attributes, "value")
    if tensor is not None:
        return tensor_type(tensor)
    if "sparse_value" in attributes:
        sparse = attributes["sparse_value"].sparse_tensor
        return ValueType(sparse.values.data_type, tuple(dim for dim in sparse.dims if dim >= 0))
    for name, elem_type in (
        ("value_int", TensorProto.INT64),
        ("value_float", TensorProto.FLOAT),
        ("value_string", TensorProto.STRING),
    ):
        if name in attributes:
            return ValueType(elem_type, ())
        if f"{name}s" in attributes:
            return ValueType(elem_type, (list_length(attributes, f"{name}s"),))
    return UNKNOWN
