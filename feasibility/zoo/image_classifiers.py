"""How are classifiers of images built: ResNet, MobileNet v2, EfficientNet-lite?"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.blocks import basic_block
from feasibility.zoo.network import Network, Value

_IMAGENET_CLASSES: Final = 1000
# Of stages: expansion, output channels, blocks, stride of the first, kernel.
_MOBILENET_STAGES: Final = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3)),
    *((6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)),
)
_EFFICIENTNET_STAGES: Final = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
# A residual sum doubles the variance where both sides have the same: 33 of them would
# add ten digits. Trained networks keep the branch smaller than the sum it joins.
_BRANCH_GAIN: Final = 0.25


def resnet18_fastai(class_count: int) -> Network:
    """ResNet-18 with the head of fastai, for one image of 224 x 224, as PyTorch exports it.

    Exporting in evaluation mode folds the body's batch normalisation into its convolutions and
    drops the head's dropout.
    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", table 1;
    fastai/vision/learner.py, `create_head`.
    """
    g = Network("resnet18-fastai", opset=14)
    x = g.input("input", 1, 3, 224, 224)
    channels = 64
    x = g.conv(x, "0.0", (3, channels), 7, stride=2)
    x = g.node("Relu", x, name="0.2")
    x = g.node("MaxPool", x, name="0.3", kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))
    for stage, channels_out in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            x = basic_block(g, x, f"0.{4 + stage}.{block}", (channels, channels_out), stride)
            channels = channels_out
    x = _fastai_head(g, x, channels, class_count)
    return g.build(Value(x, "float32", (1, class_count)))


def _fastai_head(g: Network, x: str, channels: int, class_count: int) -> str:
    largest = g.node("GlobalMaxPool", x, name="1.0.mp")
    average = g.node("GlobalAveragePool", x, name="1.0.ap")
    x = g.node("Concat", largest, average, name="1.0", axis=1)
    x = g.node("Flatten", x, name="1.1", axis=1)
    x = g.batch_norm(x, "1.2", 2 * channels)
    x = g.matmul(x, "1.4", (2 * channels, 512))
    x = g.node("Relu", x, name="1.5")
    x = g.batch_norm(x, "1.6", 512)
    return g.matmul(x, "1.8", (512, class_count))


def resnet101() -> Network:
    """ResNet-101 v1 for images of 224 x 224, as in the ONNX model zoo, converted from MXNet.

    Three things differ from PyTorch's: the stride is in the first 1x1 convolution, the 1x1
    convolutions have biases, and batch normalisation stays a node of its own until the runtime
    folds it.
    Source: mxnet/gluon/model_zoo/vision/resnet.py, `BottleneckV1`.
    """
    # Blocks and output channels of each stage.
    stages = ((3, 256), (4, 512), (23, 1024), (3, 2048))
    g = Network("resnet101", opset=17)
    x = g.input("data", "N", 3, 224, 224)
    channels = 64
    x = g.conv(x, "conv0", (3, channels), 7, stride=2, bias=False)
    x = g.batch_norm(x, "batchnorm0", channels)
    x = g.node("Relu", x, name="relu0")
    x = g.node("MaxPool", x, name="pool0", kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))
    for stage, (block_count, channels_out) in enumerate(stages, start=1):
        for block in range(block_count):
            stride = 2 if stage > 1 and block == 0 else 1
            scope = f"stage{stage}.block{block}"
            x = _bottleneck(g, x, scope, (channels, channels_out), stride)
            channels = channels_out
    x = g.node("GlobalAveragePool", x, name="pool1")
    x = g.node("Flatten", x, name="flatten0", axis=1)
    x = g.gemm(x, "dense0", (channels, _IMAGENET_CLASSES), transA=0)
    return g.build(Value(x, "float32", ("N", _IMAGENET_CLASSES)))


def _bottleneck(g: Network, x: str, scope: str, channels: tuple[int, int], stride: int) -> str:
    channels_in, channels_out = channels
    width = channels_out // 4
    y = g.conv(x, f"{scope}.conv0", (channels_in, width), 1, stride=stride)
    y = g.batch_norm(y, f"{scope}.batchnorm0", width)
    y = g.node("Relu", y, name=f"{scope}.relu0")
    y = g.conv(y, f"{scope}.conv1", (width, width), 3, bias=False)
    y = g.batch_norm(y, f"{scope}.batchnorm1", width)
    y = g.node("Relu", y, name=f"{scope}.relu1")
    y = g.conv(y, f"{scope}.conv2", (width, channels_out), 1)
    y = g.batch_norm(y, f"{scope}.batchnorm2", channels_out, gain=_BRANCH_GAIN)
    if channels_in != channels_out:
        x = g.conv(x, f"{scope}.downsample.conv", channels, 1, stride=stride, bias=False)
        # He initialisation doubles the variance because a ReLU halves it; here is no ReLU.
        x = g.batch_norm(x, f"{scope}.downsample.batchnorm", channels_out, gain=0.5**0.5)
    y = g.node("Add", x, y, name=f"{scope}.plus")
    return g.node("Relu", y, name=f"{scope}.relu2")


def mobilenet_v2() -> Network:
    """MobileNet v2 for images of 224 x 224, as PyTorch exports it.

    Batch normalisation is folded: of its 2 * 17 056 scales and offsets, 17 056 biases are left.
    torchvision counts 3 504 872 parameters.
    Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    table 2; torchvision/models/mobilenetv2.py.
    """
    return _mobile_classifier("mobilenet-v2", _MOBILENET_STAGES)


def efficientnet_lite0() -> Network:
    """EfficientNet-lite0 for images of 224 x 224, as PyTorch exports it.

    The stages of EfficientNet-B0 without squeeze-and-excitation, with ReLU6 instead of Swish.
    Source: Tan and Le 2019, "EfficientNet", table 1; tensorflow/tpu,
    models/official/efficientnet/lite/README.md.
    """
    return _mobile_classifier("efficientnet-lite0", _EFFICIENTNET_STAGES)


def _mobile_classifier(name: str, stages: tuple[tuple[int, int, int, int, int], ...]) -> Network:
    """A stem, stages of inverted residuals, and a linear layer over the mean of the last."""
    last_channels = 1280
    g = Network(name, opset=14)
    x = g.input("input", "batch", 3, 224, 224)
    channels = 32
    x = _conv_relu6(g, x, "features.0.0", (3, channels), 3, stride=2)
    number = 1
    for expansion, channels_out, block_count, first_stride, kernel in stages:
        for block in range(block_count):
            stride = first_stride if block == 0 else 1
            scope = f"features.{number}.conv"
            sizes = (channels, channels_out)
            x = _inverted_residual(g, x, scope, sizes, expansion, kernel, stride)
            channels = channels_out
            number += 1
    x = _conv_relu6(g, x, f"features.{number}.0", (channels, last_channels), 1)
    x = g.node("GlobalAveragePool", x, name="pool")
    x = g.node("Flatten", x, name="flatten", axis=1)
    x = g.gemm(x, "classifier.1", (last_channels, _IMAGENET_CLASSES), output="output")
    return g.build(Value(x, "float32", ("batch", _IMAGENET_CLASSES)))


def _inverted_residual(
    g: Network,
    x: str,
    scope: str,
    channels: tuple[int, int],
    expansion: int,
    kernel: int,
    stride: int,
) -> str:
    channels_in, channels_out = channels
    width = channels_in * expansion
    y = x
    if expansion != 1:
        y = _conv_relu6(g, y, f"{scope}.expand", (channels_in, width), 1)
    y = _conv_relu6(g, y, f"{scope}.depthwise", (width, width), kernel, stride=stride, groups=width)
    y = g.conv(y, f"{scope}.project", (width, channels_out), 1)
    if stride == 1 and channels_in == channels_out:
        y = g.node("Add", x, y, name=f"{scope}.add")
    return y


def _conv_relu6(
    g: Network,
    x: str,
    name: str,
    channels: tuple[int, int],
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
) -> str:
    limits = (g.scalar("relu6.min", 0.0), g.scalar("relu6.max", 6.0))
    x = g.conv(x, name, channels, kernel, stride=stride, groups=groups)
    return g.node("Clip", x, *limits, name=f"{name}.relu6")
