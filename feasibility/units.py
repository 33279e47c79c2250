"""Sizes, durations and counts between integers and the text that people read.

Everything inside the package is an integer in bytes or nanoseconds; only
renderers and option parsers come here. Whatever `format_*` prints, `parse_*`
reads back.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from feasibility.errors import UsageError

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS

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
    """Number of bytes that `200MB` (10^6) or `200MiB` (2^20) names, rounded to a whole byte.

    Raises:
        UsageError: The text is not a number followed by a unit of size.
    """
    return _parse(text, _SIZE_UNITS, "size", "200MB (10^6 bytes) or 200MiB (2^20 bytes)")


def parse_duration_ns(text: str) -> int:
    """Number of nanoseconds that `50ms` or `1.5s` names, rounded to a whole nanosecond.

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


def format_bytes(count: int) -> str:
    """Text of a size in binary units with three significant digits, for example `409 MiB`."""
    sign = "-" if count < 0 else ""
    size = abs(count)
    for name, factor in (("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB)):
        following = factor * KIB
        # 1023.6 KiB would round to "1024 KiB": hand it to the next unit instead.
        if size < following - factor / 2 or name == "GiB":
            return f"{sign}{_three_digits(size / factor)} {name}"
    raise AssertionError  # the loop always returns on its last unit


def format_duration(ns: int) -> str:
    """Text of a duration with three significant digits, for example `65.1 ms`."""
    sign = "-" if ns < 0 else ""
    span = abs(ns)
    steps = (("ns", 1), ("us", MICROSECOND_NS), ("ms", MILLISECOND_NS), ("s", SECOND_NS))
    for name, factor in steps:
        if span < 1000 * factor - factor / 2 or name == "s":
            return f"{sign}{_three_digits(span / factor)} {name}"
    raise AssertionError  # the loop always returns on its last unit


def format_count(count: int) -> str:
    """Text of a large count with a decimal prefix, for example `44.5 M` or `15.6 G`."""
    sign = "-" if count < 0 else ""
    size = abs(count)
    for name, factor in (("", 1), (" k", 10**3), (" M", 10**6), (" G", 10**9), (" T", 10**12)):
        if size < 1000 * factor - factor / 2 or name == " T":
            return f"{sign}{_three_digits(size / factor)}{name}"
    raise AssertionError  # the loop always returns on its last prefix


def _three_digits(value: float) -> str:
    """Text of a non-negative number with three significant digits and no padding zeros."""
    if value >= 99.95:
        return f"{value:.0f}"
    text = f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
