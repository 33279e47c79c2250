"""How long does a model probably take on a device's CPU or GPU?

The formulas with the fitted coefficients, or the rates measured on the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from feasibility.predict.latency.coefficients import CpuFit, circumstances
from feasibility.predict.latency.cpu_cores import used_cores
from feasibility.predict.latency.cpu_formula import Work, cpu_seconds, kernels_of
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
    seconds = cpu_seconds(
        kernels_of(work, runtime), cores, fit.formula, fit.runtimes.get(runtime, {})
    )
    amounts = circumstances(runtime, cores.thread_count, is_half=bool(cores.is_half), year=year)
    return seconds * fit.time_ratio(runtime, year) * fit.model_ratio(work, amounts)


def int8_ratio(
    work: Work, device: Device, threads: int, int8: Mapping[str, float], *, runtime: str
) -> float:
    """Time in int8 relative to floating point on the device's CPU: measured there, else fitted."""
    measured = measured_int8_ratio(work, device, runtime, threads)
    return fitted_int8_ratio(work, device, runtime, int8) if measured is None else measured


def fitted_int8_ratio(work: Work, device: Device, runtime: str, int8: Mapping[str, float]) -> float:
    """Time in int8 relative to floating point: the product of all effects."""
    effects = int8_effects(work, device, runtime)
    ratio: float = math.prod(int8.get(name, 1.0) ** amount for name, amount in effects.items())
    return ratio


def int8_effects(work: Work, device: Device, runtime: str) -> dict[str, float]:
    """What changes the time in int8, and which share of the work each effect applies to.

    Effects: the instructions for int8 products, the runtime, and the runtime's kernels for these
    instructions. int8 has no Winograd kernels, and transformers quantise between their products.
    """
    unit = integer_unit(device)
    return {
        unit: 1.0,
        runtime: 1.0,
        f"{runtime} with {unit}": 1.0,
        f"winograd with {unit}": work.operations.get("winograd", 0.0) / work.total,
        "matmul": work.operations.get("matmul", 0.0) / work.total,
    }


def integer_unit(device: Device) -> str:
    """The instructions that int8 products use on the device."""
    features = device.cpu.features if device.cpu is not None else ()
    if "vnni" in features:
        return "vnni"
    if {"dotprod", "i8mm"} & set(features):
        return "dotprod"
    return "avx" if device.isa == "x86_64" else "neon"


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
