"""How long does a model probably take on a device's CPU or GPU?

The formulas with the fitted coefficients, or the rates measured on the device.
"""

from __future__ import annotations

from collections.abc import Mapping

from feasibility.predict.latency.coefficients import CpuFit, Int8, Setting
from feasibility.predict.latency.cpu_cores import used_cores
from feasibility.predict.latency.cpu_formula import Work, cpu_seconds
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
from feasibility.records.device import Device


def likely_cpu_seconds(
    work: Work,
    device: Device,
    threads: int,
    fit: CpuFit,
    *,
    runtime: str,
    is_half: bool,
    clock_ratio: float = 1.0,
    year: float | None = None,
) -> float:
    """Likely seconds in fp32 or fp16 on the device's CPU, which its file describes.

    `is_half` asks for fp16 where the processor can. `clock_ratio` is relative to the clock of the
    device file. `year` is that of the runtime's build; None for a build of today.
    """
    assert device.cpu is not None
    if device.measured is not None and has_rates(device, runtime):
        return measured_seconds(work, device.measured, threads)
    cores = used_cores(
        device, device.cpu, threads, fit.formula.family_rate,
        is_half=is_half, clock_ratio=clock_ratio,
    )  # fmt: skip
    time_ratio, winograd_ratio = fit.runtime(runtime)
    seconds = cpu_seconds(work, cores, fit.formula, winograd_ratio=winograd_ratio)
    setting = setting_of(
        device, int(cores.thread_count), runtime=runtime, is_half=is_half, year=year
    )
    return seconds * time_ratio * fit.setting_ratio(work, setting)


def setting_of(
    device: Device, threads: int, *, runtime: str, is_half: bool, year: float | None
) -> Setting:
    """How a model runs on the device, apart from its speed."""
    features = device.cpu.features if device.cpu is not None else ()
    return Setting(runtime, threads > 1, is_half and "fp16" in features, year)


def int8_ratio(
    work: Work, device: Device, threads: int, int8: Mapping[str, Int8], *, runtime: str
) -> float:
    """Time in int8 relative to fp32 on the device's CPU: measured there, else fitted."""
    measured = measured_int8_ratio(work, device, runtime, threads)
    return int8[integer_unit(device)].of(work) if measured is None else measured


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
    """Likely seconds on the device's GPU; None if its speed is not described.

    `runtime` is the name of the runtime, or of its interface to the GPU.
    """
    peaks = peaks_of(device, is_half=is_half)
    if peaks is None:
        return None
    return gpu_seconds(work, peaks, interface(gpu_runtime(runtime), k), k)
