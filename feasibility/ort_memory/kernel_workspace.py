"""Which buffers does a kernel allocate while it runs?

Only buffers that grow with the tensors count. A kernel allocates them after its outputs, and all
of them are alive at the same time.
Source: the kernels of ONNX Runtime; the file is named at each operator.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias

from onnx import TensorProto

from feasibility.graph.attributes import int_of, text_of
from feasibility.graph.cost.activation_peak import body_peak
from feasibility.graph.value_types import element_count
from feasibility.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from feasibility.graph.typed_graph import TypedNode
    from feasibility.graph.value_types import ValueType

    _Buffers: TypeAlias = tuple[int, ...]

_FLOAT_BYTES: Final = 4
_SUM_BYTES: Final = 4
_ADDRESS_BYTES: Final = 8
_BYTES_PER_CUBIC_SUM: Final = 41
_BYTES_PER_GRID_POINT: Final = 55
# Working buffer of a convolution that unrolls its image piece by piece.
_PIECE_BYTES: Final = 64 * KIB


def workspace(node: TypedNode) -> _Buffers:
    """Sizes of the buffers of a node's kernel."""
    if node.bodies:
        # The largest tensors alive at the peak of a body, and all others together. A Loop keeps
        # what it carries from one iteration beside that of the next.
        peak = body_peak(node)
        named = tuple(tensor.size_bytes for tensor in peak.tensors)
        return (*named, max(peak.peak_bytes - sum(named), 0))
    buffers = _BUFFERS.get(node.op_type)
    return () if buffers is None else buffers(node)


def _convolution(node: TypedNode) -> _Buffers:
    """Columns of the image: of all pixels if there are fewer of them than filters.

    Source: MlasConvPrepare (core/mlas/lib/convolve.cpp).
    """
    filters, image = _dims(node.type_of(1)), _dims(node.output())
    if len(filters) < 3 or len(image) < 3:
        return ()
    group = max(int_of(node.attributes, "group", 1), 1)
    count, pixels, depth = filters[0] // group, prod(image[2:]), prod(filters[1:])
    if depth == filters[1] and node.type_of(0).shape == (image[0], filters[1] * group, *image[2:]):
        # A matrix product reads the image as it is.
        return ()
    return (pixels * depth * _FLOAT_BYTES if count > pixels else _PIECE_BYTES,)


def quantized_workspace(node: TypedNode, *, is_unsigned: bool) -> _Buffers:
    """Sums of a quantized convolution, and columns of its image or addresses of its pixels.

    The kernel for unsigned images and signed weights has no sums.
    Source: core/providers/cpu/quantization/qlinearconv.cc.
    """
    filters, image = _dims(node.type_of(1)), _dims(node.output())
    if node.op_type != "Conv" or len(filters) < 3 or len(image) < 3:
        return ()
    pixels, kernel = prod(image[2:]), prod(filters[2:])
    is_symmetric = is_unsigned and node.type_of(1).elem_type == TensorProto.INT8
    sums = 0 if is_symmetric else image[1] * pixels * _SUM_BYTES
    is_depthwise = filters[1] == 1 and int_of(node.attributes, "group", 1) == filters[0]
    if is_depthwise or (is_symmetric and kernel > 1):
        return (sums, kernel * pixels * _ADDRESS_BYTES)
    is_pointwise = kernel == 1 and node.type_of(0).shape == (*image[:1], filters[1], *image[2:])
    return (sums,) if is_pointwise else (sums, filters[1] * kernel * pixels)


def _transposed_convolution(node: TypedNode) -> _Buffers:
    """Columns of the image of one group. Source: core/providers/cpu/nn/conv_transpose.cc."""
    filters, image = _dims(node.type_of(1)), _dims(node.type_of(0))
    if len(filters) < 3 or len(image) < 3:
        return ()
    return (prod(filters[1:]) * prod(image[2:]) * _FLOAT_BYTES,)


def _integer_convolution(node: TypedNode) -> _Buffers:
    """Columns of the image of one group.

    Source: core/providers/cpu/quantization/conv_integer.cc.
    """
    filters, image = _dims(node.type_of(1)), _dims(node.output())
    return (prod(filters[1:]) * prod(image[2:]),) if len(filters) > 2 else ()


