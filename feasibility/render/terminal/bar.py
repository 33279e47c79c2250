"""How is a bar drawn in characters, for example the memory of a device that a model takes?"""

from __future__ import annotations

from typing import Final

from feasibility.render.reports.sections import Bar

_EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def bar_text(bar: Bar, width: int, *, ascii_only: bool) -> str:
    """A bar as wide as the limit: full blocks to the value, shaded ones to the possible value.

    Beyond the limit the last character is an arrow: it marks "too much", not "just full".
    """
    full, shaded, empty, beyond = ("#", "+", ".", ">") if ascii_only else ("█", "▒", "·", "▶")
    ratio = bar.filled_ratio
    if ratio is None:
        return " " * width
    if ratio > 1:
        return full * (width - 1) + beyond
    # Rounded down, so that only what reaches the limit fills the bar, but up from nothing.
    eighths = max(int(ratio * width * 8), int(ratio > 0))
    if ascii_only:
        filled = full * max(eighths // 8, int(ratio > 0))
    else:
        filled = full * (eighths // 8) + _EIGHTHS[eighths % 8]
    possible = min(int((bar.possible_ratio or 0.0) * width), width)
    text = filled + shaded * (possible - len(filled))
    return text + empty * (width - len(text))
