"""Which blocks do the networks of the zoo share?

A block adds nodes to a network and returns the name of its output. Layer normalisation, GELU and
attention are spelt out in elementary operators, as PyTorch exports them with opset 14: the
runtime's fusions look for these operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

from feasibility.zoo.network import Network

# From a network, a value and the name of the result to the name of the result.
Activation: TypeAlias = Callable[[Network, str, str], str]

# Orders of the axes batch, position, head and value.
VALUES: Final = (0, 2, 1, 3)
KEYS: Final = (0, 2, 3, 1)


def relu(g: Network, x: str, name: str) -> str:
    """Negative values become zero."""
    return g.node("Relu", x, name=name)


def silu(g: Network, x: str, name: str) -> str:
    """A value times its sigmoid, also called Swish."""
    return g.node("Mul", x, g.node("Sigmoid", x, name=f"{name}.sigmoid"), name=name)


def gelu(g: Network, x: str, name: str) -> str:
    """A value times the share of a normal distribution that lies below it."""
    y = g.node("Div", x, g.scalar("root_two", math.sqrt(2)), name=f"{name}.div")
    y = g.node("Erf", y, name=f"{name}.erf")
    y = g.node("Add", y, g.scalar("one", 1.0), name=f"{name}.add")
    y = g.node("Mul", x, y, name=f"{name}.mul")
    return g.node("Mul", y, g.scalar("half", 0.5), name=name)


def basic_block(g: Network, x: str, scope: str, channels: tuple[int, int], stride: int) -> str:
    """Two convolutions of 3x3, and the sum with their input.

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", figure 5.
    """
    channels_out = channels[1]
    y = g.conv(x, f"{scope}.conv1", channels, 3, stride=stride)
    y = relu(g, y, f"{scope}.relu1")
    y = g.conv(y, f"{scope}.conv2", (channels_out, channels_out), 3)
    if stride != 1:
        x = g.conv(x, f"{scope}.downsample.0", channels, 1, stride=stride)
    y = g.node("Add", y, x, name=f"{scope}.add")
    return relu(g, y, f"{scope}.relu2")


def layer_norm(
    g: Network, x: str, name: str, width: int, *, epsilon: float, output: str | None = None
) -> str:
    """Values of the last axis with mean 0 and variance 1, then scaled and shifted.

    A network has one epsilon. `output` is the name of the result, by default that of the layer.
    """
    mean = g.node("ReduceMean", x, name=f"{name}.mean", axes=(-1,))
    centred = g.node("Sub", x, mean, name=f"{name}.sub")
    square = g.node("Pow", centred, g.scalar("two", 2.0), name=f"{name}.pow")
    variance = g.node("ReduceMean", square, name=f"{name}.variance", axes=(-1,))
    variance = g.node("Add", variance, g.scalar("epsilon", epsilon), name=f"{name}.add_epsilon")
    deviation = g.node("Sqrt", variance, name=f"{name}.sqrt")
    y = g.node("Div", centred, deviation, name=f"{name}.div")
    scale = g.weight(f"{name}.weight", width, centre=1.0, spread=0.1)
    y = g.node("Mul", y, scale, name=f"{name}.mul")
    return g.node("Add", y, g.weight(f"{name}.bias", width, spread=0.02), name=output or name)


class Attention:
    """Attention with several heads; batch and length stay open.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.

    Args:
        scales_query: True if the query is scaled, False if its products with the keys are.
    """

    def __init__(
        self,
        g: Network,
        width: int,
        head_count: int,
        *,
        scales_query: bool = False,
        key_has_bias: bool = True,
    ) -> None:
        self._g = g
        self._sizes = (width, width)
        self._scales_query = scales_query
        self._key_has_bias = key_has_bias
        head_size = width // head_count
        g.scalar("root_head_size", math.sqrt(head_size))
        # A zero keeps the dim of the input.
        g.integers("split_heads", 0, 0, head_count, head_size)
        g.integers("join_heads", 0, 0, width)

    def query(self, x: str, name: str) -> str:
        """What each head looks for: batch x head x position x value."""
        x = self._g.linear(x, name, self._sizes)
        if self._scales_query:
            x = self._scaled(x, name)
        return self.split(x, name, VALUES)

    def key(self, x: str, name: str, order: tuple[int, ...]) -> str:
        """What each head compares with a query."""
        project = self._g.linear if self._key_has_bias else self._g.matmul
        return self.split(project(x, name, self._sizes), name, order)

    def value(self, x: str, name: str) -> str:
        """What each head takes from a position: batch x head x position x value."""
        return self.split(self._g.linear(x, name, self._sizes), name, VALUES)

    def split(self, x: str, name: str, order: tuple[int, ...]) -> str:
        """Projected values, one vector per head; `order` is VALUES or KEYS."""
        y = self._g.node("Reshape", x, "split_heads", name=f"{name}.split")
        return self._g.node("Transpose", y, name=f"{name}.heads", perm=order)

    def attend(
        self,
        query: str,
        key: str,
        value: str,
        scope: str,
        *,
        bias: str | None = None,
        position_scores: str | None = None,
        output: str | None = None,
    ) -> str:
        """The values, weighted by how well keys match the query, joined and projected.

        The order of `key` is KEYS. `position_scores` are scaled with the other scores, `bias` is
        not. `output` is the name of the projection.
        """
        g = self._g
        scores = g.node("MatMul", query, key, name=f"{scope}.scores")
        if position_scores is not None:
            scores = g.node("Add", scores, position_scores, name=f"{scope}.with_positions")
        if not self._scales_query:
            scores = self._scaled(scores, scope)
        if bias is not None:
            scores = g.node("Add", scores, bias, name=f"{scope}.masked")
        weights = g.node("Softmax", scores, name=f"{scope}.softmax", axis=-1)
        y = g.node("MatMul", weights, value, name=f"{scope}.context")
        y = g.node("Transpose", y, name=f"{scope}.rows", perm=(0, 2, 1, 3))
        y = g.node("Reshape", y, "join_heads", name=f"{scope}.joined")
        return g.linear(y, output or f"{scope}.output", self._sizes)

    def layer(
        self,
        x: str,
        scope: str,
        *,
        memory: str | None = None,
        bias: str | None = None,
        output: str | None = None,
    ) -> str:
        """Attention of x to `memory`, by default to itself."""
        memory = memory or x
        query = self.query(x, f"{scope}.query")
        value = self.value(memory, f"{scope}.value")
        key = self.key(memory, f"{scope}.key", KEYS)
        return self.attend(query, key, value, scope, bias=bias, output=output)

    def _scaled(self, x: str, name: str) -> str:
        return self._g.node("Div", x, "root_head_size", name=f"{name}.scaled")


def feed_forward(
    g: Network, x: str, scope: str, sizes: tuple[int, int], activation: Activation
) -> str:
    """Two layers over the last axis, from `sizes[0]` to `sizes[1]` features and back."""
    y = g.linear(x, f"{scope}.intermediate.dense", sizes)
    y = activation(g, y, f"{scope}.intermediate.{activation.__name__}")
    return g.linear(y, f"{scope}.output.dense", (sizes[1], sizes[0]))
