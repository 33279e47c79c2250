"""How large is the error on rows that the fit did not see, and which interval covers it?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from calibration.fit_rows import FitRows
from calibration.hold_out import HeldOut, chip_groups
from feasibility import __version__
from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.interval import CONFIDENCE
from feasibility.predict.published_npu_times import ROWS_FILE
from feasibility.predict.validation.misses import (
    Miss,
    cpu_miss,
    miss_of,
    misses_with_anchors,
)
from feasibility.predict.validation.rows_report import (
    SCOPES,
    accuracy_lines,
    accuracy_points,
    grouped,
)
from feasibility.records.accuracy import Accuracy

# What was left out of the fit, and the group of its misses.
_LABELS: Final = {"chip": "cpu", "architecture": "other model", "runtime": "other runtime"}


def held_out_misses(rows: FitRows, held_out: HeldOut) -> tuple[Miss, ...]:
    """The misses of every group of rows, and of devices with one or two known models."""
    misses = {
        name: [
            cpu_miss(case, seconds, label)
            for case, seconds in zip(rows.floats, held_out.seconds[name], strict=True)
        ]
        for name, label in _LABELS.items()
    }
    group_of = chip_groups(rows.floats)
    int8 = zip(rows.int8, held_out.seconds["int8 chip"], strict=True)
    gpu = zip(rows.gpu, held_out.seconds["gpu chip"], strict=True)
    return (
        *(miss for group in misses.values() for miss in group),
        *(
            miss
            for count in (1, 2)
            for miss in misses_with_anchors(
                misses["chip"],
                lambda chip: held_out.covariances[group_of[chip]],
                count,
            )
        ),
        *(miss_of(case, seconds, "int8") for case, seconds in int8),
        *(miss_of(case, seconds, "gpu") for case, seconds in gpu),
    )


def held_out_report(rows: FitRows, misses: Sequence[Miss], coefficients: Coefficients) -> Accuracy:
    """The report on the published rows, each projected by a fit that did not see it."""
    held = inside(misses)
    lines = list(accuracy_lines("all", held))
    # A kind of device or a runtime has the interval of all rows.
    direct = [pair for pair in held if pair[0].group.startswith("cpu, ")]
    for scope in SCOPES:
        lines += accuracy_lines(scope, direct)
    scored = len(rows.floats) + len(rows.int8) + len(rows.gpu)
    is_direct = ("int8", "gpu", "cpu, one thread", "cpu, several threads")
    return Accuracy(
        tool_version=__version__,
        source=f"profiles/{ROWS_FILE}",
        calibrated_on=coefficients.written_on,
        calibrated_row_count=coefficients.row_count,
        is_held_out=True,
        row_count=rows.row_count,
        scored_count=scored,
        left_out={"of another kind, or without work, device or threads": rows.row_count - scored},
        lines=tuple(lines),
        points=accuracy_points(miss for miss in misses if miss.group in is_direct),
    )


def spread_of(misses: Iterable[Miss]) -> float:
    """Half width, as a factor, of the interval that covers 80 % of these misses.

    A miss with a deviation counts relative to it.
    """
    sizes = sorted(abs(miss.error) / miss.deviation for miss in misses)
    # Split conformal prediction: the next larger rank, so that a new row is covered.
    rank = min(len(sizes), math.ceil(CONFIDENCE * (len(sizes) + 1)))
    return math.exp(sizes[rank - 1])


def inside(misses: Iterable[Miss]) -> list[tuple[Miss, bool]]:
    """Each with whether it is inside the interval that all other chips in its group give."""
    found = []
    for _, members in grouped(misses, lambda miss: miss.group):
        by_chip: dict[str, list[Miss]] = {}
        for miss in members:
            by_chip.setdefault(miss.case.chip, []).append(miss)
        for chip, own in by_chip.items():
            others = [miss for other, theirs in by_chip.items() if other != chip for miss in theirs]
            limit = math.log(spread_of(others)) if others else 0.0
            found += [(miss, abs(miss.error) <= limit * miss.deviation) for miss in own]
    return found
