"""What does a run without a limit say about the limits to try first?"""

from __future__ import annotations

from feasibility.measure.memory_figures import memory_of
from feasibility.measure.prove.bisection import Estimate
from feasibility.measure.prove.limited_run import GroupedChild
from feasibility.records.proof import LimitKind
from feasibility.runners.child_protocol import Done, Ready
from feasibility.runners.limits.cgroup_folder import PAGE_BYTES


def baseline_and_estimate(
    unlimited: GroupedChild, kind: LimitKind, files_bytes: int
) -> tuple[int, Estimate]:
    """The baseline, which every limit includes, and the likely floor and comfort point."""
    memory, ready = memory_of(unlimited.result), unlimited.result.event(Ready)
    assert ready is not None
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
    charged = unlimited.final_usage.peak_bytes
    most = (
        max(memory.load_peak_bytes, memory.inference_peak_bytes) + files_bytes
        if charged is None
        else charged - baseline
    )
    return baseline, Estimate(
        floor_bytes=floor,
        comfort_bytes=comfort,
        least_bytes=memory.inference_anonymous_bytes,
        most_bytes=max(most, comfort),
    )


def _kernel_bytes(child: GroupedChild, event: type[Ready | Done]) -> int:
    usage = child.usage_at.get(event)
    return (usage.kernel_bytes or 0) if usage else 0
