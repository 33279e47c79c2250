"""How is a detector of objects for phones built: YOLOv8n?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from feasibility.zoo.blocks import silu
from feasibility.zoo.network import Network, Value

_SIDE: Final = 640
_CLASS_COUNT: Final = 80
_STRIDES: Final = (8, 16, 32)
_CHANNELS: Final = (16, 32, 64, 128, 256)  # of strides 2 to 32
_BLOCKS: Final = (1, 2, 2, 1)  # of strides 4 to 32
# Each side of a box is a distribution over this many distances.
_DISTANCES: Final = 16
_BOX_WIDTH: Final = 64
_CLASS_WIDTH: Final = 80
# SiLU passes less of small values on than ReLU; with less gain they fade from layer to layer.
_SILU_GAIN: Final = 1.25


def yolov8n() -> Network:
    """YOLOv8n for an image of 640 x 640, as PyTorch exports it, to boxes and scores of 80 classes.

    Ultralytics counts 3 151 904 parameters and 8.7 GFLOP with folded batch normalisation, a
    multiply-add being two. The centres and strides of the 8400 boxes are initializers too.
    Source: ultralytics, cfg/models/v8/yolov8.yaml, nn/modules/block.py (`C2f`, `SPPF`, `DFL`) and
    nn/modules/head.py (`Detect`).
    """
    g = Network("yolov8n", opset=17)
    x = g.input("images", 1, 3, _SIDE, _SIDE)
    x = _conv(g, x, "model.0", (3, _CHANNELS[0]), 3, stride=2)
    number = 1
    levels = []
    for channels, channels_out, count in zip(_CHANNELS, _CHANNELS[1:], _BLOCKS, strict=False):
        x = _conv(g, x, f"model.{number}", (channels, channels_out), 3, stride=2)
        sizes = (channels_out, channels_out)
        x = _partial_stage(g, x, f"model.{number + 1}", sizes, count, is_residual=True)
        levels.append(x)
        number += 2
    _, eighth, sixteenth, _ = levels
    deepest = _pyramid_pooling(g, x, "model.9", _CHANNELS[4])
    middle = _upwards(g, deepest, sixteenth, 10, (_CHANNELS[4] + _CHANNELS[3], _CHANNELS[3]))
    small = _upwards(g, middle, eighth, 13, (_CHANNELS[3] + _CHANNELS[2], _CHANNELS[2]))
    middle = _downwards(g, small, middle, 16, (_CHANNELS[2], _CHANNELS[3]))
    large = _downwards(g, middle, deepest, 19, (_CHANNELS[3], _CHANNELS[4]))
    return g.build(
        Value(_detect(g, (small, middle, large)), "float32", (1, 4 + _CLASS_COUNT, 8400))
    )


def _conv(
    g: Network, x: str, name: str, channels: tuple[int, int], kernel: int, *, stride: int = 1
) -> str:
    x = g.conv(x, f"{name}.conv", channels, kernel, stride=stride, gain=_SILU_GAIN)
    return silu(g, x, name)


def _partial_stage(
    g: Network, x: str, name: str, channels: tuple[int, int], count: int, *, is_residual: bool
) -> str:
    """Blocks of two convolutions over half of the channels; all their results are joined."""
    width = channels[1] // 2
    x = _conv(g, x, f"{name}.cv1", (channels[0], 2 * width), 1)
    parts = list(g.split(x, f"{name}.split", (width, width), axis=1))
    for block in range(count):
        scope = f"{name}.m.{block}"
        y = _conv(g, parts[-1], f"{scope}.cv1", (width, width), 3)
        y = _conv(g, y, f"{scope}.cv2", (width, width), 3)
        parts.append(g.node("Add", parts[-1], y, name=f"{scope}.add") if is_residual else y)
    x = g.node("Concat", *parts, name=f"{name}.concat", axis=1)
    return _conv(g, x, f"{name}.cv2", (len(parts) * width, channels[1]), 1)


def _pyramid_pooling(g: Network, x: str, name: str, channels: int) -> str:
    """Maxima over 5x5, 9x9 and 13x13 pixels beside the input."""
    width = channels // 2
    parts = [_conv(g, x, f"{name}.cv1", (channels, width), 1)]
    for number in range(3):
        pool = f"{name}.m.{number}"
        parts.append(
            g.node(
                "MaxPool",
                parts[-1],
                name=pool,
                kernel_shape=(5, 5),
                pads=(2, 2, 2, 2),
                strides=(1, 1),
            )
        )
    x = g.node("Concat", *parts, name=f"{name}.concat", axis=1)
    return _conv(g, x, f"{name}.cv2", (4 * width, channels), 1)


def _upwards(g: Network, x: str, other: str, number: int, channels: tuple[int, int]) -> str:
    """Twice the size, joined with an earlier level."""
    scales = f"model.{number}.scales"
    g.table(scales, 4, values=(1.0, 1.0, 2.0, 2.0))
    x = g.node(
        "Resize",
        *(x, "", scales),
        name=f"model.{number}",
        coordinate_transformation_mode="asymmetric",
        mode="nearest",
        nearest_mode="floor",
    )
    x = g.node("Concat", x, other, name=f"model.{number + 1}", axis=1)
    return _partial_stage(g, x, f"model.{number + 2}", channels, 1, is_residual=False)


def _downwards(g: Network, x: str, other: str, number: int, channels: tuple[int, int]) -> str:
    """Half the size, joined with the level of that size."""
    x = _conv(g, x, f"model.{number}", (channels[0], channels[0]), 3, stride=2)
    x = g.node("Concat", x, other, name=f"model.{number + 1}", axis=1)
    sizes = (sum(channels), channels[1])
    return _partial_stage(g, x, f"model.{number + 2}", sizes, 1, is_residual=False)


def _detect(g: Network, levels: tuple[str, ...]) -> str:
    """Boxes (centre and size in pixels) and scores of all levels: 1 x 84 x 8400."""
    rows = 4 * _DISTANCES + _CLASS_COUNT
    shape = g.integers("detect.level", 1, rows, -1)
    flat = []
    for level, (x, channels) in enumerate(zip(levels, _CHANNELS[2:], strict=True)):
        boxes = _branch(g, x, f"detect.cv2.{level}", (channels, _BOX_WIDTH, 4 * _DISTANCES))
        classes = _branch(g, x, f"detect.cv3.{level}", (channels, _CLASS_WIDTH, _CLASS_COUNT))
        y = g.node("Concat", boxes, classes, name=f"detect.concat.{level}", axis=1)
        flat.append(g.node("Reshape", y, shape, name=f"detect.flat.{level}"))
    x = g.node("Concat", *flat, name="detect.all", axis=2)
    boxes, classes = g.split(x, "detect.split", (4 * _DISTANCES, _CLASS_COUNT), axis=1)
    boxes = _decode(g, boxes)
    return g.node(
        "Concat", boxes, g.node("Sigmoid", classes, name="scores"), name="output0", axis=1
    )


def _branch(g: Network, x: str, name: str, channels: tuple[int, int, int]) -> str:
    x = _conv(g, x, f"{name}.0", (channels[0], channels[1]), 3)
    x = _conv(g, x, f"{name}.1", (channels[1], channels[1]), 3)
    return g.conv(x, f"{name}.2", (channels[1], channels[2]), 1)


def _decode(g: Network, boxes: str) -> str:
    """Expected distances to the four sides, from a distribution each, made into boxes."""
    count = sum((_SIDE // stride) ** 2 for stride in _STRIDES)
    sides = g.integers("detect.sides", 1, 4, _DISTANCES, count)
    x = g.node("Reshape", boxes, sides, name="detect.distances")
    x = g.node("Transpose", x, name="detect.distance_first", perm=(0, 2, 1, 3))
    x = g.node("Softmax", x, name="detect.softmax", axis=1)
    g.table("detect.dfl.weight", 1, _DISTANCES, 1, 1, values=range(_DISTANCES))
    x = g.node("Conv", x, "detect.dfl.weight", name="detect.dfl", kernel_shape=(1, 1))
    x = g.node("Reshape", x, g.integers("detect.box", 1, 4, count), name="detect.expected")
    before, after = g.split(x, "detect.corners", (2, 2), axis=1)
    centres = g.table("detect.centres", 1, 2, count, values=_centres())
    low = g.node("Sub", centres, before, name="detect.low")
    high = g.node("Add", centres, after, name="detect.high")
    middle = g.node("Add", low, high, name="detect.sum")
    middle = g.node("Div", middle, g.scalar("two", 2.0), name="detect.middle")
    size = g.node("Sub", high, low, name="detect.size")
    x = g.node("Concat", middle, size, name="detect.boxes", axis=1)
    strides = g.table("detect.strides", 1, count, values=_strides())
    return g.node("Mul", x, strides, name="detect.pixels")


def _centres() -> Iterator[float]:
    """Columns, then rows, of all cells of the three levels, in cells."""
    for by_row in (False, True):
        for stride in _STRIDES:
            side = _SIDE // stride
            yield from ((n // side if by_row else n % side) + 0.5 for n in range(side**2))


def _strides() -> Iterator[float]:
    for stride in _STRIDES:
        yield from (float(stride),) * (_SIDE // stride) ** 2
