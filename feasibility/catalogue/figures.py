"""How is a figure of a device file read and written: its quantity (`8 GiB`) and its source?

`feasibility.units` reads sizes and durations; rates have decimal prefixes, as in data sheets.
`QUANTITIES` says which numbers each table has.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import UnionType
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec.structs import fields

from feasibility.errors import DeviceError, UsageError
from feasibility.records.device import (
    UNVERIFIED,
    Anchor,
    Cluster,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Grant,
    Limits,
    MeasuredMachine,
    Npu,
    Price,
    Rates,
)
from feasibility.records.shared_fields import Record
from feasibility.text import safe_text
from feasibility.toml_key_errors import TomlTable, guess
from feasibility.units import GIB, KIB, MIB, MINUTE_NS, parse_bytes, parse_duration_ns

_PREFIXES: Final = {"P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0}
FIGURE_KEYS: Final = ("value", "source", "note")


class Form(NamedTuple):
    """Type of a value in a file, how it is read, and how it is written to read back equal."""

    kind: type
    parse: Callable[[Any], int]
    text: Callable[[int], object]


class Quantity(NamedTuple):
    """One kind of figure: what it looks like, its form and its range."""

    expected: str
    form: Form
    lowest: int
    highest: int

    def read(self, value: object) -> int:
        """The value as an integer in its base unit.

        Raises:
            ValueError: It has another form, or is outside the range of real devices.
        """
        try:
            number = self.form.parse(msgspec.convert(value, self.form.kind))
        except (UsageError, ValueError, msgspec.ValidationError):
            raise ValueError(f"expected {self.expected}") from None
        if not self.lowest <= number <= self.highest:
            raise ValueError(f"expected {self.expected}; no device has this much or this little")
        return number


def _decimal(unit: str, powers: Mapping[str, int] = _PREFIXES) -> Form:
    """A number with a unit, whose prefixes stand for these powers of ten, largest first."""
    pattern = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(powers)}){re.escape(unit)}", re.ASCII)
    *_, smallest = powers

    def parse(value: str) -> int:
        match = pattern.fullmatch(value.strip())
        if match is None:
            raise ValueError
        return round(Decimal(match[1]).scaleb(powers[match[2]]))

    def text(value: int) -> str:
        prefix = next((one for one, power in powers.items() if value >= 10**power), smallest)
        number = Decimal(value).scaleb(-powers[prefix])
        return f"{number.normalize():f} {prefix}{unit}"

    return Form(str, parse, text)


def _size_text(count: int) -> str:
    """A size in the largest unit that gives a whole number."""
    for name, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count and count % factor == 0:
            return f"{count // factor} {name}"
    return f"{count} B"


_COUNT: Final = Form(int, int, int)
_SIZE: Final = Form(str, parse_bytes, _size_text)
_SECONDS: Final = _decimal("s", {"": 9, "m": 6, "u": 3, "n": 0})
_DURATION: Final = Form(str, parse_duration_ns, _SECONDS.text)

COUNT: Final = Quantity("a whole number such as 4", _COUNT, 1, 1024)
FLOP_PER_CYCLE: Final = Quantity("a whole number such as 16", _COUNT, 1, 1024)
CLOCK: Final = Quantity('a frequency such as "2.4 GHz"', _decimal("Hz"), 10**7, 10**10)
MEMORY: Final = Quantity('a size such as "8 GiB" or "512 MiB"', _SIZE, 2**20, 2**46)
FOOTPRINT: Final = Quantity('a size such as "24 MiB"', _SIZE, 0, 2**34)
BANDWIDTH: Final = Quantity('a rate such as "17 GB/s"', _decimal("B/s"), 10**7, 10**14)
FLOP_RATE: Final = Quantity('a rate such as "20.3 TFLOP/s"', _decimal("FLOP/s"), 10**8, 10**17)
SUSTAINED_RATE: Final = Quantity('a rate such as "38 GFLOP/s"', _decimal("FLOP/s"), 10**6, 10**15)
OP_RATE: Final = Quantity('a rate such as "35 TOP/s"', _decimal("OP/s"), 10**8, 10**17)
CACHE: Final = Quantity('a size such as "32 MiB"', _SIZE, 2**14, 2**34)
LAUNCH: Final = Quantity('a duration such as "8 us"', _DURATION, 1, 10**9)
LATENCY: Final = Quantity('a duration such as "100 ms"', _DURATION, 1_000, 60 * MINUTE_NS)
WORK: Final = Quantity("a whole number such as 600000000", _COUNT, 0, 10**18)
POWER: Final = Quantity('a power such as "15 W"', _decimal("W", {"": 3}), 1, 10**7)
PRICE: Final = Quantity('a price such as "0.526 USD/h"', _decimal("USD/h", {"": 6}), 0, 10**10)

# The key in the file and the quantity of each number of a record, by field. A figure with the key
# `value` stands in the table of its record, with its source and note.
QUANTITIES: Final[Mapping[type[Record], Mapping[str, tuple[str, Quantity]]]] = {
    Cluster: {
        "core_count": ("count", COUNT),
        "clock_hz": ("clock", CLOCK),
        "flop_per_cycle": ("flop_per_cycle", FLOP_PER_CYCLE),
    },
    Grant: {"memory_bytes": ("value", MEMORY)},
    DeviceMemory: {
        "total_bytes": ("total", MEMORY),
        "bandwidth_bytes_per_s": ("bandwidth", BANDWIDTH),
    },
    Gpu: {
        "memory_bytes": ("memory", MEMORY),
        "context_bytes": ("context", FOOTPRINT),
        "bandwidth_bytes_per_s": ("bandwidth", BANDWIDTH),
        "fp32_flops_per_s": ("fp32", FLOP_RATE),
        "fp16_flops_per_s": ("fp16", FLOP_RATE),
        "launch_ns": ("launch", LAUNCH),
    },
    Npu: {"int8_ops_per_s": ("int8", OP_RATE)},
    Limits: {
        "runtime_bytes": ("runtime", FOOTPRINT),
        "model_storage_bytes": ("storage", MEMORY),
        "latency_ns": ("latency", LATENCY),
    },
    Price: {"hourly_microusd": ("value", PRICE)},
    Rates: {
        "thread_count": ("threads", COUNT),
        "operations_per_s": ("operations", SUSTAINED_RATE),
        "activation_bytes_per_s": ("activations", BANDWIDTH),
        "bandwidth_bytes_per_s": ("bandwidth", BANDWIDTH),
        "layer_ns": ("layer", LAUNCH),
    },
    MeasuredMachine: {"core_count": ("core_count", COUNT), "cache_bytes": ("cache", CACHE)},
    Anchor: {
        "latency_ns": ("latency", LATENCY),
        "threads": ("threads", COUNT),
        "operations": ("operations", WORK),
        "activation_count": ("activation_count", WORK),
        "weight_count": ("weight_count", WORK),
        "vector_weight_count": ("vector_weight_count", WORK),
        "layer_count": ("layer_count", WORK),
    },
    Device: {"power_mw": ("power", POWER)},
}


class Entry(NamedTuple):
    """How a field of a record stands in a device file.

    `kind` is its type without `| None`; `default` is `NODEFAULT` if it must be there.
    """

    field: str
    key: str
    quantity: Any
    kind: Any
    default: Any


@functools.cache
def entries(record: type[Record]) -> tuple[Entry, ...]:
    """The fields of a record, each under the key of `QUANTITIES` or of its own name."""
    types, quantities = get_type_hints(record), QUANTITIES.get(record, {})
    found = []
    for each in fields(record):
        kind = types[each.name]
        if isinstance(kind, UnionType):
            kind = get_args(kind)[0]
        key, quantity = quantities.get(each.name, (each.name, None))
        found.append(Entry(each.name, key, quantity, kind, each.default))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class DeviceTable(TomlTable):
    """One table of a device file; its citations are the sources by their short names."""

    citations: Mapping[str, str] = field(default_factory=dict)
    error = DeviceError
    kind = "Device file"
    page = "docs/devices.md"

    def quantity(self, key: str, quantity: Quantity) -> int:
        """A quantity without a source: the user measured it."""
        if key not in self.values:
            self.fail(key, f"missing; expected {quantity.expected}")
        try:
            return quantity.read(self.values[key])
        except ValueError as error:
            self.fail(key, f"{error}, not {_shown(self.values[key])!r}")

    def figure(self, key: str, quantity: Quantity) -> Figure:
        """A figure with its source."""
        if key not in self.values:
            self.fail(key, f"missing; expected {quantity.expected} with its source")
        value = self.values[key]
        if not isinstance(value, dict):
            self.fail(key, 'expected { value = ..., source = "..." }: no figure without its source')
        entry = replace(self, values=value, path=(*self.path, key))
        entry.allow(FIGURE_KEYS)
        return entry.own_figure(quantity)

    def own_figure(self, quantity: Quantity) -> Figure:
        """The figure whose value and source are keys of this table."""
        number = self.quantity("value", quantity)
        return Figure(value=number, source=self._citation(), note=self.text("note", ""))

    def _citation(self) -> str:
        key = self.text("source")
        if key == UNVERIFIED:
            return key
        if key not in self.citations:
            known = f'expected a name from [sources] or "{UNVERIFIED}"'
            self.fail("source", f"{known}, not {safe_text(key)!r}{guess(key, self.citations)}")
        return self.citations[key]


def _shown(value: object) -> str:
    try:
        return safe_text(str(value), 40)
    except ValueError:
        # A hexadecimal number may be longer than Python writes in decimals.
        return "a number of thousands of digits"
