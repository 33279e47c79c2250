"""Which sizes do the open dims of a TensorFlow Lite tensor get? From the inputs of its operator.

A file has -1 for an open dim, and a placeholder for its size, which is often wrong behind the
inputs. So sizes are carried from the inputs on, operator by operator. Dims with a size in the file
keep it. A size that no rule gives is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Final, TypeAlias

from feasibility.graph.value_types import LARGEST, Shape, element_count
from feasibility.model_file.tflite_file import TfliteOperator, TfliteTensor

_SAME_PADDING: Final = 0
# What a rule raises for inputs that it is not made for; open dims then stay unknown.
_REFUSALS: Final = (LookupError, ArithmeticError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class _Open:
    """One output with open dims, and what its operator reads.

    Args:
        shapes: Shapes of the inputs; None for omitted ones.
        values: Values of the inputs that are short constants.
        declared: Its shape in the file, None for open dims.
    """

    operator: TfliteOperator
    shapes: tuple[Shape | None, ...]
    values: tuple[tuple[int, ...] | None, ...]
    declared: Shape

    def shape(self, index: int = 0) -> Shape:
        """Shape of an input; a rule does not apply without it."""
        shape = self.shapes[index]
        if shape is None:
            raise LookupError(index)
        return shape

    def value(self, index: int) -> tuple[int, ...]:
        """Value of an input; a rule does not apply without it."""
        value = self.values[index]
        if value is None:
            raise LookupError(index)
        return value


_Rule: TypeAlias = Callable[[_Open], Iterable[int | None]]


def declared_shape(tensor: TfliteTensor) -> Shape:
    """The shape in the file; None for open dims."""
    return tuple(size if size >= 0 else None for size in tensor.signature)


def output_shape(
    operator: TfliteOperator,
    output: TfliteTensor,
    inputs: Iterable[TfliteTensor | None],
    shapes: tuple[Shape | None, ...],
) -> Shape:
    """The shape of an output, its open dims sized as far as the inputs fix them."""
    declared = declared_shape(output)
    rule = _RULES.get(operator.builtin)
    if rule is None or None not in declared:
        return declared
    values = tuple(None if each is None else each.values for each in inputs)
    try:
        found = tuple(rule(_Open(operator, shapes, values, declared)))
    except _REFUSALS:
        return declared
    return filled(declared, found)


def filled(declared: Shape, found: Shape | None) -> Shape:
    """The shape with the sizes that were found for its open dims."""
    if found is None or len(found) != len(declared):
        return declared
    return tuple(
        (size if size is not None and 0 <= size <= LARGEST else None) if known is None else known
        for known, size in zip(declared, found, strict=True)
    )


def _same(call: _Open) -> Shape:
    return call.shape()


def _broadcast(call: _Open) -> Iterable[int | None]:
    shapes = [shape for shape in call.shapes if shape is not None]
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    for sizes in zip(*padded, strict=True):
        larger = {size for size in sizes if size != 1}
        yield next(iter(larger), 1) if len(larger) < 2 else None


def _window(width: int, height: int, dilation: int) -> _Rule:
    """A window over [batch, height, width, channels]; the fields of its sizes and dilations.

    A filter has its size in its own shape, so that fields are 0.
    """

    def rule(call: _Open) -> Iterable[int | None]:
        batch, *area, _ = call.shape()
        option = call.operator.option
        if width:
            kernel = [option(height), option(width)]
        else:
            kernel = [size or 0 for size in call.shape(1)[1:3]]
        steps = [max(option(2), 1), max(option(1), 1)]
        spread = [option(dilation + 1) or 1, option(dilation) or 1] if dilation else [1, 1]
        yield batch
        for size, length, step, apart in zip(area, kernel, steps, spread, strict=True):
            lost = 0 if option(0, "<b") == _SAME_PADDING else (length - 1) * apart
            yield None if size is None else -((lost - size) // step)
        yield None

    return rule


def _dense(call: _Open) -> Iterable[int | None]:
    """Rows of the width that the weights take, or the axes of the input but the last."""
    shape, width = call.shape(), call.shape(1)[-1]
    if len(call.declared) == 2:
        return (_quotient(element_count(shape), width), None)
    return (*shape[:-1], None)


def _product(call: _Open) -> Iterable[int | None]:
    return (*call.shape()[:-2], call.shape()[-1 if call.operator.option(0, "<B") else -2], None)


def _reshaped(call: _Open) -> Iterable[int | None]:
    """The size that the number of elements leaves; of two open dims, the first is the batch."""
    sizes = list(call.declared)
    open_axes = [axis for axis, size in enumerate(sizes) if size is None]
    if len(open_axes) == 2 and open_axes[0] == 0:
        sizes[0] = call.shape()[0]
        open_axes = open_axes[1:]
    if len(open_axes) == 1:
        rest = prod(size for size in sizes if size is not None)
        sizes[open_axes[0]] = _quotient(element_count(call.shape()), rest)
    return sizes


def _quotient(count: int | None, divisor: int | None) -> int | None:
    if count is None or not divisor or count % divisor:
        return None
    return count // divisor


def _transposed(call: _Open) -> Iterable[int | None]:
    return (call.shape()[axis] for axis in call.value(1))


def _padded(call: _Open) -> Iterable[int | None]:
    shape, pads = call.shape(), call.value(1)
    for axis, size in enumerate(shape):
        yield None if size is None else size + sum(pads[2 * axis : 2 * axis + 2])


def _tiled(call: _Open) -> Iterable[int | None]:
    for size, times in zip(call.shape(), call.value(1), strict=False):
        yield None if size is None else size * times


def _sliced(call: _Open) -> Iterable[int | None]:
    for size, begin, wanted in zip(call.shape(), call.value(1), call.value(2), strict=False):
        yield wanted if wanted >= 0 else None if size is None else size - begin


def _strided(call: _Open) -> Iterable[int | None]:
    """Axes that are taken as a whole, up to the first that is added or dropped."""
    begin, end, ellipsis, added, dropped = (call.operator.option(index) for index in range(5))
    if ellipsis or added or dropped:
        return call.declared
    whole = begin & end
    strides = call.value(3)
    return (
        size if axis >= len(strides) or (whole >> axis & 1 and strides[axis] == 1) else None
        for axis, size in enumerate(call.shape())
    )


def _joined(call: _Open) -> Iterable[int | None]:
    shapes = [call.shape(index) for index in range(len(call.shapes))]
    axis = call.operator.option(0) % len(shapes[0])
    parts = [shape[axis] for shape in shapes]
    total = None if None in parts else sum(part or 0 for part in parts)
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


def _packed(call: _Open) -> Iterable[int | None]:
    axis = call.operator.option(1) % (len(call.shape()) + 1)
    return (*call.shape()[:axis], len(call.shapes), *call.shape()[axis:])


def _unpacked(call: _Open) -> Iterable[int | None]:
    return _without(call.shape(), (call.operator.option(1),))


def _split(data: int, axis: int) -> _Rule:
    """All axes but the one that is split; positions of the data and of the axis."""

    def rule(call: _Open) -> Iterable[int | None]:
        shape = list(call.shape(data))
        shape[call.value(axis)[0]] = None
        return shape

    return rule


def _reduced(call: _Open) -> Iterable[int | None]:
    axes = call.value(1)
    if not call.operator.option(0, "<B"):
        return _without(call.shape(), axes)
    shape = list(call.shape())
    for axis in axes:
        shape[axis] = 1
    return shape


def _best(call: _Open) -> Iterable[int | None]:
    return _without(call.shape(), call.value(1))


def _without(shape: Shape, axes: Iterable[int]) -> Shape:
    gone = {axis % len(shape) for axis in axes}
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def _gathered(call: _Open) -> Iterable[int | None]:
    data, indices = call.shape(), call.shape(1)
    axis, batch_dims = call.operator.option(0) % len(data), call.operator.option(1)
    return (*data[:axis], *indices[batch_dims:], *data[axis + 1 :])


def _looked_up(call: _Open) -> Iterable[int | None]:
    return (*call.shape(), *call.shape(1)[1:])


def _batch(data: int) -> _Rule:
    """The batch of one input; all other axes have sizes in the file."""
    return lambda call: (call.shape(data)[0], *call.declared[1:])


def _kept(call: _Open) -> Iterable[int | None]:
    """All axes but the last."""
    return (*call.shape()[:-1], None)


def _more_images(call: _Open) -> Iterable[int | None]:
    batch = call.shape()[0]
    return (None if batch is None else batch * prod(call.value(1)), *call.declared[1:])


def _fewer_images(call: _Open) -> Iterable[int | None]:
    return (_quotient(call.shape()[0], prod(call.value(1))), *call.declared[1:])


_BY_RULE: Final[dict[_Rule, str]] = {
    _same: """
        ABS BITCAST CAST CEIL COS CUMSUM DEQUANTIZE DYNAMIC_UPDATE_SLICE ELU EXP FAKE_QUANT FLOOR
        GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT
        LOGISTIC LOG_SOFTMAX NEG QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 REVERSE_SEQUENCE
        REVERSE_V2 ROUND RSQRT SIGN SIN SOFTMAX SQRT SQUARE TANH ZEROS_LIKE""",
    _broadcast: """
        ADD ADD_N ATAN2 BITWISE_XOR DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS
        LESS_EQUAL LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM MUL NOT_EQUAL POW PRELU RIGHT_SHIFT SELECT
        SELECT_V2 SQUARED_DIFFERENCE SUB""",
    _window(0, 0, 4): "CONV_2D",
    _window(0, 0, 5): "DEPTHWISE_CONV_2D",
    _window(3, 4, 0): "AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    _dense: "FULLY_CONNECTED",
    _product: "BATCH_MATMUL",
    _reshaped: "RESHAPE SQUEEZE EXPAND_DIMS",
    _transposed: "TRANSPOSE",
    _padded: "PAD PADV2 MIRROR_PAD",
    _tiled: "TILE",
    _sliced: "SLICE",
    _strided: "STRIDED_SLICE",
    _joined: "CONCATENATION",
    _packed: "PACK",
    _unpacked: "UNPACK",
    _split(1, 0): "SPLIT",
    _split(0, 2): "SPLIT_V",
    _reduced: "MEAN SUM REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL",
    _best: "ARG_MAX ARG_MIN",
    _gathered: "GATHER",
    _looked_up: "EMBEDDING_LOOKUP",
    _kept: "TOPK_V2 RNN LSTM UNIDIRECTIONAL_SEQUENCE_RNN UNIDIRECTIONAL_SEQUENCE_LSTM",
    _batch(0): "CONV_3D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE",
    _batch(2): "TRANSPOSE_CONV CONV_3D_TRANSPOSE",
    _more_images: "SPACE_TO_BATCH_ND",
    _fewer_images: "BATCH_TO_SPACE_ND",
}
_RULES: Final = {name: rule for rule, names in _BY_RULE.items() for name in names.split()}
