"""What do the reports of `devices` say? Each figure of a device with its source."""

from __future__ import annotations

from collections.abc import Sequence

from feasibility.records.device import Device, Figure, Gpu
from feasibility.render.rows.rows import Column, Grid, Report, Row, Section, counted, name_text
from feasibility.units import format_bytes, format_count, format_duration

_UNKNOWN = "not known"


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
        label = name_text(cluster.core, 24)
        rows.append(
            _figure_row(label, counted(cluster.core_count.value, "core"), cluster.core_count)
        )
        clock = format_count(cluster.clock_hz.value, "Hz")
        rows.append(_figure_row("  clock", clock, cluster.clock_hz))
        rate = f"{cluster.flop_per_cycle.value} fp32 FLOP per cycle"
        rows.append(_figure_row("  peak", rate, cluster.flop_per_cycle))
    if device.cpu.features:
        names = ", ".join(name_text(item, 24) for item in device.cpu.features)
        rows.append(Row("extensions", names))
    return Section("processor", tuple(rows))


def _memory(device: Device) -> Section | None:
    memory = device.memory
    if memory is None:
        return None
    rows = [_bytes_row("total", memory.total_bytes)]
    rows.append(_rate_row("bandwidth", memory.bandwidth_bytes_per_s))
    for grant in memory.grants:
        row = _bytes_row(f"limit, {grant.role}", grant.memory_bytes)
        rows.append(Row(row.label, f"{row.text}; {name_text(grant.reason, 200)}", row.tone))
    return Section("memory", tuple(rows))


def _graphics(device: Device) -> Section | None:
    gpu = device.gpu
    if gpu is None:
        return None
    rows = [
        Row("name", name_text(gpu.name)),
        *_own_memory_rows(gpu),
        _flops_row("fp32", gpu.fp32_flops_per_s),
        _flops_row("fp16", gpu.fp16_flops_per_s),
        _bytes_row("context", gpu.context_bytes),
    ]
    if gpu.launch_ns is not None:
        rows.append(
            _figure_row("kernel launch", format_duration(gpu.launch_ns.value), gpu.launch_ns)
        )
    return Section("graphics processor", tuple(rows))


def _own_memory_rows(gpu: Gpu) -> tuple[Row, ...]:
    if gpu.memory_bytes is None:
        return (Row("memory", "shared with the processor"),)
    memory = _bytes_row("memory", gpu.memory_bytes)
    return (memory, _rate_row("bandwidth", gpu.bandwidth_bytes_per_s))


def _neural(device: Device) -> Section | None:
    if device.npu is None:
        return None
    rows = [Row("name", name_text(device.npu.name))]
    rate = device.npu.int8_ops_per_s
    if rate is not None:
        rows.append(_figure_row("int8", format_count(rate.value, "OP/s"), rate))
    return Section("neural accelerator", tuple(rows))


def _limits(device: Device) -> Section:
    limits = device.limits
    rows = [_bytes_row("runtime", limits.runtime_bytes)]
    if limits.model_storage_bytes is not None:
        rows.append(_bytes_row("model file", limits.model_storage_bytes))
    if limits.latency_ns is not None:
        limit = format_duration(limits.latency_ns.value)
        rows.append(_figure_row("default target", limit, limits.latency_ns))
    return Section("limits and target", tuple(rows))


def _power_and_price(device: Device) -> Section | None:
    rows = []
    if device.power_mw is not None:
        power = f"at most {format_count(device.power_mw.value / 1000, 'W')}"
        rows.append(_figure_row("power", power, device.power_mw))
    if device.price is not None:
        figure = device.price.hourly_microusd
        hourly = format_count(figure.value / 10**6, "USD")
        price = f"{hourly} per hour in {name_text(device.price.as_of, 10)}"
        rows.append(_figure_row("price", price, figure))
    return Section("power and price", tuple(rows)) if rows else None


def _measured(device: Device) -> tuple[Section, ...]:
    """Rates measured on the device, one section per number of threads."""
    if device.measured is None:
        return ()
    sections = []
    for rates in device.measured.rates:
        rows = [
            _figure_row(kind, format_count(figure.value, "FLOP/s"), figure)
            for kind, figure in rates.operations_per_s.items()
        ]
        rows.append(_rate_row("cache bandwidth", rates.activation_bytes_per_s))
        rows.append(_rate_row("memory bandwidth", rates.bandwidth_bytes_per_s))
        rows.append(_figure_row("per layer", format_duration(rates.layer_ns.value), rates.layer_ns))
        threads = counted(rates.thread_count, "thread")
        sections.append(Section(f"measured with {threads}", tuple(map(_without_source, rows))))
    source = name_text(device.measured.rates[0].layer_ns.source, 160)
    sections[0] = Section(f"{sections[0].title} [{source}]", sections[0].rows)
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


def _without_source(row: Row) -> Row:
    """The row without its source, where the section names it."""
    return Row(row.label, row.text.rpartition(" [")[0], row.tone)


def _bytes_row(label: str, figure: Figure | None) -> Row:
    return _figure_row(label, _UNKNOWN if figure is None else format_bytes(figure.value), figure)


def _rate_row(label: str, figure: Figure | None) -> Row:
    text = _UNKNOWN if figure is None else format_count(figure.value, "B/s")
    return _figure_row(label, text, figure)


def _flops_row(label: str, figure: Figure | None) -> Row:
    text = _UNKNOWN if figure is None else format_count(figure.value, "FLOP/s")
    return _figure_row(label, text, figure)


def _figure_row(label: str, text: str, figure: Figure | None) -> Row:
    """A figure, its note, and its source in brackets."""
    if figure is None:
        return Row(label, text, "faint")
    note = f", {name_text(figure.note, 200)}" if figure.note else ""
    return Row(
        label,
        f"{text}{note} [{name_text(figure.source, 160)}]",
        "plain" if figure.is_verified else "caution",
    )
