"""Latency of a measured model on a device it never ran on.

Work by kind over what the device's cores sustain for it, bytes over the memory bus, and a
dispatch per layer, with coefficients fitted to published measurements
(`feasibility.predict.latency.coefficients`). `project_latency` is the only entry.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec.structs import replace

from feasibility.predict.latency.anchors import Anchoring, anchoring, run_on
from feasibility.predict.latency.coefficients import Fitted, Setting, fitted
from feasibility.predict.latency.cpu_formula import Cores, Work, cpu_seconds
from feasibility.predict.latency.interval_width import cpu_spread
from feasibility.predict.latency.likely_seconds import (
    int8_ratio,
    likely_cpu_seconds,
    likely_gpu_seconds,
)
from feasibility.predict.latency.measured_rates import has_rates, measured_spread
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.latency.npu_rows import npu_text
from feasibility.records.device import Anchor, Device, Precision
from feasibility.records.intervals import DurationInterval
from feasibility.records.profile import Profile, ProfiledModel

# What a device runs unless somebody says otherwise.
DEFAULT_RUNTIME: Final = "onnxruntime"
RUNTIME_NAMES: Final = {
    "onnxruntime": "ONNX Runtime",
    "ncnn": "ncnn",
    "mnn": "MNN",
    "tnn": "TNN",
    "bolt": "bolt",
    "opencv": "OpenCV",
    "paddle-lite": "Paddle Lite",
    "tflite": "LiteRT",
    "xnnpack": "XNNPACK",
    "tensorrt": "TensorRT",
}
# What runtimes reach a GPU through; the others are known on CPUs only.
GPU_INTERFACES: Final = {"onnxruntime": "CUDA", "tensorrt": "TensorRT", "ncnn": "Vulkan"}
GPU_ONLY_RUNTIMES: Final = frozenset({"tensorrt"})
# Runtimes that compute in fp16 unasked where the processor can.
HALF_RUNTIMES: Final = frozenset({"ncnn"})
# More cores than this hardly help one inference and are seldom given to it.
DEFAULT_MAX_THREADS: Final = 4
CONFIDENCE: Final = 0.8
SPREAD_UNKNOWN_WORK: Final = 3.5

# A host of unknown make is taken to be a server core of its instruction set. Only a model that
# runs this many times slower than projected there says more about the model than the host.
HOST_FLOPS_PER_S: Final = {"x86_64": 110 * 10**9, "aarch64": 40 * 10**9}
HOST_CLOCK_HZ: Final = 3 * 10**9
HOST_BANDWIDTH_BYTES_PER_S: Final = 40 * 10**9
HOST_TOLERANCE: Final = 3.0

_NS: Final = 10**9
_UNLIMITED: Final = 2**16
_INT8_DTYPES: Final = ("int8", "uint8")
_PUBLISHED: Final = (
    "from the model's work by kind of operator; the interval held for "
    f"{CONFIDENCE:.0%} of published rows of devices left out of the fit."
)
_MEASURED: Final = (
    "from the model's work and what this very machine was measured to sustain of each kind of "
    f"operator; the interval held for {CONFIDENCE:.0%} of the models tried (docs/devices.md)."
)
_NO_PROCESSOR: Final = "The device file does not say how fast its processor is."


class _Figure(NamedTuple):
    """Seconds there, half width of the interval as a factor, and what they are for.

    The runtime is a key of `RUNTIME_NAMES`; the threads are None on a GPU.
    """

    seconds: float
    spread: float
    where: str
    runtime: str
    threads: int | None


def project_latency(
    profile: Profile,
    device: Device,
    *,
    threads: int | None = None,
    runtime: str = DEFAULT_RUNTIME,
) -> DurationInterval:
    """Latency of one inference on the device, with an interval that covers 80 % of cases.

    Args:
        profile: The model's work, and how long it took on the machine that measured it.
        device: Where it would run; measurements in its file tighten the interval.
        threads: Threads on the device's CPU; None takes the best number up to four.
        runtime: Key of the runtime in `RUNTIME_NAMES`; see `runtime_on`.

    Returns:
        An interval without a budget; its ends are None where neither the model's work
        nor its latency on the host is known.
    """
    known = fitted()
    work = work_of_model(profile.model)
    dtype = profile.model.weight_dtype or ""
    if work is None:
        return _from_host_latency(profile, device, threads, runtime)
    figure = _on_device(work, device, threads, runtime, dtype, known)
    if figure is None:
        return DurationInterval(explanation=_NO_PROCESSOR)
    slowness = _host_slowness(profile, work)
    runtime = runtime_on(device, runtime)
    target = run_on(
        device, work, figure.threads, known,
        runtime=runtime, precision=_precision(device, runtime, dtype),
    )  # fmt: skip
    anchors = anchoring(target, figure.spread, device, known)
    spread = figure.spread if anchors is None else anchors.spread
    seconds = figure.seconds * slowness * (1.0 if anchors is None else anchors.ratio)
    evidence = _MEASURED if has_rates(device, runtime) else _PUBLISHED
    text = _explain(profile, f"{figure.where} {evidence}", slowness, anchors)
    on_npu = npu_text(profile.model.name, device)
    found = _interval(seconds, spread, figure, f"{text} {on_npu}" if on_npu else text)
    return found if anchors is None else replace(found, anchor_count=anchors.model_count)


def runtime_on(device: Device, runtime: str) -> str:
    """The runtime that a device is projected with: the one asked for where it is known there.

    ONNX Runtime takes the place of one that does not run, or was never measured, on a
    processor of that sort.
    """
    if device.runs_on == "gpu":
        return runtime if runtime in GPU_INTERFACES else DEFAULT_RUNTIME
    return DEFAULT_RUNTIME if runtime in GPU_ONLY_RUNTIMES else runtime


def _on_device(
    work: Work, device: Device, threads: int | None, runtime: str, dtype: str, known: Fitted
) -> _Figure | None:
    """Projection without anchors; None where the device file does not describe the processor."""
    asked, runtime = runtime, runtime_on(device, runtime)
    if device.runs_on == "gpu":
        return _on_gpu(work, device, runtime, asked, dtype, known)
    if device.cpu is None:
        return None
    used, seconds = _best_threads(work, device, threads, runtime, known)
    if has_rates(device, runtime):
        spread = measured_spread(used)
    else:
        spread = cpu_spread(work, device, used, runtime, known)
    if dtype in _INT8_DTYPES:
        seconds *= int8_ratio(work, device, used, known.int8, runtime=runtime)
        spread = max(spread, known.spreads["int8"])
    precision = _precision(device, runtime, dtype)
    name = RUNTIME_NAMES.get(runtime, runtime)
    count = "1 thread" if used == 1 else f"{used} threads"
    if threads is not None and threads > used:
        count += f", as many as it has cores, where {threads} were asked for,"
    where = f"{name} with {count} in {precision}{_instead_of(asked, runtime)}"
    return _Figure(seconds, spread, where, name, used)


def _best_threads(
    work: Work, device: Device, threads: int | None, runtime: str, known: Fitted
) -> tuple[int, float]:
    """Threads that are used and the seconds they take."""
    clusters = device.cpu.clusters if device.cpu is not None else ()
    available = sum(cluster.core_count.value for cluster in clusters)
    most = max(1, min(available, DEFAULT_MAX_THREADS if threads is None else threads))
    tried = []
    for count in range(1 if threads is None else most, most + 1):
        seconds = likely_cpu_seconds(
            work, device, count, known.cpu, runtime=runtime, is_half=_is_half(device, runtime)
        )
        if seconds is None:
            raise AssertionError  # the caller has seen the CPU
        tried.append((seconds, count))
    seconds, used = min(tried)
    return used, seconds


def _precision(device: Device, runtime: str, dtype: str) -> Precision:
    if device.runs_on == "gpu":
        return "fp16" if dtype == "float16" else "fp32"
    if dtype in _INT8_DTYPES:
        return "int8"
    return "fp16" if _is_half(device, runtime) else "fp32"


def _is_half(device: Device, runtime: str) -> bool:
    return runtime in HALF_RUNTIMES and device.cpu is not None and "fp16" in device.cpu.features


def _on_gpu(
    work: Work, device: Device, runtime: str, asked: str, dtype: str, known: Fitted
) -> _Figure | None:
    if device.gpu is None:
        return None
    is_half = dtype == "float16"
    seconds = likely_gpu_seconds(
        work, device, known.gpu, runtime=GPU_INTERFACES[runtime], is_half=is_half
    )
    if seconds is None:
        return None
    precision = "fp16" if is_half else "fp32"
    interface = GPU_INTERFACES[runtime]
    where = f"{device.gpu.name} through {interface} in {precision}{_instead_of(asked, runtime)}"
    name = RUNTIME_NAMES[runtime]
    text = name if name == interface else f"{name} through {interface}"
    return _Figure(seconds, known.spreads["gpu"], where, text, None)


def _instead_of(asked: str, runtime: str) -> str:
    """Why another runtime than the one asked for is projected; empty where it is the same."""
    name = RUNTIME_NAMES.get(asked, asked)
    return "" if asked == runtime else f" ({name} is not known on a processor of that sort)"


def _host_seconds(work: Work, profile: Profile) -> float:
    """Projection onto a server core of the host's instruction set."""
    k = fitted().cpu.coefficients
    arch = profile.host.arch
    family = "big" if arch == "aarch64" else "avx2"
    peak = float(HOST_FLOPS_PER_S.get(arch, HOST_FLOPS_PER_S["x86_64"]))
    # More threads than cores take turns.
    threads = max(1, min(profile.workload.threads, profile.host.core_count or _UNLIMITED))
    cores = Cores(
        lead={family: peak},
        used={family: peak * threads},
        slowest={family: peak},
        clock_hz=HOST_CLOCK_HZ,
        bandwidth_bytes_per_s=HOST_BANDWIDTH_BYTES_PER_S,
        thread_count=threads,
        element_bytes=4,
        is_half=0,
        is_computer=1,
    )
    fit = fitted().cpu
    time_ratio, winograd_ratio = fit.runtime(DEFAULT_RUNTIME)
    setting = Setting(
        runtime=DEFAULT_RUNTIME,
        is_threaded=threads > 1,
        is_half=False,
        is_x86=arch == "x86_64",
        year=None,
    )
    seconds = cpu_seconds(work, cores, k, winograd_ratio=winograd_ratio) * time_ratio
    return seconds * fit.setting_ratio(work, setting)


