"""What one or two measurements on the device itself say about all other models there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from feasibility.predict.latency.coefficients import Fitted
from feasibility.predict.latency.covariance import Run, posterior
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.gpu_formula import gpu_runtime
from feasibility.predict.latency.likely_seconds import (
    cpu_run,
    int8_ratio,
    likely_cpu_seconds,
    likely_gpu_seconds,
)
from feasibility.predict.latency.operator_mix import mix_features
from feasibility.records.device import Anchor, Device, Precision

_NS: Final = 10**9


class Anchoring(NamedTuple):
    """What the measurements on a device change.

    Attributes:
        ratio: Factor on the projection.
        spread: Half width of the interval as a factor.
        text: The sentence that says so.
        model_count: How many models were measured there.
    """

    ratio: float
    spread: float
    text: str
    model_count: int


def anchoring(target: Run, spread: float, device: Device, known: Fitted) -> Anchoring | None:
    """What the anchors of the device's file say of a projection; None if it has none.

    A model that is like the one projected, with the same runtime and as many threads, says
    most; one of another runtime only what holds for the device as a whole.

    Args:
        target: What is projected, from `run_on`.
        spread: Half width of its interval as a factor, without anchors.
        device: Where.
        known: The coefficients.
    """
    runs, errors = [], []
    for anchor in device.anchors:
        likely = anchor_seconds(anchor, device, known)
        if likely is not None:
            runs.append(
                run_on(
                    device, _work(anchor), anchor.threads, known,
                    runtime=anchor.runtime, precision=anchor.precision,
                )
            )  # fmt: skip
            errors.append(math.log(anchor.latency_ns / _NS / likely))
    if not runs:
        return None
    found = posterior(target, runs, errors, known.covariance)
    threads = "several threads" if target.is_threaded else "one thread"
    count = "one anchor" if len(runs) == 1 else "two anchors"
    # What is known less without anchors is known less with them.
    doubt = math.log(spread) / math.log(known.spreads[f"cpu, {threads}"])
    ratio = math.exp(found.mean)
    return Anchoring(
        ratio=ratio,
        spread=min(spread, known.spreads[f"{count}, {threads}"] ** (found.deviation * doubt)),
        text=_sentence(ratio, target, runs),
        model_count=len(runs),
    )


def run_on(
    device: Device,
    work: Work,
    threads: int | None,
    known: Fitted,
    *,
    runtime: str,
    precision: Precision,
) -> Run:
    """What decides how alike this projection onto the device and another one err."""
    if device.runs_on == "gpu" or threads is None:
        return Run(
            runtime=f"gpu {gpu_runtime(runtime)}",
            is_threaded=False,
            shares={},
            mix=mix_features(work),
        )
    run = cpu_run(work, device, threads, known.cpu, runtime=runtime, is_half=precision == "fp16")
    # Kernels for int8 are others than those for floating point.
    return run._replace(runtime=f"{runtime} int8") if precision == "int8" else run


def _sentence(ratio: float, target: Run, runs: Sequence[Run]) -> str:
    models = "1 model" if len(runs) == 1 else f"{len(runs)} models"
    text = f"Multiplied by {ratio:.2f} after {models} measured on the device itself"
    key = (target.runtime, target.is_threaded)
    other = sum((run.runtime, run.is_threaded) != key for run in runs)
    if not other:
        return f"{text}."
    which = "" if other == len(runs) else f"{other} of them "
    return f"{text}, {which}with another runtime, arithmetic or number of threads; that tells less."


def anchor_seconds(anchor: Anchor, device: Device, known: Fitted) -> float | None:
    """What the projection says of the measured model; None where it says nothing."""
    work = _work(anchor)
    if not work.total:
        return None
    if device.runs_on == "gpu":
        return likely_gpu_seconds(
            work,
            device,
            known.gpu,
            runtime=anchor.runtime,
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
        seconds *= int8_ratio(work, device, anchor.threads, known.int8, runtime=anchor.runtime)
    return seconds


def _work(anchor: Anchor) -> Work:
    return Work(
        operations=dict(anchor.operations),
        activation_count=anchor.activation_count,
        weight_count=anchor.weight_count,
        vector_weight_count=anchor.vector_weight_count,
        layer_count=anchor.layer_count,
    )
