"""How is YAMNet built, from a waveform or from patches of its spectrogram?"""

from __future__ import annotations

from typing import Final

from feasibility.zoo.log_mel import (
    BAND_COUNT,
    PATCH_FRAMES,
    log_mel_patches,
    log_mel_spectrogram,
)
from feasibility.zoo.network import Network, Value

_CLASS_COUNT: Final = 521
_EMBEDDING: Final = 1024
_YAMNET_LAYERS: Final = (  # stride, output channels
    *((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512),) * 5,
    *((2, 1024), (1, 1024)),
)


def yamnet() -> Network:
    """YAMNet from log-mel patches of sound to the scores of its classes, as tf2onnx converts it.

    A MobileNet v1 body. Batch normalisation is folded into the convolutions, and TensorFlow's
    SAME padding puts the odd row after. Keras counts 3 751 369 parameters; of the offsets, means
    and variances of its 10 944 normalised channels one bias each is left.
    Source: tensorflow/models, research/audioset/yamnet/yamnet.py and README.md.
    """
    g = Network("yamnet", opset=14)
    x = g.input("log_mel_patches", "batch", PATCH_FRAMES, BAND_COUNT)
    _, scores = _body(g, x)
    return g.build(Value(scores, "float32", ("batch", _CLASS_COUNT)))


def yamnet_waveform() -> Network:
    """YAMNet from a waveform at 16 kHz, of any length, with the three outputs of TensorFlow Hub.

    One patch covers 0.96 s and starts 0.48 s after the one before. The matrices of the Fourier
    transform (2 x 257 x 512) and of the mel bands (257 x 64) are initializers here, so 280 000
    parameters more than Keras counts are in the file.
    Source: tfhub.dev/google/yamnet/1, converted by tf2onnx at opset 14.
    """
    g = Network("yamnet-waveform", opset=14)
    spectrogram = log_mel_spectrogram(g, g.input("waveform", "samples"))
    embedding, scores = _body(g, log_mel_patches(g, spectrogram))
    return g.build(
        Value(scores, "float32", ("patches", _CLASS_COUNT)),
        Value(embedding, "float32", ("patches", _EMBEDDING)),
        Value(spectrogram, "float32", ("frames", BAND_COUNT)),
    )


def _body(g: Network, patches: str) -> tuple[str, str]:
    """Adds the network from patches to scores; returns its embedding and its scores."""
    image = g.integers("image_shape", -1, 1, PATCH_FRAMES, BAND_COUNT)
    x = g.node("Reshape", patches, image, name="image")
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
    embedding = g.node("Squeeze", x, g.integers("spatial_axes", 2, 3), name="embedding")
    x = g.matmul(embedding, "logits/matmul", (channels, _CLASS_COUNT))
    x = g.node("Add", x, g.weight("logits/bias", _CLASS_COUNT, spread=0.05), name="logits")
    return embedding, g.node("Sigmoid", x, name="scores")


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
