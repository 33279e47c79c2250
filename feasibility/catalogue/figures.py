"""How is a figure of a device file read: its quantity (`8 GiB`, `17 GB/s`) and its source?

`feasibility.units` reads sizes and durations; rates have decimal prefixes, as in data sheets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, NamedTuple

from feasibility.errors import DeviceError, UsageError
from feasibility.records.device import UNVERIFIED, Figure
from feasibility.text import safe_text
from feasibility.toml_key_errors import TomlTable, guess
from feasibility.units import MINUTE_NS, parse_bytes, parse_duration_ns

_DECIMAL_PREFIXES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_FIGURE_KEYS: Final = ("value", "source", "note")


class Quantity(NamedTuple):
    """How one kind of figure is written and read, and its range."""

    expected: str
    parse: Callable[[object], int]
    lowest: int
    highest: int

    def read(self, value: object) -> int:
        """The value as an integer in its base unit.

        Raises:
            ValueError: It has another form, or is outside the range of real devices.
        """
        try:
            number = self.parse(value)
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


def _size(value: object) -> int:
    return parse_bytes(_text(value))


def _duration(value: object) -> int:
    return parse_duration_ns(_text(value))


def _number_of(unit: str, scale: int = 1, prefixes: str = "") -> Callable[[object], int]:
    """Reads a number with a unit and its prefix, and multiplies it into the base unit."""
    optional = f"[{prefixes}]?" if prefixes else ""
    pattern = re.compile(rf"(\d+(?:\.\d+)?)\s*({optional}){re.escape(unit)}", re.ASCII)

    def parse(value: object) -> int:
        match = pattern.fullmatch(_text(value).strip())
        if match is None:
            raise ValueError
        return round(Decimal(match[1]) * _DECIMAL_PREFIXES[match[2]] * scale)

    return parse


def _rate(unit: str) -> Callable[[object], int]:
    return _number_of(unit, prefixes="kMGTP")


COUNT: Final = Quantity("a whole number such as 4", _integer, 1, 1024)
FLOP_PER_CYCLE: Final = Quantity("a whole number such as 16", _integer, 1, 1024)
CLOCK: Final = Quantity('a frequency such as "2.4 GHz"', _rate("Hz"), 10**7, 10**10)
MEMORY: Final = Quantity('a size such as "8 GiB" or "512 MiB"', _size, 2**20, 2**46)
FOOTPRINT: Final = Quantity('a size such as "24 MiB"', _size, 0, 2**34)
BANDWIDTH: Final = Quantity('a rate such as "17 GB/s"', _rate("B/s"), 10**7, 10**14)
FLOP_RATE: Final = Quantity('a rate such as "20.3 TFLOP/s"', _rate("FLOP/s"), 10**8, 10**17)
SUSTAINED_RATE: Final = Quantity('a rate such as "38 GFLOP/s"', _rate("FLOP/s"), 10**6, 10**15)
OP_RATE: Final = Quantity('a rate such as "35 TOP/s"', _rate("OP/s"), 10**8, 10**17)
CACHE: Final = Quantity('a size such as "32 MiB"', _size, 2**14, 2**34)
LAUNCH: Final = Quantity('a duration such as "8 us"', _duration, 1, 10**9)
LATENCY: Final = Quantity('a duration such as "100 ms"', _duration, 1_000, 60 * MINUTE_NS)
WORK: Final = Quantity("a whole number such as 600000000", _integer, 0, 10**18)
POWER: Final = Quantity('a power such as "15 W"', _number_of("W", 10**3), 1, 10**7)
PRICE: Final = Quantity('a price such as "0.526 USD/h"', _number_of("USD/h", 10**6), 0, 10**10)


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
        figure = self.optional_figure(key, quantity)
        if figure is None:
            self.fail(key, f"missing; expected {quantity.expected} with its source")
        return figure

    def optional_figure(self, key: str, quantity: Quantity) -> Figure | None:
        """A figure with its source; None if it is missing."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, 'expected { value = ..., source = "..." }: no figure without its source')
        entry = replace(self, values=value, path=(*self.path, key))
        entry.allow(_FIGURE_KEYS)
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
