"""What ONNX Runtime holds on 64-bit Arm, from figures measured on x86-64 and static facts.

Parts of the load peak there, in bytes (ONNX Runtime 1.31.1, glibc, one thread, under emulation):

* the inline weights: the protobuf holds them until the session exists;
* a copy of the largest initializer, made while it moves into the runtime, and the convolution
  weights into which batch normalisations are folded, made anew beside the old ones;
* the runtime's own objects: a fixed part and a part per node.

x86-64 holds the convolution weights once more, re-laid into blocks, so what was measured there
bounds the figure from above, and where only little was re-laid, from below. While running, both
need the same within a few percent, but x86-64 pads few channels to whole blocks, so a network
of thin convolutions can need a third less on Arm.

docs/runners.md states the errors that were measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.records.profile import Memory, ProfiledModel
from feasibility.units import KIB, MIB

_CONVOLUTIONS: Final = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv"}
)
_CONVOLUTION_CLASSES: Final = ("conv", "pointwise_conv", "depthwise_conv")
_FIXED_BYTES: Final = 7 * MIB
_NODE_BYTES: Final = 10 * KIB
# Half as many normalisations as convolutions: those of the trunk are not folded yet.
_FOLDED_SHARE: Final = 0.5
# Below this share of the measured peak, what was re-laid can be taken off twice at most.
_SMALL_SHARE: Final = 0.3
_LOAD_LOW: Final = 0.94
_LOAD_HIGH: Final = 1.07
_RUN: Final = 0.98
_RUN_LOW: Final = 0.94
_RUN_LOW_THIN: Final = 0.64
_RUN_HIGH: Final = 1.08


class Range(NamedTuple):
    """Low, likely and high of one figure, in bytes."""

    low: float
    likely: float
    high: float


def relaid_bytes(model: ProfiledModel) -> int:
    """Weights that only x86-64 holds in blocks as well."""
    return sum(
        size
        for operator, size in model.weight_bytes_by_operator.items()
        if operator.rpartition(":")[2] in _CONVOLUTIONS
    )


def arm_load(model: ProfiledModel, memory: Memory) -> Range:
    """Load peak on 64-bit Arm of a model measured on x86-64."""
    measured = float(memory.load_peak_bytes)
    relaid = relaid_bytes(model)
    if model.generated_bytes:
        # How often generated weights are copied depends on how the graph makes them.
        low = max(float(memory.resident_bytes) * _LOAD_LOW, measured - model.generated_bytes)
        low = min(low, measured)
        return Range(low, (low + measured) / 2, measured * _LOAD_HIGH)
    if relaid == 0:
        return _around(measured)
    likely = min(measured, _arm_load_parts(model, relaid))
    if relaid < _SMALL_SHARE * measured:
        likely = max(likely, measured - 2 * relaid)
    if model.external_bytes:
        return Range(min(likely, measured) * _LOAD_LOW, measured, measured * _LOAD_HIGH)
    return _around(likely)


def arm_run(model: ProfiledModel, memory: Memory) -> Range:
    """Peak of running on 64-bit Arm of a model measured on x86-64."""
    measured = memory.inference_peak_bytes or memory.resident_bytes
    low = _RUN_LOW_THIN if has_convolutions(model) else _RUN_LOW
    return Range(measured * low, measured * _RUN, measured * _RUN_HIGH)


def has_convolutions(model: ProfiledModel) -> bool:
    """Whether any node is a convolution."""
    return any(model.node_count_by_class.get(kind, 0) for kind in _CONVOLUTION_CLASSES)


def _arm_load_parts(model: ProfiledModel, relaid: int) -> float:
    inline = max(0, (model.initializer_bytes or 0) - model.external_bytes)
    copied = model.largest_initializer_bytes or 0
    if _is_unfolded(model):
        copied += relaid
    return float(inline + copied + _FIXED_BYTES + _NODE_BYTES * (model.node_count or 0))


def _is_unfolded(model: ProfiledModel) -> bool:
    """Whether batch normalisations follow the convolutions, to be folded while loading."""
    if not any(name.rpartition(":")[2] == "BatchNormalization" for name in model.operator_types):
        return False
    counts = model.node_count_by_class
    convolutions = sum(counts.get(kind, 0) for kind in _CONVOLUTION_CLASSES)
    return counts.get("normalization", 0) >= _FOLDED_SHARE * convolutions


def _around(likely: float) -> Range:
    return Range(likely * _LOAD_LOW, likely, likely * _LOAD_HIGH)
