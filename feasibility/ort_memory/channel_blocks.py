"""Which layout do float convolutions use on x86-64? Blocks of channels.

Source: onnxruntime/core/optimizer/nchwc_transformer.cc of ONNX Runtime.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

from onnx import TensorProto

from feasibility.graph.attributes import int_of, text_of
from feasibility.graph.value_types import element_count
from feasibility.units import rounded_up

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.graph.value_types import ValueType
    from feasibility.ort_memory.value_uses import Usage

# The kernels that convert a tensor move this many channels at a time.
_ALIGNED_CHANNELS: Final = 4
_FLOAT_BYTES: Final = 4
# Positions of pixels that the linear scaling of blocks knows.
_GRIDS: Final = frozenset({"align_corners", "asymmetric", "half_pixel"})


class Blocks(NamedTuple):
    """The layout with a number of channels per block: 16 with AVX-512, otherwise 8."""

    channels: int = 16

    def padded(self, count: int) -> int:
        """Number of channels, padded to whole blocks."""
        return rounded_up(count, self.channels)

    def size_bytes(self, value: ValueType) -> int | None:
        """Bytes of an image in blocks; None if its shape is unknown or it is not an image."""
        shape = value.shape
        if shape is None or len(shape) != 4:
            return None
        batch, channels, *area = shape
        if channels is None:
            return None
        count = element_count((batch, self.padded(channels), *area))
        return None if count is None else count * _FLOAT_BYTES

    def is_whole(self, value: ValueType) -> bool:
        """True for an image whose channels need no padding."""
        shape = value.shape
        if shape is None or len(shape) != 4:
            return False
        channels = shape[1]
        return bool(channels) and channels is not None and channels % self.channels == 0

    def takes_plain_image(self, node: TypedNode) -> bool:
        """True for a convolution of few channels, which reads the plain image."""
        weights = node.type_of(1).shape
        assert weights is not None
        return int_of(node.attributes, "group", 1) == 1 and (weights[1] or 0) < self.channels

    def convolves(self, node: TypedNode, usage: Usage) -> bool:
        """Whether a convolution uses blocks."""
        weights = node.type_of(1)
        if node.op_type != "Conv" or node.domain or not usage.has_constant(node, 1):
            return False
        if weights.elem_type != TensorProto.FLOAT or self.size_bytes(node.output()) is None:
            return False
        return self._fits(weights, int_of(node.attributes, "group", 1))

    def resizes(self, node: TypedNode) -> bool:
        """Whether a scaling by whole factors works on blocks."""
        before, after = node.type_of(0).shape, node.output().shape
        if before is None or after is None or before[:2] != after[:2]:
            return False
        mode = text_of(node.attributes, "mode", "nearest")
        grid = text_of(node.attributes, "coordinate_transformation_mode", "half_pixel")
        rounding = text_of(node.attributes, "nearest_mode", "round_prefer_floor")
        is_supported = node.op_type == "Upsample" or (
            (grid, rounding) == ("asymmetric", "floor") if mode == "nearest" else grid in _GRIDS
        )
        return (
            mode in ("nearest", "linear")
            and is_supported
            and all(
                one and other and other % one == 0 for one, other in zip(before, after, strict=True)
            )
        )

    def weight_bytes(self, node: TypedNode) -> int:
        """Bytes of the weights of such a convolution, both channel axes padded."""
        outputs, inputs, *kernel = (dim or 0 for dim in node.type_of(1).shape or (0, 0))
        if inputs >= self.channels and int_of(node.attributes, "group", 1) == 1:
            inputs = self.padded(inputs)
        return self.padded(outputs) * inputs * prod(kernel) * _FLOAT_BYTES

    def _fits(self, weights: ValueType, group: int) -> bool:
        if weights.shape is None or len(weights.shape) != 4:
            return False
        outputs, inputs = weights.shape[0] or 0, weights.shape[1] or 0
        if group <= 1:
            return inputs < self.channels or inputs % _ALIGNED_CHANNELS == 0
        if outputs % _ALIGNED_CHANNELS:
            return False
        is_depthwise = inputs == 1 and outputs == group
        return is_depthwise or (
            inputs % self.channels == 0
            and outputs % group == 0
            and (outputs // group) % self.channels == 0
        )
