"""How wide is the 80 % interval of a projected time, and why is it wider than usual?

`make calibrate` sets the widths: they cover 80 % of the published rows that the fit did not see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.cpu_cores import unknown_cores
from feasibility.predict.latency.cpu_formula import ESTIMATED_EFFICIENCY, Work
from feasibility.records.device import Device
from feasibility.records.intervals import WideningCode

CONFIDENCE: Final = 0.8
# A runtime measured on fewer chips, or a model less similar to the published ones, gets the
# interval of a runtime or model that was left out of the fit.
KNOWN_RUNTIME_CHIPS: Final = 4
KNOWN_MODEL_SIMILARITY: Final = 0.3
# Further factor if most of the work has an estimated efficiency, and for cores of a family
# without published rows.
ESTIMATED_SPREAD: Final = 1.4
# Half width, as a factor, of a time that is scaled from the host because the work is not known.
UNKNOWN_WORK_SPREAD: Final = 3.5


class Width(NamedTuple):
    """Half width of an interval as a factor, and what makes it wider than usual."""

    factor: float
    reasons: tuple[WideningCode, ...] = ()


def thread_group(threads: int) -> str:
    """The group of a case by its threads, in `Coefficients.spreads` and in reports."""
    return "one thread" if threads == 1 else "several threads"


def doubt(device: Device, runtime: str, widenings: Mapping[str, float]) -> float:
    """Factor on the logarithm of the width for this kind of device and this runtime."""
    return widenings.get(device.kind, 1.0) * widenings.get(runtime, 1.0)


def cpu_width(
    work: Work, device: Device, threads: int, runtime: str, coefficients: Coefficients
) -> Width:
    """The interval for floating-point models: wider for cases with few published rows."""
    spreads, count = coefficients.spreads, thread_group(threads)
    own_doubt = doubt(device, runtime, coefficients.widenings)
    logarithm = math.log(spreads[f"cpu, {count}"]) * own_doubt
    unseen: dict[WideningCode, bool] = {
        "other runtime": coefficients.cpu.runtime_chips.get(runtime, 0) < KNOWN_RUNTIME_CHIPS,
        "other model": coefficients.cpu.nearest_similarity(work) < KNOWN_MODEL_SIMILARITY,
    }
    reasons: list[WideningCode] = [code for code, is_so in unseen.items() if is_so]
    for code in reasons:
        logarithm = max(logarithm, math.log(spreads[f"{code}, {count}"]))
    estimated = sum(work.operations.get(kind, 0.0) for kind in ESTIMATED_EFFICIENCY)
    if 2 * estimated > work.total:
        logarithm += math.log(ESTIMATED_SPREAD)
        reasons.append("estimated work")
    if unknown_cores(device):
        logarithm += math.log(ESTIMATED_SPREAD)
    return Width(math.exp(logarithm), tuple(reasons))
