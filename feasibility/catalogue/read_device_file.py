"""What does a device file say? Checks every key; docs/devices.md describes the format."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar, cast, get_args

from feasibility.catalogue import figures
from feasibility.catalogue.figures import DeviceTable
from feasibility.errors import DeviceError
from feasibility.records import device as records
from feasibility.text import safe_text
from feasibility.toml_key_errors import key_lines, read_toml_text

RecordT = TypeVar("RecordT")

SCHEMA: Final = "feasibility/device/1"
MAX_FILE_BYTES: Final = 256 * 1024

_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_]*")
_TOP_KEYS: Final = (
    "schema", "id", "name", "kind", "aliases", "os", "isa", "allocator", "runs_on", "role",
    "runtimes", "sources", "cpu", "memory", "gpu", "npu", "limits", "price", "anchors", "measured",
)  # fmt: skip


ANCHOR_COUNTS: Final = ("activation_count", "weight_count", "vector_weight_count", "layer_count")
_ANCHOR_KEYS: Final = (
    "model", "latency", "threads", "runtime", "precision", "measured_on", "operations",
    *ANCHOR_COUNTS,
)  # fmt: skip
WORK_KINDS: Final = (
    "winograd", "dense", "pointwise", "depthwise", "grouped", "vector", "matmul", "attention",
    "recurrent", "quantization", "tree", "other",
)  # fmt: skip
# Kinds of work that every machine must have rates for; others use the rate of one of these.
REQUIRED_KINDS: Final = ("dense", "matmul", "other")

# Kinds of quantised work, which may be missing.
INT8_KINDS: Final = ("int8_dense", "int8_matmul")


def is_id(text: str) -> bool:
    """Whether a text is a valid id of a device."""
    return _ID.fullmatch(text) is not None


def read_device(path: Path) -> records.Device:
    """The device that a file describes."""
    return parse_device(_read_text(path), str(path))


def parse_device(text: str, origin: str) -> records.Device:
    """The device that the text of a device file describes."""
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
    sources = DeviceTable(origin, values, lines).table("sources")
    citations = {key: sources.text(key) for key in sources.values} if sources else {}
    return _device(DeviceTable(origin, values, lines, citations=citations))


def refuse_key(path: Path, key: str, why: str, hint: str) -> NoReturn:
    """Raise the error about a top key of a file that is valid by itself."""
    DeviceTable(str(path), {}, key_lines(_read_text(path))).fail(key, why, hint)


def _read_text(path: Path) -> str:
    what = f"Cannot read device file {safe_text(str(path))}"
    return read_toml_text(path, what, DeviceError, MAX_FILE_BYTES)


def _device(top: DeviceTable) -> records.Device:
    power = top.figures(records.Device, *_TOP_KEYS)
    if top.text("schema") != SCHEMA:
        top.fail("schema", f'expected "{SCHEMA}"', "a newer file needs a newer feasibility")
    identifier = top.text("id")
    if not is_id(identifier):
        top.fail("id", "expected small letters, digits and underscores, such as rpi_5")
    device = records.Device(
        **power,
        id=identifier,
        name=top.text("name"),
        kind=cast(records.Kind, top.choice("kind", get_args(records.Kind))),
        aliases=top.texts("aliases"),
        os=top.text("os"),
        isa=cast(records.Isa, top.choice("isa", get_args(records.Isa))),
        allocator=cast(records.Allocator, top.choice("allocator", get_args(records.Allocator))),
        runs_on=cast(records.Processor, top.choice("runs_on", get_args(records.Processor), "cpu")),
        role=cast(records.Role, top.choice("role", get_args(records.Role))),
        cpu=_optional(top, "cpu", _cpu),
        memory=_optional(top, "memory", _memory),
        gpu=_optional(top, "gpu", _gpu),
        npu=_optional(top, "npu", _npu),
        limits=records.Limits(**top.required_table("limits").figures(records.Limits)),
        price=_optional(top, "price", _price),
        runtimes=top.texts("runtimes"),
        anchors=tuple(_anchor(table) for table in top.tables("anchors")),
        measured=_optional(top, "measured", _measured),
        origin=top.origin,
    )
    _require_processor(top, device)
    return device


def _optional(top: DeviceTable, key: str, read: Callable[[DeviceTable], RecordT]) -> RecordT | None:
    table = top.table(key)
    return None if table is None else read(table)


def _require_processor(top: DeviceTable, device: records.Device) -> None:
    """Refuse a device without the figures that latency and memory need."""
    if device.runs_on == "cpu" and (device.cpu is None or device.memory is None):
        top.fail("cpu" if device.cpu is None else "memory", "missing; a device that runs on "
                 "its CPU needs [cpu] and [memory]")  # fmt: skip
    if device.runs_on == "gpu":
        if device.gpu is None or device.gpu.fp32_flops_per_s is None:
            top.fail("gpu", 'missing or without fp32; runs_on = "gpu" needs both')
        if device.gpu.memory_bytes is None and device.memory is None:
            top.fail("gpu", "expected its own memory, or [memory] that it shares")


def _cpu(table: DeviceTable) -> records.Cpu:
    table.allow(("soc", "features", "clusters"))
    return records.Cpu(
        soc=table.text("soc"),
        features=table.texts("features"),
        clusters=tuple(_cluster(entry) for entry in table.tables("clusters", required=True)),
    )


def _cluster(table: DeviceTable) -> records.Cluster:
    return records.Cluster(**table.figures(records.Cluster, "core"), core=table.text("core"))


def _memory(table: DeviceTable) -> records.DeviceMemory:
    found = table.figures(records.DeviceMemory, "grants")
    grants = table.required_table("grants")
    grants.allow(get_args(records.Role))
    if not grants.values:
        table.fail("grants", "expected at least one role, such as [memory.grants.foreground]")
    return records.DeviceMemory(
        **found,
        grants=tuple(
            _grant(
                grants.required_table(role), cast(records.Role, role), found["total_bytes"].value
            )
            for role in grants.values
        ),
    )


def _grant(table: DeviceTable, role: records.Role, total_bytes: int) -> records.Grant:
    table.allow(("value", "source", "note", "reason"))
    figure = table.own_figure(figures.MEMORY)
    if figure.value > total_bytes:
        table.fail("value", "expected at most memory.total: no process gets more than there is")
    return records.Grant(role=role, memory_bytes=figure, reason=table.text("reason"))


def _gpu(table: DeviceTable) -> records.Gpu:
    return records.Gpu(**table.figures(records.Gpu, "name"), name=table.text("name"))


def _npu(table: DeviceTable) -> records.Npu:
    return records.Npu(**table.figures(records.Npu, "name"), name=table.text("name"))


def _price(table: DeviceTable) -> records.Price:
    table.allow(("value", "source", "note", "as_of"))
    as_of = table.text("as_of")
    if not _DATE.fullmatch(as_of):
        table.fail("as_of", 'expected the date of the price, such as "2026-06" or "2026-06-17"')
    return records.Price(hourly_microusd=table.own_figure(figures.PRICE), as_of=as_of)


def _measured(table: DeviceTable) -> records.MeasuredMachine:
    """The rates that `devices this` measured."""
    cache = table.figures(records.MeasuredMachine, "runtime", "processor", "core_count", "rates")
    rates = tuple(_rates(entry) for entry in table.tables("rates", required=True))
    counts = [entry.thread_count for entry in rates]
    if counts != sorted(set(counts)) or counts[0] != 1:
        table.fail("rates", "expected one table per number of threads, that of one thread first")
    return records.MeasuredMachine(
        **cache,
        runtime=table.text("runtime"),
        processor=table.text("processor"),
        core_count=table.quantity("core_count", figures.COUNT),
        rates=rates,
    )


def _rates(table: DeviceTable) -> records.Rates:
    found = table.figures(records.Rates, "threads", "operations")
    operations = table.required_table("operations")
    operations.allow((*WORK_KINDS, *INT8_KINDS))
    for kind in REQUIRED_KINDS:
        operations.figure(kind, figures.SUSTAINED_RATE)
    return records.Rates(
        **found,
        thread_count=table.quantity("threads", figures.COUNT),
        operations_per_s={
            kind: operations.figure(kind, figures.SUSTAINED_RATE) for kind in operations.values
        },
    )


def _anchor(table: DeviceTable) -> records.Anchor:
    """A time that `devices calibrate` recorded."""
    table.allow(_ANCHOR_KEYS)
    operations = table.required_table("operations")
    operations.allow(WORK_KINDS)
    work = {kind: operations.quantity(kind, figures.WORK) for kind in operations.values}
    if not sum(work.values()):
        table.fail("operations", "expected at least one kind of work above zero")
    return records.Anchor(
        model=table.text("model"),
        latency_ns=table.quantity("latency", figures.LATENCY),
        threads=table.quantity("threads", figures.COUNT),
        runtime=table.text("runtime"),
        precision=cast(records.Precision, table.choice("precision", get_args(records.Precision))),
        measured_on=table.text("measured_on", ""),
        operations=work,
        **{key: table.quantity(key, figures.WORK) for key in ANCHOR_COUNTS},
    )
