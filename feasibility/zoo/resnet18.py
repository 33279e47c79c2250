"""ResNet-18 with the head of fastai, as PyTorch exports it.

Source: He et al. 2015, "Deep Residual Learning for Image Recognition", table 1;
fastai/vision/learner.py, `create_head`. Exporting in evaluation mode folds the body's
batch normalisation into its convolutions and drops the head's dropout.
"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.network import GraphBuilder, Network, Value

STAGE_CHANNELS: Final = (64, 128, 256, 512)
BLOCKS_PER_STAGE: Final = 2
HEAD_FEATURE_COUNT: Final = 512


def resnet18_fastai(class_count: int) -> Network:
    """The classifier for one image of 224 x 224, as fastai's tutorials train it."""
    g = GraphBuilder("resnet18-fastai", opset=14)
    x = g.input("input", 1, 3, 224, 224)
    channels = STAGE_CHANNELS[0]
    x = g.conv(x, "0.0", (3, channels), 7, stride=2)
    x = g.node("Relu", x, name="0.2")
    x = g.node("MaxPool", x, name="0.3", kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))
    for stage, channels_out in enumerate(STAGE_CHANNELS):
        for block in range(BLOCKS_PER_STAGE):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _basic_block(g, x, f"0.{4 + stage}.{block}", (channels, channels_out), stride)
            channels = channels_out
    x = _fastai_head(g, x, channels, class_count)
    return g.build(Value(x, "float32", (1, class_count)))


def _basic_block(
    g: GraphBuilder, x: str, scope: str, channels: tuple[int, int], stride: int
) -> str:
    channels_out = channels[1]
    y = g.conv(x, f"{scope}.conv1", channels, 3, stride=stride)
    y = g.node("Relu", y, name=f"{scope}.relu1")
    y = g.conv(y, f"{scope}.conv2", (channels_out, channels_out), 3)
    if stride != 1:
        x = g.conv(x, f"{scope}.downsample.0", channels, 1, stride=stride)
    y = g.node("Add", y, x, name=f"{scope}.add")
    return g.node("Relu", y, name=f"{scope}.relu2")


def _fastai_head(g: GraphBuilder, x: str, channels: int, class_count: int) -> str:
    largest = g.node("GlobalMaxPool", x, name="1.0.mp")
    average = g.node("GlobalAveragePool", x, name="1.0.ap")
    x = g.node("Concat", largest, average, name="1.0", axis=1)
    x = g.node("Flatten", x, name="1.1", axis=1)
    x = g.batch_norm(x, "1.2", 2 * channels)
    x = g.matmul(x, "1.4", (2 * channels, HEAD_FEATURE_COUNT))
    x = g.node("Relu", x, name="1.5")
    x = g.batch_norm(x, "1.6", HEAD_FEATURE_COUNT)
    return g.matmul(x, "1.8", (HEAD_FEATURE_COUNT, class_count))
