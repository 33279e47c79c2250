"""Which small networks test one operator type each?

`feasibility devices this` runs them to measure the speed of a machine. Shapes are those of
common architectures, because a rate depends on them; the largest takes under half a second
on an in-order core of 1 GHz.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from feasibility.zoo.network import Network, Value, linear_spread

OPSET: Final = 17
SEQUENCE: Final = 128
TINY_NODE_COUNT: Final = 200
SMALL_LAYER_COUNT: Final = 20
_WIDTH: Final = 384
_HEADS: Final = 12
_RECURRENT_WIDTH: Final = 256
_VECTOR_WIDTH: Final = 1024
_SCALE: Final = 0.01
# Source: onnx.proto3, TensorProto.DataType.
_UINT8: Final = 2
_INT8: Final = 3


def dense() -> Network:
    """Convolutions of 3x3 from 64 channels at 56x56 to 256 at 14x14.

    Source: the stages of ResNet-18, He et al. 2015, table 1.
    """
    steps = ((64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))
    return _convolutions("dense", (64, 56, 56), steps, kernel=3)


def pointwise() -> Network:
    """Convolutions of 1x1 between wide and narrow layers, at 28x28 and 14x14.

    Source: the bottlenecks of MobileNet v2, Sandler et al. 2018, table 2, and of ResNet-50.
    """
    steps = (
        (64, 384, 1), (384, 64, 1), (64, 384, 1), (384, 64, 1),
        (64, 256, 2), (256, 1024, 1), (1024, 256, 1),
    )  # fmt: skip
    return _convolutions("pointwise", (64, 28, 28), steps, kernel=1)


def depthwise() -> Network:
    """Depthwise convolutions of 3x3 over 192 channels, at 56x56 to 14x14.

    Source: MobileNet v2, Sandler et al. 2018, table 2.
    """
    steps = tuple((192, 192, stride) for stride in (1, 1, 2, 1, 1, 2, 1, 1))
    return _convolutions("depthwise", (192, 56, 56), steps, kernel=3, groups=192)


def matmul() -> Network:
    """The matrix products of one encoder layer of 384 features over 128 tokens.

    Source: MiniLM-L6, Wang et al. 2020, section 4.
    """
    g = Network("matmul", opset=OPSET)
    x = g.input("input", 1, SEQUENCE, _WIDTH)
    split = g.integers("split", 1, _HEADS, SEQUENCE, _WIDTH // _HEADS)
    turned = g.integers("turned", 1, _HEADS, _WIDTH // _HEADS, SEQUENCE)
    joined = g.integers("joined", 1, SEQUENCE, _WIDTH)
    query, key, value = (g.matmul(x, name, (_WIDTH, _WIDTH)) for name in ("q", "k", "v"))
    query = g.node("Reshape", query, split, name="q.split")
    key = g.node("Reshape", key, turned, name="k.split")
    value = g.node("Reshape", value, split, name="v.split")
    scores = g.node("MatMul", query, key, name="scores")
    x = g.node("MatMul", scores, value, name="context")
    x = g.node("Reshape", x, joined, name="context.join")
    x = g.matmul(x, "out", (_WIDTH, _WIDTH))
    x = g.matmul(x, "up", (_WIDTH, 4 * _WIDTH))
    x = g.matmul(x, "down", (4 * _WIDTH, _WIDTH))
    return g.build(Value(x, "float32", (1, SEQUENCE, _WIDTH)))


def vector() -> Network:
    """Products of one row with two matrices of 4 MiB, as in a classifier's head or a decoder."""
    g = Network("vector", opset=OPSET)
    x = g.input("input", 1, _VECTOR_WIDTH)
    x = g.matmul(x, "up", (_VECTOR_WIDTH, _VECTOR_WIDTH))
    x = g.matmul(x, "down", (_VECTOR_WIDTH, _VECTOR_WIDTH))
    return g.build(Value(x, "float32", (1, _VECTOR_WIDTH)))


def recurrent() -> Network:
    """One LSTM of 256 states over 32 steps."""
    g = Network("recurrent", opset=OPSET)
    x = g.input("input", 32, 1, _RECURRENT_WIDTH)
    spread = linear_spread(_RECURRENT_WIDTH)
    shape = (1, 4 * _RECURRENT_WIDTH, _RECURRENT_WIDTH)
    weights = (g.weight(name, *shape, spread=spread) for name in ("w", "r"))
    x = g.node("LSTM", x, *weights, name="y", hidden_size=_RECURRENT_WIDTH)
    return g.build(Value(x, "float32", (32, 1, 1, _RECURRENT_WIDTH)))


def other() -> Network:
    """Exponentials and normalisations over 128 rows of 384, as between a transformer's products."""
    g = Network("other", opset=OPSET)
    x = g.input("input", 1, SEQUENCE, _WIDTH)
    scale = g.weight("scale", _WIDTH, centre=1.0, spread=0.1)
    shift = g.weight("shift", _WIDTH, spread=0.1)
    for number, operator in enumerate(("Tanh", "Softmax", "Erf", "Sigmoid", "Softmax", "Exp")):
        x = g.node(operator, x, name=f"{operator.lower()}{number}")
        x = g.node("LayerNormalization", x, scale, shift, name=f"norm{number}")
    return g.build(Value(x, "float32", (1, SEQUENCE, _WIDTH)))