def _host_slowness(profile: Profile, work: Work) -> float:
    """How many times slower the host ran the model than its work explains; at least 1.

    Below the tolerance the difference may be the host's make; above it the model spends
    its time in something that FLOPs do not show, and will elsewhere.
    """
    if profile.latency is None or profile.method == "emulated":
        return 1.0
    measured = profile.latency.median_ns / _NS
    return max(1.0, measured / _host_seconds(work, profile) / HOST_TOLERANCE)


def _from_host_latency(
    profile: Profile, device: Device, threads: int | None, runtime: str
) -> DurationInterval:
    """Latency scaled from the host by what both sustain, for a model of unknown work."""
    if profile.latency is None or profile.method == "emulated":
        return DurationInterval(
            explanation="Neither the model's work nor its latency on a machine like this is known."
        )
    if device.runs_on == "gpu":
        return DurationInterval(
            explanation="The model's work is not known, and a time on a processor alone says too "
            "little of a GPU."
        )
    nominal = Work({"pointwise": float(_NS)}, 0.0, 0.0, 0.0, 0.0)
    there = _on_device(nominal, device, threads, runtime, "", fitted())
    if there is None:
        return DurationInterval(explanation=_NO_PROCESSOR)
    here = _host_seconds(nominal, profile)
    return _interval(
        profile.latency.median_ns / _NS * there.seconds / here,
        SPREAD_UNKNOWN_WORK,
        there,
        "The model's work is not known; scaled from the latency that was measured by what both "
        "processors sustain, so the interval is wide.",
    )


