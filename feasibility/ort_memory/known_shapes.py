"""Which shapes does the runtime know before it runs?

It knows a shape if each size is a number or a name. Names are those of the open axes of inputs.
They survive elementwise operators, but not windows, joins or cuts along an open axis. A file can
declare the shapes of other values too.
Source: the shape inference of ONNX, which ONNX Runtime uses without the sizes of open axes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from feasibility.graph.attributes import int_of, ints_of
from feasibility.graph.typed_graph import NEVER_FOLDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from feasibility.graph.typed_graph import TypedGraph, TypedNode
    from feasibility.graph.value_types import Shape, ValueType
    from feasibility.ort_memory.steps import NamedShape, OpenAxes

# Operators whose output shape depends on the value of an input.
_SHAPED_BY_VALUE: Final = frozenset(
    {
        *("ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Reshape", "Resize", "Slice"),
        *("Tile", "TopK", "Upsample"),
    }
)
# Operators whose output shape the runtime never knows before it runs.
_OPEN: Final = frozenset(
    {
        *("Affine", "Compress", "Crop", "If", "ImageScaler", "Loop", "NonMaxSuppression"),
        *("NonZero", "ParametricSoftplus", "Scan", "ScaledTanh", "Unique"),
    }
)
# Operators that slide a window over an image.
_WINDOWED: Final = frozenset(
    {
        *("AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool", "MaxUnpool"),
        *("Resize", "Upsample"),
    }
)


def fold_fixed_shapes(graph: TypedGraph, open_axes: OpenAxes) -> TypedGraph:
    """The graph with the nodes folded that only read shapes without open axes.

    Source: onnxruntime/core/optimizer/constant_folding.cc.
    """
    constants = dict(graph.constants)

    def is_constant(name: str) -> bool:
        return constants.get(name, name in graph.initializers)

    shapes = KnownShapes(open_axes, is_constant)
    nodes = []
    for node in graph.nodes:
        reads = [name for name in node.node.input if name]
        if not node.is_folded and reads:
            shapes.note(node)
            is_fixed = node.op_type == "Shape" and shapes.is_fixed(reads[0], node.type_of(0))
            # Constants that a DequantizeLinear reads stay quantized (`quantized_weights.py`).
            is_foldable = node.op_type not in NEVER_FOLDED or node.op_type == "DequantizeLinear"
            if is_fixed or (is_foldable and not node.bodies and all(map(is_constant, reads))):
                constants.update(dict.fromkeys(node.node.output, True))
                nodes.append(replace(node, is_folded=True))
                continue
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


class KnownShapes:
    """Whether each value so far has a shape that the runtime knows.

    `open_axes` are the open axes of inputs, and of values with a declared shape, by name.
    """

    def __init__(self, open_axes: OpenAxes, is_constant: Callable[[str], bool]) -> None:
        self._declared = open_axes
        self._open_axes = {name: frozenset(axes) for name, axes in open_axes.items()}
        self._is_constant = is_constant
        self._unknown: set[str] = set()

    def knows(self, name: str) -> bool:
        """Whether the runtime knows the shape of a value."""
        return name not in self._unknown

    def is_fixed(self, name: str, value: ValueType) -> bool:
        """Whether all sizes of a value are numbers."""
        is_open = bool(self._open_axes.get(name)) or not self.knows(name)
        return value.element_count is not None and not is_open

    def named(self, name: str, shape: Shape | None) -> NamedShape | None:
        """The shape of a value with the names that the file declares for its open axes."""
        names = self._declared.get(name)
        if names is None or shape is None:
            return shape
        opened = self._open_axes[name]
        return tuple((axis in opened and names.get(axis)) or dim for axis, dim in enumerate(shape))

    def note(self, node: TypedNode) -> None:
        """Note it for the outputs of a node."""
        reads = [name for name in node.node.input if name]
        nothing: frozenset[int] = frozenset()
        opened = nothing.union(
            *(
                _moved(node, position, self._open_axes.get(name, nothing))
                for position, name in enumerate(node.node.input)
            )
        )
        is_known = (
            node.op_type not in _OPEN
            and self._unknown.isdisjoint(reads)
            and self._keeps_names(node, reads, opened)
        )
        for name in node.node.output:
            declared = self._declared.get(name)
            if declared is None:
                self._open_axes[name] = opened
                if not is_known:
                    self._unknown.add(name)
            elif is_known:
                # What follows from the inputs replaces a name that the file declares.
                self._open_axes[name] = opened.intersection(declared)

    def _keeps_names(self, node: TypedNode, reads: list[str], opened: frozenset[int]) -> bool:
        """Whether each open axis of the output has the name of an axis of an input."""
        if node.op_type in _SHAPED_BY_VALUE and not all(map(self._is_constant, reads[1:])):
            return False
        if node.op_type in _WINDOWED and any(axis >= 2 for axis in opened):
            return False
        if node.op_type in ("Concat", "Split"):
            rank = len(node.output().shape or ())
            return int_of(node.attributes, "axis", 0) % max(rank, 1) not in opened
        before, after = node.type_of(0).shape, node.output().shape
        if node.op_type in ("Pad", "Slice", "Tile") and before and after:
            pairs = enumerate(zip(before, after, strict=False))
            return not any(axis in opened and one != other for axis, (one, other) in pairs)
        return True


def _moved(node: TypedNode, position: int, axes: frozenset[int]) -> frozenset[int]:
    """The axes of the output that have the open sizes of an input."""
    before, after = node.type_of(position).shape, node.output().shape
    if not axes or before is None or after is None:
        return frozenset()
    order = ints_of(node.attributes, "perm")
    if node.op_type == "Transpose" and order:
        return frozenset(to for to, axis in enumerate(order) if axis in axes)
    if len(before) == len(after) and node.op_type != "Reshape":
        return axes
    return _regrouped(before, after, axes)


def _regrouped(before: Shape, after: Shape, axes: frozenset[int]) -> frozenset[int]:
    """Open axes after axes were added, removed, split or joined.

    Equal sizes at both ends are the same axes; between them all axes depend on each other.
    """
    shared = min(len(before), len(after))
    start = next((axis for axis in range(shared) if before[axis] != after[axis]), shared)
    end = next(
        (axis for axis in range(shared - start) if before[-1 - axis] != after[-1 - axis]),
        shared - start,
    )
    shift = len(after) - len(before)
    found = {axis for axis in axes if axis < start}
    found.update(axis + shift for axis in axes if axis >= len(before) - end)
    if any(start <= axis < len(before) - end for axis in axes):
        found.update(range(start, len(after) - end))
    return frozenset(found)
