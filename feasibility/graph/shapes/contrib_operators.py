"""What are the output types of operators that onnx cannot infer, such as com.microsoft's?

Exporters and ONNX Runtime's optimizer write operators of the domains com.microsoft,
com.microsoft.nchwc and com.ms.internal.nhwc, and a few experimental ones of the default domain.
Of ai.onnx.ml, onnx knows few output types.

Source: the operator documentation and schemas of ONNX Runtime 1.31 (docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from onnx import TensorProto

from feasibility.graph.attributes import int_of, ints_of, list_length
from feasibility.graph.typed_graph import Call
from feasibility.graph.value_types import ValueType

Types: TypeAlias = tuple[ValueType, ...]
Rule: TypeAlias = Callable[[Call], Types]


_FLOAT: Final = TensorProto.FLOAT


def _same(call: Call) -> Types:
    return (call.type_of(0),)


def _skip_normalization(call: Call) -> Types:
    data = call.type_of(0)
    row = None if data.shape is None else (*data.shape[:-1], 1)
    statistic = ValueType(_FLOAT, row)
    return data, statistic, statistic, data


def _layer_normalization(call: Call) -> Types:
    data = call.type_of(0)
    axis = int_of(call.attributes, "axis", -1)
    row = None
    if data.shape is not None and -len(data.shape) <= axis < len(data.shape):
        axis %= len(data.shape) or 1
        row = (*data.shape[:axis], *(1 for _ in data.shape[axis:]))
    return data, ValueType(_FLOAT, row), ValueType(_FLOAT, row)


def _embed_layer_normalization(call: Call) -> Types:
    batch, sequence = call.shape(0, 2)
    hidden = call.dim(2, -1)
    table = call.type_of(2).elem_type or _FLOAT
    embedded = ValueType(table, (batch, sequence, hidden))
    return embedded, ValueType(TensorProto.INT32, (batch,)), embedded


def _attention(call: Call) -> Types:
    """Attention with one packed weight: input [B, S, D], weight [D, 3 * hidden]."""
    batch, sequence, _ = call.shape(0, 3)
    sizes = ints_of(call.attributes, "qkv_hidden_sizes")
    packed = call.dim(1, -1)
    hidden = sizes[-1] if sizes else None if packed is None else packed // 3
    head_count = int_of(call.attributes, "num_heads", 0)
    past = call.dim(4, 3)
    total = past + sequence if past is not None and sequence is not None else sequence
    head = hidden // head_count if hidden is not None and head_count > 0 else None
    elem_type = call.type_of(0).elem_type
    return (
        ValueType(elem_type, (batch, sequence, hidden)),
        ValueType(elem_type, (2, batch, head_count or None, total, head)),
    )


def _quantized_attention(call: Call) -> Types:
    attention = _attention(call)
    scale = call.type_of(3).elem_type or _FLOAT
    return tuple(value.with_elem_type(scale) for value in attention)


def _multi_head_attention(call: Call) -> Types:
    query = call.type_of(0)
    shape = query.shape or ()
    if len(shape) == 5:  # packed [B, S, heads, 3, head]
        batch, sequence, head_count, _, head = shape
        hidden = None if head_count is None or head is None else head_count * head
        return (query.with_shape((batch, sequence, hidden)),)
    batch, sequence, hidden = call.shape(0, 3)
    head_count = int_of(call.attributes, "num_heads", 0) or None
    value = call.type_of(2).shape or ()
    if len(value) == 4:
        width = value[3]
        hidden = None if head_count is None or width is None else head_count * width
        length = value[2]
    else:
        hidden = value[2] if len(value) == 3 else hidden
        length = value[1] if len(value) == 3 else sequence
        width = hidden // head_count if hidden is not None and head_count else None
    past = call.dim(6, 2)
    total = past + length if past is not None and length is not None else length
    cache = query.with_shape((batch, head_count, total, width))
    return query.with_shape((batch, sequence, hidden)), cache, cache


def _group_query_attention(call: Call) -> Types:
    query = call.type_of(0)
    batch, sequence, width = call.shape(0, 3)
    head_count = int_of(call.attributes, "num_heads", 0)
    kv_count = int_of(call.attributes, "kv_num_heads", 0)
    packed = call.type_of(1).shape is None
    head = None
    if width is not None and head_count > 0 and kv_count > 0:
        head = width // (head_count + 2 * kv_count if packed else head_count)
    hidden = width if not packed else None if head is None else head * head_count
    past = call.dim(3, 2)
    total = past + sequence if past is not None and sequence is not None else None
    length = call.value(6)
    if length is not None and length.size == 1:
        total = max(int(length.reshape(-1)[0]), past or 0)
    cache = query.with_shape((batch, kv_count or None, total, head))
    return query.with_shape((batch, sequence, hidden)), cache, cache


def _matmul_bits(call: Call) -> Types:
    shape = call.type_of(0).shape
    columns = int_of(call.attributes, "N", 0) or None
    return (call.type_of(0).with_shape(None if not shape else (*shape[:-1], columns)),)


def _recurrent_quantized(call: Call) -> Types:
    sequence, batch, _ = call.shape(0, 3)
    hidden = int_of(call.attributes, "hidden_size", 0) or None
    directions = call.dim(1, 0)
    state = ValueType(_FLOAT, (directions, batch, hidden))
    return ValueType(_FLOAT, (sequence, directions, batch, hidden)), state, state


def _fused_matmul(call: Call) -> Types:
    first, second = call.type_of(0).shape, call.type_of(1).shape
    if not first or not second or len(first) < 2 or len(second) < 2:
        return (call.type_of(0).with_shape(None),)
    if int_of(call.attributes, "transA", 0):
        first = (*first[:-2], first[-1], first[-2])
    if int_of(call.attributes, "transB", 0):
        second = (*second[:-2], second[-1], second[-2])
    batch = first[:-2] if len(first) >= len(second) else second[:-2]
    return (call.type_of(0).with_shape((*batch, first[-2], second[-1])),)


def _quantized_concat(call: Call) -> Types:
    """Concat of (data, scale, zero point), after the scale and zero point of the output."""
    parts = [value.shape for value in call.inputs[2::3]]
    axis = int_of(call.attributes, "axis", 0)
    elem_type = call.type_of(2).elem_type
    first = parts[0] if parts else None
    if first is None or not -len(first) <= axis < len(first):
        return (ValueType(elem_type),)
    axis %= len(first)
    total: int | None = 0
    for part in parts:
        size = part[axis] if part is not None and len(part) == len(first) else None
        total = None if total is None or size is None else total + size
    return (ValueType(elem_type, (*first[:axis], total, *first[axis + 1 :])),)


def _reorder_input(call: Call) -> Types:
    """Converts to blocked channels; the runtime pads them to whole blocks."""
    batch, *middle, last = call.shape(0, 4)
    if int_of(call.attributes, "channels_last", 0):
        return (call.type_of(0).with_shape((batch, last, *middle)),)
    return _same(call)


def _reorder_output(call: Call) -> Types:
    batch, _, *area = call.shape(0, 4)
    channels = int_of(call.attributes, "channels", 0) or None
    last = int_of(call.attributes, "channels_last", 0)
    shape = (batch, *area, channels) if last else (batch, channels, *area)
    return (call.type_of(0).with_shape(shape),)


def _typed_as(index: int, default: int) -> Rule:
    """The shape of the first input with the element type of another one."""
    return lambda call: (call.type_of(0).with_elem_type(call.type_of(index).elem_type or default),)


def _crop(call: Call) -> Types:
    batch, channels, height, width = call.shape(0, 4)
    scale, border = ints_of(call.attributes, "scale"), ints_of(call.attributes, "border")
    if scale is not None and len(scale) == 2:
        height, width = scale
    elif border is None or len(border) != 4 or height is None or width is None:
        height = width = None
    else:
        left, top, right, bottom = border
        height, width = max(height - top - bottom, 0), max(width - left - right, 0)
    return (call.type_of(0).with_shape((batch, channels, height, width)),)


def _comparison(call: Call) -> Types:
    """Operands broadcast against each other."""
    first, second = call.type_of(0).shape, call.type_of(1).shape
    if first is None or second is None:
        return (ValueType(TensorProto.BOOL),)
    rank = max(len(first), len(second))
    pairs = zip(
        (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True
    )
    shape = tuple(other if one == 1 else one for one, other in pairs)
    return (ValueType(TensorProto.BOOL, shape),)


def _row_count(call: Call) -> int | None:
    shape = call.type_of(0).shape
    if shape is None:
        return None
    return shape[0] if len(shape) > 1 else 1


def _class_count(call: Call) -> int | None:
    names = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
    return max((list_length(call.attributes, name) for name in names), default=0) or None


def _classifier(call: Call) -> Types:
    has_texts = list_length(call.attributes, "classlabels_strings")
    label = TensorProto.STRING if has_texts else TensorProto.INT64
    rows = _row_count(call)
    return ValueType(label, (rows,)), ValueType(_FLOAT, (rows, _class_count(call)))


def _regressor(call: Call) -> Types:
    targets = max(int_of(call.attributes, "n_targets", 0), int_of(call.attributes, "targets", 0), 1)
    return (ValueType(_FLOAT, (_row_count(call), targets)),)


def _float_like(call: Call) -> Types:
    return (call.type_of(0).with_elem_type(_FLOAT),)


def _feature_vectorizer(call: Call) -> Types:
    sizes = ints_of(call.attributes, "inputdimensions")
    return (ValueType(_FLOAT, (_row_count(call), sum(sizes) if sizes else None)),)


_RULES_BY_DOMAIN: Final[dict[str, dict[Rule, str]]] = {
    "": {
        # Those after Scale are of operator set 1: the output has the shape of the first operand.
        _same: """
            ImageScaler Affine ParametricSoftplus ScaledTanh GroupNormalization
            MeanVarianceNormalization InstanceNormalization BatchNormalization Scale Abs Add Ceil
            Clip Div Dropout Elu Exp Floor HardSigmoid LeakyRelu Log Max Mean Min Mul Neg PRelu
            Reciprocal Relu Selu Sigmoid Sqrt Sub Sum Tanh""",
        _comparison: "GreaterOrEqual LessOrEqual",
        _layer_normalization: "LayerNormalization SimplifiedLayerNormalization",
        _crop: "Crop",
    },
    "com.microsoft": {
        _same: """
            Gelu BiasGelu FastGelu QuickGelu BiasDropout BiasAdd BiasSoftmax RotaryEmbedding
            GemmaRotaryEmbedding ScaledSiLU QLinearSigmoid QLinearLeakyRelu QLinearSoftmax
            GroupNorm Inverse BitmaskDropout NGramRepeatBlock MoE QMoE QOrderedGelu
            GatedRMSNorm""",
        _layer_normalization: "LayerNormalization SimplifiedLayerNormalization",
        _skip_normalization: "SkipLayerNormalization SkipSimplifiedLayerNormalization",
        _embed_layer_normalization: "EmbedLayerNormalization",
        _attention: "Attention",
        _quantized_attention: "QAttention",
        _multi_head_attention: "MultiHeadAttention DecoderMaskedMultiHeadAttention",
        _group_query_attention: "GroupQueryAttention SparseAttention",
        _matmul_bits: "MatMulNBits MatMulBnb4 MatMulFpQ4",
        _fused_matmul: "FusedMatMul TransposeMatMul FusedMatMulActivation",
        _recurrent_quantized: "DynamicQuantizeLSTM",
        _quantized_concat: "QLinearConcat",
        _typed_as(2, TensorProto.UINT8): "QuantizeLinear",
        _typed_as(1, _FLOAT): "DequantizeLinear",
    },
    "com.microsoft.nchwc": {_reorder_input: "ReorderInput", _reorder_output: "ReorderOutput"},
    "ai.onnx.ml": {
        _classifier: "TreeEnsembleClassifier LinearClassifier SVMClassifier",
        _regressor: "TreeEnsembleRegressor LinearRegressor SVMRegressor",
        _float_like: "Scaler Normalizer",
        _same: "Imputer",
        _feature_vectorizer: "FeatureVectorizer",
    },
}
_RULES: Final = {
    (domain, op_type): rule
    for domain, rules in _RULES_BY_DOMAIN.items()
    for rule, names in rules.items()
    for op_type in names.split()
}


def contrib_types(call: Call) -> Types | None:
    """Output types; None if there is no rule for the operator."""
    rule = _RULES.get((call.domain, call.op_type))
    return None if rule is None else rule(call)
