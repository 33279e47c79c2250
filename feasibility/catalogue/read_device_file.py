"""Turns one device file into a Device record, or says which line is wrong.

The format is described in docs/devices.md.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final, NoReturn, cast, get_args

from feasibility.catalogue import quantities
from feasibility.catalogue.anchors import anchors_of
from feasibility.catalogue.measured_machine import measured_of
from feasibility.catalogue.tables import Table
from feasibility.errors import DeviceError
from feasibility.records import device as records
from feasibility.text import safe_text
from feasibility.toml_lines import key_lines

SCHEMA: Final = "feasibility/device/1"
MAX_FILE_BYTES: Final = 256 * 1024

_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_]*")
_TOP_KEYS: Final = (
    "schema", "id", "name", "kind", "aliases", "os", "isa", "allocator", "runs_on", "role",
    "runtimes", "sources", "cpu", "memory", "gpu", "npu", "limits", "power", "price",
    "anchors", "measured",
)  # fmt: skip


def is_id(text: str) -> bool:
    """Whether a device file can bear it."""
    return _ID.fullmatch(text) is not None


def read_device(path: Path) -> records.Device:
    """The device that a file describes.

    Raises:
        DeviceError: The file cannot be read, or a key is missing, unknown or absurd.
    """
    return parse_device(_read_text(path), str(path))


def parse_device(text: str, origin: str) -> records.Device:
    """The device that the text of a device file describes.

    Args:
        text: Content of the file.
        origin: The file, as errors name it.

    Raises:
        DeviceError: It is not TOML, or a key is missing, unknown or absurd.
    """
    try:
        # Without an end of line `tomllib` calls the last line the end of the document.
        values = tomllib.loads(f"{text}\n")
    # A whole number of thousands of digits is a plain ValueError.
    except (ValueError, RecursionError) as error:
        raise DeviceError(
            f"Device file {safe_text(origin)} is not valid",
            f"it is not TOML: {safe_text(str(error))}",
            "docs/devices.md shows a complete file",
        ) from error
    lines = key_lines(text)
    plain = Table(origin, values, lines, {})
    citations = _citations(plain)
    return _device(Table(origin, values, lines, citations))


def refuse_key(path: Path, key: str, why: str, hint: str) -> NoReturn:
    """Raise the error that names a valid file, and the line of one of its top keys.

    Raises:
        DeviceError: Always.
    """
    Table(str(path), {}, key_lines(_read_text(path)), {}).fail(key, why, hint)


def _read_text(path: Path) -> str:
    what = f"Cannot read device file {safe_text(str(path))}"
    try:
        if not path.is_file():
            raise DeviceError(what, "it is not a file", "give the path of a .toml file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DeviceError(what, f"it is larger than {MAX_FILE_BYTES // 1024} KiB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DeviceError(what, "it is not UTF-8 text") from error
    except OSError as error:
        raise DeviceError(what, error.strerror or str(error)) from error


def _citations(top: Table) -> dict[str, str]:
    sources = top.table("sources")
    if sources is None:
        return {}
    return {key: sources.text(key) for key in sources.values}


def _device(top: Table) -> records.Device:
    top.allow(_TOP_KEYS)
    if top.text("schema") != SCHEMA:
        top.fail("schema", f'expected "{SCHEMA}"', "a newer file needs a newer feasibility")
    identifier = top.text("id")
    if not is_id(identifier):
        top.fail("id", "expected small letters, digits and underscores, such as rpi_5")
    device = records.Device(
        id=identifier,
        name=top.text("name"),
        kind=cast(records.Kind, top.choice("kind", get_args(records.Kind))),
        aliases=top.texts("aliases"),
        os=top.text("os"),
        isa=cast(records.Isa, top.choice("isa", get_args(records.Isa))),
        allocator=cast(records.Allocator, top.choice("allocator", get_args(records.Allocator))),
        runs_on=cast(records.Processor, top.choice("runs_on", get_args(records.Processor), "cpu")),
        role=cast(records.Role, top.choice("role", get_args(records.Role))),
        cpu=_cpu(top),
        memory=_memory(top),
        gpu=_gpu(top),
        npu=_npu(top),
        limits=_limits(top.required_table("limits")),
        power_mw=top.optional_figure("power", quantities.POWER),
        price=_price(top),
        runtimes=top.texts("runtimes"),
        anchors=anchors_of(top),
        measured=measured_of(top),
        origin=top.origin,
    )
    _require_processor(top, device)
    return device


def _require_processor(top: Table, device: records.Device) -> None:
    """Refuse a device whose latency or memory could never be judged."""
    if device.runs_on == "cpu" and (device.cpu is None or device.memory is None):
        top.fail("cpu" if device.cpu is None else "memory", "missing; a device that runs on "
                 "its CPU needs [cpu] and [memory]")  # fmt: skip
    if device.runs_on == "gpu":
        if device.gpu is None or device.gpu.fp32_flops_per_s is None:
            top.fail("gpu", 'missing or without fp32; runs_on = "gpu" needs both')
        if device.gpu.memory_bytes is None and device.memory is None:
            top.fail("gpu", "expected its own memory, or [memory] that it shares")


def _cpu(top: Table) -> records.Cpu | None:
    table = top.table("cpu")
    if table is None:
        return None
    table.allow(("soc", "features", "clusters"))
    return records.Cpu(
        soc=table.text("soc"),
        features=table.texts("features"),
        clusters=tuple(_cluster(entry) for entry in table.tables("clusters")),
    )


def _cluster(table: Table) -> records.Cluster:
    table.allow(("core", "count", "clock", "flop_per_cycle"))
    return records.Cluster(
        core=table.text("core"),
        core_count=table.figure("count", quantities.COUNT),
        clock_hz=table.figure("clock", quantities.CLOCK),
        flop_per_cycle=table.figure("flop_per_cycle", quantities.FLOP_PER_CYCLE),
    )


def _memory(top: Table) -> records.DeviceMemory | None:
    table = top.table("memory")
    if table is None:
        return None
    table.allow(("total", "bandwidth", "grants"))
    total = table.figure("total", quantities.MEMORY)
    grants = table.required_table("grants")
    grants.allow(get_args(records.Role))
    if not grants.values:
        table.fail("grants", "expected at least one role, such as [memory.grants.foreground]")
    return records.DeviceMemory(
        total_bytes=total,
        bandwidth_bytes_per_s=table.optional_figure("bandwidth", quantities.BANDWIDTH),
        grants=tuple(
            _grant(grants.required_table(role), cast(records.Role, role), total.value)
            for role in grants.values
        ),
    )


def _grant(table: Table, role: records.Role, total_bytes: int) -> records.Grant:
    table.allow(("value", "source", "note", "reason"))
    figure = table.own_figure(quantities.MEMORY)
    if figure.value > total_bytes:
        table.fail("value", "expected at most memory.total: no process gets more than there is")
    return records.Grant(role=role, memory_bytes=figure, reason=table.text("reason"))


def _gpu(top: Table) -> records.Gpu | None:
    table = top.table("gpu")
    if table is None:
        return None
    table.allow(("name", "memory", "bandwidth", "fp32", "fp16", "launch", "context"))
    return records.Gpu(
        name=table.text("name"),
        memory_bytes=table.optional_figure("memory", quantities.MEMORY),
        bandwidth_bytes_per_s=table.optional_figure("bandwidth", quantities.BANDWIDTH),
        fp32_flops_per_s=table.optional_figure("fp32", quantities.FLOP_RATE),
        fp16_flops_per_s=table.optional_figure("fp16", quantities.FLOP_RATE),
        launch_ns=table.optional_figure("launch", quantities.LAUNCH),
        context_bytes=table.optional_figure("context", quantities.FOOTPRINT),
    )


def _npu(top: Table) -> records.Npu | None:
    table = top.table("npu")
    if table is None:
        return None
    table.allow(("name", "int8"))
    return records.Npu(
        name=table.text("name"), int8_ops_per_s=table.optional_figure("int8", quantities.OP_RATE)
    )


def _limits(table: Table) -> records.Limits:
    table.allow(("runtime", "storage", "latency"))
    return records.Limits(
        runtime_bytes=table.figure("runtime", quantities.FOOTPRINT),
        model_storage_bytes=table.optional_figure("storage", quantities.MEMORY),
        latency_ns=table.optional_figure("latency", quantities.LATENCY),
    )


def _price(top: Table) -> records.Price | None:
    table = top.table("price")
    if table is None:
        return None
    table.allow(("value", "source", "note", "as_of"))
    as_of = table.text("as_of")
    if not _DATE.fullmatch(as_of):
        table.fail("as_of", 'expected the date of the price, such as "2026-06" or "2026-06-17"')
    return records.Price(hourly_microusd=table.own_figure(quantities.PRICE), as_of=as_of)
