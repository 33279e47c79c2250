"""How is a share drawn as a bar?"""

from __future__ import annotations

from typing import Final

from feasibility.render.reports.sections import Bar

_EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def bar_text(bar: Bar, width: int, *, ascii_only: bool) -> str:
    """The bar as blocks; beyond 1 its last character is an arrow."""
    full, empty, beyond = ("#", ".", ">") if ascii_only else ("█", "·", "▶")
    ratio = bar.filled_ratio
    if ratio is None:
        return " " * width
    if ratio > 1:
        return full * (width - 1) + beyond
    # Rounded down, so that only 1 fills the bar, but up from nothing.
    eighths = max(int(ratio * width * 8), int(ratio > 0))
    if ascii_only:
        filled = full * max(eighths // 8, int(ratio > 0))
    else:
        filled = full * (eighths // 8) + _EIGHTHS[eighths % 8]
    return filled.ljust(width, empty)
