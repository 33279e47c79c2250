"""Latency of a measured model on a device it never ran on.

Work by operator class over what the device's cores sustain for that class, plus bytes
over the memory bus, plus a dispatch per node; the coefficients are in
`feasibility.project.coefficients`. `project_latency` is the only entry, so that a better
calibration can replace what is behind it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from feasibility.project import coefficients as k
from feasibility.records.assessment import DurationInterval
from feasibility.records.device import Cluster, Cpu, Device, Gpu
from feasibility.records.facts import OperatorClass
from feasibility.records.profile import Profile, ProfiledModel

_NS: Final = 10**9
_NO_PROCESSOR: Final = "The device file does not say how fast its processor is."


class _Work(NamedTuple):
    """What one inference asks of a processor."""

    flops_by_class: dict[OperatorClass, int]
    moved_bytes: float
    node_count: int

    @property
    def flops(self) -> int:
        return sum(self.flops_by_class.values())


class _Core(NamedTuple):
    """What one core sustains on well-shaped products, and what it adds beside others."""

    flops_per_s: float
    thread_share: float


def project_latency(
    profile: Profile, device: Device, *, threads: int | None = None
) -> DurationInterval:
    """Latency of one inference on the device, with an interval meant to cover 80 % of cases.

    Args:
        profile: The model's work, and how long it took on the machine that measured it.
        device: Where it would run.
        threads: Threads on the device's CPU; None takes up to four.

    Returns:
        An interval without a budget; its ends are None where neither the model's work
        nor its latency on the host is known.
    """
    used = _thread_count(device, threads)
    work = _work(profile.model)
    if work is None:
        return _from_host_latency(profile, device, used)
    seconds = _device_seconds(work, device, used, profile.model.weight_dtype)
    if seconds is None:
        return DurationInterval(explanation=_NO_PROCESSOR)
    slowness = _host_slowness(profile, work)
    where = device.gpu.name if _uses_gpu(device) and device.gpu else _threads_text(used)
    return _interval(seconds * slowness, _spread(work, device), _explain(profile, where, slowness))


def _uses_gpu(device: Device) -> bool:
    return device.runs_on == "gpu" and device.gpu is not None


def _device_seconds(
    work: _Work, device: Device, threads: int, weight_dtype: str | None
) -> float | None:
    """Projected time, or None where the device file does not describe its processor."""
    if device.runs_on == "gpu":
        return None if device.gpu is None else _gpu_seconds(work, device.gpu, device, weight_dtype)
    return None if device.cpu is None else _cpu_seconds(work, device, device.cpu, threads)


def _work(model: ProfiledModel) -> _Work | None:
    """The model's work, or None where no FLOPs are known (`.ort` files, open shapes)."""
    flops = model.flops_by_class
    if not sum(flops.values()):
        if not model.flops:
            return None
        flops = {"matmul": model.flops}
    moved = sum(
        size * (k.MERGED_SHARE if name in k.MERGED_CLASSES else 1)
        for name, size in model.moved_bytes_by_class.items()
    )
    nodes = sum(model.node_count_by_class.values()) or model.node_count or 0
    return _Work(dict(flops), moved or float(model.moved_bytes or 0), nodes)


def _cpu_seconds(work: _Work, device: Device, cpu: Cpu, threads: int) -> float:
    rate = _throughput(_cores(cpu, device.isa), threads)
    memory = device.memory
    bandwidth = (
        memory.bandwidth_bytes_per_s.value
        if memory is not None and memory.bandwidth_bytes_per_s is not None
        else k.UNKNOWN_BANDWIDTH_BYTES_PER_S
    )
    clock_hz = max(cluster.clock_hz.value for cluster in cpu.clusters)
    has_int8_dot = not k.INT8_DOT_FEATURES.isdisjoint(cpu.features)
    return _seconds(work, rate, bandwidth, clock_hz, has_int8_dot=has_int8_dot)


def _seconds(
    work: _Work, flops_per_s: float, bandwidth: float, clock_hz: float, *, has_int8_dot: bool
) -> float:
    """Compute, memory and dispatch one after the other, as the published tables show them."""
    compute = 0.0
    for name, flops in work.flops_by_class.items():
        gain = k.INT8_DOT_GAIN if name == "quantization" and has_int8_dot else 1.0
        compute += flops / (flops_per_s * k.CLASS_EFFICIENCY[name] * gain)
    memory = work.moved_bytes / (bandwidth * k.BANDWIDTH_SHARE)
    return compute + memory + work.node_count * k.NODE_CYCLES / clock_hz


def _cores(cpu: Cpu, isa: str) -> list[_Core]:
    cores: list[_Core] = []
    for cluster in cpu.clusters:
        family = _family(cluster, isa)
        core = _Core(cluster.core_flops_per_s * family.peak_share, family.thread_share)
        cores += [core] * cluster.core_count.value
    return cores


def _family(cluster: Cluster, isa: str) -> k.CoreFamily:
    return k.CORE_FAMILIES.get(cluster.core.lower(), k.UNKNOWN_CORE[isa])


