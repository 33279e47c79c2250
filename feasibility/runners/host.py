"""What are the facts of the machine that children run on?"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from feasibility.records.profile import Host
from feasibility.records.shared_fields import ISA_ALIASES
from feasibility.runners import remote_agent
from feasibility.runners.cgroup_mounts import memory_limits

# Share of the free memory for this tool and other programs.
RESERVE_RATIO: Final = 0.1
# What a child says about itself beside the versions of libraries.
_NO_LIBRARY: Final = frozenset({"arch", "kernel", "libc", "python"})


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine that children run on.

    Args:
        core_count: Cores that a child may use.
        free_bytes: Memory that a child may use.
        load: Average number of runnable processes during the last minute.
        cpu_count: All cores of the machine, which share that load.
    """

    cpu: str
    core_count: int
    memory_bytes: int
    free_bytes: int
    os: str
    load: float
    cpu_count: int


def this_isa() -> str:
    """Instruction set of this machine, by the name that devices have."""
    machine = platform.machine().lower()
    return ISA_ALIASES.get(machine, machine)


def this_host() -> HostFacts:
    """Facts of this machine."""
    return host_facts({**remote_agent.facts(is_alone=True), "free_bytes": ceiling_bytes()})


def host_facts(facts: Mapping[str, Any]) -> HostFacts:
    """The facts of a machine in what the agent says about it."""
    return HostFacts(**{name: facts[name] for name in HostFacts.__dataclass_fields__})


def ceiling_bytes() -> int:
    """Bytes that a child may allocate, so that other programs keep enough memory."""
    import psutil

    free: int = psutil.virtual_memory().available
    return round(min([free, *memory_limits()]) * (1 - RESERVE_RATIO))


def read_host(versions: Mapping[str, str], facts: HostFacts) -> Host:
    """The record of a machine, with the versions of libraries from the child."""
    return Host(
        cpu=facts.cpu,
        arch=versions.get("arch") or platform.machine(),
        core_count=facts.core_count,
        memory_bytes=facts.memory_bytes,
        os=f"{facts.os}, {versions.get('kernel', platform.release())}",
        python=versions.get("python", ""),
        libraries={name: version for name, version in versions.items() if name not in _NO_LIBRARY},
        libc=versions.get("libc", ""),
    )
