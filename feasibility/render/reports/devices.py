"""What do the reports of `devices` say? Each figure of a device with its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from feasibility.records.device import Device, Figure
from feasibility.render.reports.sections import (
    Column,
    Grid,
    Report,
    Row,
    Section,
    counted,
    name_text,
)
from feasibility.units import format_bytes, format_count, format_duration

_UNKNOWN: Final = "not known"

Format: TypeAlias = Callable[[int], str]


def catalogue_report(devices: Sequence[Device]) -> Report:
    """One row per device: what it is, its memory, what a process gets, its default target."""
    columns = (
        Column("id"),
        Column("name", shrinks=True, min_width=20),
        Column("kind", rank=1),
        Column("memory", align="right"),
        Column("memory limit", align="right", title_width=8),
        Column("target", align="right", rank=2),
    )
    rows = tuple(
        (
            name_text(device.id, 32),
            name_text(device.name, 40),
            device.kind,
            _memory_text(device),
            _known_bytes(device.usable_bytes()),
            _target_text(device),
        )
        for device in devices
    )
    remarks = (
        "memory limit: what a process may use; target: default time of one run",
        f"{counted(len(devices), 'device')}; sources of all figures: feasibility devices show ID",
    )
    return (Section(grid=Grid(columns, rows), remarks=remarks),)


def _target_text(device: Device) -> str:
    target = device.limits.latency_ns
    return "none" if target is None else format_duration(target.value)


def _known_bytes(count: int | None) -> str:
    return _UNKNOWN if count is None else format_bytes(count)


def _memory_text(device: Device) -> str:
    own = device.gpu.memory_bytes if device.gpu is not None else None
    main = device.memory.total_bytes if device.memory is not None else None
    figure = (own or main) if device.runs_on == "gpu" else main
    return _UNKNOWN if figure is None else format_bytes(figure.value)


def device_report(device: Device) -> Report:
    """All figures of one device, each with its source."""
    return (
        _general(device),
        _processor(device),
        _memory(device),
        _graphics(device),
        _neural(device),
        _limits(device),
        _power_and_price(device),
        *_measured(device),
        _anchored(device),
    )


def _general(device: Device) -> Section:
    rows = [
        Row("id", name_text(device.id)),
        Row("kind", device.kind),
        Row("system", f"{name_text(device.os)}, {device.isa}, allocator {device.allocator}"),
        Row("models run on", device.runs_on),
        Row("process role", device.role),
    ]
    if device.aliases:
        rows.append(Row("aliases", ", ".join(name_text(alias, 40) for alias in device.aliases)))
    if device.runtimes:
        rows.append(Row("runtimes", ", ".join(name_text(item, 40) for item in device.runtimes)))
    if device.origin:
        rows.append(Row("file", name_text(device.origin, 120)))
    return Section(name_text(device.name), tuple(rows))


def _processor(device: Device) -> Section | None:
    if device.cpu is None:
        return None
    rows = [Row("chip", name_text(device.cpu.soc))]
    for cluster in device.cpu.clusters:
        rows += [
            _row(name_text(cluster.core, 24), cluster.core_count, lambda n: counted(n, "core")),
            _row("  clock", cluster.clock_hz, _with_unit("Hz")),
            _row("  peak", cluster.flop_per_cycle, lambda n: f"{n} fp32 FLOP per cycle"),
        ]
    if device.cpu.features:
        names = ", ".join(name_text(item, 24) for item in device.cpu.features)
        rows.append(Row("extensions", names))
    return Section("processor", tuple(rows))


def _memory(device: Device) -> Section | None:
    memory = device.memory
    if memory is None:
        return None
    rows = [_row("total", memory.total_bytes), _bandwidth_row(memory.bandwidth_bytes_per_s)]
    for grant in memory.grants:
        row = _row(f"limit, {grant.role}", grant.memory_bytes)
        rows.append(Row(row.label, f"{row.text}; {name_text(grant.reason, 200)}", row.tone))
    return Section("memory", tuple(rows))


def _graphics(device: Device) -> Section | None:
    gpu = device.gpu
    if gpu is None:
        return None
    if gpu.memory_bytes is None:
        memory = [Row("memory", "shared with the processor")]
    else:
        memory = [_row("memory", gpu.memory_bytes), _bandwidth_row(gpu.bandwidth_bytes_per_s)]
    rows = (
        Row("name", name_text(gpu.name)),
        *memory,
        _row("fp32", gpu.fp32_flops_per_s, _with_unit("FLOP/s")),
        _row("fp16", gpu.fp16_flops_per_s, _with_unit("FLOP/s")),
        _row("context", gpu.context_bytes),
        *_known_rows(("kernel launch", gpu.launch_ns, format_duration)),
    )
    return Section("graphics processor", rows)


def _neural(device: Device) -> Section | None:
    if device.npu is None:
        return None
    rate = ("int8", device.npu.int8_ops_per_s, _with_unit("OP/s"))
    return Section(
        "neural accelerator", (Row("name", name_text(device.npu.name)), *_known_rows(rate))
    )


def _limits(device: Device) -> Section:
    limits = device.limits
    others = _known_rows(
        ("model file", limits.model_storage_bytes, format_bytes),
        ("default target", limits.latency_ns, format_duration),
    )
    return Section("limits and target", (_row("runtime", limits.runtime_bytes), *others))


def _power_and_price(device: Device) -> Section | None:
    price = device.price
    month = "" if price is None else name_text(price.as_of, 10)
    rows = _known_rows(
        ("power", device.power_mw, lambda mw: f"at most {format_count(mw / 1000, 'W')}"),
        (
            "price",
            None if price is None else price.hourly_microusd,
            lambda usd: f"{format_count(usd / 10**6, 'USD')} per hour in {month}",
        ),
    )
    return Section("power and price", rows) if rows else None


def _measured(device: Device) -> tuple[Section, ...]:
    """Rates measured on the device, one section per number of threads."""
    if device.measured is None:
        return ()
    sections: list[Section] = []
    for rates in device.measured.rates:
        rows = (
            *(
                _row(kind, figure, _with_unit("FLOP/s"))
                for kind, figure in rates.operations_per_s.items()
            ),
            _row("cache bandwidth", rates.activation_bytes_per_s, _with_unit("B/s")),
            _row("memory bandwidth", rates.bandwidth_bytes_per_s, _with_unit("B/s")),
            _row("per layer", rates.layer_ns, format_duration),
        )
        # The heading of the first section names the source of all rates.
        source = "" if sections else f" [{name_text(rates.layer_ns.source, 160)}]"
        title = f"measured with {counted(rates.thread_count, 'thread')}{source}"
        sections.append(
            Section(title, tuple(replace(row, text=row.text.rpartition(" [")[0]) for row in rows))
        )
    return tuple(sections)


def _anchored(device: Device) -> Section | None:
    """Latencies that were measured on the device itself."""
    rows = []
    for anchor in device.anchors:
        text = f"{format_duration(anchor.latency_ns)} with {counted(anchor.threads, 'thread')}"
        text += f", {name_text(anchor.runtime, 40)} in {anchor.precision}"
        text += f", {name_text(anchor.measured_on, 10)}" if anchor.measured_on else ""
        rows.append(Row(name_text(anchor.model, 40), text))
    return Section("anchors: latencies measured on the device", tuple(rows)) if rows else None


def _with_unit(unit: str) -> Format:
    return lambda count: format_count(count, unit)


def _bandwidth_row(figure: Figure | None) -> Row:
    return _row("bandwidth", figure, _with_unit("B/s"))


def _known_rows(*figures: tuple[str, Figure | None, Format]) -> tuple[Row, ...]:
    return tuple(_row(*item) for item in figures if item[1] is not None)


def _row(label: str, figure: Figure | None, form: Format = format_bytes) -> Row:
    """A figure, its note, and its source in brackets."""
    if figure is None:
        return Row(label, _UNKNOWN, "faint")
    note = f", {name_text(figure.note, 200)}" if figure.note else ""
    return Row(
        label,
        f"{form(figure.value)}{note} [{name_text(figure.source, 160)}]",
        "plain" if figure.is_verified else "caution",
    )
