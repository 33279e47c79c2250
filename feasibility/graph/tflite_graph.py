"""Which graph does a TensorFlow Lite file hold? Its operators as ONNX operators of the same work.

Activations stay in their order (batch, height, width, channels); filters get ONNX's, because work
is counted from filters and sizes. A fused activation function is no node of its own and takes no
work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from onnx import NodeProto, helper

from feasibility.graph.attributes import attributes_of
from feasibility.graph.tflite_shapes import declared_shape, filled, output_shape
from feasibility.graph.typed_graph import TypedGraph, TypedNode
from feasibility.graph.value_types import UNKNOWN, Shape, ValueType
from feasibility.model_file.tflite_file import (
    TfliteModel,
    TfliteOperator,
    TfliteTensor,
)

DOMAIN: Final = "tflite"
# A subgraph is typed at each use, and a few kilobytes of nested uses can become billions of nodes.
_MAX_BODY_NODES: Final = 10_000
_MAX_DEPTH: Final = 16

_Values: TypeAlias = tuple[ValueType, ...]
_Attributes: TypeAlias = Mapping[str, "int | list[int]"]

# ONNX operators, and the operators of TensorFlow Lite that take the same work for the same sizes.
_SAME_WORK: Final = {
    "Add": "ADD", "Sub": "SUB SQUARED_DIFFERENCE", "Mul": "MUL SQUARE", "Div": "DIV FLOOR_DIV",
    "Mod": "FLOOR_MOD", "Pow": "POW", "Max": "MAXIMUM", "Min": "MINIMUM", "Sum": "ADD_N",
    "Abs": "ABS", "Neg": "NEG", "Sign": "SIGN", "Ceil": "CEIL", "Floor": "FLOOR", "Round": "ROUND",
    "Sqrt": "SQRT", "Reciprocal": "RSQRT", "Exp": "EXP", "Log": "LOG", "Sin": "SIN", "Cos": "COS",
    "Atan": "ATAN2", "Relu": "RELU", "Clip": "RELU6 RELU_N1_TO_1 RELU_0_TO_1", "Elu": "ELU",
    "LeakyRelu": "LEAKY_RELU", "PRelu": "PRELU", "Sigmoid": "LOGISTIC", "Tanh": "TANH",
    "HardSwish": "HARD_SWISH", "Gelu": "GELU", "Cast": "CAST", "Where": "SELECT SELECT_V2",
    "Equal": "EQUAL NOT_EQUAL", "Less": "LESS", "LessOrEqual": "LESS_EQUAL", "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL", "And": "LOGICAL_AND", "Or": "LOGICAL_OR",
    "Not": "LOGICAL_NOT", "BitwiseXor": "BITWISE_XOR", "BitShift": "RIGHT_SHIFT",
    "RandomUniform": "RANDOM_UNIFORM", "RandomNormal": "RANDOM_STANDARD_NORMAL",
    "Multinomial": "MULTINOMIAL", "Softmax": "SOFTMAX", "LogSoftmax": "LOG_SOFTMAX",
    "LpNormalization": "L2_NORMALIZATION", "LRN": "LOCAL_RESPONSE_NORMALIZATION",
    "ReduceMean": "MEAN", "ReduceSum": "SUM SEGMENT_SUM UNSORTED_SEGMENT_SUM",
    "ReduceProd": "REDUCE_PROD UNSORTED_SEGMENT_PROD",
    "ReduceMax": "REDUCE_MAX REDUCE_ANY UNSORTED_SEGMENT_MAX",
    "ReduceMin": "REDUCE_MIN REDUCE_ALL UNSORTED_SEGMENT_MIN", "ArgMax": "ARG_MAX",
    "ArgMin": "ARG_MIN", "CumSum": "CUMSUM", "TopK": "TOPK_V2", "Unique": "UNIQUE",
    "NonMaxSuppression": "NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5", "Reshape": "RESHAPE",
    "Squeeze": "SQUEEZE", "Unsqueeze": "EXPAND_DIMS", "Identity": "BITCAST", "Shape": "SHAPE",
    "Size": "RANK", "Transpose": "TRANSPOSE", "Concat": "CONCATENATION PACK",
    "Split": "SPLIT_V UNPACK", "Slice": "SLICE STRIDED_SLICE", "Pad": "PAD PADV2 MIRROR_PAD",
    "Tile": "TILE",
    "Expand": "BROADCAST_TO BROADCAST_ARGS FILL ZEROS_LIKE READ_VARIABLE ASSIGN_VARIABLE",
    "Range": "RANGE", "ReverseSequence": "REVERSE_V2 REVERSE_SEQUENCE", "NonZero": "WHERE",
    "SpaceToDepth": "SPACE_TO_DEPTH SPACE_TO_BATCH_ND",
    "DepthToSpace": "DEPTH_TO_SPACE BATCH_TO_SPACE_ND",
    "Resize": "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", "Constant": "VAR_HANDLE CALL_ONCE",
    "GatherND": "GATHER_ND", "ScatterND": "SCATTER_ND SPARSE_TO_DENSE", "OneHot": "ONE_HOT",
    "TensorScatter": "DYNAMIC_UPDATE_SLICE", "QuantizeLinear": "QUANTIZE FAKE_QUANT",
    "DequantizeLinear": "DEQUANTIZE DENSIFY",
}  # fmt: skip
# They make weights out of constants once, before or in the first run.
# Source: tflite/kernels/dequantize.cc and densify.cc.
_FOLDED: Final = frozenset({"DEQUANTIZE", "DENSIFY"})


@dataclass(frozen=True, slots=True)
class _Work:
    """How an operator becomes one of ONNX whose work depends on more than the sizes of its values.

    Args:
        needed: Positions of the inputs that must be there; they come first, in this order.
        views: The inputs with the shapes that ONNX would see.
        attributes: What the work depends on, from the operator and its inputs.
        applies: Whether the operator is the usual form, whose work is known.
    """

    op_type: str
    needed: tuple[int, ...] = ()
    views: Callable[[_Values], _Values] = lambda values: values
    attributes: Callable[[TfliteOperator, _Values], _Attributes] = lambda _operator, _values: {}
    applies: Callable[[TfliteOperator], bool] = lambda _: True


def _filter(*axes: int) -> Callable[[_Values], _Values]:
    """Puts the axes of the second input in the order [outputs, inputs, area] of a filter."""

    def views(values: _Values) -> _Values:
        image, filters, *others = values
        shape = filters.shape
        is_usual = shape is not None and len(shape) == len(axes)
        ordered = [shape[axis] for axis in axes] if shape is not None and is_usual else None
        return (image, filters.with_shape(ordered), *others)

    return views


def _rows(values: _Values) -> _Values:
    """The input of a dense layer as rows of the width that its weights take."""
    data, weights, *others = values
    width, count = _last(weights), data.element_count
    if not width or count is None or count % width:
        return (data.with_shape(None), weights, *others)
    return (data.with_shape((count // width, width)), weights, *others)


def _steps(values: _Values) -> _Values:
    """The input of a recurrence as [steps, batch, width], its weights as of one direction."""
    data, weights, *others = values
    steps = None if data.shape is None else (1, *data.shape)[-3:]
    return (
        data.with_shape(steps),
        weights.with_shape(None if weights.shape is None else (1, *weights.shape)),
        *others,
    )


def _groups(_: TfliteOperator, values: _Values) -> _Attributes:
    """Filters that read fewer channels than the image has are those of a group."""
    channels, shape = _last(values[0]), values[1].shape
    read = shape[1] if shape and len(shape) > 1 else None
    return {"group": channels // read if channels and read else 1}


def _window(operator: TfliteOperator, _: _Values) -> _Attributes:
    return {"kernel_shape": [operator.option(4), operator.option(3)]}


def _axis(operator: TfliteOperator, _: _Values) -> _Attributes:
    return {"axis": operator.option(0)}


def _transposed(operator: TfliteOperator, _: _Values) -> _Attributes:
    return {"transA": operator.option(0, "<B")}


def _state_width(_: TfliteOperator, values: _Values) -> _Attributes:
    shape = values[1].shape
    return {"hidden_size": (shape[1] or 0) if shape and len(shape) == 3 else 0}


def _is_full(operator: TfliteOperator) -> bool:
    """Whether an LSTM has all four gates and no projection of its state."""
    inputs = operator.inputs
    return len(inputs) >= 20 and inputs[1] >= 0 and inputs[16] < 0


def _last(value: ValueType) -> int | None:
    return value.shape[-1] if value.shape else None


_RNN: Final = _Work("RNN", needed=(0, 1), views=_steps, attributes=_state_width)
_LSTM: Final = _Work("LSTM", needed=(0, 2), views=_steps, attributes=_state_width, applies=_is_full)
_OPERATORS: Final = {
    name: _Work(op_type) for op_type, names in _SAME_WORK.items() for name in names.split()
} | {
    "CONV_2D": _Work("Conv", (0, 1), _filter(0, 3, 1, 2), _groups),
    "DEPTHWISE_CONV_2D": _Work("Conv", (0, 1), _filter(3, 0, 1, 2), _groups),
    "CONV_3D": _Work("Conv", (0, 1), _filter(4, 3, 0, 1, 2), _groups),
    "TRANSPOSE_CONV": _Work("ConvTranspose", (2, 1), _filter(3, 0, 1, 2)),
    "CONV_3D_TRANSPOSE": _Work("ConvTranspose", (2, 1), _filter(4, 3, 0, 1, 2)),
    "FULLY_CONNECTED": _Work("Gemm", (0, 1), _rows),
    "BATCH_MATMUL": _Work("MatMul", (0, 1), attributes=_transposed),
    "AVERAGE_POOL_2D": _Work("AveragePool", attributes=_window),
    "MAX_POOL_2D": _Work("MaxPool", attributes=_window),
    "L2_POOL_2D": _Work("LpPool", attributes=_window),
    "GATHER": _Work("Gather", attributes=_axis),
    "EMBEDDING_LOOKUP": _Work("Gather", (1, 0)),
    "SPLIT": _Work("Split", (1, 0)),
    "RNN": _RNN,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _RNN,
    "LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
}


class _Runs(NamedTuple):
    """What an operator that runs subgraphs is in ONNX.

    Attributes:
        options: Places of the numbers of the subgraphs.
        first_input: Position of the first input that the subgraphs get.
    """

    op_type: str
    options: tuple[int, ...]
    first_input: int = 0


# The condition of a loop is left out; it is a comparison.
_BODIES: Final = {
    "IF": _Runs("If", (0, 1), first_input=1),
    "WHILE": _Runs("Scan", (1,)),
    "CALL": _Runs("CALL", (0,)),
}


def tflite_graph(model: TfliteModel, inputs: Sequence[Shape]) -> TypedGraph:
    """The main graph with inputs of these shapes."""
    return _Builder(model).graph(0, "", inputs, 0)


@dataclass(slots=True)
class _Builder:
    model: TfliteModel
    body_node_count: int = 0

    def graph(self, position: int, name: str, inputs: Iterable[Shape], depth: int) -> TypedGraph:
        """A subgraph with inputs of these shapes, one per input."""
        source = self.model.subgraphs[position]
        tensors = {each.name: each for each in source.tensors}
        names = {-1: "", **dict(enumerate(tensors))}
        types = {each.name: declared_type(each) for each in source.tensors}
        for at, shape in zip(source.inputs, inputs, strict=False):
            types[names[at]] = types[names[at]].with_shape(shape)
        constants = {each.name: True for each in source.tensors if each.data is not None}
        initializers = frozenset(constants)
        nodes = []
        for operator in source.operators:
            read = [names[at] for at in operator.inputs]
            made = [names[at] for at in operator.outputs]
            shapes = tuple(types[each].shape if each else None for each in read)
            bodies = self._bodies(operator, shapes, depth)
            for index, each in enumerate(made):
                if not each:
                    continue
                shape = (
                    _after(bodies, index, tensors[each])
                    if bodies
                    else output_shape(operator, tensors[each], map(tensors.get, read), shapes)
                )
                types[each] = types[each].with_shape(shape)
            node = _node(operator, read, made, types, bodies)
            if operator.builtin in _FOLDED and all(constants.get(each, False) for each in read):
                node = replace(node, is_folded=True)
                constants.update(dict.fromkeys(made, True))
            nodes.append(node)
        return TypedGraph(
            name=name,
            nodes=tuple(nodes),
            inputs=tuple(names[at] for at in source.inputs),
            outputs=tuple(names[at] for at in source.outputs),
            types=types,
            initializers=initializers,
            constants=constants,
            output_values=(None,) * len(source.outputs),
        )

    def _bodies(
        self, operator: TfliteOperator, shapes: Sequence[Shape | None], depth: int
    ) -> tuple[TypedGraph, ...]:
        """The subgraphs that an operator runs.

        None if they are nested too deep, too many, or not in the file.
        """
        runs = _BODIES.get(operator.builtin)
        if runs is None:
            return ()
        subgraphs = self.model.subgraphs
        positions = [operator.option(place) for place in runs.options]
        if depth >= _MAX_DEPTH or not all(0 <= at < len(subgraphs) for at in positions):
            return ()
        self.body_node_count += sum(len(subgraphs[at].operators) for at in positions)
        if self.body_node_count > _MAX_BODY_NODES:
            return ()
        given = [() if shape is None else shape for shape in shapes[runs.first_input :]]
        return tuple(self.graph(at, f"subgraph {at}", given, depth + 1) for at in positions)


def _after(bodies: Iterable[TypedGraph], index: int, output: TfliteTensor) -> Shape:
    """The shape of an output on which all bodies agree."""
    ends = {body.output_types()[index].shape for body in bodies if index < len(body.outputs)}
    return filled(declared_shape(output), ends.pop() if len(ends) == 1 else None)


def declared_type(tensor: TfliteTensor) -> ValueType:
    """Element type and shape of a tensor, its open dims unknown."""
    return ValueType(tensor.elem_type, declared_shape(tensor))


def _node(
    operator: TfliteOperator,
    inputs: list[str],
    outputs: list[str],
    types: Mapping[str, ValueType],
    bodies: tuple[TypedGraph, ...],
) -> TypedNode:
    values = tuple(types.get(each, UNKNOWN) for each in inputs)
    op_type, domain = operator.name, DOMAIN
    attributes: _Attributes = {}
    if bodies:
        op_type, domain = _BODIES[operator.name].op_type, ""
    elif (work := _work_of(operator)) is not None:
        order = (*work.needed, *(at for at in range(len(inputs)) if at not in work.needed))
        inputs = [inputs[at] for at in order]
        values = work.views(tuple(values[at] for at in order))
        attributes = work.attributes(operator, values)
        op_type, domain = work.op_type, ""
    node = NodeProto(op_type=operator.name, domain=DOMAIN, input=inputs, output=outputs)
    node.attribute.extend(helper.make_attribute(*pair) for pair in attributes.items())
    return TypedNode(
        node=node,
        op_type=op_type,
        domain=domain,
        attributes=attributes_of(node),
        inputs=values,
        values=(None,) * len(values),
        outputs=tuple(types.get(each, UNKNOWN) for each in outputs),
        bodies=bodies,
        trip_count=None if op_type == "Scan" else 1,
    )


def _work_of(operator: TfliteOperator) -> _Work | None:
    """The ONNX operator of the same work; None if it is not known."""
    work = _OPERATORS.get(operator.builtin)
    if work is None or max(work.needed, default=-1) >= len(operator.inputs):
        return None
    return work if work.applies(operator) else None
