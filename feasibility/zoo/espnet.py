"""How are the stacks of layers of ESPnet's speech recognition built?

As espnet_onnx exports them: an encoder from log-mel bands, and one step of a decoder. Positions
are drawn like other weights, not computed as waves.
Source: espnet/espnet, espnet/nets/pytorch_backend/transformer/ and conformer/; espnet/espnet_onnx,
espnet_onnx/export/asr/models/.

The published times (espnet_onnx, docs/Optimization.md: 45.0 ms for 18 Transformer encoder layers,
9.4 ms for 6 decoder layers, 26.8 ms for 12 Conformer layers, input 1 x 100 x 80) come without
sizes. A published model of ESPnet with 18 layers gives those of the Transformer. For the Conformer,
ratios of times decide: 0.60 of the Transformer is published. One thread of an x86 server gave 0.57
with the sizes of `CONFORMER`, 0.42 with half the inner width, and 1.46 with a width of 512. The
decoder, published at 0.21, gave 0.18 to 0.31, and 0.09 with a width of 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from feasibility.zoo.blocks import (
    KEYS,
    VALUES,
    Attention,
    feed_forward,
    layer_norm,
    relu,
    silu,
)
from feasibility.zoo.network import Network, Value

_BAND_COUNT: Final = 80
_LONGEST: Final = 512
_EPSILON: Final = 1e-12
_OPSET: Final = 14


@dataclass(frozen=True, slots=True)
class Stack:
    """Sizes of a stack of layers.

    Args:
        subsampling: Kernel and stride of the second convolution; the first has 3 and 2.
        kernel: Of the convolution in a Conformer layer.
    """

    width: int
    head_count: int
    inner: int
    layer_count: int
    subsampling: tuple[int, int] = (3, 2)
    kernel: int = 0
    vocabulary_size: int = 0


# librispeech_asr_train_asr_transformer_e18: encoder, decoder and the linear layer beside them have
# 99.4 M parameters with these sizes; its file has 398 MB.
TRANSFORMER: Final = Stack(512, 8, 2048, 18, subsampling=(5, 3))
DECODER: Final = Stack(512, 8, 2048, 6, vocabulary_size=5000)
# egs2/aishell/asr1/conf/tuning/train_asr_conformer.yaml.
CONFORMER: Final = Stack(256, 4, 2048, 12, kernel=15)


def transformer_encoder(stack: Stack) -> Network:
    """Layers of attention and feed-forward over subsampled frames."""
    g = Network("espnet-encoder", opset=_OPSET)
    attention = Attention(g, stack.width, stack.head_count)
    x, bias, lengths = _subsampled(g, stack)
    positions = g.weight("pe", 1, _LONGEST, stack.width, spread=1.2)
    positions = g.node(
        "Slice",
        *(positions, g.integers("pe.start", 0), _length(g, x), g.integers("pe.axis", 1)),
        name="positions",
    )
    x = g.node("Add", x, positions, name="embedded")
    for layer in range(stack.layer_count):
        scope = f"encoders.{layer}"
        y = _layer_norm(g, x, f"{scope}.norm1", stack)
        y = attention.layer(y, f"{scope}.self_attn", bias=bias)
        x = g.node("Add", y, x, name=f"{scope}.attended")
        y = _layer_norm(g, x, f"{scope}.norm2", stack)
        y = feed_forward(g, y, f"{scope}.feed_forward", (stack.width, stack.inner), relu)
        x = g.node("Add", y, x, name=f"{scope}.output")
    x = _layer_norm(g, x, "encoder_out", stack)
    return _built_encoder(g, x, lengths, stack)


def conformer_encoder(stack: Stack) -> Network:
    """Layers of feed-forward, attention with relative positions, convolution and feed-forward.

    Batch normalisation is folded into the convolutions.
    Source: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech
    Recognition", section 2; Dai et al. 2019, "Transformer-XL", section 3.3.
    """
    g = Network("espnet-conformer", opset=_OPSET)
    attention = Attention(g, stack.width, stack.head_count)
    x, bias, lengths = _subsampled(g, stack)
    shift = RelativeShift(g, x, stack)
    for layer in range(stack.layer_count):
        scope = f"encoders.{layer}"
        x = _half_feed_forward(g, x, f"{scope}.macaron", stack)
        y = _layer_norm(g, x, f"{scope}.norm_mha", stack)
        y = _relative_attention(g, y, f"{scope}.self_attn", stack, attention, shift, bias)
        x = g.node("Add", x, y, name=f"{scope}.attended")
        y = _layer_norm(g, x, f"{scope}.norm_conv", stack)
        y = _convolution(g, y, f"{scope}.conv", stack)
        x = g.node("Add", x, y, name=f"{scope}.convolved")
        x = _half_feed_forward(g, x, f"{scope}.feed_forward", stack)
        x = _layer_norm(g, x, f"{scope}.norm_final", stack)
    x = _layer_norm(g, x, "encoder_out", stack)
    return _built_encoder(g, x, lengths, stack)


def transformer_decoder(stack: Stack) -> Network:
    """One step of the decoder: the tokens so far and a cache of layers to scores of the next token.

    The last token attends to all tokens so far. Keys and values of the sound are computed again in
    each step.
    """
    g = Network("espnet-decoder", opset=_OPSET)
    tokens = g.input("tgt", "batch", "cached_length", dtype="int64")
    memory = g.input("memory", "batch", "frames", stack.width)
    caches = [
        g.input(f"cache_{layer}", "batch", "cached_length", stack.width)
        for layer in range(stack.layer_count)
    ]
    attention = Attention(g, stack.width, stack.head_count)
    table = g.weight("embed.weight", stack.vocabulary_size, stack.width, spread=0.08)
    x = g.node("Gather", table, tokens, name="embed", axis=0)
    x = _times_root_of_width(g, x, stack)
    positions = g.weight("pe", 1, _LONGEST, stack.width, spread=1.2)
    start, axis = g.integers("from_first", 0), g.integers("axis_1", 1)
    positions = g.node("Slice", positions, start, _length(g, x), axis, name="positions")
    x = g.node("Add", x, positions, name="embedded")
    last, end = g.integers("from_last", -1), g.integers("to_end", 2**31 - 1)
    second = g.integers("from_second", 1)
    outputs = []
    for layer, cache in enumerate(caches):
        scope = f"decoders.{layer}"
        rest = g.node("Slice", x, last, end, axis, name=f"{scope}.last")
        y = _layer_norm(g, x, f"{scope}.norm1", stack)
        newest = g.node("Slice", y, last, end, axis, name=f"{scope}.newest")
        y = attention.layer(newest, f"{scope}.self_attn", memory=y)
        x = g.node("Add", rest, y, name=f"{scope}.attended")
        y = _layer_norm(g, x, f"{scope}.norm2", stack)
        y = attention.layer(y, f"{scope}.src_attn", memory=memory)
        x = g.node("Add", x, y, name=f"{scope}.heard")
        y = _layer_norm(g, x, f"{scope}.norm3", stack)
        y = feed_forward(g, y, f"{scope}.feed_forward", (stack.width, stack.inner), relu)
        x = g.node("Add", x, y, name=f"{scope}.output")
        x = g.node("Concat", cache, x, name=f"out_cache_{layer}", axis=1)
        outputs.append(x)
        # The cache begins with a row of zeros that stands for no token.
        x = g.node("Slice", x, second, end, axis, name=f"{scope}.without_first")
    x = g.node("Gather", x, g.integers("newest", -1, shape=()), name="newest_token", axis=1)
    x = _layer_norm(g, x, "after_norm", stack)
    x = g.linear(x, "output_layer", (stack.width, stack.vocabulary_size))
    x = g.node("LogSoftmax", x, name="y", axis=-1)
    return g.build(
        Value(x, "float32", ("batch", stack.vocabulary_size)),
        *(Value(name, "float32", ("batch", "cached_length + 1", stack.width)) for name in outputs),
    )


def _subsampled(g: Network, stack: Stack) -> tuple[str, str, str]:
    """Declares the inputs; returns shorter and wider frames, a bias that hides padding, lengths."""
    frames = g.input("feats", "batch", "frames", _BAND_COUNT)
    lengths = g.input("feats_length", "batch", dtype="int64")
    kernel, stride = stack.subsampling
    mask = _frame_mask(g, frames, lengths)
    mask = _every(g, mask, "mask.first", 3, 2)
    mask = _every(g, mask, "mask.second", kernel, stride)
    count = g.node(
        "ReduceSum", mask, g.integers("mask.axis", 1), name="encoder_out_lens", keepdims=0
    )
    hidden = g.node("Sub", g.scalar("one", 1.0), mask, name="mask.inverted")
    bias = g.node("Mul", hidden, g.scalar("lowest", -10000.0), name="mask.scaled")
    bias = g.node("Unsqueeze", bias, g.integers("mask.axes", 1, 2), name="mask.bias")
    x = g.node("Unsqueeze", frames, g.integers("channel_axis", 1), name="image")
    none = (0, 0, 0, 0)
    x = relu(g, g.conv(x, "embed.conv.0", (1, stack.width), 3, stride=2, pads=none), "embed.relu.0")
    sizes = (stack.width, stack.width)
    x = g.conv(x, "embed.conv.1", sizes, kernel, stride=stride, pads=none)
    x = relu(g, x, "embed.relu.1")
    x = g.node("Transpose", x, name="embed.frames_first", perm=(0, 2, 1, 3))
    bands = ((_BAND_COUNT - 3) // 2 + 1 - kernel) // stride + 1
    features = stack.width * bands
    x = g.node("Reshape", x, g.integers("embed.row", 0, 0, features), name="embed.rows")
    x = g.linear(x, "embed.out", (features, stack.width))
    return _times_root_of_width(g, x, stack), bias, count


def _frame_mask(g: Network, frames: str, lengths: str) -> str:
    """One where a frame belongs to an utterance, zero behind its end: batch x frames."""
    shape = g.node("Shape", frames, name="feats.shape")
    count = g.node("Gather", shape, g.integers("feats.axis", 1, shape=()), name="feats.count")
    numbers = g.node(
        "Range",
        *(g.integers("range.first", 0, shape=()), count, g.integers("range.step", 1, shape=())),
        name="feats.numbers",
    )
    column = g.node("Unsqueeze", lengths, g.integers("feats_length.axis", 1), name="lengths")
    mask = g.node("Less", numbers, column, name="feats.is_frame")
    return g.node("Cast", mask, name="mask", to=1)  # TensorProto.FLOAT


def _every(g: Network, mask: str, name: str, kernel: int, stride: int) -> str:
    """The elements where a convolution without padding begins."""
    bounds = (
        g.integers(f"{name}.start", 0),
        g.integers(f"{name}.end", 1 - kernel),
        g.integers(f"{name}.axis", 1),
        g.integers(f"{name}.step", stride),
    )
    return g.node("Slice", mask, *bounds, name=name)


def _built_encoder(g: Network, x: str, lengths: str, stack: Stack) -> Network:
    return g.build(
        Value(x, "float32", ("batch", "subsampled_frames", stack.width)),
        Value(lengths, "float32", ("batch",)),
    )


class RelativeShift:
    """What moves scores by distance to scores by position, for all layers of a network."""

    def __init__(self, g: Network, x: str, stack: Stack) -> None:
        self._g = g
        length = _length(g, x)
        self._length = length
        first, less = g.integers("shift.longest", _LONGEST), g.integers("shift.less", _LONGEST - 1)
        start = g.node("Sub", first, length, name="pe.start")
        end = g.node("Add", less, length, name="pe.end")
        self._axis, self._last_axis = g.integers("shift.axis", 2), g.integers("shift.last", 3)
        table = g.weight("pe", 1, 2 * _LONGEST - 1, stack.width, spread=1.2)
        axis = g.integers("pe.axis", 1)
        # Distances from the longest behind to the longest ahead.
        self.positions = g.node("Slice", table, start, end, axis, name="positions")
        self._zero, self._one = g.integers("shift.zero", 0), g.integers("shift.one", 1)
        self._end = g.integers("shift.to_end", 2**31 - 1)
        same, rest = g.integers("shift.same", 0, 0), g.integers("shift.rest", -1)
        self._rows = g.node("Concat", same, rest, length, name="shift.rows", axis=0)
        self._columns = g.node("Concat", same, length, rest, name="shift.columns", axis=0)
        self._padding = g.integers("shift.padding", 0, 0, 0, 1, 0, 0, 0, 0)

    def by_position(self, scores: str, scope: str) -> str:
        """Scores of batch x head x position x position from those of each distance.

        With a column in front and one row more than columns, reading on moves each row by one.
        """
        g = self._g
        x = g.node("Pad", scores, self._padding, name=f"{scope}.padded")
        x = g.node("Reshape", x, self._rows, name=f"{scope}.turned")
        x = g.node("Slice", x, self._one, self._end, self._axis, name=f"{scope}.moved")
        x = g.node("Reshape", x, self._columns, name=f"{scope}.turned_back")
        return g.node("Slice", x, self._zero, self._length, self._last_axis, name=scope)


def _relative_attention(
    g: Network,
    x: str,
    scope: str,
    stack: Stack,
    attention: Attention,
    shift: RelativeShift,
    bias: str,
) -> str:
    width, head_size = stack.width, stack.width // stack.head_count
    query = g.linear(x, f"{scope}.query", (width, width))
    query = g.node("Reshape", query, "split_heads", name=f"{scope}.query.split")
    queries = []
    for name in ("pos_bias_u", "pos_bias_v"):
        offset = g.weight(f"{scope}.{name}", stack.head_count, head_size, spread=0.1)
        y = g.node("Add", query, offset, name=f"{scope}.query.{name}")
        queries.append(g.node("Transpose", y, name=f"{scope}.heads.{name}", perm=VALUES))
    by_content, by_distance = queries
    key = attention.key(x, f"{scope}.key", KEYS)
    value = attention.value(x, f"{scope}.value")
    distance = g.matmul(shift.positions, f"{scope}.linear_pos", (width, width))
    distance = attention.split(distance, f"{scope}.linear_pos.key", KEYS)
    scores = g.node("MatMul", by_distance, distance, name=f"{scope}.distance_scores")
    scores = shift.by_position(scores, f"{scope}.position_scores")
    return attention.attend(by_content, key, value, scope, bias=bias, position_scores=scores)


def _convolution(g: Network, x: str, scope: str, stack: Stack) -> str:
    """A gate, a depthwise convolution over time, and Swish between two layers."""
    width = stack.width
    x = g.node("Transpose", x, name=f"{scope}.channels_first", perm=(0, 2, 1))
    x = g.conv(x, f"{scope}.pointwise1", (width, 2 * width), 1, axes=1)
    x, gate = g.split(x, f"{scope}.halves", (width, width), axis=1)
    gate = g.node("Sigmoid", gate, name=f"{scope}.gate")
    x = g.node("Mul", x, gate, name=f"{scope}.gated")
    x = g.conv(x, f"{scope}.depthwise", (width, width), stack.kernel, groups=width, axes=1)
    x = silu(g, x, f"{scope}.swish")
    x = g.conv(x, f"{scope}.pointwise2", (width, width), 1, axes=1)
    return g.node("Transpose", x, name=f"{scope}.frames_first", perm=(0, 2, 1))


def _half_feed_forward(g: Network, x: str, scope: str, stack: Stack) -> str:
    y = _layer_norm(g, x, f"{scope}.norm", stack)
    y = feed_forward(g, y, scope, (stack.width, stack.inner), silu)
    y = g.node("Mul", y, g.scalar("half", 0.5), name=f"{scope}.half")
    return g.node("Add", x, y, name=f"{scope}.sum")


def _times_root_of_width(g: Network, x: str, stack: Stack) -> str:
    return g.node("Mul", x, g.scalar("root_width", math.sqrt(stack.width)), name=f"{x}.scaled")


def _length(g: Network, x: str) -> str:
    """Size of the second axis, as a list of one number."""
    shape = g.node("Shape", x, name="length.shape")
    return g.node("Gather", shape, g.integers("length.axis", 1), name="length", axis=0)


def _layer_norm(g: Network, x: str, name: str, stack: Stack) -> str:
    return layer_norm(g, x, name, stack.width, epsilon=_EPSILON)
