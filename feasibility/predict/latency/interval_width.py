"""How wide the interval of a projection on a CPU is."""

from __future__ import annotations

import math
from typing import Final

from feasibility.predict.latency.coefficients import Fitted
from feasibility.predict.latency.cpu_cores import CORE_FAMILIES, cores_of
from feasibility.predict.latency.cpu_formula import JUDGED_EFFICIENCY, Work
from feasibility.records.device import Device

# Runtimes and mixes of operators that published rows hardly show get the interval of one
# that was left out of the fit; this many rows, or this similarity, are enough.
KNOWN_RUNTIME_ROWS: Final = 16
KNOWN_MIX_SIMILARITY: Final = 0.3
# On top, where most of the work has an efficiency that was judged and not fitted, and on cores
# of a family that nothing was fitted to.
JUDGED_SPREAD: Final = 1.4
# Threads on cores of unlike speed are this much harder to tell, in the logarithm of the
# interval's width: with one width for all it held 67 % of such published rows and 82 % of the
# others, because it is not stated what the system's scheduler and the runtime made of it.
UNLIKE_CORES: Final = 1.2
_ALIKE: Final = 1.05


def thread_group(threads: int) -> str:
    """How intervals and reports tell cases apart by their threads."""
    return "one thread" if threads == 1 else "several threads"


def doubt(device: Device, threads: int) -> float:
    """How wide the interval is, in the logarithm, relative to cores of one speed."""
    if device.cpu is None:
        return 1.0
    speeds = sorted((core.peak_per_s for core in cores_of(device.cpu, device.isa)), reverse=True)
    used = speeds[: max(1, threads)]
    return UNLIKE_CORES if used[0] > _ALIKE * used[-1] else 1.0


def cpu_spread(work: Work, device: Device, threads: int, runtime: str, known: Fitted) -> float:
    """Half width of the interval as a factor: wider for what published rows show little of."""
    count = thread_group(threads)
    spread = known.spreads[f"cpu, {count}"]
    if known.cpu.row_counts.get(runtime, 0) < KNOWN_RUNTIME_ROWS:
        spread = max(spread, known.spreads[f"other runtime, {count}"])
    if known.cpu.nearest_similarity(work) < KNOWN_MIX_SIMILARITY:
        spread = max(spread, known.spreads[f"other model, {count}"])
    spread = math.exp(math.log(spread) * doubt(device, threads))
    judged = sum(work.operations.get(kind, 0.0) for kind in JUDGED_EFFICIENCY)
    if 2 * judged > work.total:
        spread *= JUDGED_SPREAD
    cores = () if device.cpu is None else device.cpu.clusters
    is_known = all(cluster.core.lower() in CORE_FAMILIES for cluster in cores)
    return spread if is_known else spread * JUDGED_SPREAD