def int8_dense() -> Network:
    """Quantised convolutions of 3x3 and 1x1 from 64 channels at 28x28."""
    g = Network("int8_dense", opset=OPSET)
    q = _Quantised(g)
    x = q.quantised(g.input("input", 1, 64, 28, 28), "input.q")
    for number, kernel in enumerate((3, 1, 3, 1)):
        weight = q.weight(f"conv{number}.weight", 64, 64, kernel, kernel)
        x = g.node(
            "QLinearConv",
            *(x, *q.pair, *weight, *q.pair),
            name=f"conv{number}",
            kernel_shape=(kernel, kernel),
            pads=(kernel // 2,) * 4,
        )
    return _pooled(g, g.node("DequantizeLinear", x, *q.pair, name="output"), 64)


def int8_matmul() -> Network:
    """Quantised products of 128 rows between 384 and 1536 features."""
    g = Network("int8_matmul", opset=OPSET)
    q = _Quantised(g)
    x = q.quantised(g.input("input", 1, SEQUENCE, _WIDTH), "input.q")
    for name, before, after in (("up", _WIDTH, 4 * _WIDTH), ("down", 4 * _WIDTH, _WIDTH)):
        x = g.node(
            "QLinearMatMul", x, *q.pair, *q.weight(name, before, after), *q.pair, name=f"{name}.y"
        )
    x = g.node("DequantizeLinear", x, *q.pair, name="output")
    return g.build(Value(x, "float32", (1, SEQUENCE, _WIDTH)))


def traffic() -> Network:
    """Additions of tensors of 784 KiB, which only move data."""
    g = Network("traffic", opset=OPSET)
    start = g.input("input", 1, 64, 56, 56)
    x = start
    for number in range(6):
        x = g.node("Add", x, start, name=f"add{number}")
    return _pooled(g, x, 64)


def layers() -> Network:
    """A chain of operators on a single element: measures the time to dispatch them."""
    g = Network("layers", opset=OPSET)
    start = g.input("input", 1)
    x = start
    for number in range(TINY_NODE_COUNT // 2):
        x = g.node("Add", x, start, name=f"add{number}")
        x = g.node("Tanh", x, name=f"tanh{number}")
    return g.build(Value(x, "float32", (1,)))


def small() -> Network:
    """A chain of 1x1 convolutions of 7x7 over 256 channels: the smallest work that is parallel.

    With several threads their waiting for each other shows; see `rates_of`.
    """
    return _convolutions("small", (256, 7, 7), ((256, 256, 1),) * SMALL_LAYER_COUNT, kernel=1)


def bus(element_count: int) -> Network:
    """Two sums and a maximum over tensors so long that no cache holds them."""
    g = Network("bus", opset=OPSET)
    rows = math.isqrt(element_count)
    start = g.input("input", rows, rows)
    x = g.node("Add", start, start, name="twice")
    x = g.node("Add", x, start, name="thrice")
    x = g.node("ReduceMax", x, name="largest", keepdims=0)
    return g.build(Value(x, "float32", ()))


KERNELS: Final[Mapping[str, Callable[[], Network]]] = {
    network.__name__: network
    for network in (
        *(layers, small, traffic, dense, pointwise, depthwise, matmul, vector, recurrent, other),
        *(int8_dense, int8_matmul),
    )
}


def _convolutions(
    name: str,
    image: tuple[int, int, int],
    steps: tuple[tuple[int, int, int], ...],
    *,
    kernel: int,
    groups: int = 1,
) -> Network:
    """Convolutions, each with the activation that runtimes merge into it.

    Steps are channels before and after, and the stride.
    """
    g = Network(name, opset=OPSET)
    x = g.input("input", 1, *image)
    for number, (before, after, stride) in enumerate(steps):
        conv = f"conv{number}"
        x = g.conv(x, conv, (before, after), kernel, stride=stride, groups=groups)
        x = g.node("Relu", x, name=f"{conv}.relu")
    return _pooled(g, x, after)


class _Quantised:
    """Converts the float32 values of a network to int8.

    The runtime computes what depends on nothing else once, while it loads.
    """

    def __init__(self, g: Network) -> None:
        self._g = g
        scale = g.weight("scale", centre=_SCALE)
        zero = g.integers("zero", 0, shape=())
        unsigned = g.node("Cast", zero, name="zero.uint8", to=_UINT8)
        self._signed = g.node("Cast", zero, name="zero.int8", to=_INT8)
        self._scale = scale
        self.pair = (scale, unsigned)

    def quantised(self, x: str, name: str) -> str:
        """An activation, unsigned as is usual."""
        return self._g.node("QuantizeLinear", x, *self.pair, name=name)

    def weight(self, name: str, *shape: int) -> tuple[str, str, str]:
        """A weight with its scale and its zero."""
        plain = self._g.weight(f"{name}.plain", *shape, spread=_SCALE * 100)
        pair = (self._scale, self._signed)
        return (self._g.node("QuantizeLinear", plain, *pair, name=f"{name}.q"), *pair)


def _pooled(g: Network, x: str, channels: int) -> Network:
    """The network with one mean per channel as its output, to avoid a large copy."""
    x = g.node("GlobalAveragePool", x, name="pool")
    return g.build(Value(x, "float32", (1, channels, 1, 1)))