def _interval(seconds: float, spread: float, figure: _Figure, explanation: str) -> DurationInterval:
    likely_ns = seconds * _NS
    return DurationInterval(
        low_ns=math.floor(likely_ns / spread),
        likely_ns=round(likely_ns),
        high_ns=math.ceil(likely_ns * spread),
        confidence_ratio=CONFIDENCE,
        method="projected",
        runtime=figure.runtime,
        threads=figure.threads,
        explanation=explanation,
    )


def _explain(profile: Profile, basis: str, slowness: float, anchors: Anchoring | None) -> str:
    text = f"Projected for {basis}"
    if anchors is not None:
        text += f" {anchors.text}"
    if slowness > 1:
        text += (
            f" Raised {slowness:.1f} times: here it ran that much slower than work of this kind "
            "explains, beyond what a slow machine would."
        )
    if profile.model.per_iteration:
        text += " A loop of unknown length was counted once."
    return text


def anchor_of(
    model: ProfiledModel,
    device: Device,
    latency_ns: int,
    *,
    threads: int | None,
    runtime: str,
    measured_on: str,
) -> Anchor | None:
    """The anchor that a latency measured on the device makes; None if the work is not known.

    Args:
        model: The model that was measured.
        device: Where it was measured.
        latency_ns: How long it took.
        threads: Threads; None for as many as projections for this device take.
        runtime: Runtime.
        measured_on: Date, ISO 8601.
    """
    work = work_of_model(model)
    if work is None:
        return None
    used = threads or 1
    if device.runs_on == "cpu" and device.cpu is not None:
        used, _ = _best_threads(work, device, threads, runtime, fitted())
    dtype = model.weight_dtype or ""
    return Anchor(
        model=model.name,
        latency_ns=latency_ns,
        threads=used,
        runtime=runtime,
        precision=_precision(device, runtime, dtype),
        measured_on=measured_on,
        operations={kind: round(amount) for kind, amount in work.operations.items()},
        activation_count=round(work.activation_count),
        weight_count=round(work.weight_count),
        vector_weight_count=round(work.vector_weight_count),
        layer_count=round(work.layer_count),
    )
