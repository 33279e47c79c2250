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
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from feasibility.graph.attributes import Attributes, int_of, ints_of, tensor_of
from feasibility.graph.value_types import ValueType

MAX_ELEMENTS: Final = 1024

Array: TypeAlias = NDArray[Any]
Inputs: TypeAlias = Sequence[Array | None]
Fold: TypeAlias = Callable[[Attributes, Inputs], Array | None]

_FOLDABLE_KINDS: Final = frozenset("biuf")
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


def constant_value(attributes: Attributes) -> Array | None:
    """Value of a Constant node; None if it is large or not numeric."""
    tensor = tensor_of(attributes, "value")
    if tensor is not None:
        return tensor_value(tensor)
    if "value_int" in attributes:
        return np.array(attributes["value_int"].i, np.int64)
    if "value_float" in attributes:
        return np.array(attributes["value_float"].f, np.float32)
    for name, field, dtype in (
        ("value_ints", "ints", np.int64),
        ("value_floats", "floats", np.float32),
    ):
        if name in attributes:
            numbers = getattr(attributes[name], field)
            return np.array(numbers, dtype) if len(numbers) <= MAX_ELEMENTS else None
    return None


def fold(
    op_type: str,
    attributes: Attributes,
    arrays: Inputs,
    input_types: Sequence[ValueType],
    output_types: Sequence[ValueType],
) -> tuple[Array | None, ...]:
    """Values of a node's outputs, one per output type; None if unknown.

    `arrays` has None for inputs that are unknown or left out. Large outputs are not computed.
    """
    nothing = (None,) * len(output_types)
    counts = [value.element_count for value in output_types]
    if not counts or any(count is None or count > MAX_ELEMENTS for count in counts):
        return nothing
    try:
        with np.errstate(all="ignore"):
            if op_type in ("Shape", "Size"):
                return (_shape_value(op_type, attributes, input_types[0]), *nothing[1:])
            if op_type == "Split":
                return _split(attributes, arrays, output_types)
            rule = _RULES.get(op_type)
            result = rule(attributes, arrays) if rule is not None else None
    except _REFUSALS:
        return nothing
    if result is None or result.size > MAX_ELEMENTS or result.dtype.kind not in _FOLDABLE_KINDS:
        return nothing
    return (np.asarray(result), *nothing[1:])


def is_foldable(op_type: str) -> bool:
    """True if `fold` can compute the operator."""
    return op_type in _RULES or op_type in ("Shape", "Size", "Split")


def _shape_value(op_type: str, attributes: Attributes, value: ValueType) -> Array | None:
    if op_type == "Size":
        count = value.element_count
        return None if count is None or count >= 2**63 else np.array(count, np.int64)
    if value.shape is None:
        return None
    start = int_of(attributes, "start", 0)
    end = int_of(attributes, "end", len(value.shape))
    dims = value.shape[start:end]
    if any(dim is None or dim >= 2**63 for dim in dims):
        return None
    return np.array(dims, np.int64)


def _split(
    attributes: Attributes, arrays: Inputs, output_types: Sequence[ValueType]
) -> tuple[Array | None, ...]:
    data = arrays[0]
    axis = int_of(attributes, "axis", 0)
    if data is None:
        return (None,) * len(output_types)
    sizes = [(value.shape or ())[axis] for value in output_types]
    offsets = np.cumsum([size or 0 for size in sizes])[:-1]
    return tuple(np.split(data, offsets, axis))


def _known(arrays: Inputs, count: int) -> tuple[Array, ...]:
    """The first `count` inputs, all of which must be known."""
    known = tuple(array for array in arrays[:count] if array is not None)
    if len(known) != count:
        raise ValueError(count)
    return known


def _unary(function: Callable[[Array], Any]) -> Fold:
    return lambda _, arrays: np.asarray(function(*_known(arrays, 1)))


def _binary(function: Callable[[Array, Array], Any]) -> Fold:
    return lambda _, arrays: np.asarray(function(*_known(arrays, 2)))


def _variadic(function: Callable[[Array, Array], Any]) -> Fold:
    def rule(_: Attributes, arrays: Inputs) -> Array:
        first, *others = _known(arrays, len(arrays))
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


def _modulo(attributes: Attributes, arrays: Inputs) -> Array:
    one, other = _known(arrays, 2)
    if one.dtype.kind != "f" and not np.all(other):
        raise ZeroDivisionError
    return np.asarray(np.fmod(one, other) if int_of(attributes, "fmod", 0) else np.mod(one, other))


