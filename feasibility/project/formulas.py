"""Likely seconds on a device's CPU or GPU, from fitted coefficients."""

from __future__ import annotations

from typing import Final

from feasibility.project.cpu import Work, cpu_seconds
from feasibility.project.fitted import Fit, GpuCoefficients
from feasibility.project.machine import UNKNOWN_BANDWIDTH_BYTES_PER_S, used_cores
from feasibility.project.measured_machine import has_rates, measured_seconds
from feasibility.records.device import Device, Gpu

GPU_LAUNCH_NS: Final = 10_000
_NS: Final = 10**9


def likely_cpu_seconds(
    work: Work,
    device: Device,
    threads: int,
    fit: Fit,
    *,
    runtime: str,
    is_half: bool,
    clock_ratio: float = 1.0,
) -> float | None:
    """Likely seconds on the device's CPU in fp32 or fp16; None where it is not described."""
    if device.cpu is None:
        return None
    if device.measured is not None and has_rates(device, runtime):
        return measured_seconds(work, device.measured, threads)
    k = fit.coefficients
    cores = used_cores(
        device, device.cpu, threads, k.family_rate, is_half=is_half, clock_ratio=clock_ratio
    )
    time_ratio, winograd_ratio = fit.runtime(runtime)
    seconds = cpu_seconds(work, cores, k, winograd_ratio=winograd_ratio)
    return seconds * time_ratio * fit.mix_ratio(work)


def integer_unit(device: Device) -> str:
    """The instructions that int8 products use on the device."""
    features = device.cpu.features if device.cpu is not None else ()
    if "vnni" in features:
        return "vnni"
    return "dotprod" if {"dotprod", "i8mm"} & set(features) else "none"


def gpu_runtime(text: str) -> str:
    """Group of GPU runtimes that start their kernels alike."""
    low = text.lower()
    if "tensorrt" in low:
        return "tensorrt"
    return "vulkan" if "ncnn" in low or "vulkan" in low else "cuda"


def gpu_seconds(
    work: Work, gpu: Gpu, device: Device, k: GpuCoefficients, *, runtime: str, is_half: bool
) -> float | None:
    """Products and memory at a share of their peaks, and launches per layer.

    The launches are why small models reach little of a GPU's peak and large ones much.
    None where the peak is not known.
    """
    rates = []
    if gpu.fp32_flops_per_s is not None:
        rates.append(gpu.fp32_flops_per_s.value * k.fp32_share)
    if is_half and gpu.fp16_flops_per_s is not None:
        rates.append(gpu.fp16_flops_per_s.value * k.fp16_share)
    if not rates:
        return None
    bandwidth = gpu.bandwidth_bytes_per_s
    if bandwidth is None and device.memory is not None:
        bandwidth = device.memory.bandwidth_bytes_per_s
    bytes_per_s = bandwidth.value if bandwidth else UNKNOWN_BANDWIDTH_BYTES_PER_S
    launch_ns = gpu.launch_ns.value if gpu.launch_ns else GPU_LAUNCH_NS
    moved = work.activation_count + work.weight_count + work.vector_weight_count
    return (
        work.total / max(rates)
        + moved * (2 if is_half else 4) / (bytes_per_s * k.bandwidth_share)
        + work.layer_count * launch_ns / _NS * k.launch_ratio[runtime]
    )
