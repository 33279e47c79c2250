"""Which cores of a device's CPU does a number of threads use, and how fast are they?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from feasibility.catalogue.cores import CORE_FAMILIES
from feasibility.predict.latency.cpu_formula import Cores
from feasibility.records.device import Cpu, Device

# Kinds of devices with some megabytes of cache for each core.
COMPUTERS: Final = ("laptop", "desktop", "server")
UNKNOWN_CORE: Final = {"aarch64": "narrow", "riscv64": "narrow", "x86_64": "avx2"}
UNKNOWN_BANDWIDTH_BYTES_PER_S: Final = 8 * 10**9


class Core(NamedTuple):
    """One core of a CPU."""

    family: str
    clock_hz: float
    peak_per_s: float


def cores_of(cpu: Cpu, isa: str) -> tuple[Core, ...]:
    """Every core, in the order of the device file."""
    return tuple(
        Core(
            CORE_FAMILIES.get(cluster.core.lower(), UNKNOWN_CORE[isa]),
            cluster.clock_hz.value,
            cluster.core_flops_per_s,
        )
        for cluster in cpu.clusters
        for _ in range(cluster.core_count.value)
    )


def unknown_cores(device: Device) -> tuple[str, ...]:
    """Cores of the device that belong to no known family."""
    clusters = device.cpu.clusters if device.cpu is not None else ()
    names = dict.fromkeys(cluster.core for cluster in clusters)
    return tuple(name for name in names if name.lower() not in CORE_FAMILIES)


def used_cores(
    device: Device,
    cpu: Cpu,
    threads: int,
    rates: Mapping[str, float],
    *,
    is_half: bool,
    clock_ratio: float = 1.0,
) -> Cores:
    """The fastest `threads` cores of a device; all cores for more threads than cores.

    `rates` has the rate of each core family relative to its peak. `is_half` asks for fp16 where
    the processor can. `clock_ratio` is the measured clock relative to that of the device file.
    """
    cores = sorted(
        cores_of(cpu, device.isa),
        key=lambda core: core.peak_per_s * rates[core.family],
        reverse=True,
    )
    chosen = cores[: max(1, threads)]
    used: dict[str, float] = {}
    for core in chosen:
        used[core.family] = used.get(core.family, 0.0) + core.peak_per_s * clock_ratio
    half = is_half and "fp16" in cpu.features
    memory = device.memory
    bandwidth = memory.bandwidth_bytes_per_s if memory is not None else None
    return Cores(
        lead={chosen[0].family: chosen[0].peak_per_s * clock_ratio},
        used=used,
        # Over all cores, so that a faster small core never hides the clock of a large one.
        clock_hz=max(core.clock_hz for core in cores) * clock_ratio,
        bandwidth_bytes_per_s=bandwidth.value if bandwidth else UNKNOWN_BANDWIDTH_BYTES_PER_S,
        thread_count=len(chosen),
        thread_doublings=math.log2(len(chosen)),
        element_bytes=2 if half else 4,
        is_half=1.0 if half else 0.0,
        is_computer=1.0 if device.kind in COMPUTERS else 0.0,
    )
