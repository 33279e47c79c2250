"""Which images in blocks have the same height and width, even if the runtime knows neither?

It follows windows that keep the size of their image, or halve it.
Source: ConvPoolShapeInference (onnxruntime/core/optimizer/nchwc_transformer.cc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from feasibility.graph.attributes import ints_of, text_of

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode

# The value that has the size at first, and how often each side was halved since.
Grid: TypeAlias = tuple[str, int, int]
_WINDOWED: Final = frozenset({"AveragePool", "Conv", "MaxPool"})
_NEW_SIZE: Final = frozenset({"GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"})


def grid_of(node: TypedNode, name: str, source: Grid | None) -> Grid:
    """The grid of a result, from that of the image that the node reads in blocks."""
    if source is None or node.op_type in _NEW_SIZE:
        return name, 0, 0
    if node.op_type not in _WINDOWED:
        return source
    strides = ints_of(node.attributes, "strides") or (1, 1)
    pads = ints_of(node.attributes, "pads") or (0, 0, 0, 0)
    dilations = ints_of(node.attributes, "dilations") or (1, 1)
    kernel = ints_of(node.attributes, "kernel_shape") or (node.type_of(1).shape or ())[2:]
    if len(strides) != 2 or len(pads) != 4 or len(kernel) != 2 or set(dilations) != {1}:
        return name, 0, 0
    is_same = text_of(node.attributes, "auto_pad", "NOTSET").startswith("SAME") or all(
        size == before + after + 1
        for size, before, after in zip(kernel, pads[:2], pads[2:], strict=True)
    )
    if not is_same or not set(strides) <= {1, 2}:
        return name, 0, 0
    origin, rows, columns = source
    return origin, rows + strides[0] - 1, columns + strides[1] - 1
