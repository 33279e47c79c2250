"""What do the first nodes that read an input say about its dims?

An input is followed through nodes that keep its layout (Cast, Transpose, scaling by a constant)
to the nodes whose weights or attributes fix one of its dims: the channels of a convolution, the
width of a dense layer, the features of a tree.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from feasibility.graph.attributes import attributes_of, int_of, ints_of, list_length
from feasibility.graph.constant_folding import tensor_value
from feasibility.graph.value_types import Shape, tensor_type
from feasibility.text import safe_text

Use = Literal[
    "image", "image_last", "signal", "indices", "recurrent", "table", "volume", "dense", "unknown"
]
# For each axis of a value the axis of the input that it came from; None for an inserted one.
_Axes = tuple[int | None, ...]

_MAX_STEPS: Final = 64
_SAME_LAYOUT: Final = frozenset(
    {
        "Cast", "Identity", "Relu", "Sigmoid", "Tanh", "Clip", "Neg", "Sqrt", "Exp", "Log", "Abs",
        "QuantizeLinear", "DequantizeLinear", "Dropout", "LayerNormalization", "Scaler", "Pad",
        "ImageScaler", "LeakyRelu", "Softmax", "BatchNormalization", "InstanceNormalization",
        "Imputer", "Normalizer", "CastLike",
    }
)  # fmt: skip
_ARITHMETIC: Final = frozenset({"Add", "Sub", "Mul", "Div", "Pow"})
# The convolutions, with the position of their weight.
_CONVOLUTIONS: Final = {
    "Conv": 1, "ConvTranspose": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3
}  # fmt: skip
_RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
_USE_BY_RANK: Final[dict[int, Use]] = {3: "signal", 4: "image", 5: "volume"}


@dataclass(slots=True)
class Implied:
    """What is known of one input from the nodes that read it.

    Args:
        reasons: By axis, the node that fixes it.
        rank: Number of dims, if the readers fix it.
    """

    sizes: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    use: Use = "unknown"
    rank: int | None = None

    def fix(self, axis: int | None, size: int | None, node: NodeProto) -> None:
        """Notes the size of one axis; the first node that fixes it counts."""
        if axis is not None and size is not None and size > 0 and axis not in self.sizes:
            self.sizes[axis] = size
            label = node.name or next(iter(node.output), "")
            self.reasons[axis] = f"what {node.op_type} '{safe_text(label, 40)}' takes"


class Consumers:
    """Nodes by the names that they read, subgraphs included, and the weights."""

    def __init__(self, model: ModelProto) -> None:
        self._readers: dict[str, list[tuple[NodeProto, int]]] = {}
        self._weights: dict[str, TensorProto] = {}
        self._add(model.graph, 0)

    def readers(self, name: str) -> list[tuple[NodeProto, int]]:
        """Nodes that read a value, each with the position of that input."""
        return self._readers.get(name, [])

    def weight(self, node: NodeProto, position: int) -> Shape | None:
        """Shape of an input that is an initializer."""
        tensor = self._tensor(node, position)
        return None if tensor is None else tensor_type(tensor).shape

    def integers(self, node: NodeProto, position: int) -> tuple[int, ...] | None:
        """Elements of an input that is a small initializer."""
        tensor = self._tensor(node, position)
        value = None if tensor is None else tensor_value(tensor)
        if value is None or value.dtype.kind not in "iu":
            return None
        return tuple(int(item) for item in value.reshape(-1))

    def _tensor(self, node: NodeProto, position: int) -> TensorProto | None:
        return self._weights.get(node.input[position]) if position < len(node.input) else None

    def _add(self, graph: GraphProto, depth: int) -> None:
        for tensor in graph.initializer:
            self._weights[tensor.name] = tensor
        for node in graph.node:
            for position, name in enumerate(node.input):
                if name:
                    self._readers.setdefault(name, []).append((node, position))
            if node.op_type not in ("Constant", "If", "Loop", "Scan"):
                continue
            for item in node.attribute:
                if node.op_type == "Constant" and item.name == "value" and node.output:
                    self._weights[node.output[0]] = item.t
                elif item.type == AttributeProto.GRAPH and depth < 16:
                    self._add(item.g, depth + 1)


def implied_dims(consumers: Consumers, name: str, shape: Shape | None) -> Implied:
    """What the nodes that read an input fix of it.

    `shape` is the declared one; None where its rank is open.
    """
    found = Implied()
    first: _Axes | None = None if shape is None else tuple(range(len(shape)))
    pending = deque([(name, first)])
    seen = {name}
    for _ in range(_MAX_STEPS):
        if not pending:
            break
        value, axes = pending.popleft()
        for node, position in consumers.readers(value)[:_MAX_STEPS]:
            if axes is None:
                found.rank = _implied_rank(consumers, node, position)
                if found.rank is None:
                    continue
                axes = tuple(range(found.rank))
            _note(found, consumers, node, position, axes)
            after = _passed_on(consumers, node, position, axes)
            if after is not None and node.output and node.output[0] not in seen:
                seen.add(node.output[0])
                pending.append((node.output[0], after))
    return found


def _implied_rank(consumers: Consumers, node: NodeProto, position: int) -> int | None:
    if node.op_type == "Transpose":
        order = ints_of(attributes_of(node), "perm")
        return len(order) if order else None
    if position == 0 and node.op_type in _CONVOLUTIONS:
        weight = consumers.weight(node, _CONVOLUTIONS[node.op_type])
        return len(weight) if weight else None
    if position == 0 and node.op_type in _RECURRENT:
        return 3
    is_table = node.op_type == "Gemm" or node.domain == "ai.onnx.ml"
    is_dense = node.op_type == "MatMul" and position == 0 and consumers.weight(node, 1) is not None
    return 2 if is_table or is_dense or (node.op_type, position) == ("Gather", 1) else None


def _note(
    found: Implied, consumers: Consumers, node: NodeProto, position: int, axes: _Axes
) -> None:
    """Takes what one reader says about the dims that reach it."""
    op_type = node.op_type
    if (op_type, position) == ("Gather", 1) or op_type == "EmbedLayerNormalization":
        found.use = "indices"
    elif op_type in ("BatchNormalization", "InstanceNormalization") and len(axes) > 1:
        scale = consumers.weight(node, 1)
        found.fix(axes[1], scale[0] if scale else None, node)
    elif node.domain == "ai.onnx.ml" and axes:
        found.use = "table"
        found.fix(axes[-1], _feature_count(node), node)
    elif position:
        return
    elif op_type in _CONVOLUTIONS:
        _note_convolution(found, consumers, node, axes)
    elif op_type in ("MatMul", "Gemm", "MatMulInteger") and axes:
        weight = consumers.weight(node, 1)
        if weight is not None and len(weight) >= 2:
            is_transposed = int_of(attributes_of(node), "transB", 0)
            found.fix(axes[-1], weight[-1] if is_transposed else weight[-2], node)
        found.use = "dense" if found.use == "unknown" else found.use
    elif op_type in _RECURRENT and len(axes) == 3:
        weight = consumers.weight(node, 1)
        found.fix(axes[2], weight[2] if weight and len(weight) == 3 else None, node)
        found.use = "recurrent" if found.use == "unknown" else found.use


def _note_convolution(found: Implied, consumers: Consumers, node: NodeProto, axes: _Axes) -> None:
    weight = consumers.weight(node, _CONVOLUTIONS[node.op_type])
    if len(axes) > 1 and weight is not None and len(weight) > 1:
        if node.op_type == "ConvTranspose":
            channels = weight[0]
        else:
            per_group, group = weight[1], int_of(attributes_of(node), "group", 1)
            channels = None if per_group is None else per_group * group
        found.fix(axes[1], channels, node)
    if found.use in ("unknown", "dense"):
        found.use = _USE_BY_RANK.get(len(axes), found.use)
        if found.use == "image" and axes[1] == 3:
            found.use = "image_last"


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


def _passed_on(consumers: Consumers, node: NodeProto, position: int, axes: _Axes) -> _Axes | None:
    """Axes of the first output in terms of the input's; None where it is not followed."""
    if node.op_type in _ARITHMETIC:
        other = consumers.weight(node, 1 - position)
        return axes if other is not None and len(other) <= len(axes) else None
    if position:
        return None
    if node.op_type in _SAME_LAYOUT:
        return axes
    if node.op_type == "Transpose":
        order = ints_of(attributes_of(node), "perm") or tuple(range(len(axes)))[::-1]
        if sorted(order) == list(range(len(axes))):
            return tuple(axes[axis] for axis in order)
    elif node.op_type == "Unsqueeze":
        inserted = ints_of(attributes_of(node), "axes") or consumers.integers(node, 1)
        if inserted is None:
            return None
        rank = len(axes) + len(inserted)
        places = {axis % rank for axis in inserted} if rank else set()
        rest = iter(axes)
        return tuple(None if axis in places else next(rest, None) for axis in range(rank))
    return None