def _einsum(node: TypedNode) -> _Buffers:
    """The largest operand transposed, the product, and the transposed product.

    Source: core/providers/cpu/math/einsum_utils, compared with traces.
    """
    operand = max((value.size_bytes or 0 for value in node.inputs), default=0)
    return (operand, *_results(2)(node))


def _recurrent(gates: int) -> Callable[[TypedNode], _Buffers]:
    """Gates of all steps for each direction; the backward one also turns its input and output.

    Source: core/providers/cpu/rnn/uni_directional_lstm.cc and deep_cpu_gru.cc.
    """

    def buffers(node: TypedNode) -> _Buffers:
        sequence, hidden = _dims(node.type_of(0)), int_of(node.attributes, "hidden_size", 0)
        if len(sequence) != 3:
            return ()
        size = sequence[0] * sequence[1] * _FLOAT_BYTES
        state = sequence[1] * hidden * _FLOAT_BYTES
        forward = (state, size * gates * hidden)
        backward = (*forward, size * sequence[2], size * hidden)
        match text_of(node.attributes, "direction", "forward"):
            case "forward":
                return forward
            case "reverse":
                return backward
        return (*forward, *backward)

    return buffers


def _results(count: int) -> Callable[[TypedNode], _Buffers]:
    """Buffers of the size of the result."""
    return lambda node: (node.output().size_bytes or 0,) * count


def _softmax(node: TypedNode) -> _Buffers:
    """Transposed input and output, except along the last axis.

    Source: Softmax::ComputeImplOpset13 (core/providers/cpu/math/softmax.cc).
    """
    rank = len(node.output().shape or ())
    is_last = int_of(node.attributes, "axis", -1) in (-1, rank - 1)
    return () if is_last else _results(2)(node)


def _variadic(node: TypedNode) -> _Buffers:
    """The sum of the inputs so far. Source: core/providers/cpu/math/element_wise_ops.cc."""
    return _results(1)(node) if len(node.inputs) > 2 else ()


def _resize(node: TypedNode) -> _Buffers:
    """One or two linearly scaled images, if their size is known. Source: measured."""
    image = _dims(node.output())
    is_linear = text_of(node.attributes, "mode", "nearest") == "linear"
    return _results(1)(node) if is_linear and len(image) == 4 and image[0] <= 2 else ()


def scratch_bytes(node: TypedNode) -> int:
    """Memory outside the arena that a kernel needs while it runs.

    Cubic scaling keeps the weighted sums of rows, and GridSample the positions and weights of the
    four neighbours of each point of a bilinear grid.
    Source: measured; core/providers/cpu/tensor/upsample.cc and grid_sample.cc.
    """
    image, result = _dims(node.type_of(0)), _dims(node.output())
    if node.domain or len(image) != 4 or len(result) != 4:
        return 0
    mode = text_of(node.attributes, "mode", "")
    if node.op_type == "Resize" and mode == "cubic":
        return _BYTES_PER_CUBIC_SUM * image[2] * result[3]
    if node.op_type == "GridSample" and mode not in ("nearest", "bicubic", "cubic"):
        return _BYTES_PER_GRID_POINT * prod(result[2:])
    return 0


def _dims(value: ValueType) -> tuple[int, ...]:
    """The shape of a value; empty if it is not known."""
    shape = value.shape
    if shape is None or element_count(shape) is None:
        return ()
    return tuple(dim or 0 for dim in shape)


_BUFFERS: Final[Mapping[str, Callable[[TypedNode], _Buffers]]] = {
    "Conv": _convolution,
    "ConvInteger": _integer_convolution,
    "ConvTranspose": _transposed_convolution,
    "DynamicQuantizeLSTM": _recurrent(gates=4),
    "Einsum": _einsum,
    "GRU": _recurrent(gates=3),
    "Hardmax": _softmax,
    # The squares, padded, and the scale (core/providers/cpu/nn/lrn.cc).
    "LRN": _results(2),
    "LSTM": _recurrent(gates=4),
    "LogSoftmax": _softmax,
    "Max": _variadic,
    "Min": _variadic,
    "Resize": _resize,
    "Softmax": _softmax,
    "Sum": _variadic,
    "Upsample": _resize,
    # Both selections (core/providers/cpu/tensor/where_op.cc).
    "Where": _results(2),
}
