"""How large is the error on rows that the fit did not see, and which interval covers it?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from calibration.fit_error_covariance import fit_covariance
from calibration.fit_rows import FitRows
from calibration.hold_out import HeldOut
from feasibility import __version__
from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.error_covariance import Covariance
from feasibility.predict.latency.interval import CONFIDENCE, KNOWN_RUNTIME_CHIPS, doubt
from feasibility.predict.projected_latency import DEFAULT_RUNTIME
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
    is_transformer,
)
from feasibility.records.accuracy import Accuracy, AccuracyLine

# Share of the rows that a width covers. Errors on one chip are similar. So this share must be
# larger than `CONFIDENCE`, so that `CONFIDENCE` of the rows of another chip are inside.
LEVEL: Final = CONFIDENCE + 0.03
# With at least this many rows, a kind of device or a runtime has its own width.
ENOUGH_ROWS: Final = 20
# What was left out of the fit, and the group of its misses.
_LABELS: Final = {"chip": "cpu", "architecture": "other model", "runtime": "other runtime"}


def error_covariance(rows: FitRows, held_out: HeldOut) -> Covariance:
    """How similar the errors of projections onto one device are."""
    return fit_covariance(
        [case.device.id for case in rows.floats],
        [case.run for case in rows.floats],
        [
            math.log(case.row.seconds / projected)
            for case, projected in zip(rows.floats, held_out["chip"], strict=True)
        ],
    )


def held_out_misses(rows: FitRows, held_out: HeldOut, k: Covariance) -> tuple[Miss, ...]:
    """The misses of every group of rows, and of devices with one or two known models."""
    misses = {
        name: [
            cpu_miss(case, seconds, label)
            for case, seconds in zip(rows.floats, held_out[name], strict=True)
        ]
        for name, label in _LABELS.items()
    }
    int8 = zip(rows.int8, held_out["int8 chip"], strict=True)
    gpu = zip(rows.gpu, held_out["gpu chip"], strict=True)
    return (
        *(miss for group in misses.values() for miss in group),
        *(miss for count in (1, 2) for miss in misses_with_anchors(misses["chip"], k, count)),
        *(miss_of(case, seconds, "int8") for case, seconds in int8),
        *(miss_of(case, seconds, "gpu") for case, seconds in gpu),
    )


def held_out_report(
    rows: FitRows,
    misses: Sequence[Miss],
    ablation: Sequence[AccuracyLine],
    coefficients: Coefficients,
) -> Accuracy:
    """The report on the published rows, each projected by a fit that did not see it."""
    held = inside(misses)
    lines = list(accuracy_lines("all", held))
    # Kinds of devices and runtimes widen the interval (`widths`); a network does not.
    direct = [pair for pair in held if pair[0].group.startswith("cpu, ")]
    for scope in SCOPES:
        lines += accuracy_lines(scope, direct)
    known = [pair for pair in held if pair[0].group.startswith("one anchor, ")]
    lines += accuracy_lines(
        "runtime", [pair for pair in known if pair[0].case.row.runtime == DEFAULT_RUNTIME]
    )
    lines += accuracy_lines("network", [pair for pair in known if is_transformer(pair[0].case)])
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
        left_out=rows.left_out,
        notes=rows.notes,
        lines=(*lines, *ablation),
        points=accuracy_points(miss for miss in misses if miss.group in is_direct),
    )


def widths(misses: Iterable[Miss]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Half widths by kind of case, and factors on their logarithms by kind of device and runtime.

    A kind of device or a runtime with few rows has the width of all, and one with few chips at
    least this width.
    """
    members = tuple(misses)
    thin = _thin_runtimes(members)
    members = tuple(
        miss
        for miss in members
        if not (miss.group.startswith("cpu, ") and miss.case.row.runtime in thin)
    )
    direct = [miss for miss in members if miss.group.startswith("cpu, ")]
    usual = {group: _quantile(own) for group, own in grouped(direct, lambda miss: miss.group)}
    relative = [miss._replace(deviation=usual[miss.group]) for miss in direct]
    widenings: dict[str, float] = {}
    subjects: tuple[Callable[[Miss], str], ...] = (
        lambda miss: miss.case.device.kind,
        lambda miss: miss.case.row.runtime,
    )
    for subject in subjects:
        found = {}
        for name, own in grouped(relative, subject):
            if len(own) >= ENOUGH_ROWS:
                chips = {miss.case.chip for miss in own}
                least = 0.0 if len(chips) >= KNOWN_RUNTIME_CHIPS else 1.0
                found[name] = max(least, _quantile(own, widenings))
        widenings |= found
    spreads = {
        group: math.exp(_quantile(own, widenings))
        for group, own in grouped(members, lambda miss: miss.group)
    }
    return spreads, widenings


def _thin_runtimes(misses: Iterable[Miss]) -> frozenset[str]:
    """Runtimes measured on few chips; they get the width of runtimes unseen by the fit."""
    pairs = {
        (miss.case.row.runtime, miss.case.chip) for miss in misses if miss.group.startswith("cpu, ")
    }
    counts = Counter(runtime for runtime, _ in pairs)
    return frozenset(name for name, count in counts.items() if count < KNOWN_RUNTIME_CHIPS)


def _quantile(
    misses: Iterable[Miss], widenings: Mapping[str, float] = MappingProxyType({})
) -> float:
    """The logarithm of the error that `LEVEL` of these misses stay within, by deviations."""
    sizes = sorted(abs(miss.error) / _deviation(miss, widenings) for miss in misses)
    # Split conformal prediction: the next larger rank, so that a new row is covered.
    rank = min(len(sizes), math.ceil(LEVEL * (len(sizes) + 1)))
    return sizes[rank - 1]


def _deviation(miss: Miss, widenings: Mapping[str, float]) -> float:
    """The factor on the logarithm of the width; int8 and GPUs have one width."""
    if miss.group in ("int8", "gpu"):
        return miss.deviation
    return miss.deviation * doubt(miss.case.device, miss.case.row.runtime, widenings)


def inside(misses: Iterable[Miss]) -> list[tuple[Miss, bool]]:
    """Each miss, and whether it is inside the interval from the rows of all other chips."""
    members = tuple(misses)
    found = []
    for chip in dict.fromkeys(miss.case.chip for miss in members):
        others = [miss for miss in members if miss.case.chip != chip]
        (spreads, widenings), thin = widths(others), _thin_runtimes(others)
        own = [miss for miss in members if miss.case.chip == chip]
        for group, of_group in grouped(own, lambda miss: miss.group):
            unseen = spreads.get(group.replace("cpu, ", "other runtime, "), 1.0)
            for miss in of_group:
                limit = math.log(spreads.get(group, 1.0)) * _deviation(miss, widenings)
                if group.startswith("cpu, ") and miss.case.row.runtime in thin:
                    limit = max(limit, math.log(unseen))
                found.append((miss, abs(miss.error) <= limit))
    return found
