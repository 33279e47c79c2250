"""The device that a machine's facts and its measured speed make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.predict.latency.measured_rates import rates_of
from feasibility.records.device import (
    UNVERIFIED,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Grant,
    Kind,
    Limits,
    MeasuredMachine,
    Rates,
    Role,
)
from feasibility.runners.host import this_host
from feasibility.text import safe_text
from feasibility.units import MIB, MILLISECOND_NS, format_bytes

if TYPE_CHECKING:
    from feasibility.measure.this_machine.core_clusters import CoreCluster
    from feasibility.measure.this_machine.machine_facts import MachineFacts
    from feasibility.measure.this_machine.measure_speed import Speed

_ROLES: Final[dict[Kind, Role]] = {"sbc": "headless", "server": "service"}
# As in the catalogue; docs/devices.md says what they rest on.
_LATENCY_MS: Final[dict[Kind, int]] = {"sbc": 200, "server": 50}
_DEFAULT_LATENCY_MS: Final = 100
_UNTOLD_CLOCK_HZ: Final = 10**9
_MOST_BYTES: Final = 2**46


def device_of(
    facts: MachineFacts,
    speed: Speed,
    *,
    identifier: str,
    name: str | None,
    kind: Kind | None,
    today: str,
    caveat: str = "",
) -> Device:
    """The device that a machine's facts and its measured speed make.

    Args:
        facts: What the system says of it.
        speed: What was measured.
        identifier: Its id.
        name: Its name; None for what the system says.
        kind: What sort of device it is; None for what the system says.
        today: Date, ISO 8601.
        caveat: What stands behind the source of everything that was measured.
    """
    runtime = f"ONNX Runtime {speed.versions.get('onnxruntime', '')}".strip()
    sources = _Sources(
        system=f"what the system said of itself (/proc, /sys) on {today}",
        measured=f"measured for this file on {today} with {runtime}{caveat}",
    )
    sort = kind or facts.kind
    role = _ROLES.get(sort, "foreground")
    machine = _measured(facts, speed, runtime, sources)
    return Device(
        id=identifier,
        name=_line(name or facts.name),
        kind=sort,
        os=_line(facts.os),
        isa=facts.isa,
        allocator="glibc" if facts.libc == "glibc" else "scudo",
        role=role,
        runtimes=("ONNX Runtime",),
        cpu=Cpu(
            soc=_line(facts.chip),
            features=facts.extensions,
            clusters=tuple(_cluster(cluster, facts, sources) for cluster in facts.clusters),
        ),
        memory=_memory(facts, speed, machine.rates[-1], role, sources),
        limits=_limits(facts, speed, sort, sources),
        measured=machine,
    )


class _Sources(NamedTuple):
    """Where the figures come from."""

    system: str
    measured: str


def _measured(
    facts: MachineFacts, speed: Speed, runtime: str, sources: _Sources
) -> MeasuredMachine:
    cache = facts.cache_bytes
    return MeasuredMachine(
        runtime=runtime,
        processor=_line(facts.processor),
        core_count=this_host().core_count,
        cache_bytes=None if cache is None else Figure(value=cache, source=sources.system),
        rates=tuple(
            rates_of(count, times, speed.times[1], sources.measured)
            for count, times in speed.times.items()
        ),
    )


def _memory(
    facts: MachineFacts, speed: Speed, rates: Rates, role: Role, sources: _Sources
) -> DeviceMemory:
    """The memory, its bandwidth as all threads together were measured to get it."""
    threads = "1 thread" if rates.thread_count == 1 else f"{rates.thread_count} threads"
    granted = _whole_mib(facts.grant_bytes, facts.memory_bytes)
    return DeviceMemory(
        total_bytes=Figure(
            value=facts.memory_bytes,
            source=sources.system,
            note="what the kernel manages, somewhat less than is fitted",
        ),
        bandwidth_bytes_per_s=Figure(
            value=rates.bandwidth_bytes_per_s.value,
            source=sources.measured,
            note=f"sums of tensors of {format_bytes(speed.bus_bytes)} with {threads}; "
            "the bus's peak is higher",
        ),
        grants=(
            Grant(
                role=role,
                memory_bytes=Figure(value=granted, source=sources.system),
                reason=facts.grant_reason,
            ),
        ),
    )


def _limits(facts: MachineFacts, speed: Speed, kind: Kind, sources: _Sources) -> Limits:
    return Limits(
        runtime_bytes=Figure(
            value=speed.baseline_bytes,
            source=sources.measured,
            note="a Python process with numpy and the runtime; a program in C++ needs less",
        ),
        model_storage_bytes=Figure(
            value=_whole_mib(facts.storage_bytes, _MOST_BYTES),
            source=sources.system,
            note="free then where the home folder lies",
        ),
        latency_ns=Figure(
            value=_LATENCY_MS.get(kind, _DEFAULT_LATENCY_MS) * MILLISECOND_NS,
            source=UNVERIFIED,
            note="judgement; --latency replaces it",
        ),
    )


def _cluster(cluster: CoreCluster, facts: MachineFacts, sources: _Sources) -> Cluster:
    clock = cluster.clock_hz
    return Cluster(
        core=_line(cluster.core),
        core_count=Figure(value=cluster.core_count, source=sources.system, note="physical cores"),
        clock_hz=Figure(value=_UNTOLD_CLOCK_HZ, source=UNVERIFIED, note="nothing here tells it")
        if clock is None
        else Figure(value=clock, source=sources.system, note=cluster.clock_origin),
        flop_per_cycle=Figure(
            value=_flop_per_cycle(facts.extensions),
            source=UNVERIFIED,
            note="usual for its instruction set; [measured] counts for ONNX Runtime",
        ),
    )


def _flop_per_cycle(extensions: tuple[str, ...]) -> int:
    for extension, flop in (("avx512", 64), ("avx2", 32), ("sve", 32), ("fp16", 16)):
        if extension in extensions:
            return flop
    return 8


def _whole_mib(count: int, most: int) -> int:
    """The size in whole MiB, at least one."""
    return max(MIB, min(count, most) // MIB * MIB)


def _line(text: str) -> str:
    """Words of the system as one line that no terminal takes for commands; never empty."""
    return safe_text(text.strip(), 80) or "unknown"
