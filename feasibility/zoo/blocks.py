"""Which blocks do the networks of the zoo share?

A block adds nodes to a network and returns the name of its output. Layer normalisation, GELU and
attention are spelt out in elementary operators, as PyTorch exports them with opset 14: the
runtime's fusions look for these operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from feasibility.zoo.network import Network

# From a network, a value and the name of the result to the name of the result.
Activation: TypeAlias = Callable[[Network, str, str], str]


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


@dataclass(frozen=True, slots=True)
class Heads:
    """Attention of `count` heads over vectors of `width` values; batch and length stay open."""

    width: int
    count: int

    def declare(self, g: Network) -> None:
        """Adds the shapes that the methods use, once per network."""
        size = self.width // self.count
        g.scalar("root_head_size", math.sqrt(size))
        # A zero keeps the dim of the input.
        g.integers("split_heads", 0, 0, self.count, size)
        g.integers("join_heads", 0, 0, self.width)

    def project(self, g: Network, x: str, name: str, order: tuple[int, ...]) -> str:
        """One vector per head and position, with axes (batch, position, head, value) in order."""
        return self.split(g, g.linear(x, name, (self.width, self.width)), name, order)

    def split(self, g: Network, x: str, name: str, order: tuple[int, ...]) -> str:
        """The vectors of `project` from values that are projected already."""
        y = g.node("Reshape", x, "split_heads", name=f"{name}.split")
        return g.node("Transpose", y, name=f"{name}.heads", perm=order)

    def attend(
        self,
        g: Network,
        query: str,
        key: str,
        value: str,
        scope: str,
        *,
        bias: str | None = None,
        position_scores: str | None = None,
    ) -> str:
        """The values, weighted by how well keys match a query, with the heads joined again.

        Key has axes (batch, head, value, position). `position_scores` join the scores before they
        are scaled, `bias` after.
        Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
        """
        scores = g.node("MatMul", query, key, name=f"{scope}.scores")
        if position_scores is not None:
            scores = g.node("Add", scores, position_scores, name=f"{scope}.with_positions")
        scores = g.node("Div", scores, "root_head_size", name=f"{scope}.scaled")
        if bias is not None:
            scores = g.node("Add", scores, bias, name=f"{scope}.masked")
        weights = g.node("Softmax", scores, name=f"{scope}.softmax", axis=-1)
        y = g.node("MatMul", weights, value, name=f"{scope}.context")
        y = g.node("Transpose", y, name=f"{scope}.rows", perm=(0, 2, 1, 3))
        return g.node("Reshape", y, "join_heads", name=f"{scope}.joined")

    def attention(
        self,
        g: Network,
        x: str,
        scope: str,
        *,
        memory: str | None = None,
        bias: str | None = None,
        output: str | None = None,
    ) -> str:
        """Attention of x to `memory`, by default to itself, and the projection behind it.

        `output` is the name of that projection.
        """
        memory = memory or x
        query = self.project(g, x, f"{scope}.query", (0, 2, 1, 3))
        value = self.project(g, memory, f"{scope}.value", (0, 2, 1, 3))
        key = self.project(g, memory, f"{scope}.key", (0, 2, 3, 1))
        y = self.attend(g, query, key, value, scope, bias=bias)
        return g.linear(y, output or f"{scope}.output", (self.width, self.width))


def feed_forward(
    g: Network, x: str, scope: str, sizes: tuple[int, int], activation: Activation
) -> str:
    """Two layers over the last axis, from `sizes[0]` to `sizes[1]` features and back."""
    y = g.linear(x, f"{scope}.intermediate.dense", sizes)
    y = activation(g, y, f"{scope}.intermediate.{activation.__name__}")
    return g.linear(y, f"{scope}.output.dense", (sizes[1], sizes[0]))
