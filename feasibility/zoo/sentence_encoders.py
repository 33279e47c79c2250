"""How are encoders of text built: BERT and XLM-R, with one vector per token or per sentence?

As PyTorch exports them with opset 14.
Source: Devlin et al. 2018, "BERT"; transformers/models/bert/modeling_bert.py and
xlm_roberta/modeling_xlm_roberta.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from feasibility.zoo.blocks import Attention, feed_forward, gelu, layer_norm
from feasibility.zoo.network import Network, Value

FLOAT32_MIN: Final = -3.4028234663852886e38
LAYER_NORM_EPSILON: Final = 1e-12


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Sizes of an encoder.

    Args:
        padding_id: The token that positions skip, as RoBERTa counts them; None for
            BERT, which counts every token and takes the token's type as a third input.
    """

    name: str
    vocabulary_size: int
    position_count: int
    layer_count: int
    hidden_size: int
    head_count: int
    intermediate_size: int
    padding_id: int | None = None


MINILM_L6: Final = EncoderShape("minilm-l6", 30522, 512, 6, 384, 12, 1536)
BERT_BASE: Final = EncoderShape("bert-base", 30522, 512, 12, 768, 12, 3072)
# tohoku-nlp/bert-base-japanese-whole-word-masking, which sentence encoders start from.
BERT_BASE_JA: Final = EncoderShape("bert-base-ja", 32000, 512, 12, 768, 12, 3072)
XLMR_BASE: Final = EncoderShape("xlmr-base", 250002, 514, 12, 768, 12, 3072, padding_id=1)


def encoder(shape: EncoderShape) -> Network:
    """The encoder from token numbers to its last hidden state, for any batch and length.

    Published counts include the pooler of BERT, width * (width + 1) parameters, which these
    exports do not have.
    """
    g = Network(shape.name, opset=14)
    x, _ = _encode(g, shape, "last_hidden_state")
    return g.build(Value(x, "float32", ("batch", "sequence", shape.hidden_size)))


def sentence_encoder(shape: EncoderShape) -> Network:
    """The encoder with the mean of the tokens behind it, which leaves padding out.

    Source: Reimers and Gurevych 2019, "Sentence-BERT", section 3;
    sentence_transformers/models/Pooling.py.
    """
    g = Network(f"{shape.name}-sentence", opset=14)
    x, mask = _encode(g, shape, "last_hidden_state")
    mask = g.node("Unsqueeze", mask, g.integers("axis_last", -1), name="pooling.mask")
    mask = g.node("Expand", mask, g.node("Shape", x, name="pooling.shape"), name="pooling.expanded")
    mask = g.node("Cast", mask, name="pooling.weights", to=1)  # TensorProto.FLOAT
    axis = g.integers("pooling.axis", 1)
    total = g.node("Mul", x, mask, name="pooling.masked")
    total = g.node("ReduceSum", total, axis, name="pooling.sum", keepdims=0)
    count = g.node("ReduceSum", mask, axis, name="pooling.count", keepdims=0)
    # A sentence without tokens gives zeros and not NaN.
    count = g.node("Clip", count, g.scalar("pooling.least", 1e-9), name="pooling.at_least")
    x = g.node("Div", total, count, name="sentence_embedding")
    return g.build(Value(x, "float32", ("batch", shape.hidden_size)))


def _encode(g: Network, shape: EncoderShape, output: str) -> tuple[str, str]:
    """Adds the encoder; returns its last hidden state and its mask of batch x sequence."""
    tokens = g.input("input_ids", "batch", "sequence", dtype="int64")
    mask = g.input("attention_mask", "batch", "sequence", dtype="int64")
    # The order of the recorded files.
    for name, value in (("half", 0.5), ("one", 1.0), ("two", 2.0), ("root_two", math.sqrt(2))):
        g.scalar(name, value)
    attention = Attention(g, shape.hidden_size, shape.head_count)
    g.scalar("epsilon", LAYER_NORM_EPSILON)
    g.scalar("float32_min", FLOAT32_MIN)
    x = _embed(g, shape, tokens)
    bias = _attention_bias(g, mask)
    sizes = (shape.hidden_size, shape.intermediate_size)
    for layer in range(shape.layer_count):
        scope = f"encoder.layer.{layer}"
        y = attention.layer(
            x, f"{scope}.attention.self", bias=bias, output=f"{scope}.attention.output.dense"
        )
        y = g.node("Add", y, x, name=f"{scope}.attention.output.add")
        x = _layer_norm(g, y, f"{scope}.attention.output.LayerNorm", shape)
        y = feed_forward(g, x, scope, sizes, gelu)
        y = g.node("Add", y, x, name=f"{scope}.output.add")
        name = f"{scope}.output.LayerNorm"
        is_last = layer == shape.layer_count - 1
        x = _layer_norm(g, y, name, shape, output=output if is_last else name)
    return x, mask


