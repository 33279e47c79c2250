"""How is a figure of a device file read and written: its quantity (`8 GiB`) and its source?

`feasibility.units` reads sizes and durations; rates have decimal prefixes, as in data sheets.
`FIGURES` says which figures each table has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import fields

from feasibility.errors import DeviceError, UsageError
from feasibility.records.device import (
    UNVERIFIED,
    Cluster,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Limits,
    MeasuredMachine,
    Npu,
    Rates,
)
from feasibility.records.shared_fields import Record
from feasibility.text import safe_text
from feasibility.toml_key_errors import TomlTable, guess
from feasibility.units import GIB, KIB, MIB, MINUTE_NS, parse_bytes, parse_duration_ns

_PREFIXES: Final = {"P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0}
_FIGURE_KEYS: Final = ("value", "source", "note")


class Form(NamedTuple):
    """How a value is read from a file, and how it is written so that it reads back equal."""

    parse: Callable[[object], int]
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
            number = self.form.parse(value)
        except (UsageError, ValueError):
            raise ValueError(f"expected {self.expected}") from None
        if not self.lowest <= number <= self.highest:
            raise ValueError(f"expected {self.expected}; no device has this much or this little")
        return number


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError  # noqa: TRY004 - one exception type for "not as expected"
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - one exception type for "not as expected"
    return value


def _decimal(unit: str, powers: Mapping[str, int] = _PREFIXES) -> Form:
    """A number with a unit, whose prefixes stand for these powers of ten, largest first."""
    pattern = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(powers)}){re.escape(unit)}", re.ASCII)
    *_, smallest = powers

    def parse(value: object) -> int:
        match = pattern.fullmatch(_text(value).strip())
        if match is None:
            raise ValueError
        return round(Decimal(match[1]).scaleb(powers[match[2]]))

    def text(value: int) -> str:
        prefix = next((one for one, power in powers.items() if value >= 10**power), smallest)
        number = Decimal(value).scaleb(-powers[prefix])
        return f"{number.normalize():f} {prefix}{unit}"

    return Form(parse, text)


def _size_text(count: int) -> str:
    """A size in the largest unit that gives a whole number."""
    for name, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count and count % factor == 0:
            return f"{count // factor} {name}"
    return f"{count} B"


_COUNT: Final = Form(_integer, int)
_SIZE: Final = Form(lambda value: parse_bytes(_text(value)), _size_text)
_DURATION: Final = Form(
    lambda value: parse_duration_ns(_text(value)),
    _decimal("s", {"": 9, "m": 6, "u": 3, "n": 0}).text,
)

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

# The figures of each record: key in the file, field and quantity. Fields with a default may be
# missing.
FIGURES: Final[Mapping[type[Record], Mapping[str, tuple[str, Quantity]]]] = {
    Cluster: {
        "count": ("core_count", COUNT),
        "clock": ("clock_hz", CLOCK),
        "flop_per_cycle": ("flop_per_cycle", FLOP_PER_CYCLE),
    },
    DeviceMemory: {
        "total": ("total_bytes", MEMORY),
        "bandwidth": ("bandwidth_bytes_per_s", BANDWIDTH),
    },
    Gpu: {
        "memory": ("memory_bytes", MEMORY),
        "context": ("context_bytes", FOOTPRINT),
        "bandwidth": ("bandwidth_bytes_per_s", BANDWIDTH),
        "fp32": ("fp32_flops_per_s", FLOP_RATE),
        "fp16": ("fp16_flops_per_s", FLOP_RATE),
        "launch": ("launch_ns", LAUNCH),
    },
    Npu: {"int8": ("int8_ops_per_s", OP_RATE)},
    Limits: {
        "runtime": ("runtime_bytes", FOOTPRINT),
        "storage": ("model_storage_bytes", MEMORY),
        "latency": ("latency_ns", LATENCY),
    },
    Rates: {
        "activations": ("activation_bytes_per_s", BANDWIDTH),
        "bandwidth": ("bandwidth_bytes_per_s", BANDWIDTH),
        "layer": ("layer_ns", LAUNCH),
    },
    MeasuredMachine: {"cache": ("cache_bytes", CACHE)},
    Device: {"power": ("power_mw", POWER)},
}


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
        entry.allow(_FIGURE_KEYS)
        return entry.own_figure(quantity)

    def figures(self, record: type[Record], *others: str) -> dict[str, Any]:
        """The figures of a record by field; the table may have the `others` as further keys."""
        keys = FIGURES[record]
        self.allow((*others, *keys))
        required = {field.name for field in fields(record) if field.required}
        return {
            field: self.figure(key, quantity)
            for key, (field, quantity) in keys.items()
            if key in self.values or field in required
        }

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
