"""How long does a measured model take on a device that it never ran on?

`project_latency` combines the parts in `predict/latency`: the model's work, the formula of the
processor, the correction by anchors and the interval.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec.structs import replace

from feasibility.predict.latency.anchors import correction, run_on
from feasibility.predict.latency.coefficients import shipped_coefficients
from feasibility.predict.latency.cpu_formula import Cores, Work, cpu_seconds, kernels_of
from feasibility.predict.latency.interval import CONFIDENCE, UNKNOWN_WORK_SPREAD, cpu_width
from feasibility.predict.latency.likely_seconds import (
    int8_ratio,
    likely_cpu_seconds,
    likely_gpu_seconds,
)
from feasibility.predict.latency.measured_rates import has_rates, measured_spread
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.published_npu_times import npu_times
from feasibility.records.device import Anchor, Device, Precision
from feasibility.records.intervals import DurationInterval, LatencyBasis, LatencyBasisCode
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.units import SECOND_NS

# The runtime on a device by default.
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
# The interface to a GPU. Other runtimes are projected on CPUs only.
GPU_INTERFACES: Final = {"onnxruntime": "CUDA", "tensorrt": "TensorRT", "ncnn": "Vulkan"}
GPU_ONLY_RUNTIMES: Final = frozenset({"tensorrt"})
# Runtimes that compute in fp16 by default where the processor can.
HALF_RUNTIMES: Final = frozenset({"ncnn"})
# More threads rarely make one inference faster, and apps rarely get them.
DEFAULT_MAX_THREADS: Final = 4

# The host's processor is not in the catalogue, so it counts as a server core of its instruction
# set. A model this many times slower than projected there is slow because of the model.
HOST_FLOPS_PER_S: Final = {"x86_64": 110 * 10**9, "aarch64": 40 * 10**9}
HOST_CLOCK_HZ: Final = 3 * 10**9
HOST_BANDWIDTH_BYTES_PER_S: Final = 40 * 10**9
HOST_TOLERANCE: Final = 3.0

_MANY_CORES: Final = 2**16
_INT8_DTYPES: Final = ("int8", "uint8")


class _Projection(NamedTuple):
    """Seconds on the device, half width of the interval as a factor, and what they are for.

    `runtime` is the name in reports; `threads` is None on a GPU.
    """

    seconds: float
    spread: float
    runtime: str
    threads: int | None
    basis: LatencyBasis


def project_latency(
    profile: Profile, device: Device, *, threads: int | None = None, runtime: str = DEFAULT_RUNTIME
) -> DurationInterval:
    """Latency of one inference on the device, as an 80 % interval without a target.

    Its ends are None if neither the model's work nor its latency on the host is known. The work
    of a loop of unknown length is not known.

    Args:
        profile: The model's work, and its latency on the machine that measured it.
        device: The device; anchors in its file correct the projection.
        threads: Threads on the device's CPU; None for the best number up to four.
        runtime: Key of the runtime in `RUNTIME_NAMES`; see `runtime_on`.
    """
    work = work_of_model(profile.model)
    dtype = profile.model.weight_dtype or ""
    # Only a measured time says how often a loop of unknown length runs.
    if work is None or (profile.model.per_iteration and profile.latency is None):
        return _from_host_latency(profile, device, threads, runtime)
    projection = _on_device(work, device, threads, runtime, dtype)
    if projection is None:
        return _without_figures("no-processor")
    slowness = _host_slowness(profile, work)
    basis = replace(
        projection.basis,
        host_ratio=slowness,
        is_loop_counted_once=profile.model.per_iteration,
        npu=npu_times(profile.model.name, device),
    )
    projection = projection._replace(seconds=projection.seconds * slowness, basis=basis)
    runtime = runtime_on(device, runtime)
    run = run_on(device, work, projection.threads, runtime, _precision(device, runtime, dtype))
    anchors = correction(run, projection.spread, device, shipped_coefficients())
    if anchors is None:
        return _interval(projection)
    anchored = projection._replace(
        seconds=projection.seconds * anchors.ratio,
        spread=anchors.spread,
        basis=replace(basis, anchor_ratio=anchors.ratio, other_anchor_count=anchors.other_count),
    )
    return replace(_interval(anchored), anchor_count=anchors.model_count)


def runtime_on(device: Device, runtime: str) -> str:
    """The runtime that is projected: the one asked for, if it is known on such a processor.

    Otherwise ONNX Runtime.
    """
    if device.runs_on == "gpu":
        return runtime if runtime in GPU_INTERFACES else DEFAULT_RUNTIME
    return DEFAULT_RUNTIME if runtime in GPU_ONLY_RUNTIMES else runtime


def _on_device(
    work: Work, device: Device, threads: int | None, asked: str, dtype: str
) -> _Projection | None:
    """Projection without anchors; None if the device file does not describe the processor."""
    coefficients = shipped_coefficients()
    runtime = runtime_on(device, asked)
    basis = LatencyBasis(
        code="measured-rates" if has_rates(device, runtime) else "fitted",
        precision=_precision(device, runtime, dtype),
        unknown_runtime="" if asked == runtime else RUNTIME_NAMES.get(asked, asked),
    )
    if device.runs_on == "gpu":
        return _on_gpu(work, device, runtime, basis)
    if device.cpu is None:
        return None
    used, seconds = _best_threads(work, device, threads, runtime)
    if has_rates(device, runtime):
        spread = measured_spread(used)
    else:
        spread, widenings = cpu_width(work, device, used, runtime, coefficients)
        basis = replace(basis, widenings=widenings)
    if dtype in _INT8_DTYPES:
        seconds *= int8_ratio(work, device, used, coefficients.int8, runtime=runtime)
        spread = max(spread, coefficients.spreads["int8"])
    if threads is not None and threads > used:
        basis = replace(basis, asked_thread_count=threads)
    return _Projection(seconds, spread, RUNTIME_NAMES.get(runtime, runtime), used, basis)


def _best_threads(
    work: Work, device: Device, threads: int | None, runtime: str
) -> tuple[int, float]:
    """Threads that are used and the seconds they take."""
    clusters = device.cpu.clusters if device.cpu is not None else ()
    available = sum(cluster.core_count.value for cluster in clusters)
    most = max(1, min(available, DEFAULT_MAX_THREADS if threads is None else threads))
    fit, is_half = shipped_coefficients().cpu, _is_half(device, runtime)
    seconds = {
        count: likely_cpu_seconds(work, device, count, fit, runtime=runtime, is_half=is_half)
        for count in range(1 if threads is None else most, most + 1)
    }
    return min(seconds.items(), key=lambda item: item[1])


def _precision(device: Device, runtime: str, dtype: str) -> Precision:
    if device.runs_on == "gpu":
        return "fp16" if dtype == "float16" else "fp32"
    if dtype in _INT8_DTYPES:
        return "int8"
    return "fp16" if _is_half(device, runtime) else "fp32"


def _is_half(device: Device, runtime: str) -> bool:
    return runtime in HALF_RUNTIMES and device.cpu is not None and "fp16" in device.cpu.features


def _on_gpu(work: Work, device: Device, runtime: str, basis: LatencyBasis) -> _Projection | None:
    coefficients = shipped_coefficients()
    interface, name = GPU_INTERFACES[runtime], RUNTIME_NAMES[runtime]
    seconds = likely_gpu_seconds(
        work, device, coefficients.gpu, runtime=interface, is_half=basis.precision == "fp16"
    )
    if seconds is None or device.gpu is None:
        return None
    full_name = name if name == interface else f"{name} through {interface}"
    basis = replace(basis, gpu=device.gpu.name)
    return _Projection(seconds, coefficients.spreads["gpu"], full_name, None, basis)


def _host_seconds(work: Work, profile: Profile) -> float:
    """Projection onto a server core of the host's instruction set."""
    fit = shipped_coefficients().cpu
    arch = profile.host.arch
    family = "big" if arch == "aarch64" else "avx2"
    peak = float(HOST_FLOPS_PER_S.get(arch, HOST_FLOPS_PER_S["x86_64"]))
    # More threads than cores take turns.
    threads = max(1, min(profile.workload.threads, profile.host.core_count or _MANY_CORES))
    cores = Cores(
        lead={family: peak},
        used={family: peak * threads},
        clock_hz=HOST_CLOCK_HZ,
        bandwidth_bytes_per_s=HOST_BANDWIDTH_BYTES_PER_S,
        thread_count=threads,
        thread_doublings=math.log2(threads),
        element_bytes=4,
        is_half=0,
        is_computer=1,
    )
    ratios = fit.runtimes[DEFAULT_RUNTIME]
    seconds = cpu_seconds(kernels_of(work, DEFAULT_RUNTIME), cores, fit.formula, ratios)
    return seconds * fit.time_ratio(DEFAULT_RUNTIME, None)


