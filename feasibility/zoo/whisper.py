"""How are the two halves of Whisper built, the encoder and one step of the decoder?

As Optimum exports them with PyTorch. Queries are scaled, keys have no bias.
Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", table 1;
transformers/models/whisper/modeling_whisper.py and openai/whisper-tiny, config.json.
"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.blocks import KEYS, VALUES, Attention, feed_forward, gelu, layer_norm
from feasibility.zoo.network import Network, Value

_WIDTH: Final = 384
_HEAD_COUNT: Final = 6
_LAYER_COUNT: Final = 4
_INNER: Final = 4 * _WIDTH
_BAND_COUNT: Final = 80
# 30 s of sound, and what is left of it behind the second convolution.
_FRAME_COUNT: Final = 3000
_SOUND_COUNT: Final = _FRAME_COUNT // 2
_VOCABULARY_SIZE: Final = 51865
_TEXT_COUNT: Final = 448
_EPSILON: Final = 1e-5
_OPSET: Final = 14
_PAST: Final = "past_decoder_sequence_length"


def whisper_tiny_encoder() -> Network:
    """Whisper tiny's encoder, from the log-mel bands of 30 s of sound.

    8 208 384 of the 37 760 640 parameters that transformers counts for both halves.
    """
    g = Network("whisper-tiny-encoder", opset=_OPSET)
    x = g.input("input_features", "batch_size", _BAND_COUNT, _FRAME_COUNT)
    attention = _attention(g)
    x = gelu(g, g.conv(x, "conv1", (_BAND_COUNT, _WIDTH), 3, axes=1), "gelu1")
    x = gelu(g, g.conv(x, "conv2", (_WIDTH, _WIDTH), 3, stride=2, axes=1), "gelu2")
    x = g.node("Transpose", x, name="positions_first", perm=(0, 2, 1))
    positions = g.weight("embed_positions.weight", _SOUND_COUNT, _WIDTH, spread=1.2)
    x = g.node("Add", x, positions, name="embedded")
    for layer in range(_LAYER_COUNT):
        scope = f"layers.{layer}"
        y = _layer_norm(g, x, f"{scope}.self_attn_layer_norm")
        y = attention.layer(y, f"{scope}.self_attn")
        x = g.node("Add", x, y, name=f"{scope}.attended")
        x = _feed_forward(g, x, scope)
    x = _layer_norm(g, x, "last_hidden_state")
    return g.build(Value(x, "float32", ("batch_size", _SOUND_COUNT, _WIDTH)))


def whisper_tiny_decoder() -> Network:
    """One step of Whisper tiny's decoder: a token and the cache to scores and the new cache.

    The keys and values of the sound are in the cache too. So this file lacks the layers that
    compute them: 1 181 184 of the decoder's 29 552 256 parameters. The table of tokens is stored
    once and transposed for the scores, as in decoder_with_past_model.onnx of
    onnx-community/whisper-tiny.
    """
    g = Network("whisper-tiny-decoder", opset=_OPSET)
    tokens = g.input("input_ids", "batch_size", 1, dtype="int64")
    attention = _attention(g)
    pasts = [_past(g, layer) for layer in range(_LAYER_COUNT)]
    table = g.weight("embed_tokens.weight", _VOCABULARY_SIZE, _WIDTH, spread=0.04)
    x = g.node("Gather", table, tokens, name="embed_tokens", axis=0)
    x = g.node("Add", x, _text_position(g, pasts[0][0]), name="embedded")
    outputs = []
    for layer, (past_key, past_value, sound_key, sound_value) in enumerate(pasts):
        scope = f"layers.{layer}"
        y = _layer_norm(g, x, f"{scope}.self_attn_layer_norm")
        query = attention.query(y, f"{scope}.self_attn.query")
        key = attention.key(y, f"{scope}.self_attn.key", VALUES)
        value = attention.value(y, f"{scope}.self_attn.value")
        present = f"present.{layer}.decoder"
        key = g.node("Concat", past_key, key, name=f"{present}.key", axis=2)
        value = g.node("Concat", past_value, value, name=f"{present}.value", axis=2)
        outputs += [key, value]
        y = _attend(g, attention, query, key, value, f"{scope}.self_attn")
        x = g.node("Add", x, y, name=f"{scope}.attended")
        y = _layer_norm(g, x, f"{scope}.encoder_attn_layer_norm")
        query = attention.query(y, f"{scope}.encoder_attn.query")
        y = _attend(g, attention, query, sound_key, sound_value, f"{scope}.encoder_attn")
        x = g.node("Add", x, y, name=f"{scope}.heard")
        x = _feed_forward(g, x, scope)
    x = _layer_norm(g, x, "layer_norm")
    columns = g.node("Transpose", table, name="proj_out.weight", perm=(1, 0))
    scores = g.node("MatMul", x, columns, name="logits")
    cache = ("batch_size", _HEAD_COUNT, f"{_PAST} + 1", _WIDTH // _HEAD_COUNT)
    return g.build(
        Value(scores, "float32", ("batch_size", 1, _VOCABULARY_SIZE)),
        *(Value(name, "float32", cache) for name in outputs),
    )


def _attention(g: Network) -> Attention:
    return Attention(g, _WIDTH, _HEAD_COUNT, scales_query=True, key_has_bias=False)


def _past(g: Network, layer: int) -> tuple[str, str, str, str]:
    """Declares keys and values of the tokens before, and of the sound."""
    names = []
    for half, length in (("decoder", _PAST), ("encoder", _SOUND_COUNT)):
        for part in ("key", "value"):
            name = f"past_key_values.{layer}.{half}.{part}"
            size = _WIDTH // _HEAD_COUNT
            names.append(g.input(name, "batch_size", _HEAD_COUNT, length, size))
    past_key, past_value, sound_key, sound_value = names
    return past_key, past_value, sound_key, sound_value


def _text_position(g: Network, past: str) -> str:
    """The row of the table of positions behind those of the tokens before."""
    shape = g.node("Shape", past, name="past.shape")
    length = g.node("Gather", shape, g.integers("past.axis", 2), name="past.length", axis=0)
    table = g.weight("embed_positions.weight", _TEXT_COUNT, _WIDTH, spread=0.04)
    return g.node("Gather", table, length, name="embed_positions", axis=0)


def _attend(g: Network, attention: Attention, query: str, key: str, value: str, scope: str) -> str:
    """Attention to keys in the order in which the cache has them."""
    order = tuple(VALUES.index(axis) for axis in KEYS)
    key = g.node("Transpose", key, name=f"{scope}.key.turned", perm=order)
    return attention.attend(query, key, value, scope)


def _feed_forward(g: Network, x: str, scope: str) -> str:
    y = _layer_norm(g, x, f"{scope}.final_layer_norm")
    y = feed_forward(g, y, scope, (_WIDTH, _INNER), gelu)
    return g.node("Add", x, y, name=f"{scope}.output")


def _layer_norm(g: Network, x: str, name: str) -> str:
    return layer_norm(g, x, name, _WIDTH, epsilon=_EPSILON)
