"""How are sizes, durations and counts written and read?

Inside the package a size is an integer in bytes and a duration one in nanoseconds. Reports
and messages print them with these functions, which alone decide about digits: a single figure
and both ends of an interval of sizes have three significant digits, because sizes are measured
within 0.1 % and limits are exact; the ends of every other interval have two. `parse_*` reads
what `format_*` prints.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeAlias

from feasibility.errors import UsageError

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS

NOT_MEASURED: Final = "not measured"

_SINGLE_DIGITS: Final = 3
_INTERVAL_DIGITS: Final = 2
# Growth of less than this has a decimal.
_COARSE_PERCENT: Final = 10

_Units: TypeAlias = tuple[tuple[str, int], ...]
_BINARY_UNITS: Final[_Units] = (("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB))
_TIME_UNITS: Final[_Units] = (
    ("ns", 1),
    ("us", MICROSECOND_NS),
    ("ms", MILLISECOND_NS),
    ("s", SECOND_NS),
)
_ENERGY_UNITS: Final[_Units] = (("uJ", 1), ("mJ", 10**3), ("J", 10**6), ("kJ", 10**9))
_DECIMAL_PREFIXES: Final[_Units] = (
    ("", 1),
    ("k", 10**3),
    ("M", 10**6),
    ("G", 10**9),
    ("T", 10**12),
)

_SIZE_UNITS: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": 1024**4,
}
_DURATION_UNITS: Final = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,  # micro sign, as most keyboards type it
    "μs": MICROSECOND_NS,  # Greek mu, as Unicode normalisation leaves it
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "min": MINUTE_NS,
}
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-zµμ]+)\s*", re.ASCII)


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `200MB` (10^6) or `200MiB` (2^20), rounded to a whole byte.

    Raises:
        UsageError: The text is not a number followed by a unit of size.
    """
    return _parse(text, _SIZE_UNITS, "size", "200MB (10^6 bytes) or 200MiB (2^20 bytes)")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a duration such as `50ms` or `1.5s`, rounded to a whole nanosecond.

    Raises:
        UsageError: The text is not a number followed by a unit of time.
    """
    return _parse(text, _DURATION_UNITS, "duration", "50ms or 1.5s")


def _parse(text: str, units: dict[str, int], noun: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"Cannot read the {noun} {text!r}",
            f"a {noun} is a number and one of the units {', '.join(dict.fromkeys(units))}",
            f"write for example {example}",
        )
    return round(Decimal(match[1]) * factor)


def rounded_up(count: int, step: int) -> int:
    """The next multiple of a step; the count itself if it is one."""
    return -(-count // step) * step


def format_bytes(count: int | None) -> str:
    """A size with three significant digits, for example `409 MiB`."""
    return NOT_MEASURED if count is None else _single(count, _BINARY_UNITS)


def format_bytes_range(low: int, high: int) -> str:
    """An interval of sizes with three significant digits, for example `407 to 457 MiB`."""
    return _range(low, high, _BINARY_UNITS, _SINGLE_DIGITS)


def format_bytes_of(part: int | None, whole: int | None) -> str:
    """A size and its limit: `206 of 220 MiB`, `206 MiB of 2.93 GiB`."""
    if part is None:
        return NOT_MEASURED
    if whole is None:
        return f"{format_bytes(part)}, no limit known"
    number, _, unit = format_bytes(part).partition(" ")
    limit = format_bytes(whole)
    return f"{number} of {limit}" if limit.endswith(f" {unit}") else f"{number} {unit} of {limit}"


def format_duration(ns: int | None) -> str:
    """A duration with three significant digits, for example `65.1 ms`."""
    return NOT_MEASURED if ns is None else _single(ns, _TIME_UNITS)


def format_duration_range(low: int, high: int | None) -> str:
    """An interval of durations, for example `72 to 180 ms`; `over 72 ms` without an upper end."""
    if high is None:
        return f"over {_with_unit(low, _TIME_UNITS, _INTERVAL_DIGITS)}"
    return _range(low, high, _TIME_UNITS)


def bytes_unit(count: int) -> tuple[str, int]:
    """The unit in which `format_bytes` writes a size, and its number of bytes."""
    return _unit_of(count, _BINARY_UNITS, _SINGLE_DIGITS)


def duration_unit(ns: int) -> tuple[str, int]:
    """The unit in which `format_duration` writes a duration, and its number of nanoseconds."""
    return _unit_of(ns, _TIME_UNITS, _SINGLE_DIGITS)


def format_energy_range(low_uj: float, high_uj: float) -> str:
    """An interval of energies in microjoules, for example `0.2 to 1.3 J`."""
    return _range(low_uj, high_uj, _ENERGY_UNITS)


def format_count(count: float, unit: str = "") -> str:
    """A count with a decimal prefix, for example `44.5 M`, `15.6 GFLOP` or `7 FLOP`."""
    return _single(count, tuple((prefix + unit, factor) for prefix, factor in _DECIMAL_PREFIXES))


def format_number(value: float, unit: str = "") -> str:
    """A plain number with three significant digits, for example `0.123` or `9.1 %`."""
    return _single(value, ((unit, 1),))


def format_number_range(low: float, high: float, unit: str = "") -> str:
    """An interval of plain numbers, for example `0.12 to 0.3`, or `12 to 30 %` with a unit."""
    return _range(low, high, ((unit, 1),))


def format_percent(ratio: float) -> str:
    """A share in whole percent, for example `37 %`; `<1 %` where it would read 0."""
    return "<1 %" if 0 < ratio < 0.005 else f"{100 * ratio:.0f} %"


def format_percent_range(low_ratio: float, high_ratio: float) -> str:
    """An interval of shares, for example `12 to 30 %`."""
    return format_number_range(100 * low_ratio, 100 * high_ratio, "%")


def format_margin(ratio: float) -> str:
    """How far a figure may be off, for example `+/- 0.3 %`; at least 0.1 %, never 0."""
    return f"+/- {_digits(100 * max(ratio, 0.001), _INTERVAL_DIGITS)} %"


def format_change(ratio: float) -> str:
    """A figure divided by an earlier one as growth: `+12 %`, `-0.4 %`, `0 %`."""
    growth = 100 * (ratio - 1)
    if abs(growth) < 0.05:
        return "0 %"
    return f"{growth:+.1f} %" if abs(growth) < _COARSE_PERCENT else f"{growth:+.0f} %"


def format_change_range(low_ratio: float, high_ratio: float) -> str:
    """An interval of growth, for example `-1 to +3 %`."""
    return f"{100 * (low_ratio - 1):+.0f} to {100 * (high_ratio - 1):+.0f} %"


def format_similarity(cosine: float) -> str:
    """A cosine similarity with four decimals, for example `0.9991`; rounded down, as a bound."""
    return f"{math.floor(round(cosine * 10_000, 6)) / 10_000:.4f}"


def format_factor(ratio: float) -> str:
    """How many times one figure is another, for example `1.03x` or `12.3x`."""
    return f"{_digits(ratio, _SINGLE_DIGITS)}x"


def _single(value: float, units: _Units) -> str:
    return _with_unit(value, units, _SINGLE_DIGITS)


def _range(low: float, high: float, units: _Units, digits: int = _INTERVAL_DIGITS) -> str:
    """Both ends in the unit of the upper one, unless the lower one is far smaller."""
    if low == high:
        return _single(high, units)
    unit, factor = _unit_of(high, units, digits)
    first, last = (_digits(value / factor, digits) for value in (low, high))
    if first == last:
        return f"{last} {unit}".rstrip()
    if 0 < low < factor / 10 and len(units) > 1:
        first = _with_unit(low, units, digits)
    return f"{first} to {last} {unit}".rstrip()


def _with_unit(value: float, units: _Units, digits: int) -> str:
    unit, factor = _unit_of(abs(value), units, digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{_digits(abs(value) / factor, digits)} {unit}".rstrip()


def _unit_of(value: float, units: _Units, digits: int) -> tuple[str, int]:
    """The smallest unit in which the rounded number is below one of the next unit."""
    for (unit, factor), (_, following) in pairwise(units):
        if float(_digits(value / factor, digits)) * factor < following:
            return unit, factor
    return units[-1]


def _digits(value: float, digits: int) -> str:
    """A number with so many significant digits, without padding zeros and exponents."""
    # 1023 B and 5000 GiB keep their fourth digit.
    if digits == _SINGLE_DIGITS and value >= 1000:
        return f"{value:.0f}"
    return format(Decimal(f"{value:.{digits}g}"), "f")
