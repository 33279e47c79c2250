"""Likely seconds on a device's CPU or GPU, from fitted coefficients."""

from __future__ import annotations

from collections.abc import Mapping

from feasibility.predict.latency.coefficients import Fit, Int8, Setting
from feasibility.predict.latency.covariance import Run
from feasibility.predict.latency.cpu_cores import used_cores
from feasibility.predict.latency.cpu_formula import Work, cpu_seconds, cpu_terms
from feasibility.predict.latency.gpu_formula import (
    GpuCoefficients,
    gpu_runtime,
    gpu_seconds,
    interface,
    peaks_of,
)
from feasibility.predict.latency.measured_rates import (
    has_rates,
    measured_int8_ratio,
    measured_seconds,
)
from feasibility.predict.latency.operator_mix import mix_features
from feasibility.records.device import Device


def likely_cpu_seconds(
    work: Work,
    device: Device,
    threads: int,
    fit: Fit,
    *,
    runtime: str,
    is_half: bool,
    clock_ratio: float = 1.0,
    year: float | None = None,
) -> float | None:
    """Likely seconds on the device's CPU in fp32 or fp16; None where it is not described.

    Args:
        work: What is to be done.
        device: Where.
        threads: Threads.
        fit: The coefficients.
        runtime: Name of the runtime.
        is_half: True if the runtime computes in fp16 where the processor can.
        clock_ratio: Clock relative to the device file's.
        year: Year of the runtime's build, with a fraction; None for one of today.
    """
    if device.cpu is None:
        return None
    if device.measured is not None and has_rates(device, runtime):
        return measured_seconds(work, device.measured, threads)
    cores = used_cores(
        device, device.cpu, threads, fit.coefficients.family_rate,
        is_half=is_half, clock_ratio=clock_ratio,
    )  # fmt: skip
    time_ratio, winograd_ratio = fit.runtime(runtime)
    seconds = cpu_seconds(work, cores, fit.coefficients, winograd_ratio=winograd_ratio)
    setting = setting_of(
        device, int(cores.thread_count), runtime=runtime, is_half=is_half, year=year
    )
    return seconds * time_ratio * fit.setting_ratio(work, setting)


def cpu_run(
    work: Work, device: Device, threads: int, fit: Fit, *, runtime: str, is_half: bool
) -> Run:
    """What decides how alike the projection onto the device's CPU and another one err.

    Raises:
        ValueError: The device's CPU is not described.
    """
    if device.cpu is None:
        raise ValueError(device.id)
    cores = used_cores(device, device.cpu, threads, fit.coefficients.family_rate, is_half=is_half)
    terms = cpu_terms(work, cores, fit.coefficients, winograd_ratio=fit.runtime(runtime)[1])
    whole = sum(terms.values())
    return Run(
        runtime=runtime,
        is_threaded=threads > 1,
        # Rounded, so that the last digits of the coefficients do not matter.
        shares={name: round(seconds / whole, 3) for name, seconds in terms.items()},
        mix=mix_features(work),
    )


def setting_of(
    device: Device, threads: int, *, runtime: str, is_half: bool, year: float | None
) -> Setting:
    """How a model runs on the device, apart from its speed."""
    features = device.cpu.features if device.cpu is not None else ()
    return Setting(
        runtime=runtime,
        is_threaded=threads > 1,
        is_half=is_half and "fp16" in features,
        is_x86=device.isa == "x86_64",
        year=year,
    )


def int8_ratio(
    work: Work, device: Device, threads: int, int8: Mapping[str, Int8], *, runtime: str
) -> float:
    """Time in int8 relative to fp32 on the device's CPU: measured there, else fitted."""
    measured = measured_int8_ratio(work, device, runtime, threads)
    if measured is not None:
        return measured
    entry = int8[integer_unit(device)]
    share = work.operations.get("winograd", 0.0) / work.total
    ratio: float = entry.ratio * entry.winograd_ratio**share
    return ratio


def integer_unit(device: Device) -> str:
    """The instructions that int8 products use on the device."""
    features = device.cpu.features if device.cpu is not None else ()
    if "vnni" in features:
        return "vnni"
    if {"dotprod", "i8mm"} & set(features):
        return "dotprod"
    return "sse" if device.isa == "x86_64" else "neon"


def likely_gpu_seconds(
    work: Work, device: Device, k: GpuCoefficients, *, runtime: str, is_half: bool
) -> float | None:
    """Likely seconds on the device's GPU; None where it is not described.

    Args:
        work: What is to be done.
        device: Where.
        k: The coefficients.
        runtime: Name of the runtime, or of what it reaches the GPU through.
        is_half: True for fp16.
    """
    peaks = peaks_of(device, is_half=is_half)
    if peaks is None:
        return None
    return gpu_seconds(work, peaks, interface(gpu_runtime(runtime), k), k)