def _host_slowness(profile: Profile, work: Work) -> float:
    """How many times slower the model ran on the host than its work explains; at least 1.

    Up to `HOST_TOLERANCE` the reason may be the host. Beyond, the model spends its time in
    something that FLOPs do not show, on other devices too.
    """
    if profile.latency is None or profile.method == "emulated":
        return 1.0
    measured = profile.latency.median_ns / SECOND_NS
    return max(1.0, measured / _host_seconds(work, profile) / HOST_TOLERANCE)


def _from_host_latency(
    profile: Profile, device: Device, threads: int | None, runtime: str
) -> DurationInterval:
    """Latency of a model of unknown work, scaled from the host by the speed of both processors."""
    if profile.latency is None or profile.method == "emulated":
        return _without_figures("unknown-work")
    if device.runs_on == "gpu":
        return _without_figures("unknown-work-gpu")
    nominal = Work({"pointwise": float(SECOND_NS)}, 0.0, 0.0, 0.0, 0.0)
    there = _on_device(nominal, device, threads, runtime, "")
    if there is None:
        return _without_figures("no-processor")
    ratio = there.seconds / _host_seconds(nominal, profile)
    seconds = profile.latency.median_ns / SECOND_NS * ratio
    basis = LatencyBasis(code="host-latency")
    return _interval(there._replace(seconds=seconds, spread=UNKNOWN_WORK_SPREAD, basis=basis))