def _embed(g: Network, shape: EncoderShape, tokens: str) -> str:
    x = _gather(g, shape, "embeddings.word_embeddings", shape.vocabulary_size, tokens)
    if shape.padding_id is None:
        types = g.input("token_type_ids", "batch", "sequence", dtype="int64")
        positions = _positions(g, shape, tokens)
    else:
        types = g.integers("token_type_zero", 0, shape=(1, 1))
        positions = _positions_without_padding(g, tokens, shape.padding_id)
    type_count = 2 if shape.padding_id is None else 1
    y = _gather(g, shape, "embeddings.token_type_embeddings", type_count, types)
    x = g.node("Add", x, y, name="embeddings.add_types")
    y = _gather(g, shape, "embeddings.position_embeddings", shape.position_count, positions)
    x = g.node("Add", x, y, name="embeddings.add_positions")
    return _layer_norm(g, x, "embeddings.LayerNorm", shape)


def _gather(g: Network, shape: EncoderShape, name: str, row_count: int, indices: str) -> str:
    table = g.weight(f"{name}.weight", row_count, shape.hidden_size, spread=0.04)
    return g.node("Gather", table, indices, name=name, axis=0)


def _positions(g: Network, shape: EncoderShape, tokens: str) -> str:
    """The first rows of 0, 1, 2, ... as many as there are tokens; shape 1 x sequence."""
    count = shape.position_count
    row = g.integers("embeddings.position_ids", *range(count), shape=(1, count))
    size = g.node("Shape", tokens, name="embeddings.shape")
    length = g.node("Gather", size, g.integers("length_axis", 1), name="embeddings.length")
    start, axis = g.integers("slice_start", 0), g.integers("slice_axis", 1)
    return g.node("Slice", row, start, length, axis, name="embeddings.positions")


def _positions_without_padding(g: Network, tokens: str, padding_id: int) -> str:
    """Numbers from `padding_id` + 1 on for tokens, `padding_id` for padding."""
    padding = g.integers("padding_id", padding_id, shape=())
    is_padding = g.node("Equal", tokens, padding, name="embeddings.is_padding")
    kept = g.node("Not", is_padding, name="embeddings.is_token")
    kept = g.node("Cast", kept, name="embeddings.token_mask", to=7)  # TensorProto.INT64
    axis = g.integers("sequence_axis", 1, shape=())
    numbers = g.node("CumSum", kept, axis, name="embeddings.numbers")
    numbers = g.node("Mul", numbers, kept, name="embeddings.token_numbers")
    return g.node("Add", numbers, padding, name="embeddings.positions")


def _attention_bias(g: Network, mask: str) -> str:
    """Zero where the mask is 1, the lowest float where it is 0; batch x 1 x 1 x sequence."""
    mask = g.node("Unsqueeze", mask, g.integers("axis_1", 1), name="mask.heads")
    mask = g.node("Unsqueeze", mask, g.integers("axis_2", 2), name="mask.queries")
    mask = g.node("Cast", mask, name="mask.float", to=1)  # TensorProto.FLOAT
    mask = g.node("Sub", "one", mask, name="mask.inverted")
    return g.node("Mul", mask, "float32_min", name="mask.bias")


def _layer_norm(
    g: Network, x: str, name: str, shape: EncoderShape, *, output: str | None = None
) -> str:
    return layer_norm(g, x, name, shape.hidden_size, epsilon=LAYER_NORM_EPSILON, output=output)
