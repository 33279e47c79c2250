"""How is a limit such as `200MiB`, `+5%`, `+512KiB` or `device:pi4` parsed?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from feasibility.errors import UsageError
from feasibility.records.budget import Unit
from feasibility.text import safe_text
from feasibility.units import parse_bytes, parse_duration_ns

_PERCENT: Final = re.compile(r"\+\s*(\d+(?:\.\d+)?)\s*%", re.ASCII)
_COUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)", re.ASCII)
_COUNT_FACTORS: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_EXAMPLES: Final[dict[Unit, str]] = {
    "bytes": '"200MiB", "+5%", "+512KiB" or "device:rpi_4b"',
    "ns": '"50ms" or "+20%"',
    "count": '"25M" or "+5%"',
}
_DEVICE_PREFIX: Final = "device:"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on one metric.

    Args:
        kind: `absolute`: limit on the figure; `ratio`, `amount`: limit on its growth over the
            baseline; `device`: the limit of a device.
        value: The limit or the growth; 0 for a device.
        ratio: The growth as a share; 0 unless the kind is `ratio`.
    """

    text: str
    kind: Literal["absolute", "ratio", "amount", "device"]
    value: int = 0
    ratio: float = 0.0
    device: str = ""
    line: int = 0

    @property
    def is_relative(self) -> bool:
        """True if the limit needs a baseline."""
        return self.kind in ("ratio", "amount")

    def above(self, baseline: int) -> int:
        """The limit as a figure, for this figure of the baseline."""
        return round(baseline * (1 + self.ratio)) + self.value


def parse_limit(value: object, unit: Unit, line: int = 0) -> Limit:
    """The limit that a text or a whole number means.

    Raises:
        UsageError: It is not a quantity of this unit, not growth and not a device.
    """
    if isinstance(value, int) and not isinstance(value, bool) and unit == "count" and value >= 0:
        return Limit(str(value), "absolute", value=value, line=line)
    if not isinstance(value, str):
        raise _unreadable(value, unit)
    text = value.strip()
    if match := _PERCENT.fullmatch(text):
        return Limit(text, "ratio", ratio=float(match[1]) / 100, line=line)
    if text.startswith(_DEVICE_PREFIX) and unit == "bytes":
        device = text.removeprefix(_DEVICE_PREFIX).strip()
        if device:
            return Limit(text, "device", device=device, line=line)
    try:
        if text.startswith("+"):
            return Limit(text, "amount", value=_quantity(text[1:], unit), line=line)
        return Limit(text, "absolute", value=_quantity(text, unit), line=line)
    except UsageError as error:
        raise _unreadable(value, unit) from error


def _quantity(text: str, unit: Unit) -> int:
    if unit == "bytes":
        return parse_bytes(text)
    if unit == "ns":
        return parse_duration_ns(text)
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise _unreadable(text, unit)
    return round(float(match[1]) * _COUNT_FACTORS[match[2]])


def _unreadable(value: object, unit: Unit) -> UsageError:
    return UsageError(
        f"Cannot read the limit {safe_text(repr(value), 60)}",
        f"a limit looks like {_EXAMPLES[unit]}",
        "docs/ci.md describes limits",
    )
