"""How many multiply-adds does an operator take?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feasibility.graph.attributes import int_of, list_length, text_of
from feasibility.graph.typed_graph import TypedNode
from feasibility.graph.value_types import Shape, element_count

Rule = Callable[[TypedNode], int | None]


def product(*factors: int | None) -> int | None:
    """Product of sizes; None if one is open."""
    return element_count(factors)


def _convolution(node: TypedNode) -> int | None:
    """Each output element takes one multiply-add per element of a filter.

    A transposed one spreads each input element over a filter: weight [in, out / group, ...].
    """
    filters = node.type_of(3 if node.op_type.startswith("QLinear") else 1).shape
    each = node.type_of(0) if "ConvTranspose" in node.op_type else node.output()
    return product(each.element_count, *filters[1:]) if filters else None


def _matrix_product(node: TypedNode) -> int | None:
    """Each output element takes one multiply-add per column of the first operand."""
    transposed = any(int_of(node.attributes, name, 0) for name in ("transA", "transBatchA"))
    return product(node.output().element_count, node.dim(0, -2 if transposed else -1))


def _einsum(node: TypedNode) -> int | None:
    """One multiply-add per combination of all indices, for two operands; more are chained."""
    equation = text_of(node.attributes, "equation", "").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if len(terms) != len(node.inputs) or len(equation) > 1000:
        return None
    sizes: dict[str, int | None] = {}
    ellipsis: Shape = ()
    for term, value in zip(terms, node.inputs, strict=True):
        if value.shape is None:
            return None
        before, dots, after = term.partition("...")
        extra = len(value.shape) - len(before) - len(after)
        if extra < 0 or (extra and not dots):
            return None
        ellipsis = max(ellipsis, value.shape[len(before) : len(before) + extra], key=len)
        named = (*value.shape[: len(before)], *value.shape[len(before) + extra :])
        sizes.update(zip(before + after, named, strict=True))
    return product(len(terms) - 1 or 1, *sizes.values(), *ellipsis)


def _recurrence(node: TypedNode) -> int | None:
    """Gates times (input width + state width) times state width, per step and direction."""
    steps, batch, width = node.shape(0, 3)
    gates = {"RNN": 1, "GRU": 3}.get(node.op_type, 4)
    hidden = int_of(node.attributes, "hidden_size", 0) or node.dim(2, -1)
    # The quantised LSTM keeps its recurrence weight transposed; directions come first in both.
    directions = node.dim(1, 0)
    if width is None or hidden is None:
        return None
    return product(steps, batch, directions, gates, hidden, width + hidden)


def _packed_attention(node: TypedNode) -> int | None:
    """com.microsoft.Attention: projects the input first.

    Then, as in all attention, two products: query by key and weights by value.
    """
    batch, sequence, width = node.shape(0, 3)
    packed = node.dim(1, -1)
    past = (node.dim(4, 3) if node.is_given(4) else 0) or 0
    output = node.output().shape
    hidden = output[-1] if output else None
    projection = product(batch, sequence, width, packed)
    total = None if sequence is None else sequence + past
    attention = product(2, batch, sequence, total, hidden)
    return None if projection is None or attention is None else projection + attention


def _multi_head_attention(node: TypedNode) -> int | None:
    shape = node.output().shape
    if shape is None or len(shape) != 3:
        return None
    batch, sequence, hidden = shape
    return product(2, batch, sequence, _key_length(node), hidden)


def _key_length(node: TypedNode) -> int | None:
    """Number of keys, those of the cache included."""
    cache = node.output(1).shape
    if cache is not None and len(cache) == 4 and cache[2] is not None:
        return cache[2]
    key = node.type_of(1).shape
    if key is not None:
        return key[-2] if len(key) in (3, 4) else None
    return node.dim(0, 1)


def _standard_attention(node: TypedNode) -> int | None:
    """ai.onnx.Attention: query and output are [B, S, D] or [B, heads, S, head]."""
    if node.domain:
        return _packed_attention(node)
    query, cache = node.output().shape, node.output(1).shape
    if query is None:
        return None
    length = cache[2] if cache is not None and len(cache) == 4 else node.dim(1, -2)
    return product(2, length, *query)


def _low_bit_product(node: TypedNode) -> int | None:
    """MatMulNBits: attributes K and N are the sizes of the unpacked weight."""
    return product(node.output().element_count, int_of(node.attributes, "K", 0) or node.dim(0, -1))


def _experts(node: TypedNode) -> int | None:
    """Each row passes k experts, two dense layers each: weights [experts, rows, columns]."""
    rows = element_count((node.type_of(0).shape or (None,))[:-1])
    chosen = int_of(node.attributes, "k", 1)
    width, hidden = node.dim(0, -1), node.dim(2, -1)
    return product(2, rows, chosen, width, hidden)


def _row_count(node: TypedNode) -> int | None:
    """Rows of the table that a classic operator reads; 1 for a single row."""
    return node.dim(0, 0) if len(node.type_of(0).shape or ()) > 1 else 1


def _listed(name: str) -> Rule:
    """Each row takes one multiply-add per entry of an attribute."""
    return lambda node: product(_row_count(node), list_length(node.attributes, name))


def tree_comparisons(node: TypedNode) -> int | None:
    """Comparisons of a tree ensemble: one per level and row, its trees taken as balanced."""
    ids = node.attributes.get("nodes_treeids")
    tree_count = (
        len(set(ids.ints)) if ids is not None else list_length(node.attributes, "tree_roots")
    )
    node_count = max(
        list_length(node.attributes, name) for name in ("nodes_treeids", "nodes_featureids")
    )
    if not tree_count:
        return 0
    return product(_row_count(node), tree_count, max(node_count // tree_count, 1).bit_length())


def _fourier(node: TypedNode) -> int | None:
    """N log2 n multiply-adds per transform."""
    shape = node.output().shape
    if shape is None or len(shape) < 2 or shape[-2] is None:
        return None
    return product(node.output().element_count, max(shape[-2], 1).bit_length())


_OPERATORS_BY_RULE: Final[dict[Rule, str]] = {
    _convolution: """
        Conv FusedConv NhwcConv NhwcFusedConv ConvInteger DeformConv QLinearConv ConvTranspose
        ConvTransposeWithDynamicPads QLinearConvTranspose""",
    _matrix_product: """
        MatMul Gemm MatMulInteger QLinearMatMul FusedMatMul FusedGemm TransposeMatMul
        FusedMatMulActivation DynamicQuantizeMatMul MatMulIntegerToFloat MatMulInteger16 QGemm
        GemmFastGelu GemmFloat8""",
    _low_bit_product: "MatMulNBits MatMulBnb4 MatMulFpQ4",
    _einsum: "Einsum",
    _experts: "MoE QMoE",
    _recurrence: "LSTM GRU RNN DynamicQuantizeLSTM",
    _standard_attention: "Attention",
    _packed_attention: "QAttention",
    _multi_head_attention: """
        MultiHeadAttention DecoderMaskedMultiHeadAttention GroupQueryAttention SparseAttention""",
    _listed("coefficients"): "LinearClassifier LinearRegressor",
    _listed("support_vectors"): "SVMClassifier SVMRegressor",
    _fourier: "DFT STFT",
}
MAC_RULES: Final = {
    op_type: rule for rule, names in _OPERATORS_BY_RULE.items() for op_type in names.split()
}