def _without_figures(code: LatencyBasisCode) -> DurationInterval:
    return DurationInterval(basis=LatencyBasis(code=code))


def _interval(projection: _Projection) -> DurationInterval:
    likely_ns = projection.seconds * SECOND_NS
    return DurationInterval(
        low_ns=math.floor(likely_ns / projection.spread),
        likely_ns=round(likely_ns),
        high_ns=math.ceil(likely_ns * projection.spread),
        confidence_ratio=CONFIDENCE,
        method="projected",
        runtime=projection.runtime,
        threads=projection.threads,
        basis=projection.basis,
    )


def anchor_of(
    model: ProfiledModel,
    device: Device,
    latency_ns: int,
    *,
    threads: int | None,
    runtime: str,
    measured_on: str,
) -> Anchor | None:
    """The anchor for a latency measured on the device; None if the model's work is not known.

    `threads` is None for the number that projections for this device use.
    """
    work = work_of_model(model)
    if work is None:
        return None
    used = threads or 1
    if device.runs_on == "cpu" and device.cpu is not None:
        used, _ = _best_threads(work, device, threads, runtime)
    dtype = model.weight_dtype or ""
    return Anchor(
        model=model.name,
        latency_ns=latency_ns,
        threads=used,
        runtime=runtime,
        precision=_precision(device, runtime, dtype),
        measured_on=measured_on,
        operations={kind: round(amount) for kind, amount in work.operations.items()},
        # An anchor has the fields of its model's work.
        **{name: round(getattr(work, name)) for name in Work._fields if name != "operations"},
    )
