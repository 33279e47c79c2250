"""ResNet-101 v1 as in the ONNX model zoo, converted from MXNet.

Source: mxnet/gluon/model_zoo/vision/resnet.py, `BottleneckV1`. Three things tell it from
PyTorch's: the stride is in the first 1x1 convolution, the 1x1 convolutions have biases,
and batch normalisation stays a node of its own until the runtime folds it.
"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.network import GraphBuilder, Network, Value, linear_spread

CLASS_COUNT: Final = 1000
STAGES: Final = ((3, 256), (4, 512), (23, 1024), (3, 2048))  # blocks, output channels

# A residual sum doubles the variance where both sides have the same: 33 of them would
# add ten digits. Trained networks keep the branch smaller than the sum it joins.
BRANCH_GAIN: Final = 0.25


def resnet101() -> Network:
    """The classifier for a batch of images of 224 x 224."""
    g = GraphBuilder("resnet101", opset=17)
    x = g.input("data", "N", 3, 224, 224)
    channels = 64
    x = g.conv(x, "conv0", (3, channels), 7, stride=2, bias=False)
    x = g.batch_norm(x, "batchnorm0", channels)
    x = g.node("Relu", x, name="relu0")
    x = g.node("MaxPool", x, name="pool0", kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))
    for stage, (block_count, channels_out) in enumerate(STAGES, start=1):
        for block in range(block_count):
            stride = 2 if stage > 1 and block == 0 else 1
            scope = f"stage{stage}.block{block}"
            x = _bottleneck(g, x, scope, (channels, channels_out), stride)
            channels = channels_out
    x = g.node("GlobalAveragePool", x, name="pool1")
    x = g.node("Flatten", x, name="flatten0", axis=1)
    weight = g.weight("dense0.weight", CLASS_COUNT, channels, spread=linear_spread(channels))
    bias = g.weight("dense0.bias", CLASS_COUNT, spread=0.05)
    x = g.node("Gemm", x, weight, bias, name="dense0", alpha=1.0, beta=1.0, transA=0, transB=1)
    return g.build(Value(x, "float32", ("N", CLASS_COUNT)))


def _bottleneck(g: GraphBuilder, x: str, scope: str, channels: tuple[int, int], stride: int) -> str:
    channels_in, channels_out = channels
    width = channels_out // 4
    y = g.conv(x, f"{scope}.conv0", (channels_in, width), 1, stride=stride)
    y = g.batch_norm(y, f"{scope}.batchnorm0", width)
    y = g.node("Relu", y, name=f"{scope}.relu0")
    y = g.conv(y, f"{scope}.conv1", (width, width), 3, bias=False)
    y = g.batch_norm(y, f"{scope}.batchnorm1", width)
    y = g.node("Relu", y, name=f"{scope}.relu1")
    y = g.conv(y, f"{scope}.conv2", (width, channels_out), 1)
    y = g.batch_norm(y, f"{scope}.batchnorm2", channels_out, gain=BRANCH_GAIN)
    if channels_in != channels_out:
        x = g.conv(x, f"{scope}.downsample.conv", channels, 1, stride=stride, bias=False)
        # He initialisation doubles the variance because a ReLU halves it; here is no ReLU.
        x = g.batch_norm(x, f"{scope}.downsample.batchnorm", channels_out, gain=0.5**0.5)
    y = g.node("Add", x, y, name=f"{scope}.plus")
    return g.node("Relu", y, name=f"{scope}.relu2")
