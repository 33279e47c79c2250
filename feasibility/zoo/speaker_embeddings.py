"""How is a network built that says whose voice a sound is: WeSpeaker's ResNet-34?"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.blocks import basic_block, relu
from feasibility.zoo.network import Network, Value

_BAND_COUNT: Final = 80
_EMBEDDING: Final = 256
_STAGES: Final = ((32, 3), (64, 4), (128, 6), (256, 3))  # channels, blocks


def wespeaker_resnet34(frame_count: int | None) -> Network:
    """WeSpeaker's ResNet-34 from log-mel bands to one vector, as PyTorch exports it.

    Batch and frames stay open; with `frame_count` there is one input of that many frames. The
    stem has no pooling, and the means and deviations of the last stage over time are the features.
    WeSpeaker publishes 6.63 M parameters and "4.55 G FLOPs", from a tool that counts multiply-adds,
    for 200 frames. The convolutions take 4.53 G multiply-adds there, and 4.51 G for the 198 frames
    of 2 s; that tool also counts batch normalisation, which is folded here.
    Source: wenet-e2e/wespeaker, wespeaker/models/resnet.py, pooling_layers.py (`TSTP`) and
    bin/export_onnx.py; Wespeaker/wespeaker-voxceleb-resnet34-LM.
    """
    name = "wespeaker-resnet34" if frame_count is None else f"wespeaker-resnet34-{frame_count}"
    batch: int | str = "B" if frame_count is None else 1
    g = Network(name, opset=14)
    x = g.input("feats", batch, "T" if frame_count is None else frame_count, _BAND_COUNT)
    x = g.node("Transpose", x, name="bands_first", perm=(0, 2, 1))
    x = g.node("Unsqueeze", x, g.integers("channel_axis", 1), name="image")
    channels = _STAGES[0][0]
    x = relu(g, g.conv(x, "conv1", (1, channels), 3), "relu")
    for stage, (channels_out, block_count) in enumerate(_STAGES, start=1):
        for block in range(block_count):
            stride = 2 if stage > 1 and block == 0 else 1
            scope = f"layer{stage}.{block}"
            x = basic_block(g, x, scope, (channels, channels_out), stride)
            channels = channels_out
    x = _mean_and_deviation(g, x)
    features = channels * _BAND_COUNT // 2 ** (len(_STAGES) - 1)
    x = g.gemm(x, "seg_1", (2 * features, _EMBEDDING))
    x = g.node("Sub", x, g.weight("mean_vec", _EMBEDDING), name="embs")
    return g.build(Value(x, "float32", (batch, _EMBEDDING)))


def _mean_and_deviation(g: Network, x: str) -> str:
    """Mean and deviation over the last axis of each channel and band, as one vector.

    The deviation divides by one less than the number of frames, with 1e-7 below the root.
    """
    mean = g.node("ReduceMean", x, name="pool.mean", axes=(-1,), keepdims=0)
    centre = g.node("ReduceMean", x, name="pool.centre", axes=(-1,))
    square = g.node("Sub", x, centre, name="pool.centred")
    square = g.node("Mul", square, square, name="pool.square")
    variance = g.node("ReduceMean", square, name="pool.variance", axes=(-1,), keepdims=0)
    shape = g.node("Shape", x, name="pool.shape")
    count = g.node("Gather", shape, g.integers("pool.last", 3, shape=()), name="pool.count")
    count = g.node("Cast", count, name="pool.count.float", to=1)  # TensorProto.FLOAT
    variance = g.node("Mul", variance, count, name="pool.sum")
    less = g.node("Sub", count, g.scalar("one", 1.0), name="pool.count.less")
    variance = g.node("Div", variance, less, name="pool.unbiased")
    variance = g.node("Add", variance, g.scalar("pool.epsilon", 1e-7), name="pool.not_zero")
    deviation = g.node("Sqrt", variance, name="pool.deviation")
    parts = [g.node("Flatten", part, name=f"{part}.flat", axis=1) for part in (mean, deviation)]
    return g.node("Concat", *parts, name="pool", axis=1)
