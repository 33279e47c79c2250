"""How are BERT-like sentence encoders built? As PyTorch exports them with opset 14.

Source: Devlin et al. 2018, "BERT"; transformers/models/bert/modeling_bert.py and
xlm_roberta/modeling_xlm_roberta.py. Layer normalisation, GELU and attention are spelt
out in elementary operators, which is what the runtime's fusions look for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

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
XLMR_BASE: Final = EncoderShape("xlmr-base", 250002, 514, 12, 768, 12, 3072, padding_id=1)


def encoder(shape: EncoderShape) -> Network:
    """The encoder from token numbers to its last hidden state, for any batch and length."""
    return _EncoderBuilder(shape).build()


class _EncoderBuilder:
    def __init__(self, shape: EncoderShape) -> None:
        self._shape = shape
        self._g = Network(shape.name, opset=14)

    def build(self) -> Network:
        g, shape = self._g, self._shape
        tokens = g.input("input_ids", "batch", "sequence", dtype="int64")
        mask = g.input("attention_mask", "batch", "sequence", dtype="int64")
        self._declare_constants()
        x = self._embed(tokens)
        bias = self._attention_bias(mask)
        for layer in range(shape.layer_count):
            scope = f"encoder.layer.{layer}"
            y = self._attention(x, bias, f"{scope}.attention")
            y = self._add(y, x, f"{scope}.attention.output.add")
            x = self._layer_norm(y, f"{scope}.attention.output.LayerNorm")
            y = self._feed_forward(x, scope)
            y = self._add(y, x, f"{scope}.output.add")
            is_last = layer == shape.layer_count - 1
            output = "last_hidden_state" if is_last else f"{scope}.output.LayerNorm"
            x = self._layer_norm(y, f"{scope}.output.LayerNorm", output=output)
        return g.build(Value(x, "float32", ("batch", "sequence", shape.hidden_size)))

    def _declare_constants(self) -> None:
        g, shape = self._g, self._shape
        head_size = shape.hidden_size // shape.head_count
        for name, value in (
            ("half", 0.5),
            ("one", 1.0),
            ("two", 2.0),
            ("root_two", math.sqrt(2)),
            ("root_head_size", math.sqrt(head_size)),
            ("epsilon", LAYER_NORM_EPSILON),
            ("float32_min", FLOAT32_MIN),
        ):
            g.weight(name, centre=value)
        # A zero keeps the dim of the input, so batch and length stay open.
        g.integers("split_heads", 0, 0, shape.head_count, head_size)
        g.integers("join_heads", 0, 0, shape.hidden_size)

    def _embed(self, tokens: str) -> str:
        shape = self._shape
        x = self._gather("embeddings.word_embeddings", shape.vocabulary_size, tokens)
        if shape.padding_id is None:
            types = self._g.input("token_type_ids", "batch", "sequence", dtype="int64")
            positions = self._positions(tokens)
        else:
            types = self._g.integers("token_type_zero", 0, shape=(1, 1))
            positions = self._positions_without_padding(tokens, shape.padding_id)
        type_count = 2 if shape.padding_id is None else 1
        y = self._gather("embeddings.token_type_embeddings", type_count, types)
        x = self._add(x, y, "embeddings.add_types")
        y = self._gather("embeddings.position_embeddings", shape.position_count, positions)
        x = self._add(x, y, "embeddings.add_positions")
        return self._layer_norm(x, "embeddings.LayerNorm")

    def _gather(self, name: str, row_count: int, indices: str) -> str:
        table = self._g.weight(f"{name}.weight", row_count, self._shape.hidden_size, spread=0.04)
        return self._g.node("Gather", table, indices, name=name, axis=0)

    def _positions(self, tokens: str) -> str:
        """The first rows of 0, 1, 2, ... as many as there are tokens; shape 1 x sequence."""
        g, count = self._g, self._shape.position_count
        row = g.integers("embeddings.position_ids", *range(count), shape=(1, count))
        size = g.node("Shape", tokens, name="embeddings.shape")
        length = g.node("Gather", size, g.integers("length_axis", 1), name="embeddings.length")
        start, axis = g.integers("slice_start", 0), g.integers("slice_axis", 1)
        return g.node("Slice", row, start, length, axis, name="embeddings.positions")

    def _positions_without_padding(self, tokens: str, padding_id: int) -> str:
        """Numbers from `padding_id` + 1 on for tokens, `padding_id` for padding."""
        g = self._g
        padding = g.integers("padding_id", padding_id, shape=())
        is_padding = g.node("Equal", tokens, padding, name="embeddings.is_padding")
        kept = g.node("Not", is_padding, name="embeddings.is_token")
        kept = g.node("Cast", kept, name="embeddings.token_mask", to=7)  # TensorProto.INT64
        axis = g.integers("sequence_axis", 1, shape=())
        numbers = g.node("CumSum", kept, axis, name="embeddings.numbers")
        numbers = g.node("Mul", numbers, kept, name="embeddings.token_numbers")
        return g.node("Add", numbers, padding, name="embeddings.positions")

    def _attention_bias(self, mask: str) -> str:
        """Zero where the mask is 1, the lowest float where it is 0; batch x 1 x 1 x sequence."""
        g = self._g
        mask = g.node("Unsqueeze", mask, g.integers("axis_1", 1), name="mask.heads")
        mask = g.node("Unsqueeze", mask, g.integers("axis_2", 2), name="mask.queries")
        mask = g.node("Cast", mask, name="mask.float", to=1)  # TensorProto.FLOAT
        mask = g.node("Sub", "one", mask, name="mask.inverted")
        return g.node("Mul", mask, "float32_min", name="mask.bias")

    def _attention(self, x: str, bias: str, scope: str) -> str:
        g = self._g
        query = self._heads(x, f"{scope}.self.query", (0, 2, 1, 3))
        value = self._heads(x, f"{scope}.self.value", (0, 2, 1, 3))
        key = self._heads(x, f"{scope}.self.key", (0, 2, 3, 1))
        scores = g.node("MatMul", query, key, name=f"{scope}.self.scores")
        scores = g.node("Div", scores, "root_head_size", name=f"{scope}.self.scaled")
        scores = g.node("Add", scores, bias, name=f"{scope}.self.masked")
        weights = g.node("Softmax", scores, name=f"{scope}.self.softmax", axis=-1)
        y = g.node("MatMul", weights, value, name=f"{scope}.self.context")
        y = g.node("Transpose", y, name=f"{scope}.self.rows", perm=(0, 2, 1, 3))
        y = g.node("Reshape", y, "join_heads", name=f"{scope}.self.joined")
        return self._linear(y, f"{scope}.output.dense", self._shape.hidden_size)

    def _heads(self, x: str, name: str, order: tuple[int, ...]) -> str:
        y = self._linear(x, name, self._shape.hidden_size)
        y = self._g.node("Reshape", y, "split_heads", name=f"{name}.split")
        return self._g.node("Transpose", y, name=f"{name}.heads", perm=order)

    def _feed_forward(self, x: str, scope: str) -> str:
        g, shape = self._g, self._shape
        x = self._linear(x, f"{scope}.intermediate.dense", shape.intermediate_size)
        gelu = f"{scope}.intermediate.gelu"
        y = g.node("Div", x, "root_two", name=f"{gelu}.div")
        y = g.node("Erf", y, name=f"{gelu}.erf")
        y = g.node("Add", y, "one", name=f"{gelu}.add")
        y = g.node("Mul", x, y, name=f"{gelu}.mul")
        y = g.node("Mul", y, "half", name=gelu)
        size = (shape.intermediate_size, shape.hidden_size)
        return self._linear(y, f"{scope}.output.dense", size[1], features_in=size[0])

    def _linear(self, x: str, name: str, features_out: int, features_in: int | None = None) -> str:
        features_in = self._shape.hidden_size if features_in is None else features_in
        y = self._g.matmul(x, f"{name}.matmul", (features_in, features_out))
        bias = self._g.weight(f"{name}.bias", features_out, spread=0.02)
        return self._add(bias, y, name)

    def _add(self, x: str, y: str, name: str) -> str:
        return self._g.node("Add", x, y, name=name)

    def _layer_norm(self, x: str, name: str, *, output: str | None = None) -> str:
        g, size = self._g, self._shape.hidden_size
        mean = g.node("ReduceMean", x, name=f"{name}.mean", axes=(-1,))
        centred = g.node("Sub", x, mean, name=f"{name}.sub")
        square = g.node("Pow", centred, "two", name=f"{name}.pow")
        variance = g.node("ReduceMean", square, name=f"{name}.variance", axes=(-1,))
        variance = g.node("Add", variance, "epsilon", name=f"{name}.add_epsilon")
        deviation = g.node("Sqrt", variance, name=f"{name}.sqrt")
        y = g.node("Div", centred, deviation, name=f"{name}.div")
        y = g.node(
            "Mul", y, g.weight(f"{name}.weight", size, centre=1.0, spread=0.1), name=f"{name}.mul"
        )
        return g.node("Add", y, g.weight(f"{name}.bias", size, spread=0.02), name=output or name)
