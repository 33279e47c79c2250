"""The machine that figures belong to, and how much of it a child may take."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from feasibility.records.profile import Host
from feasibility.runners.limits.cgroup_mounts import memory_hierarchies
from feasibility.runners.runner import HostFacts

# What stays for the tool itself and everything else on the machine.
_RESERVE_RATIO: Final = 0.1


def read_host(versions: Mapping[str, str], facts: HostFacts | None = None) -> Host:
    """The machine that figures belong to.

    Args:
        versions: What the child reported of its libraries.
        facts: What another machine said of itself; None for this one.
    """
    facts = facts or this_host()
    return Host(
        cpu=facts.cpu,
        arch=versions.get("arch") or platform.machine(),
        core_count=facts.core_count,
        memory_bytes=facts.memory_bytes,
        os=f"{facts.os}, {versions.get('kernel', platform.release())}",
        python=versions.get("python", ""),
        libraries={name: versions[name] for name in ("numpy", "onnxruntime") if name in versions},
        libc=versions.get("libc", ""),
    )


def this_host() -> HostFacts:
    """Facts of this machine."""
    import psutil

    return HostFacts(
        cpu=_cpu_name(),
        core_count=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        free_bytes=ceiling_bytes(),
        os=_distribution(),
        load=os.getloadavg()[0],
    )


def ceiling_bytes() -> int:
    """Bytes a child may allocate without taking the machine down with it."""
    import psutil

    free: int = psutil.virtual_memory().available
    limits = [limit for tree in memory_hierarchies() for limit in tree.limits_bytes()]
    return round(min([free, *limits]) * (1 - _RESERVE_RATIO))


def _cpu_name() -> str:
    """The processor's name, from the first line that tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return names.get("model name") or names.get("Model") or platform.processor() or "unknown"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
