"""How is a waveform turned into patches of a log-mel spectrogram, inside a graph?

The signal is cut into chunks, frames are looked up as runs of chunks, and the Fourier transform
is a product with a matrix of cosines and sines. tf2onnx writes these nodes for `tf.signal.stft`.
Source: tensorflow/models, research/audioset/yamnet/features.py and params.py; tf2onnx,
onnx_opset/signal.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from feasibility.zoo.network import Network

SAMPLE_RATE_HZ: Final = 16_000
BAND_COUNT: Final = 64
PATCH_FRAMES: Final = 96
_PATCH_STEP: Final = 48
_FRAME: Final = 400  # 25 ms
_FRAME_STEP: Final = 160  # 10 ms
_FOURIER: Final = 512
_BIN_COUNT: Final = _FOURIER // 2 + 1
_LOWEST_HZ: Final = 125.0
_HIGHEST_HZ: Final = 7500.0
# Added before the logarithm.
_OFFSET: Final = 0.001
# Samples of one patch, and from one patch to the next.
_PATCH_SAMPLES: Final = (PATCH_FRAMES - 1) * _FRAME_STEP + _FRAME
_PATCH_STEP_SAMPLES: Final = _PATCH_STEP * _FRAME_STEP


def log_mel_spectrogram(g: Network, waveform: str) -> str:
    """Log-mel bands of frames x 64 from samples at 16 kHz, with whole patches of 96 frames."""
    samples = _whole_patches(g, waveform)
    chunk = math.gcd(_FRAME, _FRAME_STEP)
    chunks = g.node("Reshape", samples, g.integers("stft.chunk", -1, chunk), name="stft.chunks")
    frames = _runs(g, chunks, "stft.frames", _FRAME // chunk, _FRAME_STEP // chunk, (_FRAME,))
    # A period of the window is one frame, so its last value is not repeated.
    hann = (0.5 - 0.5 * math.cos(2 * math.pi * n / _FRAME) for n in range(_FRAME))
    frames = g.node("Mul", frames, g.table("stft.window", _FRAME, values=hann), name="stft.faded")
    padding = g.integers("stft.padding", 0, 0, 0, _FOURIER - _FRAME)
    frames = g.node("Pad", frames, padding, name="stft.padded")
    magnitude = _fourier_magnitude(g, frames)
    mel = g.table("mel.weight", _BIN_COUNT, BAND_COUNT, values=_mel_weights())
    mel = g.node("MatMul", magnitude, mel, name="mel")
    mel = g.node("Add", mel, g.scalar("mel.offset", _OFFSET), name="mel.with_offset")
    return g.node("Log", mel, name="log_mel_spectrogram")


def log_mel_patches(g: Network, spectrogram: str) -> str:
    """Patches of 96 frames, one every 48 frames: patches x 96 x 64."""
    shape = g.integers("patches.half", -1, _PATCH_STEP, BAND_COUNT)
    halves = g.node("Reshape", spectrogram, shape, name="patches.halves")
    return _runs(g, halves, "patches", PATCH_FRAMES // _PATCH_STEP, 1, (PATCH_FRAMES, BAND_COUNT))


def _whole_patches(g: Network, waveform: str) -> str:
    """The waveform with zeros behind it, up to the end of the patch that its end is in."""
    size = g.node("Shape", waveform, name="pad.size")
    first, step = (
        g.integers("pad.first", _PATCH_SAMPLES),
        g.integers("pad.step", _PATCH_STEP_SAMPLES),
    )
    rest = g.node("Sub", size, first, name="pad.rest")
    zero = g.integers("pad.zero", 0)
    rest = g.node("Max", rest, zero, name="pad.after_first")
    rest = g.node("Add", rest, g.integers("pad.up", _PATCH_STEP_SAMPLES - 1), name="pad.rounded")
    rest = g.node("Div", rest, step, name="pad.steps")
    rest = g.node("Mul", rest, step, name="pad.stepped")
    whole = g.node("Add", rest, first, name="pad.whole")
    missing = g.node("Sub", whole, size, name="pad.missing")
    pads = g.node("Concat", zero, missing, name="pad.pads", axis=0)
    return g.node("Pad", waveform, pads, name="pad")


def _runs(
    g: Network, chunks: str, name: str, length: int, step: int, shape: tuple[int, ...]
) -> str:
    """Runs of `length` chunks along the first axis, one every `step` chunks.

    A run gets the shape; the number of runs is the first axis.
    """
    size = g.node("Shape", chunks, name=f"{name}.shape")
    zero = g.integers(f"{name}.zero", 0, shape=())
    count = g.node("Gather", size, zero, name=f"{name}.chunk_count", axis=0)
    last = g.integers(f"{name}.overlap", length - 1, shape=())
    end = g.node("Sub", count, last, name=f"{name}.end")
    every = g.integers(f"{name}.step", step, shape=())
    starts = g.node("Range", zero, end, every, name=f"{name}.starts")
    starts = g.node("Unsqueeze", starts, g.integers(f"{name}.axis", 1), name=f"{name}.column")
    offsets = g.integers(f"{name}.offsets", *range(length))
    indices = g.node("Add", starts, offsets, name=f"{name}.indices")
    runs = g.node("Gather", chunks, indices, name=f"{name}.runs", axis=0)
    return g.node("Reshape", runs, g.integers(f"{name}.run", -1, *shape), name=name)


def _fourier_magnitude(g: Network, frames: str) -> str:
    """Size of the complex numbers of frames x 257 that the Fourier transform gives."""
    matrix = g.table("stft.fourier", 2, _BIN_COUNT, _FOURIER, values=_fourier_matrix())
    columns = g.node("Transpose", frames, name="stft.columns", perm=(1, 0))
    complex_parts = g.node("MatMul", matrix, columns, name="stft.parts")
    complex_parts = g.node("Transpose", complex_parts, name="stft.complex", perm=(0, 2, 1))
    squares = []
    for number, part in enumerate(("real", "imaginary")):
        index = g.integers(f"stft.{part}.index", number)
        x = g.node("Gather", complex_parts, index, name=f"stft.{part}", axis=0)
        squares.append(g.node("Pow", x, g.scalar("two", 2.0), name=f"stft.{part}.square"))
    power = g.node("Add", *squares, name="stft.power")
    power = g.node("Squeeze", power, g.integers("stft.first_axis", 0), name="stft.power.flat")
    return g.node("Sqrt", power, name="stft.magnitude")


def _fourier_matrix() -> Iterator[float]:
    """Cosines, then sines with a minus, of 257 frequencies over 512 samples."""
    angles = [2 * math.pi * n / _FOURIER for n in range(_FOURIER)]
    for circle in ([math.cos(x) for x in angles], [-math.sin(x) for x in angles]):
        for frequency in range(_BIN_COUNT):
            yield from (circle[frequency * n % _FOURIER] for n in range(_FOURIER))


def _mel_weights() -> Iterator[float]:
    """Weights of 64 triangles, evenly spread over the mel scale, for 257 frequencies.

    The constant part of the signal counts nowhere.
    Source: tensorflow/python/ops/signal/mel_ops.py, `linear_to_mel_weight_matrix`.
    """
    low, high = _mel(_LOWEST_HZ), _mel(_HIGHEST_HZ)
    edges = [low + (high - low) * n / (BAND_COUNT + 1) for n in range(BAND_COUNT + 2)]
    yield from (0.0,) * BAND_COUNT
    for bin_number in range(1, _BIN_COUNT):
        x = _mel(SAMPLE_RATE_HZ / 2 * bin_number / (_BIN_COUNT - 1))
        for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
            yield max(0.0, min((x - left) / (middle - left), (right - x) / (right - middle)))


def _mel(frequency_hz: float) -> float:
    return 1127.0 * math.log1p(frequency_hz / 700.0)
