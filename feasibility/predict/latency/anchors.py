"""How do times measured on the device itself correct the projections for other models there?"""

from __future__ import annotations

import math
from typing import NamedTuple

from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.error_covariance import Run, operator_point, posterior
from feasibility.predict.latency.gpu_formula import gpu_runtime
from feasibility.predict.latency.likely_seconds import (
    int8_ratio,
    likely_cpu_seconds,
    likely_gpu_seconds,
)
from feasibility.records.device import Anchor, Device, Precision
from feasibility.units import SECOND_NS


class Correction(NamedTuple):
    """How the anchors of a device change a projection.

    Attributes:
        ratio: Factor on the projected time.
        spread: Half width of the interval as a factor.
        other_count: How many of them have another runtime, arithmetic or number of threads.
    """

    ratio: float
    spread: float
    model_count: int
    other_count: int


def correction(
    target: Run, spread: float, device: Device, coefficients: Coefficients
) -> Correction | None:
    """The correction of a projection by the anchors in the device's file; None without anchors.

    An anchor of a similar model with the same runtime and number of threads counts most.
    `target` is the projection and `spread` the half width of its interval without anchors.
    """
    runs, errors = [], []
    for anchor in device.anchors:
        likely = _anchor_seconds(anchor, device, coefficients)
        if likely is not None:
            runs.append(
                run_on(device, _work(anchor), anchor.threads, anchor.runtime, anchor.precision)
            )
            errors.append(math.log(anchor.latency_ns / SECOND_NS / likely))
    if not runs:
        return None
    found = posterior(target, runs, errors, coefficients.covariance)
    threads = "several threads" if target.is_threaded else "one thread"
    count = "one anchor" if len(runs) == 1 else "two anchors"
    # A projection that is less sure without anchors is less sure with them.
    doubt = math.log(spread) / math.log(coefficients.spreads[f"cpu, {threads}"])
    anchored_spread = coefficients.spreads[f"{count}, {threads}"] ** (found.deviation * doubt)
    same = (target.runtime, target.is_threaded)
    return Correction(
        ratio=math.exp(found.mean),
        spread=min(spread, anchored_spread),
        model_count=len(runs),
        other_count=sum((run.runtime, run.is_threaded) != same for run in runs),
    )


def run_on(
    device: Device, work: Work, threads: int | None, runtime: str, precision: Precision
) -> Run:
    """What decides how similar the error of this projection is to that of another one."""
    if device.runs_on == "gpu" or threads is None:
        runtime, threads = f"gpu {gpu_runtime(runtime)}", 1
    elif precision == "int8":
        # int8 has its own kernels, so it counts as another runtime.
        runtime = f"{runtime} int8"
    return Run(runtime, threads > 1, operator_point(work))


def _anchor_seconds(anchor: Anchor, device: Device, coefficients: Coefficients) -> float | None:
    """The projected time of the measured model; None if it cannot be projected."""
    work = _work(anchor)
    is_half = anchor.precision == "fp16"
    if not work.total:
        return None
    if device.runs_on == "gpu":
        return likely_gpu_seconds(
            work, device, coefficients.gpu, runtime=anchor.runtime, is_half=is_half
        )
    seconds = likely_cpu_seconds(
        work, device, anchor.threads, coefficients.cpu, runtime=anchor.runtime, is_half=is_half
    )
    if anchor.precision == "int8":
        seconds *= int8_ratio(
            work, device, anchor.threads, coefficients.int8, runtime=anchor.runtime
        )
    return seconds


def _work(anchor: Anchor) -> Work:
    # An anchor has the fields of its model's work.
    return Work(*(getattr(anchor, name) for name in Work._fields))
