"""`feasibility devices this`: the device file of the machine it runs on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
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
from feasibility.text import safe_text
from feasibility.units import MIB, MILLISECOND_NS, format_bytes

if TYPE_CHECKING:
    from feasibility.measure.machine_cores import CoreCluster
    from feasibility.measure.machine_facts import MachineFacts
    from feasibility.measure.speed import Pace, Speed

_ROLES: Final[dict[Kind, Role]] = {"sbc": "headless", "server": "service"}
# As in the catalogue; docs/devices.md says what they rest on.
_LATENCY_MS: Final[dict[Kind, int]] = {"sbc": 200, "server": 50}
_DEFAULT_LATENCY_MS: Final = 100
_UNTOLD_CLOCK_HZ: Final = 10**9
_MOST_BYTES: Final = 2**46
_COMMENT: Final = """\
Written by `feasibility devices this`. docs/devices.md describes every key. Figures of this
moment, such as the memory that was free, may be edited; [measured] is for this machine only."""


def destination(output: Path | None, identifier: str) -> Path:
    """Where the device file goes: the user's device folder unless a file is named.

    Raises:
        UsageError: The folder cannot be made.
    """
    from feasibility.commands.known_devices import user_devices_dir

    if output is not None:
        return output
    folder = user_devices_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"Cannot make {safe_text(str(folder))}",
            error.strerror or str(error),
            "name a file with --output, or set XDG_DATA_HOME to a folder that can be written",
        ) from error
    return folder / f"{identifier}.toml"


def checked_id(identifier: str) -> str:
    """The id, if a device file can bear it and the catalogue has no device of it.

    Raises:
        UsageError: It cannot.
    """
    from feasibility.catalogue.device_file import is_id
    from feasibility.paths import devices_dir

    what = f"Cannot write a device with the id {safe_text(identifier, 60)!r}"
    if not is_id(identifier):
        raise UsageError(
            what,
            "an id has small letters, digits and underscores, such as office_server",
            "give another one with --id",
        )
    if (devices_dir() / f"{identifier}.toml").exists():
        raise UsageError(
            what, "the catalogue has a device of that id", "give another one with --id"
        )
    return identifier


def measure_this_machine(
    identifier: str, name: str | None, kind: Kind | None, *, quiet: bool, pace: Pace | None = None
) -> Device:
    """The machine that this process runs on, as a device.

    Args:
        identifier: Its id.
        name: Its name; None for what the system says.
        kind: What sort of device it is; None for what the system says.
        quiet: True to show no progress.
        pace: How much time is taken; None for under two minutes anywhere.

    Raises:
        FeasibilityError: It cannot be described or measured.
    """
    import datetime as dt
    import os

    from feasibility.measure.host import ceiling_bytes
    from feasibility.measure.machine_facts import read_machine
    from feasibility.measure.notices import busy_host
    from feasibility.measure.speed import measure_speed, thread_counts

    facts = read_machine()
    busy = busy_host(os.getloadavg()[0], facts.core_count)
    with progress_on("this machine", quiet=quiet) as progress:
        speed = measure_speed(
            thread_counts(facts.core_count),
            cache_bytes=facts.cache_bytes,
            free_bytes=min(ceiling_bytes(), facts.grant_bytes),
            pace=pace,
            progress=progress,
        )
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return device_of(
        facts,
        speed,
        identifier=identifier,
        name=name,
        kind=kind,
        today=today,
        caveat="".join(f"; {notice.message}" for notice in busy),
    )


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


def device_file_text(device: Device) -> str:
    """The text of the device's file, read back once before anybody relies on it."""
    from feasibility.catalogue.device_file import parse_device
    from feasibility.catalogue.written import device_text

    assert device.memory is not None
    assert device.memory.bandwidth_bytes_per_s is not None
    keys = {
        device.memory.total_bytes.source: "system",
        device.memory.bandwidth_bytes_per_s.source: "measured",
    }
    text = device_text(device, keys, _COMMENT)
    parse_device(text, f"{device.id}.toml")
    return text


def _measured(
    facts: MachineFacts, speed: Speed, runtime: str, sources: _Sources
) -> MeasuredMachine:
    from feasibility.measure.host import this_host
    from feasibility.project.measured_machine import rates_of

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
