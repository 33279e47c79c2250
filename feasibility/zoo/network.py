"""How is a network described in Python? As nodes and weights without values.

An architecture module fills a `Network`; `onnx_file`
draws the weights while it writes them. So describing a model of a gigabyte
costs kilobytes, and needs neither onnx nor numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Attribute: TypeAlias = int | float | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """A float32 initializer drawn evenly from `centre - spread` to `centre + spread`.

    Args:
        values: The elements, if they are computed and not drawn.
    """

    name: str
    shape: tuple[int, ...]
    centre: float = 0.0
    spread: float = 0.0
    values: tuple[float, ...] = ()

    @property
    def element_count(self) -> int:
        """Number of float32 values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Integers:
    """A small int64 initializer, such as a shape or a row of indices."""

    name: str
    shape: tuple[int, ...]
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """An operator; a single output has the node's name."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Attribute], ...]


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of the network; a dim given as text is symbolic."""

    name: str
    dtype: Literal["float32", "int64"]
    shape: tuple[int | str, ...]


@dataclass(slots=True)
class Network:
    """An ONNX model without the values of its weights.

    Methods add nodes and weights in execution order. Every method that adds a node returns the
    name of its output, which is the name it was given. Spreads keep the variance of activations
    about level from layer to layer, so that seeded weights neither overflow nor fade into
    denormals, which run slowly.
    """

    name: str
    opset: int
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constants: list[Integers] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    _scalars: dict[str, float] = field(default_factory=dict)

    def input(
        self, name: str, *shape: int | str, dtype: Literal["float32", "int64"] = "float32"
    ) -> str:
        """Declares an input of the network."""
        self.inputs.append(Value(name, dtype, shape))
        return name

    def node(self, op_type: str, *inputs: str, name: str, **attributes: Attribute) -> str:
        """Adds any operator with one output."""
        self.nodes.append(Node(op_type, name, inputs, (name,), tuple(sorted(attributes.items()))))
        return name

    def split(self, x: str, name: str, sizes: tuple[int, ...], *, axis: int) -> tuple[str, ...]:
        """Cuts a tensor along an axis; returns the names of the parts."""
        parts = tuple(f"{name}.{number}" for number in range(len(sizes)))
        inputs = (x, self.integers(f"{name}.sizes", *sizes))
        self.nodes.append(Node("Split", name, inputs, parts, (("axis", axis),)))
        return parts

    def weight(self, name: str, *shape: int, centre: float = 0.0, spread: float = 0.0) -> str:
        """Adds a float32 initializer; without a spread it is constant."""
        self.weights.append(Weight(name, shape, centre, spread))
        return name

    def scalar(self, name: str, value: float) -> str:
        """A float32 scalar constant; the network has only one constant per name.

        Raises:
            ValueError: The constant of this name has another value.
        """
        if name not in self._scalars:
            self._scalars[name] = value
            self.weight(name, centre=value)
        if self._scalars[name] != value:
            raise ValueError(f"{name} is {self._scalars[name]}, not {value}")
        return name

    def table(self, name: str, *shape: int, values: Iterable[float]) -> str:
        """Adds a float32 initializer whose elements are computed."""
        self.weights.append(Weight(name, shape, values=tuple(values)))
        return name

    def integers(self, name: str, *values: int, shape: tuple[int, ...] | None = None) -> str:
        """Adds an int64 initializer, one-dimensional unless a shape is given."""
        shape = (len(values),) if shape is None else shape
        self.constants.append(Integers(name, shape, values))
        return name

    def conv(
        self,
        x: str,
        name: str,
        channels: tuple[int, int],
        kernel: int,
        *,
        stride: int = 1,
        pads: tuple[int, ...] | None = None,
        groups: int = 1,
        bias: bool = True,
        axes: int = 2,
        gain: float = 1.0,
    ) -> str:
        """Adds a convolution from `channels[0]` to `channels[1]` channels, square or along 1 axis.

        `pads` are those before and then those after, such as top, left, bottom, right; by default
        half the kernel on each side. `gain` scales the weights for activations other than ReLU.
        """
        channels_in, channels_out = channels
        fan_in = channels_in // groups * kernel**axes
        shape = (channels_out, channels_in // groups, *(kernel,) * axes)
        inputs = [x, self.weight(f"{name}.weight", *shape, spread=gain * relu_spread(fan_in))]
        if bias:
            inputs.append(self.weight(f"{name}.bias", channels_out, spread=0.05))
        return self.node(
            "Conv",
            *inputs,
            name=name,
            dilations=(1,) * axes,
            group=groups,
            kernel_shape=(kernel,) * axes,
            pads=(kernel // 2,) * 2 * axes if pads is None else pads,
            strides=(stride,) * axes,
        )

    def batch_norm(self, x: str, name: str, channels: int, *, gain: float = 1.0) -> str:
        """Adds a batch normalisation whose scales lie around `gain`."""
        return self.node(
            "BatchNormalization",
            x,
            self.weight(f"{name}.weight", channels, centre=gain, spread=0.1 * gain),
            self.weight(f"{name}.bias", channels, spread=0.05),
            self.weight(f"{name}.running_mean", channels, spread=0.05),
            self.weight(f"{name}.running_var", channels, centre=1.0, spread=0.1),
            name=name,
            epsilon=1e-5,
            momentum=0.9,
        )

    def matmul(self, x: str, name: str, features: tuple[int, int]) -> str:
        """Adds a matrix product from `features[0]` to `features[1]` features, without bias."""
        weight = self.weight(f"{name}.weight", *features, spread=linear_spread(features[0]))
        return self.node("MatMul", x, weight, name=name)

    def linear(self, x: str, name: str, features: tuple[int, int]) -> str:
        """Adds a matrix product and its bias, as exporters write a layer over the last axis."""
        y = self.matmul(x, f"{name}.matmul", features)
        return self.node("Add", self.weight(f"{name}.bias", features[1], spread=0.02), y, name=name)

    def gemm(
        self,
        x: str,
        name: str,
        features: tuple[int, int],
        *,
        output: str | None = None,
        **attributes: Attribute,
    ) -> str:
        """Adds a product with a transposed matrix and its bias, as exporters write a classifier.

        `output` is the name of the result, by default that of the layer.
        """
        shape, spread = (features[1], features[0]), linear_spread(features[0])
        weight = self.weight(f"{name}.weight", *shape, spread=spread)
        bias = self.weight(f"{name}.bias", features[1], spread=0.05)
        options: dict[str, Attribute] = {"alpha": 1.0, "beta": 1.0, "transB": 1, **attributes}
        return self.node("Gemm", x, weight, bias, name=output or name, **options)

    def build(self, *outputs: Value) -> Network:
        """The network with these outputs."""
        self.outputs += outputs
        return self


def relu_spread(fan_in: int) -> float:
    """Bound of the uniform distribution of variance 2 / `fan_in`.

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.2.
    """
    return math.sqrt(6 / fan_in)


def linear_spread(fan_in: int) -> float:
    """Bound of the uniform distribution of variance 1 / `fan_in`.

    Source: LeCun et al. 1998, "Efficient BackProp", section 4.6.
    """
    return math.sqrt(3 / fan_in)