def _cast(attributes: Attributes, arrays: Inputs) -> Array:
    (data,) = _known(arrays, 1)
    target = helper.tensor_dtype_to_np_dtype(int_of(attributes, "to", 0))
    if data.dtype.kind == "f" and target.kind in "iu" and not np.all(np.isfinite(data)):
        raise ValueError
    return data.astype(target)


def _axes(attributes: Attributes, arrays: Inputs) -> tuple[int, ...] | None:
    """Axes as attribute (older operator sets) or second input; None if missing."""
    if len(arrays) > 1 and arrays[1] is not None:
        return tuple(int(axis) for axis in arrays[1].reshape(-1))
    return ints_of(attributes, "axes")


def _gather(attributes: Attributes, arrays: Inputs) -> Array:
    data, indices = _known(arrays, 2)
    return np.take(data, indices, axis=int_of(attributes, "axis", 0))


def _slice(attributes: Attributes, arrays: Inputs) -> Array:
    data = _known(arrays, 1)[0]
    if len(arrays) > 1:
        starts, ends = (tuple(int(item) for item in array) for array in _known(arrays[1:], 2))
        options = [
            None if len(arrays) <= index or arrays[index] is None else _known(arrays[index:], 1)[0]
            for index in (3, 4)
        ]
        axes: Sequence[int] = (
            range(len(starts)) if options[0] is None else [int(axis) for axis in options[0]]
        )
        steps = [1] * len(starts) if options[1] is None else [int(step) for step in options[1]]
    else:
        starts, ends = ints_of(attributes, "starts") or (), ints_of(attributes, "ends") or ()
        axes = ints_of(attributes, "axes") or range(len(starts))
        steps = [1] * len(starts)
    window = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        window[axis] = slice(start, end, step)
    return data[tuple(window)]


def _reshape(attributes: Attributes, arrays: Inputs) -> Array:
    data, target = _known(arrays, 2)
    keep_zero = int_of(attributes, "allowzero", 0)
    shape = [
        data.shape[index] if size == 0 and not keep_zero else int(size)
        for index, size in enumerate(target)
    ]
    return data.reshape(shape)


def _constant_of_shape(attributes: Attributes, arrays: Inputs) -> Array:
    tensor = tensor_of(attributes, "value")
    value = tensor_value(tensor) if tensor is not None else np.zeros(1, np.float32)
    if value is None:
        raise ValueError
    return np.full([int(size) for size in _known(arrays, 1)[0]], value.reshape(-1)[0], value.dtype)


def _expand(_: Attributes, arrays: Inputs) -> Array:
    data, shape = _known(arrays, 2)
    target = np.broadcast_shapes(data.shape, tuple(int(size) for size in shape))
    return np.broadcast_to(data, target)


def _range(_: Attributes, arrays: Inputs) -> Array:
    start, limit, delta = (array.reshape(-1)[0] for array in _known(arrays, 3))
    return np.arange(start, limit, delta, dtype=start.dtype)


def _reduce(function: Callable[..., Any]) -> Fold:
    def rule(attributes: Attributes, arrays: Inputs) -> Array:
        data = _known(arrays, 1)[0]
        axes = _axes(attributes, arrays)
        if axes == () and int_of(attributes, "noop_with_empty_axes", 0):
            return data
        keep = bool(int_of(attributes, "keepdims", 1))
        result = np.asarray(function(data, axis=axes or None, keepdims=keep))
        return result.astype(data.dtype, copy=False)

    return rule


_RULES: Final[dict[str, Fold]] = {
    "Identity": _unary(lambda data: data),
    "Cast": _cast,
    "CastLike": lambda _, arrays: _known(arrays, 2)[0].astype(_known(arrays, 2)[1].dtype),
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
    "Where": lambda _, arrays: np.where(*_known(arrays, 3)),
    "Gather": _gather,
    "Concat": lambda attributes, arrays: np.concatenate(
        _known(arrays, len(arrays)), axis=int_of(attributes, "axis", 0)
    ),
    "Slice": _slice,
    "Squeeze": lambda attributes, arrays: np.squeeze(
        _known(arrays, 1)[0], _axes(attributes, arrays)
    ),
    "Unsqueeze": lambda attributes, arrays: np.expand_dims(
        _known(arrays, 1)[0], _axes(attributes, arrays) or ()
    ),
    "Reshape": _reshape,
    "Transpose": lambda attributes, arrays: np.transpose(
        _known(arrays, 1)[0], ints_of(attributes, "perm")
    ),
    "Tile": _binary(lambda data, repeats: np.tile(data, tuple(repeats))),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Range": _range,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
}