def _throughput(cores: list[_Core], threads: int) -> float:
    """Rate of the best choice of `threads` cores: one leads in full, others add a share.

    The best over all choices, so that no core made faster can make the whole slower.
    """
    by_share = sorted(cores, key=lambda core: core.flops_per_s * core.thread_share, reverse=True)
    best = 0.0
    for lead in set(cores):
        others = list(by_share)
        others.remove(lead)
        added = sum(core.flops_per_s * core.thread_share for core in others[: threads - 1])
        best = max(best, lead.flops_per_s + added)
    return best


def _gpu_seconds(work: _Work, gpu: Gpu, device: Device, weight_dtype: str | None) -> float | None:
    """Products at a share of the peak, never faster than the memory, and a launch per node.

    The launch makes small models inefficient and large ones not, as measured.
    """
    rates = []
    if gpu.fp32_flops_per_s is not None:
        rates.append(gpu.fp32_flops_per_s.value * k.GPU_EFFICIENCY)
    if gpu.fp16_flops_per_s is not None and weight_dtype == "float16":
        rates.append(gpu.fp16_flops_per_s.value * k.GPU_FP16_EFFICIENCY)
    if not rates:
        return None
    bandwidth = gpu.bandwidth_bytes_per_s
    if bandwidth is None and device.memory is not None:
        bandwidth = device.memory.bandwidth_bytes_per_s
    bytes_per_s = bandwidth.value if bandwidth else k.UNKNOWN_BANDWIDTH_BYTES_PER_S
    launch_ns = gpu.launch_ns.value if gpu.launch_ns else k.GPU_LAUNCH_NS
    products = work.flops / max(rates)
    memory = work.moved_bytes / (bytes_per_s * k.GPU_BANDWIDTH_SHARE)
    return max(products, memory) + work.node_count * launch_ns / _NS


def _host_seconds(work: _Work, profile: Profile) -> float:
    """Projection onto a server core of the host's instruction set."""
    arch = profile.host.arch
    family = k.UNKNOWN_CORE.get(arch, k.UNKNOWN_CORE["x86_64"])
    peak = k.HOST_FLOPS_PER_S.get(arch, k.HOST_FLOPS_PER_S["x86_64"]) * family.peak_share
    threads = max(1, profile.workload.threads)
    rate = _throughput([_Core(peak, family.thread_share)] * threads, threads)
    return _seconds(work, rate, k.HOST_BANDWIDTH_BYTES_PER_S, k.HOST_CLOCK_HZ, has_int8_dot=True)


def _host_slowness(profile: Profile, work: _Work) -> float:
    """How many times slower the host ran the model than its work explains; at least 1.

    Below the tolerance the difference may be the host's make; above it the model spends
    its time in something that FLOPs do not show, and will elsewhere.
    """
    if profile.latency is None or profile.method == "emulated":
        return 1.0
    measured = profile.latency.median_ns / _NS
    return max(1.0, measured / _host_seconds(work, profile) / k.HOST_TOLERANCE)


def _from_host_latency(profile: Profile, device: Device, threads: int) -> DurationInterval:
    """Latency scaled from the host by what both sustain, for a model of unknown work."""
    if profile.latency is None or profile.method == "emulated":
        return DurationInterval(
            explanation="Neither the model's work nor its latency on a machine like this is known."
        )
    nominal = _Work({"conv": _NS}, 0.0, 0)
    there = _device_seconds(nominal, device, threads, None)
    if there is None:
        return DurationInterval(explanation=_NO_PROCESSOR)
    seconds = profile.latency.median_ns / _NS * there / _host_seconds(nominal, profile)
    return _interval(
        seconds,
        k.SPREAD_UNKNOWN_WORK,
        "The model's work is not known; scaled from the latency measured here by what both "
        "processors sustain, so the interval is wide.",
    )


def _thread_count(device: Device, threads: int | None) -> int:
    if device.cpu is None:
        return 1
    available = sum(cluster.core_count.value for cluster in device.cpu.clusters)
    return max(1, min(available, k.DEFAULT_MAX_THREADS if threads is None else threads))


def _spread(work: _Work, device: Device) -> float:
    if 2 * work.flops_by_class.get("quantization", 0) > work.flops:
        return k.SPREAD_INT8
    return k.SPREAD_GPU if _uses_gpu(device) else k.SPREAD_CPU


def _interval(seconds: float, spread: float, explanation: str) -> DurationInterval:
    likely_ns = seconds * _NS
    return DurationInterval(
        low_ns=math.floor(likely_ns / spread),
        likely_ns=round(likely_ns),
        high_ns=math.ceil(likely_ns * spread),
        confidence_ratio=k.CONFIDENCE,
        method="projected",
        explanation=explanation,
    )


def _threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def _explain(profile: Profile, where: str, slowness: float) -> str:
    text = (
        f"Projected for {where} from the model's work by operator class; meant to hold for "
        f"{k.CONFIDENCE:.0%} of models."
    )
    if slowness > 1:
        text += (
            f" Raised {slowness:.1f} times: here it ran that much slower than work of this kind "
            "explains, beyond what a slow machine would."
        )
    if profile.model.per_iteration:
        text += " A loop of unknown length was counted once."
    return text
