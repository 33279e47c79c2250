"""How is YAMNet built, from a waveform or from patches of its spectrogram?"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.network import Network, Value

_YAMNET_LAYERS: Final = (  # stride, output channels
    *((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512),) * 5,
    *((2, 1024), (1, 1024)),
)


def yamnet() -> Network:
    """YAMNet from log-mel patches of sound to the scores of its classes, as tf2onnx converts it.

    A MobileNet v1 body. Batch normalisation is folded into the convolutions, and TensorFlow's
    SAME padding puts the odd row after.
    Source: tensorflow/models, research/audioset/yamnet/yamnet.py.
    """
    frame_count, band_count, class_count = 96, 64, 521
    g = Network("yamnet", opset=14)
    x = g.input("log_mel_patches", "batch", frame_count, band_count)
    image = g.integers("image_shape", -1, 1, frame_count, band_count)
    x = g.node("Reshape", x, image, name="image")
    channels = 32
    x = _same_conv(g, x, "layer1/conv", (1, channels), kernel=3, stride=2)
    for number, (stride, channels_out) in enumerate(_YAMNET_LAYERS, start=2):
        depthwise = f"layer{number}/depthwise"
        x = _same_conv(
            g, x, depthwise, (channels, channels), kernel=3, stride=stride, groups=channels
        )
        x = _same_conv(g, x, f"layer{number}/pointwise", (channels, channels_out), kernel=1)
        channels = channels_out
    x = g.node("GlobalAveragePool", x, name="pool")
    x = g.node("Squeeze", x, g.integers("spatial_axes", 2, 3), name="embedding")
    x = g.matmul(x, "logits/matmul", (channels, class_count))
    x = g.node("Add", x, g.weight("logits/bias", class_count, spread=0.05), name="logits")
    x = g.node("Sigmoid", x, name="scores")
    return g.build(Value(x, "float32", ("batch", class_count)))


def _same_conv(
    g: Network,
    x: str,
    name: str,
    channels: tuple[int, int],
    *,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
) -> str:
    pads = (0, 0, 1, 1) if stride == 2 else (kernel // 2,) * 4
    x = g.conv(x, name, channels, kernel, stride=stride, pads=pads, groups=groups)
    return g.node("Relu", x, name=f"{name}/relu")
