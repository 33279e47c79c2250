"""What one or two measurements on the device itself say about all other models there."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from feasibility.project.cpu import Work
from feasibility.project.fitted import Fitted
from feasibility.project.formulas import (
    gpu_runtime,
    gpu_seconds,
    integer_unit,
    likely_cpu_seconds,
)
from feasibility.project.spreads import thread_group
from feasibility.records.device import Anchor, Device

# Variance of what models on one device differ by, over that of what devices differ by: the
# weight of the projection against one measurement.
PRIOR_WEIGHT: Final = 0.3
_NS: Final = 10**9


class Anchoring(NamedTuple):
    """What the measurements on a device change.

    Attributes:
        ratio: Factor on every projection for the device.
        spread: Half width of the interval as a factor.
        text: The sentence that says so.
        model_count: How many models were measured there.
    """

    ratio: float
    spread: float
    text: str
    model_count: int


def anchoring(device: Device, known: Fitted, runtime: str) -> Anchoring | None:
    """What the anchors of the device's file say; None if it has none for this runtime."""
    logs = []
    names = []
    threads = set()
    for anchor in device.anchors:
        likely = anchor_seconds(anchor, device, known) if anchor.runtime == runtime else None
        if likely is not None:
            logs.append(math.log(anchor.latency_ns / _NS / likely))
            names.append(anchor.model)
            threads.add(anchor.threads)
    if not logs:
        return None
    ratio = math.exp(anchored_offset(logs))
    count = "one anchor" if len(logs) == 1 else "two anchors"
    kind = thread_group(max(threads))
    models = "1 model" if len(logs) == 1 else f"{len(logs)} models"
    return Anchoring(
        ratio=ratio,
        spread=known.spreads[f"{count}, {kind}"],
        text=f"Multiplied by {ratio:.2f} after {models} measured on the device itself.",
        model_count=len(logs),
    )


def anchored_offset(logs: list[float]) -> float:
    """Offset of a device from the logarithms of measured over projected, shrunk towards 0."""
    return sum(logs) / (len(logs) + PRIOR_WEIGHT)


def anchor_seconds(anchor: Anchor, device: Device, known: Fitted) -> float | None:
    """What the projection says of the measured model; None where it says nothing."""
    work = Work(
        operations=dict(anchor.operations),
        activation_count=anchor.activation_count,
        weight_count=anchor.weight_count,
        vector_weight_count=anchor.vector_weight_count,
        layer_count=anchor.layer_count,
    )
    if not work.total:
        return None
    if device.runs_on == "gpu":
        if device.gpu is None:
            return None
        return gpu_seconds(
            work,
            device.gpu,
            device,
            known.gpu,
            runtime=gpu_runtime(anchor.runtime),
            is_half=anchor.precision == "fp16",
        )
    seconds = likely_cpu_seconds(
        work,
        device,
        anchor.threads,
        known.cpu,
        runtime=anchor.runtime,
        is_half=anchor.precision == "fp16",
    )
    if seconds is not None and anchor.precision == "int8":
        entry = known.int8[integer_unit(device)]
        share = work.operations.get("winograd", 0.0) / work.total
        seconds *= entry.ratio * entry.winograd_ratio**share
    return seconds
