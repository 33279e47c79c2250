"""How far do outputs differ? A drift in words."""

from __future__ import annotations

from typing import Final

from feasibility.records.drift import Drift
from feasibility.render.reports.sections import counted, name_text
from feasibility.units import format_number, format_percent, format_similarity

ROUNDING_RATIO: Final = 1e-4


def drift_text(drift: Drift, remark: str = "") -> str:
    """The whole drift in one line; the remark is a reason, before the node where it grows."""
    if drift.is_identical:
        return f"identical bit by bit ({counted(drift.sample_count, 'input')})"
    text = f"differ by at most {drift_percent(drift.relative_ratio)} of the largest value"
    tops = [each.top1_ratio for each in drift.outputs if each.top1_ratio is not None]
    cosines = [each.cosine for each in drift.outputs if each.cosine is not None]
    is_rounding = drift.relative_ratio < ROUNDING_RATIO
    if cosines and not is_rounding:
        text += f"; cosine similarity at least {format_similarity(min(cosines))}"
    if tops and not is_rounding:
        text += f"; same largest element in {format_percent(min(tops))} of the rows"
    text += f" ({counted(drift.sample_count, 'input')})"
    if remark:
        text += f"; {remark}"
    if drift.first_node is not None:
        text += f"; grows first at {name_text(drift.first_node, 48)}"
    return text


def drift_percent(ratio: float) -> str:
    """A relative difference in percent; rounding of floats reads as `0.01 %`."""
    return format_number(100 * ratio, "%") if ratio >= ROUNDING_RATIO else "0.01 %"
