"""Which cores does this machine have, how many, how fast, with which extensions?

All files are read below a root folder, so tests can describe other machines.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.catalogue.cores import known_core
from feasibility.runners.cgroup_mounts import kernel_text
from feasibility.units import KIB, MIB

_CPUS: Final = "sys/devices/system/cpu"
_CACHE_SIZE: Final = re.compile(r"(\d+)([KM])", re.ASCII)
# A clock that changes between two readings.
_MOMENTARY: Final = "/proc/cpuinfo, current clock"

_CASCADE_LAKE_STEPPING: Final = 5

# Extensions that ONNX Runtime uses, by their names in /proc/cpuinfo.
_EXTENSIONS: Final = {
    "asimd": "neon", "asimdhp": "fp16", "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16",
    "sve": "sve", "sve2": "sve2", "avx2": "avx2", "fma": "fma", "avx512f": "avx512",
    "avx512_vnni": "vnni", "avx_vnni": "vnni", "avx512_bf16": "bf16", "amx_int8": "amx",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CoreCluster:
    """Cores of one kind at one clock, with the number of physical cores that a process may use.

    `core` is the microarchitecture, or the numbers of the processor; `clock_hz` is the highest
    clock, None if unknown.
    """

    core: str
    core_count: int
    clock_hz: int | None
    clock_origin: str


def read_clusters(root: Path = Path("/"), allowed: Collection[int] | None = None) -> tuple[
    CoreCluster, ...
]:  # fmt: skip
    """Cores by kind, fastest first. Threads of the same core count once.

    `allowed` are the numbers of processors that count; None for those this process may use.
    """
    processors = read_processors(root)
    usable = os.sched_getaffinity(0) if allowed is None else allowed
    small = _listed(kernel_text(root / "sys/devices/cpu_atom/cpus"))
    seen: set[str] = set()
    cores: list[tuple[str, int, str]] = []
    for number in sorted(usable):
        siblings = kernel_text(root / _CPUS / f"cpu{number}/topology/thread_siblings_list")
        if siblings and siblings in seen:
            continue
        seen.add(siblings)
        fields = processors.get(number) or next(iter(processors.values()), {})
        core = "gracemont" if number in small else core_name(fields)
        cores.append((core, *_clock(root, number, fields)))
    found = Counter(_with_one_clock(cores))
    left = cpu_quota(root) or len(cores)
    clusters = []
    for (core, clock, origin), count in sorted(found.items(), key=lambda item: -item[0][1]):
        granted = min(count, left)
        left -= granted
        if granted:
            clusters.append(CoreCluster(core, granted, clock or None, origin))
    return tuple(clusters)


def _with_one_clock(cores: list[tuple[str, int, str]]) -> Iterator[tuple[str, int, str]]:
    """The same cores; if only current clocks are known, the highest one of each kind."""
    highest: dict[str, int] = {}
    for core, clock, _ in cores:
        highest[core] = max(clock, highest.get(core, 0))
    for core, clock, origin in cores:
        yield core, highest[core] if origin == _MOMENTARY else clock, origin


def read_processors(root: Path = Path("/")) -> dict[int, dict[str, str]]:
    """Fields of /proc/cpuinfo by the number of the processor."""
    processors: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in kernel_text(root / "proc/cpuinfo").splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if name == "processor" and value.isdecimal():
            current = processors.setdefault(int(value), {})
        if colon:
            current.setdefault(name, value)
    return processors


def core_name(fields: Mapping[str, str]) -> str:
    """The microarchitecture, or the numbers of the processor if they are not in the tables."""
    if "CPU part" in fields:
        maker, part = _number(fields.get("CPU implementer", "")), _number(fields["CPU part"])
        return known_core(f"{maker:#x}", part) or f"arm core {maker:#x}:{part:#x}"
    family, model = _number(fields.get("cpu family", "")), _number(fields.get("model", ""))
    name = known_core(fields.get("vendor_id", ""), family, model)
    if name == "skylake-sp" and _number(fields.get("stepping", "")) >= _CASCADE_LAKE_STEPPING:
        return "cascade-lake"
    return name or (f"x86 family {family} model {model}" if family else "unknown core")


def read_extensions(root: Path = Path("/")) -> tuple[str, ...]:
    """Instruction set extensions, as device files name them."""
    fields = next(iter(read_processors(root).values()), {})
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return tuple(dict.fromkeys(name for flag, name in _EXTENSIONS.items() if flag in flags))


def last_cache_bytes(root: Path = Path("/")) -> int | None:
    """The largest cache of the first processor; None if unknown."""
    sizes = [
        int(match[1]) * (KIB if match[2] == "K" else MIB)
        for path in (root / _CPUS / "cpu0/cache").glob("index*/size")
        if (match := _CACHE_SIZE.fullmatch(kernel_text(path)))
    ]
    return max(sizes, default=None)


def cpu_quota(root: Path = Path("/")) -> int | None:
    """Number of processors that a control group grants, rounded up; None for no limit."""
    quota, _, period = kernel_text(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        folder = root / "sys/fs/cgroup/cpu"
        quota, period = (kernel_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:
        return max(1, math.ceil(int(quota) / int(period)))
    return None


def _clock(root: Path, number: int, fields: Mapping[str, str]) -> tuple[int, str]:
    """Clock in Hz, 0 if unknown, and where it was read."""
    kilohertz = kernel_text(root / _CPUS / f"cpu{number}/cpufreq/cpuinfo_max_freq")
    if kilohertz.isdecimal() and int(kilohertz):
        return int(kilohertz) * 1000, "highest clock of cpufreq"
    try:
        megahertz = round(float(fields.get("cpu MHz", "")))
    except ValueError:
        return 0, "unknown"
    return megahertz * 10**6, _MOMENTARY


def _listed(text: str) -> frozenset[int]:
    """The numbers in a list such as `0-3,8`."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            numbers.update(range(int(first), int(last if last.isdecimal() else first) + 1))
    return frozenset(numbers)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return 0
