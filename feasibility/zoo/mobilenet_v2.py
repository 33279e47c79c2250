"""MobileNet v2, as PyTorch exports it: batch normalisation folded, ReLU6 as Clip.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
table 2; torchvision/models/mobilenetv2.py.
"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.network import GraphBuilder, Network, Value, linear_spread

CLASS_COUNT: Final = 1000
LAST_CHANNELS: Final = 1280
STAGES: Final = (  # expansion, output channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> Network:
    """The classifier for a batch of images of 224 x 224."""
    g = GraphBuilder("mobilenet-v2", opset=14)
    x = g.input("input", "batch", 3, 224, 224)
    g.weight("relu6.min", centre=0.0)
    g.weight("relu6.max", centre=6.0)
    channels = 32
    x = _relu6(g, g.conv(x, "features.0.0", (3, channels), 3, stride=2))
    number = 1
    for expansion, channels_out, block_count, first_stride in STAGES:
        for block in range(block_count):
            stride = first_stride if block == 0 else 1
            scope = f"features.{number}.conv"
            x = _inverted_residual(g, x, scope, (channels, channels_out), expansion, stride)
            channels = channels_out
            number += 1
    x = _relu6(g, g.conv(x, f"features.{number}.0", (channels, LAST_CHANNELS), 1))
    x = g.node("GlobalAveragePool", x, name="pool")
    x = g.node("Flatten", x, name="flatten", axis=1)
    spread = linear_spread(LAST_CHANNELS)
    weight = g.weight("classifier.1.weight", CLASS_COUNT, LAST_CHANNELS, spread=spread)
    bias = g.weight("classifier.1.bias", CLASS_COUNT, spread=0.05)
    x = g.node("Gemm", x, weight, bias, name="output", alpha=1.0, beta=1.0, transB=1)
    return g.build(Value(x, "float32", ("batch", CLASS_COUNT)))


def _inverted_residual(
    g: GraphBuilder, x: str, scope: str, channels: tuple[int, int], expansion: int, stride: int
) -> str:
    channels_in, channels_out = channels
    width = channels_in * expansion
    y = x
    if expansion != 1:
        y = _relu6(g, g.conv(y, f"{scope}.expand", (channels_in, width), 1))
    depthwise = g.conv(y, f"{scope}.depthwise", (width, width), 3, stride=stride, groups=width)
    y = g.conv(_relu6(g, depthwise), f"{scope}.project", (width, channels_out), 1)
    if stride == 1 and channels_in == channels_out:
        y = g.node("Add", x, y, name=f"{scope}.add")
    return y


def _relu6(g: GraphBuilder, x: str) -> str:
    return g.node("Clip", x, "relu6.min", "relu6.max", name=f"{x}.relu6")
