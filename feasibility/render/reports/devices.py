"""What do the reports of `devices` say? Each figure of a device with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from feasibility.records.device import Device, Figure
from feasibility.render.reports.sections import (
    NOT_KNOWN,
    Column,
    Report,
    Row,
    Section,
    counted,
    known,
    name_text,
    section_of,
    table,
)
from feasibility.units import format_bytes, format_count, format_duration

Format: TypeAlias = "str | Callable[[int], str]"


def catalogue_report(devices: Sequence[Device]) -> Report:
    """One row per device: what it is, its memory, what a process gets, its default target."""
    grid = table(
        devices,
        (Column("id"), lambda device: name_text(device.id, 32)),
        (Column("name", min_width=20), lambda device: name_text(device.name, 40)),
        (Column("kind", rank=1), lambda device: device.kind),
        (Column("memory", "right"), lambda device: known(_memory_bytes(device))),
        (
            Column("memory limit", "right", title_width=8),
            lambda device: known(device.usable_bytes()),
        ),
        (Column("target", "right", rank=2), _target_text),
    )
    remarks = (
        "memory limit: what a process may use; target: default time of one run",
        f"{counted(len(devices), 'device')}; sources of all figures: feasibility devices show ID",
    )
    return (Section(grid=grid, remarks=remarks),)


def _target_text(device: Device) -> str:
    target = device.limits.latency_ns
    return "none" if target is None else format_duration(target.value)


def _memory_bytes(device: Device) -> int | None:
    own = device.gpu.memory_bytes if device.gpu is not None else None
    main = device.memory.total_bytes if device.memory is not None else None
    figure = (own or main) if device.runs_on == "gpu" else main
    return None if figure is None else figure.value


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
    for label, names in (("aliases", device.aliases), ("runtimes", device.runtimes)):
        if names:
            rows.append(Row(label, ", ".join(name_text(name, 40) for name in names)))
    if device.origin:
        rows.append(Row("file", name_text(device.origin, 120)))
    return Section(name_text(device.name), tuple(rows))


def _processor(device: Device) -> Section | None:
    if device.cpu is None:
        return None
    rows = [Row("chip", name_text(device.cpu.soc))]
    for cluster in device.cpu.clusters:
        core = name_text(cluster.core, 24)
        rows += [
            _row(core, cluster.core_count, lambda count: counted(count, "core")),
            _row("  clock", cluster.clock_hz, "Hz"),
            _row("  peak", cluster.flop_per_cycle, lambda count: f"{count} fp32 FLOP per cycle"),
        ]
    if device.cpu.features:
        names = ", ".join(name_text(item, 24) for item in device.cpu.features)
        rows.append(Row("extensions", names))
    return Section("processor", tuple(rows))


def _memory(device: Device) -> Section | None:
    memory = device.memory
    if memory is None:
        return None
    rows = [
        _row("total", memory.total_bytes),
        _row("bandwidth", memory.bandwidth_bytes_per_s, "B/s"),
    ]
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
        bandwidth = _row("bandwidth", gpu.bandwidth_bytes_per_s, "B/s")
        memory = [_row("memory", gpu.memory_bytes), bandwidth]
    rows = (
        Row("name", name_text(gpu.name)),
        *memory,
        _row("fp32", gpu.fp32_flops_per_s, "FLOP/s"),
        _row("fp16", gpu.fp16_flops_per_s, "FLOP/s"),
        _row("context", gpu.context_bytes),
        *_known_rows(("kernel launch", gpu.launch_ns, format_duration)),
    )
    return Section("graphics processor", rows)


def _neural(device: Device) -> Section | None:
    if device.npu is None:
        return None
    rate = _known_rows(("int8", device.npu.int8_ops_per_s, "OP/s"))
    return Section("neural accelerator", (Row("name", name_text(device.npu.name)), *rate))


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
    hourly = None if price is None else price.hourly_microusd
    rows = _known_rows(
        ("power", device.power_mw, lambda mw: f"at most {format_count(mw / 1000, 'W')}"),
        ("price", hourly, lambda usd: f"{format_count(usd / 10**6, 'USD')} per hour in {month}"),
    )
    return section_of("power and price", rows)


def _measured(device: Device) -> Iterator[Section]:
    """Rates measured on the device, one section per number of threads."""
    for number, rates in enumerate(device.measured.rates if device.measured is not None else ()):
        figures: tuple[tuple[str, Figure, Format], ...] = (
            *((kind, rate, "FLOP/s") for kind, rate in rates.operations_per_s.items()),
            ("cache bandwidth", rates.activation_bytes_per_s, "B/s"),
            ("memory bandwidth", rates.bandwidth_bytes_per_s, "B/s"),
            ("per layer", rates.layer_ns, format_duration),
        )
        rows = tuple(_row(*figure, has_source=False) for figure in figures)
        # The heading of the first section names the source of all rates.
        source = "" if number else f" [{name_text(rates.layer_ns.source, 160)}]"
        yield Section(f"measured with {counted(rates.thread_count, 'thread')}{source}", rows)


def _anchored(device: Device) -> Section | None:
    """Latencies that were measured on the device itself."""
    rows = []
    for anchor in device.anchors:
        text = f"{format_duration(anchor.latency_ns)} with {counted(anchor.threads, 'thread')}"
        text += f", {name_text(anchor.runtime, 40)} in {anchor.precision}"
        text += f", {name_text(anchor.measured_on, 10)}" if anchor.measured_on else ""
        rows.append(Row(name_text(anchor.model, 40), text))
    return section_of("anchors: latencies measured on the device", rows)


def _known_rows(*figures: tuple[str, Figure | None, Format]) -> tuple[Row, ...]:
    return tuple(_row(*item) for item in figures if item[1] is not None)


def _row(
    label: str, figure: Figure | None, form: Format = format_bytes, *, has_source: bool = True
) -> Row:
    """A figure as `form` writes it or with `form` as its unit, its note, and its source."""
    if figure is None:
        return Row(label, NOT_KNOWN, "faint")
    text = format_count(figure.value, form) if isinstance(form, str) else form(figure.value)
    note = f", {name_text(figure.note, 200)}" if figure.note else ""
    source = f" [{name_text(figure.source, 160)}]" if has_source else ""
    return Row(label, text + note + source, "plain" if figure.is_verified else "caution")
