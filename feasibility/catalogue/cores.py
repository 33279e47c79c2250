"""Which processor cores are known, of which family, and by which numbers? Reads `cores.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

_TABLE: Final[dict[str, dict[str, list[str]]]] = tomllib.loads(
    Path(__file__).with_name("cores.toml").read_text(encoding="utf-8")
)
FAMILIES: Final = tuple(family for family in _TABLE if family != "unknown")
CORE_FAMILIES: Final = {core: family for family in FAMILIES for core in _TABLE[family]}


def known_core(maker: str, *numbers: int) -> str | None:
    """The core that the kernel shows with these numbers; None if it is not in the table."""
    for cores in _TABLE.values():
        for core, entries in cores.items():
            if any(_fits(entry, maker, numbers) for entry in entries):
                return core
    return None


def _fits(entry: str, maker: str, numbers: tuple[int, ...]) -> bool:
    """Whether an entry such as `AuthenticAMD 0x19 0x20-0x5f` has these numbers."""
    own_maker, *ranges = entry.split()
    if own_maker != maker:
        return False
    ends = [[int(end, 16) for end in each.split("-")] for each in ranges]
    return all(pair[0] <= number <= pair[-1] for number, pair in zip(numbers, ends, strict=True))
