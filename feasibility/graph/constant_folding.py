"""Which values of small tensors are known without running the model?

Graphs compute shapes as integer tensors (Shape, Gather, Concat, Reshape). These values are
computed here, because the shape behind a Reshape depends on them. Only tensors of at most
`MAX_ELEMENTS` elements are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from feasibility.graph.attributes import int_of, ints_of, tensor_of
from feasibility.graph.typed_graph import Call
from feasibility.graph.value_types import Array, ValueType

MAX_ELEMENTS: Final = 1024

Fold: TypeAlias = Callable[[Call], Array | None]

_FOLDABLE_KINDS: Final = frozenset("biuf")
_NEED_NO_VALUES: Final = frozenset({"Constant", "Shape", "Size"})
# What numpy raises for malformed operands; the value then stays unknown.
_REFUSALS: Final = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
)


def tensor_value(tensor: TensorProto) -> Array | None:
    """Data of a small numeric tensor; None if it is large, missing or malformed."""
    if len(tensor.dims) > 8 or any(dim < 0 for dim in tensor.dims):
        return None
    if math.prod(tensor.dims) > MAX_ELEMENTS or tensor.data_location == TensorProto.EXTERNAL:
        return None
    try:
        array = numpy_helper.to_array(tensor)
    except _REFUSALS:
        return None
    return array if array.dtype.kind in _FOLDABLE_KINDS else None


def fold(call: Call, outputs: Sequence[ValueType]) -> tuple[Array | None, ...]:
    """Values of a node's outputs, one per output type; None if unknown.

    Large outputs are not computed.
    """
    nothing = (None,) * len(outputs)
    counts = [value.element_count for value in outputs]
    if call.domain or not (call.op_type in _RULES or call.op_type == "Split"):
        return nothing
    if not counts or any(count is None or count > MAX_ELEMENTS for count in counts):
        return nothing
    if call.op_type not in _NEED_NO_VALUES and all(value is None for value in call.values):
        return nothing
    try:
        with np.errstate(all="ignore"):
            if call.op_type == "Split":
                return _split(call, outputs)
            result = _RULES[call.op_type](call)
    except _REFUSALS:
        return nothing
    if result is None or result.size > MAX_ELEMENTS or result.dtype.kind not in _FOLDABLE_KINDS:
        return nothing
    return (np.asarray(result), *nothing[1:])


def _constant(call: Call) -> Array | None:
    tensor = tensor_of(call.attributes, "value")
    if tensor is not None:
        return tensor_value(tensor)
    for name, field, dtype in (
        ("value_int", "i", np.int64),
        ("value_float", "f", np.float32),
        ("value_ints", "ints", np.int64),
        ("value_floats", "floats", np.float32),
    ):
        if name in call.attributes:
            return np.array(getattr(call.attributes[name], field), dtype)
    return None


def _size(call: Call) -> Array | None:
    count = call.inputs[0].element_count
    return None if count is None or count >= 2**63 else np.array(count, np.int64)


def _shape(call: Call) -> Array | None:
    shape = call.inputs[0].shape
    if shape is None:
        return None
    start = int_of(call.attributes, "start", 0)
    dims = shape[start : int_of(call.attributes, "end", len(shape))]
    if any(dim is None or dim >= 2**63 for dim in dims):
        return None
    return np.array(dims, np.int64)


def _split(call: Call, outputs: Sequence[ValueType]) -> tuple[Array, ...]:
    (data,) = _known(call, 1)
    axis = int_of(call.attributes, "axis", 0)
    sizes = [(value.shape or ())[axis] for value in outputs]
    return tuple(np.split(data, np.cumsum([size or 0 for size in sizes])[:-1], axis))


def _known(call: Call, count: int | None = None) -> tuple[Array, ...]:
    """The first `count` inputs or all of them, which must be known."""
    arrays = call.values if count is None else call.values[:count]
    known = tuple(array for array in arrays if array is not None)
    if len(known) != (len(arrays) if count is None else count):
        raise ValueError(count)
    return known


def _unary(function: Callable[[Array], Any]) -> Fold:
    return lambda call: np.asarray(function(*_known(call, 1)))


def _binary(function: Callable[[Array, Array], Any]) -> Fold:
    return lambda call: np.asarray(function(*_known(call, 2)))


def _variadic(function: Callable[[Array, Array], Any]) -> Fold:
    def rule(call: Call) -> Array:
        first, *others = _known(call)
        for other in others:
            first = function(first, other)
        return np.asarray(first)

    return rule


def _divide(one: Array, other: Array) -> Array:
    if one.dtype.kind == "f":
        return np.asarray(one / other)
    if not np.all(other):
        raise ZeroDivisionError
    quotient = np.abs(one) // np.abs(other)  # C++ rounds towards zero, numpy downwards
    return np.asarray(np.where((one < 0) ^ (other < 0), -quotient, quotient).astype(one.dtype))


def _modulo(call: Call) -> Array:
    one, other = _known(call, 2)
    if one.dtype.kind != "f" and not np.all(other):
        raise ZeroDivisionError
    return np.asarray(
        np.fmod(one, other) if int_of(call.attributes, "fmod", 0) else np.mod(one, other)
    )


def _cast(call: Call) -> Array:
    (data,) = _known(call, 1)
    target = helper.tensor_dtype_to_np_dtype(int_of(call.attributes, "to", 0))
    if data.dtype.kind == "f" and target.kind in "iu" and not np.all(np.isfinite(data)):
        raise ValueError
    return data.astype(target)


def _axes(call: Call) -> tuple[int, ...] | None:
    """Axes as attribute (older operator sets) or second input; None if missing."""
    axes = call.value(1)
    if axes is not None:
        return tuple(int(axis) for axis in axes.reshape(-1))
    return ints_of(call.attributes, "axes")


def _gather(call: Call) -> Array:
    data, indices = _known(call, 2)
    return np.take(data, indices, axis=int_of(call.attributes, "axis", 0))


def _slice(call: Call) -> Array:
    data = _known(call, 1)[0]
    axes: Sequence[int] | None
    if len(call.values) > 1:
        starts, ends = (tuple(int(item) for item in array) for array in _known(call, 3)[1:])
        given = [call.value(index) for index in (3, 4)]
        axes, steps = (None if array is None else [int(item) for item in array] for array in given)
    else:
        starts, ends = (ints_of(call.attributes, name) or () for name in ("starts", "ends"))
        axes, steps = ints_of(call.attributes, "axes"), None
    window = [slice(None)] * data.ndim
    for axis, start, end, step in zip(
        axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True
    ):
        window[axis] = slice(start, end, step)
    return data[tuple(window)]


def _reshape(call: Call) -> Array:
    data, target = _known(call, 2)
    keep_zero = int_of(call.attributes, "allowzero", 0)
    shape = [
        data.shape[index] if size == 0 and not keep_zero else int(size)
        for index, size in enumerate(target)
    ]
    return data.reshape(shape)


def _constant_of_shape(call: Call) -> Array:
    tensor = tensor_of(call.attributes, "value")
    value = tensor_value(tensor) if tensor is not None else np.zeros(1, np.float32)
    if value is None:
        raise ValueError
    return np.full([int(size) for size in _known(call, 1)[0]], value.reshape(-1)[0], value.dtype)


def _expand(call: Call) -> Array:
    data, shape = _known(call, 2)
    target = np.broadcast_shapes(data.shape, tuple(int(size) for size in shape))
    return np.broadcast_to(data, target)


def _range(call: Call) -> Array:
    start, limit, delta = (array.reshape(-1)[0] for array in _known(call, 3))
    return np.arange(start, limit, delta, dtype=start.dtype)


def _reduce(function: Callable[..., Any]) -> Fold:
    def rule(call: Call) -> Array:
        data = _known(call, 1)[0]
        axes = _axes(call)
        if axes == () and int_of(call.attributes, "noop_with_empty_axes", 0):
            return data
        keep = bool(int_of(call.attributes, "keepdims", 1))
        result = np.asarray(function(data, axis=axes or None, keepdims=keep))
        return result.astype(data.dtype, copy=False)

    return rule


_RULES: Final[dict[str, Fold]] = {
    "Constant": _constant,
    "Shape": _shape,
    "Size": _size,
    "Identity": _unary(lambda data: data),
    "Cast": _cast,
    "CastLike": _binary(lambda data, like: data.astype(like.dtype)),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Round": _unary(np.rint),
    "Sqrt": _unary(np.sqrt),
    "Not": _unary(np.logical_not),
    "Sign": _unary(np.sign),
    "NonZero": _unary(lambda data: np.array(np.nonzero(data), np.int64)),
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Mod": _modulo,
    "Pow": _binary(lambda base, power: np.power(base.astype(float), power).astype(base.dtype)),
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Xor": _binary(np.logical_xor),
    "Min": _variadic(np.minimum),
    "Max": _variadic(np.maximum),
    "Sum": _variadic(np.add),
    "Where": lambda call: np.where(*_known(call, 3)),
    "Gather": _gather,
    "Concat": lambda call: np.concatenate(_known(call), axis=int_of(call.attributes, "axis", 0)),
    "Slice": _slice,
    "Squeeze": lambda call: np.squeeze(_known(call, 1)[0], _axes(call)),
    "Unsqueeze": lambda call: np.expand_dims(_known(call, 1)[0], _axes(call) or ()),
    "Reshape": _reshape,
    "Transpose": lambda call: np.transpose(_known(call, 1)[0], ints_of(call.attributes, "perm")),
    "Tile": _binary(lambda data, repeats: np.tile(data, tuple(repeats))),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Range": _range,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
}
