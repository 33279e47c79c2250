"""What can be measured on this machine? One check per instrument."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

from feasibility.records.doctor import HostCheck
from feasibility.units import GIB, format_bytes, format_number

# The tool and one child run at the same time, each on its own core.
_CORES_WANTED: Final = 2
_FREE_MEMORY_WANTED_BYTES: Final = 2 * GIB
_BUSY_LOAD_PER_CORE: Final = 0.5
_LIMIT_NAMES: Final = {
    "cgroup-v2": "cgroup v2",
    "cgroup-v1": "cgroup v1",
    "systemd-scope": "cgroup v2, through the user's service manager",
}


def check_host() -> tuple[HostCheck, ...]:
    """All checks of this machine."""
    import psutil

    return (
        check_peaks(Path("/proc/self/clear_refs")),
        check_page_kinds(Path("/proc/self/smaps_rollup")),
        check_allocator(*platform.libc_ver()),
        check_package("memray", "allocations by phase and allocator"),
        check_providers(),
        check_limits(Path("/proc/self")),
        check_cores(len(os.sched_getaffinity(0)), os.getloadavg()[0]),
        check_governor(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        check_free_memory(psutil.virtual_memory().available),
    )


def check_peaks(clear_refs: Path) -> HostCheck:
    """Whether the kernel's high-water mark can be reset before each phase."""
    try:
        clear_refs.write_text("5")
    except OSError as error:
        return HostCheck(
            "memory peaks",
            "limited",
            f"sampled, because the kernel's high-water mark cannot be reset ({_reason(error)})",
            "use a kernel with CONFIG_PROC_PAGE_MONITOR, outside a sandbox that hides /proc",
        )
    return HostCheck("memory peaks", "ok", "exact (kernel high-water mark)")


def check_page_kinds(smaps_rollup: Path) -> HostCheck:
    """Whether proportional and private memory can be measured."""
    try:
        text = smaps_rollup.read_text()
    except OSError as error:
        return HostCheck(
            "shared memory",
            "limited",
            f"proportional and private memory are not measured ({_reason(error)})",
            "use Linux 4.14 or newer",
        )
    return HostCheck(
        "shared memory",
        "ok" if "Pss:" in text else "limited",
        "proportional set size and private dirty memory are measured",
    )


def check_allocator(library: str, version: str) -> HostCheck:
    """Whether the C allocator can be made steady."""
    if library == "glibc":
        finding = f"glibc {version}: figures are steady with a fixed trim threshold"
        return HostCheck("C allocator", "ok", finding)
    return HostCheck(
        "C allocator",
        "limited",
        f"{library or 'not glibc'}: figures may differ between runs, because its thresholds "
        "cannot be fixed",
        "measure on a system with glibc if CI checks the figures",
    )


def check_package(name: str, use: str) -> HostCheck:
    """Whether a package that an instrument needs is installed."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return HostCheck(name, "missing", f"not installed; needed for {use}", f"pip install {name}")
    return HostCheck(name, "ok", f"{version}: {use}")


def _runtime() -> tuple[str, tuple[str, ...]]:
    """The runtime's version and its execution providers."""
    # As in the child: no telemetry and no files.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime.__version__, tuple(onnxruntime.get_available_providers())


def check_providers(runtime: Callable[[], tuple[str, tuple[str, ...]]] = _runtime) -> HostCheck:
    """Which execution providers the installed runtime was built with."""
    try:
        version, providers = runtime()
    except ImportError as error:
        finding = f"ONNX Runtime cannot be imported: {error}"
        return HostCheck("runtime", "missing", finding, "pip install onnxruntime")
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in providers)
    return HostCheck("runtime", "ok", f"ONNX Runtime {version} with the providers {names}")


def check_limits(proc: Path) -> HostCheck:
    """How `prove` can limit the memory of a model; `proc` is the folder of this process."""
    from feasibility.runners.limits.strongest_limit import strongest_enforcer

    with strongest_enforcer(proc) as (enforcer, refusals):
        kind = enforcer.kind
    if kind != "address-space":
        return HostCheck("memory limits", "ok", f"enforced by the kernel: {_LIMIT_NAMES[kind]}")
    reasons = "; ".join(dict.fromkeys(map(str, refusals)))
    hint = next((refusal.hint for refusal in refusals if refusal.hint), "")
    finding = f"only a limit on allocated private memory, used or not ({reasons})"
    return HostCheck("memory limits", "limited", finding, hint)


def check_cores(core_count: int, load: float) -> HostCheck:
    """Whether the processor is idle enough for exact times."""
    finding = f"{core_count} core{'s' * (core_count != 1)}, load {format_number(load)}"
    if core_count < _CORES_WANTED:
        hint = "use at least two cores; with one, the tool disturbs the times"
        return HostCheck("processor", "limited", finding, hint)
    if load > core_count * _BUSY_LOAD_PER_CORE:
        hint = "close other programs before timing"
        return HostCheck("processor", "limited", f"{finding}: busy", hint)
    return HostCheck("processor", "ok", finding)


def check_governor(path: Path) -> HostCheck:
    """Whether the clock rate is fixed."""
    try:
        governor = path.read_text().strip()
    except OSError:
        return HostCheck("clock", "ok", "unknown (usual in virtual machines)")
    if governor == "performance":
        return HostCheck("clock", "ok", "fixed (governor performance)")
    finding = f"may change during a measurement (governor {governor})"
    hint = "for repeatable times: cpupower frequency-set -g performance"
    return HostCheck("clock", "limited", finding, hint)


def check_free_memory(free_bytes: int) -> HostCheck:
    """Whether there is enough memory for large models."""
    if free_bytes < _FREE_MEMORY_WANTED_BYTES:
        hint = "close other programs before measuring large models"
        return HostCheck("free memory", "limited", format_bytes(free_bytes), hint)
    return HostCheck("free memory", "ok", format_bytes(free_bytes))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
