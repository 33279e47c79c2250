"""Which known change lowers the memory of a model enough to fit?

Only changes that were measured on several models are offered.
"""

from __future__ import annotations

from typing import Final

from feasibility.decide.score import SCORE_CHANGES
from feasibility.predict.projected_memory import peaks_while_loading, running_peak_bytes
from feasibility.records.assessment import Reason, ReasonCode
from feasibility.records.device import Device
from feasibility.records.intervals import BytesInterval
from feasibility.records.profile import Profile

_LOOKUP_OPERATORS: Final = ("Gather", "GatherElements", "GatherND")
# Where most weights are external data already, moving the others out gains nothing.
_INLINE_SHARE: Final = 0.5


def sufficient_change(profile: Profile, device: Device, memory: BytesInterval) -> Reason | None:
    """The change that leaves the least memory, if that is certainly within the limit."""
    high, budget = memory.high_bytes, memory.budget_bytes
    if high is None or budget is None or device.runs_on == "gpu":
        return None
    lowered: dict[ReasonCode, int | None] = {
        "external-data": _with_external_data(profile, device, memory),
        "steady-allocator": _with_steady_allocator(profile, device),
    }
    left = {code: size for code, size in lowered.items() if size is not None and size < high}
    code = min(left, key=lambda code: left[code], default=None)
    if code is None or left[code] > budget:
        return None
    return Reason(
        code=code,
        part="memory",
        verdict="fits-with-changes",
        score=SCORE_CHANGES,
        device=device.id,
        actual_high_bytes=left[code],
        unchanged_bytes=memory.likely_bytes,
        budget_bytes=budget,
    )


def _with_external_data(profile: Profile, device: Device, memory: BytesInterval) -> int | None:
    """Highest memory with the weights in a file that the runtime maps instead of copying.

    Measured: the peak falls to that of running, and only the rows of embedding tables that an
    input uses are read (XLM-R base 1802 to 344 MiB, MiniLM-L6 141 to 55).
    """
    model = profile.model
    weights = model.initializer_bytes or 0
    running = running_peak_bytes(profile, device)
    if model.format != "onnx" or running is None or memory.likely_bytes is None:
        return None
    if weights == 0 or model.external_bytes > _INLINE_SHARE * weights:
        return None
    tables = sum(
        size
        for operator, size in model.weight_bytes_by_operator.items()
        if operator.rpartition(":")[2] in _LOOKUP_OPERATORS
    )
    if not tables and not peaks_while_loading(profile, device):
        return None
    return max(running - tables, device.limits.runtime_bytes.value)


def _with_steady_allocator(profile: Profile, device: Device) -> int | None:
    """Highest memory with a fixed trim threshold, so that glibc returns what is freed."""
    memory = profile.memory
    if device.allocator != "glibc" or memory is None or profile.default_allocator is None:
        return None
    if profile.host.arch != device.isa:
        return None
    peak = max(memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes)
    return peak + device.limits.runtime_bytes.value
