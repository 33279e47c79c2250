"""How wide is the 80 % interval of a projected time?

`make calibrate` sets the widths: they cover 80 % of the published rows that the fit did not see.
"""

from __future__ import annotations

import math
from typing import Final

from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.cpu_cores import cores_of, unknown_cores
from feasibility.predict.latency.cpu_formula import ESTIMATED_EFFICIENCY, Work
from feasibility.records.device import Device

CONFIDENCE: Final = 0.8
# A runtime with fewer published rows, or a model less similar to the published ones, gets the
# interval of a runtime or model that was left out of the fit.
KNOWN_RUNTIME_ROWS: Final = 16
KNOWN_MODEL_SIMILARITY: Final = 0.3
# Further factor if most of the work has an estimated efficiency, and for cores of a family
# without published rows.
ESTIMATED_SPREAD: Final = 1.4
# Factor on the logarithm of the width if the threads use cores of different speed: their
# scheduling is not known. One width for all held 67 % of such published rows, 82 % of the others.
DIFFERENT_CORES: Final = 1.2
_SAME_SPEED: Final = 1.05
# Half width, as a factor, of a time that is scaled from the host because the work is not known.
UNKNOWN_WORK_SPREAD: Final = 3.5


def thread_group(threads: int) -> str:
    """The group of a case by its threads, in `Coefficients.spreads` and in reports."""
    return "one thread" if threads == 1 else "several threads"


def doubt(device: Device, threads: int) -> float:
    """Factor on the logarithm of the width: 1 if all used cores have one speed."""
    if device.cpu is None:
        return 1.0
    speeds = sorted((core.peak_per_s for core in cores_of(device.cpu, device.isa)), reverse=True)
    used = speeds[: max(1, threads)]
    return DIFFERENT_CORES if used[0] > _SAME_SPEED * used[-1] else 1.0


def cpu_spread(
    work: Work, device: Device, threads: int, runtime: str, coefficients: Coefficients
) -> float:
    """Half width of the interval as a factor: wider for cases with few published rows."""
    spreads, count = coefficients.spreads, thread_group(threads)
    spread = spreads[f"cpu, {count}"]
    ratios = coefficients.cpu.runtimes.get(runtime)
    if ratios is None or ratios.rows < KNOWN_RUNTIME_ROWS:
        spread = max(spread, spreads[f"other runtime, {count}"])
    if coefficients.cpu.nearest_similarity(work) < KNOWN_MODEL_SIMILARITY:
        spread = max(spread, spreads[f"other model, {count}"])
    spread = math.exp(math.log(spread) * doubt(device, threads))
    estimated = sum(work.operations.get(kind, 0.0) for kind in ESTIMATED_EFFICIENCY)
    if 2 * estimated > work.total:
        spread *= ESTIMATED_SPREAD
    return spread * ESTIMATED_SPREAD if unknown_cores(device) else spread
