"""What the first real consumers of an input say about its dims.

An input is followed through nodes that keep its layout (Cast, Transpose, scaling
by a constant) to the nodes whose weights or attributes fix one of its dims: the
channels of a convolution, the width of a dense layer, the features of a scaler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from feasibility.graph.attributes import attributes_of, graph_of, int_of, ints_of, list_length
from feasibility.graph.value_types import tensor_type
from feasibility.text import safe_text

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

    from feasibility.graph.value_types import Shape

Use = Literal[
    "image", "image_last", "signal", "indices", "recurrent", "table", "volume", "dense", "unknown"
]
# For each axis of a value: the axis or axes of the input that it came from.
_Map = tuple[tuple[int, ...], ...]

_MAX_STEPS: Final = 64
_SAME_LAYOUT: Final = frozenset(
    {
        "Cast", "Identity", "Relu", "Sigmoid", "Tanh", "Clip", "Neg", "Sqrt", "Exp", "Log", "Abs",
        "QuantizeLinear", "DequantizeLinear", "Dropout", "LayerNormalization", "Scaler",
        "ImageScaler", "LeakyRelu", "Softmax", "BatchNormalization", "InstanceNormalization",
        "Imputer", "Normalizer", "CastLike",
    }
)  # fmt: skip
_ARITHMETIC: Final = frozenset({"Add", "Sub", "Mul", "Div", "Pow"})
_CONVOLUTIONS: Final = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv"}
)


@dataclass(slots=True)
class Implied:
    """What is known of one input from the nodes that read it.

    Args:
        sizes: Sizes by axis.
        reasons: By axis, the node that fixes it.
        use: What the input is used as.
        rank: Number of dims, where the consumers fix it.
        shape: Its declared shape.
    """

    sizes: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    use: Use = "unknown"
    rank: int | None = None
    shape: Shape = ()

    def fix(self, axes: tuple[int, ...], size: int | None, node: NodeProto) -> None:
        """Notes the size of one axis; the first node that fixes it counts."""
        if size is not None and size > 0 and len(axes) == 1 and axes[0] not in self.sizes:
            self.sizes[axes[0]] = size
            label = node.name or next(iter(node.output), "")
            self.reasons[axes[0]] = f"what {node.op_type} '{safe_text(label, 40)}' takes"


class Consumers:
    """Nodes by the names that they read, subgraphs included, and the shapes of weights."""

    def __init__(self, model: ModelProto) -> None:
        self._readers: dict[str, list[tuple[NodeProto, int]]] = {}
        self._weights: dict[str, Shape] = {}
        self._add(model.graph, 0)

    def readers(self, name: str) -> list[tuple[NodeProto, int]]:
        """Nodes that read a value, each with the position at which it does."""
        return self._readers.get(name, [])

    def weight(self, node: NodeProto, at: int) -> Shape | None:
        """Shape of an input that is an initializer."""
        return self._weights.get(node.input[at]) if at < len(node.input) else None

    def _add(self, graph: GraphProto, depth: int) -> None:
        for tensor in graph.initializer:
            shape = tensor_type(tensor).shape
            if shape is not None:
                self._weights[tensor.name] = shape
        for node in graph.node:
            for at, name in enumerate(node.input):
                if name:
                    self._readers.setdefault(name, []).append((node, at))
            if not node.input or len(node.attribute) == 0:
                if node.op_type == "Constant":
                    self._add_constant(node)
                continue
            if node.op_type in ("If", "Loop", "Scan") and depth < 16:
                for item in node.attribute:
                    body = graph_of({item.name: item}, item.name)
                    if body is not None:
                        self._add(body, depth + 1)

    def _add_constant(self, node: NodeProto) -> None:
        for item in node.attribute:
            if item.name == "value" and node.output:
                shape = tensor_type(item.t).shape
                if shape is not None:
                    self._weights[node.output[0]] = shape


def implied_dims(consumers: Consumers, name: str, shape: Shape | None) -> Implied:
    """What the consumers of an input fix of it.

    Args:
        consumers: All nodes by what they read.
        name: The input.
        shape: Its declared shape; None where its rank is open.
    """
    found = Implied(shape=shape or ())
    start: _Map | None = None if shape is None else tuple((axis,) for axis in range(len(shape)))
    pending: list[tuple[str, _Map | None]] = [(name, start)]
    seen = {name}
    for _ in range(_MAX_STEPS):
        if not pending:
            break
        value, axes = pending.pop(0)
        for node, at in consumers.readers(value)[:_MAX_STEPS]:
            if axes is None:
                implied_rank = _implied_rank(consumers, node, at)
                if implied_rank is not None and found.rank is None and value == name:
                    found.rank = implied_rank
                    axes = tuple((axis,) for axis in range(implied_rank))
            _note(found, consumers, node, at, axes)
            after = _passed_on(consumers, node, at, axes)
            if after is not None and node.output and node.output[0] not in seen:
                seen.add(node.output[0])
                pending.append((node.output[0], after))
    return found


def _implied_rank(consumers: Consumers, node: NodeProto, at: int) -> int | None:
    if at == 0 and node.op_type in _CONVOLUTIONS:
        weight = consumers.weight(node, 3 if node.op_type.startswith("QLinear") else 1)
        return len(weight) if weight else None
    if at == 0 and node.op_type in ("MaxPool", "AveragePool"):
        kernel = ints_of(attributes_of(node), "kernel_shape")
        return len(kernel) + 2 if kernel else None
    if node.op_type == "Gemm" or (node.op_type == "Gather" and at == 1):
        return 2
    if node.op_type in ("ZipMap", "Scaler", "Normalizer") or node.op_type.startswith(
        ("TreeEnsemble", "Linear", "SVM")
    ):
        return 2
    if node.op_type in ("LSTM", "GRU", "RNN") and at == 0:
        return 3
    if node.op_type == "MatMul" and at == 0 and consumers.weight(node, 1):
        return 2
    if node.op_type == "Transpose":
        order = ints_of(attributes_of(node), "perm")
        return len(order) if order else None
    return None


def _note(
    found: Implied, consumers: Consumers, node: NodeProto, at: int, axes: _Map | None
) -> None:
    """Takes what one reader says about the dims that reach it."""
    if axes is None:
        return
    if node.op_type in _CONVOLUTIONS and at == 0:
        _note_convolution(found, consumers, node, axes)
    elif node.op_type in ("MatMul", "Gemm", "MatMulInteger") and at == 0 and axes:
        weight = consumers.weight(node, 1)
        if weight is not None and len(weight) >= 2:
            transposed = int_of(attributes_of(node), "transB", 0)
            _fix_group(found, axes[-1], weight[-1] if transposed else weight[-2], node)
        found.use = "dense" if found.use == "unknown" else found.use
    elif node.op_type in ("Gather", "EmbedLayerNormalization") and (
        at == 1 or node.op_type != "Gather"
    ):
        found.use = "indices"
    elif node.op_type in ("LSTM", "GRU", "RNN"):
        _note_recurrent(found, consumers, node, at, axes)
    elif node.op_type in ("BatchNormalization", "InstanceNormalization") and len(axes) > 1:
        scale = consumers.weight(node, 1)
        found.fix(axes[1], scale[0] if scale else None, node)
    elif node.domain == "ai.onnx.ml" and axes:
        found.use = "table"
        found.fix(axes[-1], _feature_count(node), node)
    elif node.op_type in _ARITHMETIC:
        other = consumers.weight(node, 1 - at) or ()
        for back in range(1, min(len(other), len(axes)) + 1):
            size = other[-back]
            found.fix(axes[-back], size if size != 1 else None, node)


def _note_convolution(found: Implied, consumers: Consumers, node: NodeProto, axes: _Map) -> None:
    weight = consumers.weight(node, 3 if node.op_type.startswith("QLinear") else 1)
    if len(axes) > 1 and weight is not None and len(weight) > 1:
        group = int_of(attributes_of(node), "group", 1)
        per_group = weight[0] if node.op_type == "ConvTranspose" else weight[1]
        channels = (
            per_group
            if node.op_type == "ConvTranspose" or per_group is None
            else (per_group * group)
        )
        found.fix(axes[1], channels, node)
    if found.use not in ("unknown", "dense"):
        return
    if len(axes) == 4:
        found.use = "image_last" if axes[1] == (3,) else "image"
    elif len(axes) == 3:
        found.use = "signal"
    elif len(axes) == 5:
        found.use = "volume"


def _note_recurrent(
    found: Implied, consumers: Consumers, node: NodeProto, at: int, axes: _Map
) -> None:
    weight, recurrence = consumers.weight(node, 1), consumers.weight(node, 2)
    if at == 0 and len(axes) == 3:
        found.use = "recurrent" if found.use == "unknown" else found.use
        found.fix(axes[2], weight[2] if weight and len(weight) == 3 else None, node)
    elif at in (5, 6) and len(axes) == 3 and recurrence and len(recurrence) == 3:
        found.fix(axes[0], recurrence[0], node)
        found.fix(axes[2], recurrence[2], node)


def _fix_group(found: Implied, axes: tuple[int, ...], size: int | None, node: NodeProto) -> None:
    """Solves a flattened group of axes where one is open, or two that are a square picture."""
    if len(axes) == 1:
        found.fix(axes, size, node)
        return
    if size is None or not axes or any(axis >= len(found.shape) for axis in axes):
        return
    known = 1
    for axis in axes:
        known *= found.shape[axis] or found.sizes.get(axis) or 1
    open_axes = [axis for axis in axes if found.shape[axis] is None and axis not in found.sizes]
    rest, remainder = divmod(size, known) if known else (0, 1)
    if remainder or not open_axes:
        return
    side = math.isqrt(rest)
    if len(open_axes) == 1:
        found.fix((open_axes[0],), rest, node)
    elif len(open_axes) == 2 and side * side == rest:
        for axis in open_axes:
            found.fix((axis,), side, node)


def _feature_count(node: NodeProto) -> int | None:
    """Columns of the table that a classic operator takes."""
    attributes = attributes_of(node)
    if node.op_type == "Scaler":
        count = list_length(attributes, "scale")
        return count if count > 1 else None
    if node.op_type.startswith("Linear"):
        rows = max(
            list_length(attributes, "classlabels_ints"),
            list_length(attributes, "classlabels_strings"),
            list_length(attributes, "intercepts"),
            int_of(attributes, "targets", 1),
            1,
        )
        return list_length(attributes, "coefficients") // rows or None
    if node.op_type == "ZipMap":
        return (
            list_length(attributes, "classlabels_strings")
            or list_length(attributes, "classlabels_int64s")
            or None
        )
    ids = attributes.get("nodes_featureids")
    return max(ids.ints, default=-1) + 1 or None if ids is not None else None


def _passed_on(consumers: Consumers, node: NodeProto, at: int, axes: _Map | None) -> _Map | None:
    """Layout of the first output in terms of the input's axes; None where it is not followed."""
    if axes is None:
        return None
    if at == 0 and node.op_type in _SAME_LAYOUT:
        return axes
    if node.op_type in _ARITHMETIC and len(consumers.weight(node, 1 - at) or ()) <= len(axes):
        return axes if consumers.weight(node, 1 - at) is not None else None
    if at:
        return None
    attributes = attributes_of(node)
    if node.op_type == "Transpose":
        order = ints_of(attributes, "perm") or tuple(range(len(axes)))[::-1]
        if sorted(order) == list(range(len(axes))):
            return tuple(axes[axis] for axis in order)
        return None
    if node.op_type == "Unsqueeze":
        inserted = ints_of(attributes, "axes")
        if inserted is None:
            # Given as an input: almost always the channel axis behind the batch.
            inserted = (1,) if len(axes) == 2 else ()
        rank = len(axes) + len(inserted)
        places = {axis % rank for axis in inserted} if rank else set()
        rest = iter(axes)
        return tuple(() if axis in places else next(rest, ()) for axis in range(rank))
    if node.op_type == "Pad":
        return axes
    if node.op_type == "Flatten" and len(axes) > 1 and int_of(attributes, "axis", 1) == 1:
        return (axes[0], tuple(axis for group in axes[1:] for axis in group))
    return None
