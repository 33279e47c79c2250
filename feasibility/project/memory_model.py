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

from feasibility.project import coefficients as k
from feasibility.records.profile import Memory, ProfiledModel
from feasibility.units import format_bytes

_CONVOLUTIONS: Final = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv"}
)
_CONVOLUTION_CLASSES: Final = ("conv", "pointwise_conv", "depthwise_conv")
# Half as many normalisations as convolutions: those of the trunk are not folded yet.
_FOLDED_SHARE: Final = 0.5
# Below this share of the measured peak, what was re-laid can be taken off twice at most.
_SMALL_SHARE: Final = 0.3


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
        low = max(float(memory.resident_bytes) * k.LOAD_LOW_RATIO, measured - model.generated_bytes)
        low = min(low, measured)
        return Range(low, (low + measured) / 2, measured * k.LOAD_HIGH_RATIO)
    if relaid == 0:
        return _around(measured)
    likely = min(measured, float(sum(_parts(model))))
    if relaid < _SMALL_SHARE * measured:
        likely = max(likely, measured - 2 * relaid)
    if model.external_bytes:
        return Range(
            min(likely, measured) * k.LOAD_LOW_RATIO, measured, measured * k.LOAD_HIGH_RATIO
        )
    return _around(likely)


def arm_run(model: ProfiledModel, memory: Memory) -> Range:
    """Peak of running on 64-bit Arm of a model measured on x86-64."""
    measured = memory.inference_peak_bytes or memory.resident_bytes
    low = k.INFERENCE_LOW_THIN_RATIO if has_convolutions(model) else k.INFERENCE_LOW_RATIO
    return Range(measured * low, measured * k.INFERENCE_RATIO, measured * k.INFERENCE_HIGH_RATIO)


def has_convolutions(model: ProfiledModel) -> bool:
    """Whether any node is a convolution."""
    return any(model.node_count_by_class.get(kind, 0) for kind in _CONVOLUTION_CLASSES)


def arm_load_text(model: ProfiledModel, memory: Memory) -> str:
    """Why loading takes what it takes on Arm, part by part; empty where it peaks as measured."""
    if model.generated_bytes:
        return (
            f"The graph makes {format_bytes(model.generated_bytes)} of weights itself; how often "
            "they are copied while loading is not known."
        )
    if arm_load(model, memory).likely >= memory.load_peak_bytes:
        return ""
    inline, largest, folded, own = _parts(model)
    parts = [f"{format_bytes(inline)} of weights in the file"]
    if largest:
        parts.append(f"{format_bytes(largest)} for a copy of the largest")
    if folded:
        parts.append(f"{format_bytes(folded)} of weights made anew to fold normalisations in")
    parts.append(f"{format_bytes(own)} of the runtime's own objects")
    return (
        f"Loading peaked at {format_bytes(memory.load_peak_bytes)} here because x86-64 re-lays "
        f"convolution weights into blocks beside the plain ones; Arm does not: {', '.join(parts)}."
    )


def _parts(model: ProfiledModel) -> tuple[int, int, int, int]:
    """Inline weights, copy of the largest, weights folded anew, the runtime's own objects."""
    return (
        max(0, (model.initializer_bytes or 0) - model.external_bytes),
        model.largest_initializer_bytes or 0,
        relaid_bytes(model) if _is_unfolded(model) else 0,
        k.ARM_FIXED_BYTES + k.ARM_NODE_BYTES * (model.node_count or 0),
    )


def _is_unfolded(model: ProfiledModel) -> bool:
    """Whether batch normalisations follow the convolutions, to be folded while loading."""
    if not any(name.rpartition(":")[2] == "BatchNormalization" for name in model.operator_types):
        return False
    counts = model.node_count_by_class
    convolutions = sum(counts.get(kind, 0) for kind in _CONVOLUTION_CLASSES)
    return counts.get("normalization", 0) >= _FOLDED_SHARE * convolutions


def _around(likely: float) -> Range:
    return Range(likely * k.LOAD_LOW_RATIO, likely, likely * k.LOAD_HIGH_RATIO)
