"""What a run without a limit says of the limits to come."""

from __future__ import annotations

from dataclasses import dataclass

from feasibility.measure.memory_figures import child_memory
from feasibility.measure.prove.bisection import Guess
from feasibility.measure.prove.limited_run import Attempt
from feasibility.records.proof import LimitKind
from feasibility.runners.child_protocol import Done, Loaded, Ready
from feasibility.runners.limits.cgroup_folder import PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Figures:
    """Predictions for limits.

    Args:
        baseline_bytes: Charged before the session is created, in whole pages; it is added
            to every limit, because the limit is on the model.
        guess: The likely floor and comfort point of the model itself.
    """

    baseline_bytes: int
    guess: Guess


def predict(unlimited: Attempt, kind: LimitKind, files_bytes: int) -> Figures:
    """Baseline and likely limits, from a run that came through without one.

    Args:
        unlimited: The run.
        kind: What limits are going to count.
        files_bytes: Size of the model's files.
    """
    result = unlimited.result
    ready, loaded, done = result.event(Ready), result.event(Loaded), result.event(Done)
    assert ready is not None
    assert loaded is not None
    assert done is not None
    memory = child_memory(ready, loaded, done)
    if kind == "address-space":
        baseline, kernel = ready.baseline.data_bytes or ready.baseline.anonymous_bytes, 0
    else:
        kernel_before = _kernel_bytes(unlimited, Ready)
        baseline = ready.baseline.anonymous_bytes + kernel_before
        # Page tables: a process that maps more memory needs more of them.
        kernel = max(0, _kernel_bytes(unlimited, Done) - kernel_before)
    baseline = -(-baseline // PAGE_BYTES) * PAGE_BYTES
    floor = memory.floor_bytes + kernel
    comfort = max(floor, memory.inference_peak_bytes + kernel)
    charged = unlimited.final.peak_bytes
    most = (
        max(memory.load_peak_bytes, memory.inference_peak_bytes) + files_bytes
        if charged is None
        else charged - baseline
    )
    return Figures(
        baseline_bytes=baseline,
        guess=Guess(
            floor_bytes=floor,
            comfort_bytes=comfort,
            least_bytes=memory.inference_anonymous_bytes,
            most_bytes=max(most, comfort),
        ),
    )


def _kernel_bytes(attempt: Attempt, moment: type[Ready | Done]) -> int:
    usage = attempt.moments.get(moment)
    return (usage.kernel_bytes or 0) if usage else 0
