"""What does a device file say? Checks every key; docs/devices.md describes the format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeVar, get_args, get_origin

from msgspec import NODEFAULT

from feasibility.catalogue.figures import (
    FIGURE_KEYS,
    SUSTAINED_RATE,
    DeviceTable,
    Entry,
    entries,
)
from feasibility.records.device import (
    Anchor,
    Device,
    DeviceMemory,
    Figure,
    Grant,
    MeasuredMachine,
    Price,
    Rates,
    Role,
)
from feasibility.records.shared_fields import Record

RecordT = TypeVar("RecordT", bound=Record)

SCHEMA: Final = "feasibility/device/1"

_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_]*")
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


def read_device(path: Path) -> Device:
    """The device that a file describes."""
    return parse_device(DeviceTable.read(path), str(path))


def parse_device(text: str, origin: str) -> Device:
    """The device that the text of a device file describes."""
    top = DeviceTable.parsed(text, origin)
    sources = top.table("sources")
    citations = {key: sources.text(key) for key in sources.values} if sources else {}
    return _device(replace(top, citations=citations))


def refuse_key(path: Path, key: str, why: str, hint: str) -> NoReturn:
    """Raise the error about a top key of a file that is valid by itself."""
    DeviceTable.parsed(DeviceTable.read(path), str(path)).fail(key, why, hint)


def _device(top: DeviceTable) -> Device:
    if top.text("schema") != SCHEMA:
        top.fail("schema", f'expected "{SCHEMA}"', "a newer file needs a newer feasibility")
    device = _record(top, Device, "schema", "sources", origin=top.origin)
    if not is_id(device.id):
        top.fail("id", "expected small letters, digits and underscores, such as rpi_5")
    if device.runs_on == "cpu" and (device.cpu is None or device.memory is None):
        top.fail("cpu" if device.cpu is None else "memory", "missing; a device that runs on "
                 "its CPU needs [cpu] and [memory]")  # fmt: skip
    if device.runs_on == "gpu":
        if device.gpu is None or device.gpu.fp32_flops_per_s is None:
            top.fail("gpu", 'missing or without fp32; runs_on = "gpu" needs both')
        if device.gpu.memory_bytes is None and device.memory is None:
            top.fail("gpu", "expected its own memory, or [memory] that it shares")
    return device


def _record(table: DeviceTable, kind: type[RecordT], *other_keys: str, **given: object) -> RecordT:
    """The record of a table, which may have `other_keys` too; `given` are fields known before."""
    wanted = [entry for entry in entries(kind) if entry.field not in given]
    own_keys = FIGURE_KEYS if any(entry.key == "value" for entry in wanted) else ()
    table.allow((*other_keys, *own_keys, *(entry.key for entry in wanted)))
    return kind(**given, **{entry.field: _value(table, entry) for entry in wanted})


def _value(table: DeviceTable, entry: Entry) -> object:
    """The value of one field. Numbers without a source must be there."""
    key, quantity, kind = entry.key, entry.quantity, entry.kind
    default = None if entry.default is NODEFAULT else entry.default
    if kind is str:
        return table.text(key, default)
    if get_origin(kind) is Literal:
        return table.choice(key, get_args(kind), default)
    if kind is int:
        return table.quantity(key, quantity)
    if key not in table.values and entry.default is not NODEFAULT:
        return default
    if kind is Figure:
        return table.own_figure(quantity) if key == "value" else table.figure(key, quantity)
    if get_origin(kind) is dict:
        inner = table.required_table(key)
        read = inner.figure if get_args(kind)[1] is Figure else inner.quantity
        return {name: read(name, quantity) for name in inner.values}
    if get_origin(kind) is not tuple:
        return _reader(kind)(table.required_table(key))
    item = get_args(kind)[0]
    if item is str:
        return table.texts(key)
    return tuple(map(_reader(item), table.tables(key, required=True)))


def _reader(kind: type[Record]) -> Callable[[DeviceTable], Record]:
    return _READERS.get(kind) or (lambda table: _record(table, kind))


def _memory(table: DeviceTable) -> DeviceMemory:
    """The memory; its limits are tables under the names of their roles."""
    by_role = table.required_table("grants")
    by_role.allow(get_args(Role))
    if not by_role.values:
        table.fail("grants", "expected at least one role, such as [memory.grants.foreground]")
    grants = tuple(
        _record(by_role.required_table(role), Grant, role=role) for role in by_role.values
    )
    memory = _record(table, DeviceMemory, "grants", grants=grants)
    for grant in grants:
        if grant.memory_bytes.value > memory.total_bytes.value:
            why = "expected at most memory.total: no process gets more than there is"
            by_role.required_table(grant.role).fail("value", why)
    return memory


def _price(table: DeviceTable) -> Price:
    price = _record(table, Price)
    if not _DATE.fullmatch(price.as_of):
        table.fail("as_of", 'expected the date of the price, such as "2026-06" or "2026-06-17"')
    return price


def _measured(table: DeviceTable) -> MeasuredMachine:
    """The rates that `devices this` measured."""
    machine = _record(table, MeasuredMachine)
    counts = [rates.thread_count for rates in machine.rates]
    if counts != sorted(set(counts)) or counts[0] != 1:
        table.fail("rates", "expected one table per number of threads, that of one thread first")
    return machine


def _rates(table: DeviceTable) -> Rates:
    operations = table.required_table("operations")
    operations.allow((*WORK_KINDS, *INT8_KINDS))
    for kind in REQUIRED_KINDS:
        operations.figure(kind, SUSTAINED_RATE)
    return _record(table, Rates)


def _anchor(table: DeviceTable) -> Anchor:
    """A time that `devices calibrate` recorded."""
    table.required_table("operations").allow(WORK_KINDS)
    anchor = _record(table, Anchor)
    if not sum(anchor.operations.values()):
        table.fail("operations", "expected at least one kind of work above zero")
    return anchor


# How tables are read that have rules of their own.
_READERS: Final[Mapping[type[Record], Callable[[DeviceTable], Record]]] = {
    DeviceMemory: _memory,
    Price: _price,
    MeasuredMachine: _measured,
    Rates: _rates,
    Anchor: _anchor,
}
