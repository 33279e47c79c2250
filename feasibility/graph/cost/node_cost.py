"""How many operations and how much memory traffic does one node take?

Conventions in the whole package:

* A multiply-add is 2 FLOP and 1 MAC. Biases and activations fused into a convolution or matrix
  product do not count.
* Elementwise operators take 1 FLOP per output element, 4 for divisions and roots, about 10 for
  exponentials and functions based on them.
* Integer arithmetic of quantized operators counts like floating point.
* A comparison in a decision tree is 1 FLOP. Operators that only move data have 0 FLOP.
* Traffic is every input read once and every output written once, without caches. Operators that
  look up rows read only those rows. Views (such as Reshape) read nothing.

Source: the definitions in the ONNX operator documentation; conventions as in most
published FLOP tables, in which ResNet-50 at 224x224 has 4.1 GMAC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.graph.attributes import ints_of
from feasibility.graph.cost.multiply_adds import MAC_RULES, tree_comparisons
from feasibility.graph.cost.operator_class import operator_class
from feasibility.graph.typed_graph import TypedNode
from feasibility.graph.value_types import ValueType
from feasibility.records.facts import OperatorClass

_ROOT: Final = 4
_EXPONENTIAL: Final = 10

_FLOPS_PER_ELEMENT: Final = {
    **dict.fromkeys(("Div", "Sqrt", "Reciprocal", "Mod", "QLinearMul"), _ROOT),
    **dict.fromkeys(
        (
            "Exp", "Log", "Sigmoid", "Tanh", "Erf", "Softplus", "Pow", "Gelu", "FastGelu",
            "BiasGelu", "QuickGelu", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin", "Acos", "Atan",
            "Asinh", "Acosh", "Atanh", "Elu", "Selu", "Celu", "Mish", "Swish", "HardSwish",
            "ScaledTanh", "ParametricSoftplus", "QLinearSigmoid", "ScaledSiLU", "BiasSplitGelu",
        ),
        _EXPONENTIAL,
    ),
    **dict.fromkeys(("Cast", "CastLike", "Dropout", "Identity"), 0),
    **dict.fromkeys(("RotaryEmbedding", "GemmaRotaryEmbedding", "ComplexMul"), 3),
    # Mean, deviation, scale and shift; Softmax: maximum, exponential, sum and division.
    **dict.fromkeys(("BatchNormalization", "Scaler", "ImageScaler"), 2),
    **dict.fromkeys(("Softmax", "LogSoftmax", "BiasSoftmax", "QLinearSoftmax", "Hardmax"), 16),
    # Interpolation between four neighbours.
    **dict.fromkeys(("Resize", "Upsample", "GridSample", "RoiAlign", "CropAndResize"), 7),
    **dict.fromkeys(("QuantizeLinear", "DynamicQuantizeLinear"), 3),
    "DequantizeLinear": 2,
}  # fmt: skip
# For operators that are not in the table above.
_FLOPS_BY_CLASS: Final[dict[OperatorClass, int]] = {
    "normalization": 8,
    "elementwise": 1,
    "quantization": 1,
}
# They take one operation for each input except the first.
_VARIADIC: Final = frozenset({"Sum", "Max", "Min", "Mean"})

# Their output shares the memory of their input: aliases in ONNX Runtime.
VIEWS: Final = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Optional"})
_READS_NOTHING: Final = VIEWS | {"Shape", "Size", "Constant", "OptionalHasElement"}
_READS_ITS_OUTPUT: Final = frozenset(
    {"Gather", "GatherElements", "GatherND", "Slice", "TorchEmbedding", "Split", "Trilu"}
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one run of a node without its bodies; None if a shape is unknown."""

    flops: int | None
    macs: int | None
    moved_bytes: int | None


def node_cost(node: TypedNode) -> Cost:
    """Operations, multiply-adds and bytes moved of one run of a node."""
    if node.bodies:
        return Cost(0, 0, 0)  # the nodes of its bodies count on their own
    op_class = operator_class(node)
    if op_class == "other":
        return Cost(None, None, _moved_bytes(node))
    rule = MAC_RULES.get(node.op_type)
    if rule is None:
        return Cost(_flops(node, op_class), 0, _moved_bytes(node))
    macs = rule(node)
    return Cost(None if macs is None else 2 * macs, macs, _moved_bytes(node))


def _flops(node: TypedNode, op_class: OperatorClass) -> int | None:
    """Operations of a node without multiply-adds."""
    if op_class == "tree":
        return tree_comparisons(node)
    if op_class == "reduction":
        return _reduction_flops(node)
    per_element = _FLOPS_PER_ELEMENT.get(node.op_type, _FLOPS_BY_CLASS.get(op_class, 0))
    if node.op_type in _VARIADIC:
        per_element = max(len(node.inputs) - 1, 1)
    if per_element == 0:
        return 0
    count = node.output().element_count
    return None if count is None else count * per_element


def _reduction_flops(node: TypedNode) -> int | None:
    """One operation per element read; a pooling reads its window for each output element."""
    kernel = ints_of(node.attributes, "kernel_shape")
    if kernel is None:
        return node.type_of(0).element_count
    count = node.output().element_count
    if count is None:
        return None
    for size in kernel:
        count *= max(size, 0)
    return count


def _moved_bytes(node: TypedNode) -> int | None:
    if node.op_type in _READS_NOTHING:
        return 0
    written = _sum_of(node.outputs, node.node.output)
    if node.op_type in _READS_ITS_OUTPUT:
        indices = _sum_of(node.inputs[1:], node.node.input[1:])
        return None if written is None or indices is None else 2 * written + indices
    if node.op_type == "EmbedLayerNormalization":
        indices = _sum_of(node.inputs[:2], node.node.input[:2])
        # One row of each of the three tables per position.
        return None if written is None or indices is None else 4 * written + indices
    read = _sum_of(node.inputs, node.node.input)
    return None if read is None or written is None else read + written


def _sum_of(values: tuple[ValueType, ...], names: Sequence[str]) -> int | None:
    """Bytes of all values with a name; None if one is unknown."""
    total = 0
    for value, name in zip(values, names, strict=False):
        if not name:
            continue
        size = value.size_bytes
        if size is None:
            if value.kind != "tensor":
                continue  # sequences and maps: small, and their size is unknown
            return None
        total += size
    return total
