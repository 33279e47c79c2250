"""Which device file describes this machine, from its facts and its measured speed?

`devices this` writes it: the clusters and memory that the system reports, and rates per kind of
operator from the times of the models in `zoo.single_operator_networks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from feasibility.measure.this_machine.core_clusters import CoreCluster
from feasibility.measure.this_machine.machine_facts import MachineFacts
from feasibility.measure.this_machine.measure_speed import BUS, KernelTime, Speed
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.measured_rates import KINDS
from feasibility.predict.latency.model_work import work_of_model
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
from feasibility.units import MIB, MILLISECOND_NS, SECOND_NS, format_bytes, format_duration
from feasibility.zoo.single_operator_networks import SMALL_LAYER_COUNT, TINY_NODE_COUNT

_ROLES: Final[dict[Kind, Role]] = {"sbc": "headless", "server": "service"}
# As in the catalogue; docs/devices.md states their origin.
_LATENCY_MS: Final[dict[Kind, int]] = {"sbc": 200, "server": 50}
_DEFAULT_LATENCY_MS: Final = 100
_UNKNOWN_CLOCK_HZ: Final = 10**9
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
    """The device for a machine's facts and its measured speed.

    Without `name` and `kind` it has those that the facts suggest. `caveat` follows the source of
    every measured figure.
    """
    runtime = f"ONNX Runtime {speed.versions.get('onnxruntime', '')}".strip()
    sources = _Sources(
        system=f"reported by the system (/proc, /sys) on {today}",
        measured=f"measured for this file on {today} with {runtime}{caveat}",
    )
    known_kind = kind or facts.kind
    role = _ROLES.get(known_kind, "foreground")
    machine = _measured(facts, speed, runtime, sources)
    return Device(
        id=identifier,
        name=_line(name or facts.name),
        kind=known_kind,
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
        limits=_limits(facts, speed, known_kind, sources),
        measured=machine,
    )


class _Sources(NamedTuple):
    """Origin of the figures, by how they were obtained."""

    system: str
    measured: str

    def reported(self, value: int, note: str = "") -> Figure:
        return Figure(value=value, source=self.system, note=note)

    def timed(self, value: int, note: str = "") -> Figure:
        return Figure(value=value, source=self.measured, note=note)


def _estimate(value: int, note: str) -> Figure:
    return Figure(value=value, source=UNVERIFIED, note=note)


def _measured(
    facts: MachineFacts, speed: Speed, runtime: str, sources: _Sources
) -> MeasuredMachine:
    cache = facts.cache_bytes
    return MeasuredMachine(
        runtime=runtime,
        processor=_line(facts.processor),
        core_count=this_host().core_count,
        cache_bytes=None if cache is None else sources.reported(cache),
        rates=tuple(
            rates_of(count, times, speed.times[1], sources.measured)
            for count, times in speed.times.items()
        ),
    )


def _memory(
    facts: MachineFacts, speed: Speed, rates: Rates, role: Role, sources: _Sources
) -> DeviceMemory:
    """The memory, with the bandwidth measured with all threads."""
    threads = "1 thread" if rates.thread_count == 1 else f"{rates.thread_count} threads"
    granted = _whole_mib(facts.grant_bytes, facts.memory_bytes)
    return DeviceMemory(
        total_bytes=sources.reported(
            facts.memory_bytes, "memory that the kernel manages, slightly less than installed"
        ),
        bandwidth_bytes_per_s=sources.timed(
            rates.bandwidth_bytes_per_s.value,
            f"sums of tensors of {format_bytes(speed.bus_bytes)} with {threads}; "
            "the bus's peak is higher",
        ),
        grants=(
            Grant(role=role, memory_bytes=sources.reported(granted), reason=facts.grant_reason),
        ),
    )


def _limits(facts: MachineFacts, speed: Speed, kind: Kind, sources: _Sources) -> Limits:
    return Limits(
        runtime_bytes=sources.timed(
            speed.baseline_bytes,
            "a Python process with numpy and the runtime; a program in C++ needs less",
        ),
        model_storage_bytes=sources.reported(
            _whole_mib(facts.storage_bytes, _MOST_BYTES),
            "free at that time on the disk of the home folder",
        ),
        latency_ns=_estimate(
            _LATENCY_MS.get(kind, _DEFAULT_LATENCY_MS) * MILLISECOND_NS,
            "estimate; --latency replaces it",
        ),
    )


def _cluster(cluster: CoreCluster, facts: MachineFacts, sources: _Sources) -> Cluster:
    clock = cluster.clock_hz
    return Cluster(
        core=_line(cluster.core),
        core_count=sources.reported(cluster.core_count, "physical cores"),
        clock_hz=_estimate(_UNKNOWN_CLOCK_HZ, "the system does not report it")
        if clock is None
        else sources.reported(clock, cluster.clock_origin),
        flop_per_cycle=_estimate(
            _flop_per_cycle(facts.extensions),
            "usual for its instruction set; ONNX Runtime uses [measured] instead",
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
    """Text of the system as one line without control characters; never empty."""
    return safe_text(text.strip(), 80) or "unknown"


def rates_of(
    threads: int, times: Mapping[str, KernelTime], alone: Mapping[str, KernelTime], source: str
) -> Rates:
    """Rates of a number of threads, from the times of `zoo.single_operator_networks`.

    `alone` has the times with one thread.
    """
    dispatch_ns = times["layers"].ns / TINY_NODE_COUNT
    waiting_ns = _waiting_ns(times, alone)
    layer_ns = dispatch_ns + waiting_ns

    def figure(amount: float, name: str, layer_count: float, note: str) -> Figure:
        """Amount per second, without the dispatch of its layers."""
        whole = times[name].ns
        ns = max(whole - layer_count * layer_ns, whole / 2)
        return Figure(value=_rounded(amount * SECOND_NS / ns), source=source, note=note)

    def moved(name: str) -> tuple[float, str, float]:
        model = times[name].model
        return model.moved_bytes or 0, name, model.node_count or 0

    operations = {}
    for kind, note in KINDS.items():
        model = times[kind].model
        work = work_of_model(model)
        assert work is not None
        done = model.flops or 0 if kind == "other" else _products(work)
        operations[kind] = figure(done, kind, work.layer_count, note)
    waiting = f", {format_duration(round(waiting_ns))} of threads waiting for each other"
    waiting = waiting if threads > 1 else ""
    return Rates(
        thread_count=threads,
        operations_per_s=operations,
        activation_bytes_per_s=figure(*moved("traffic"), "sums of tensors of 784 KiB"),
        bandwidth_bytes_per_s=figure(*moved(BUS), "sums of vectors that no cache holds"),
        layer_ns=Figure(
            value=max(1, round(layer_ns)),
            source=source,
            note=f"{format_duration(round(dispatch_ns))} of dispatch{waiting}",
        ),
    )


def _waiting_ns(times: Mapping[str, KernelTime], alone: Mapping[str, KernelTime]) -> float:
    """Time that threads wait in each layer: small layers gain less from threads."""
    gain = alone["pointwise"].ns / times["pointwise"].ns
    return max(0.0, times["small"].ns - alone["small"].ns / gain) / SMALL_LAYER_COUNT


def _products(work: Work) -> float:
    """Operations of a kernel model's products, without the operators between them."""
    between = ("other", "quantization")
    return sum(amount for kind, amount in work.operations.items() if kind not in between)


def _rounded(value: float) -> int:
    """Three significant digits; a measurement of one second is less precise."""
    return int(float(f"{value:.3g}"))
