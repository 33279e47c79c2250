"""How much larger is the error of the formula without one of its parts?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from calibration.fit_cpu import PARTS
from calibration.held_out_report import inside
from calibration.hold_out import hold_out_groups
from feasibility.predict.validation.cases import Case
from feasibility.predict.validation.misses import cpu_miss
from feasibility.predict.validation.rows_report import accuracy_lines
from feasibility.records.accuracy import AccuracyLine

NOTHING: Final = "nothing"
_GROUPS: Final = 6


def ablation_lines(
    cases: Sequence[Case], parts: Sequence[str] = (NOTHING, *PARTS)
) -> Iterator[AccuracyLine]:
    """Error of the formula without each part, on groups of chips that the fit did not see."""
    for part in parts:
        seconds = hold_out_groups(cases, "" if part == NOTHING else part, _GROUPS)
        misses = [cpu_miss(*pair, "cpu") for pair in zip(cases, seconds, strict=True)]
        for line in accuracy_lines("all", inside(misses)):
            yield replace(
                line, scope="without", subject=f"{part}, {line.subject.partition(', ')[2]}"
            )
