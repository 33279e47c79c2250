"""Changes that are known, from measurements, to lower the memory a model needs.

Only what was measured on several models is offered here; `feasibility fit` tries the
rest on the model itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.predict.memory import peaks_while_loading, running_peak_bytes
from feasibility.records.assessment import BytesInterval
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.units import format_bytes

_LOOKUP_OPERATORS: Final = ("Gather", "GatherElements", "GatherND")
# Weights that are mostly outside the file already gain nothing from being moved out.
_INLINE_SHARE: Final = 0.5
_TRIM_SETTING: Final = "MALLOC_TRIM_THRESHOLD_=131072"


class Change(NamedTuple):
    """One change, the memory it leaves at most, and what to tell about it."""

    high_bytes: int
    sentence: str


def memory_changes(profile: Profile, device: Device, memory: BytesInterval) -> tuple[Change, ...]:
    """Changes that lower the peak on this device, the one that leaves least first.

    Args:
        profile: The model as it was measured.
        device: Where it would run; GPUs have no change that is known to help.
        memory: The projection without any change.
    """
    if memory.high_bytes is None or device.runs_on == "gpu":
        return ()
    candidates = (_external_data(profile, device, memory), _steady_allocator(profile, device))
    useful = [change for change in candidates if change and change.high_bytes < memory.high_bytes]
    return tuple(sorted(useful, key=lambda change: change.high_bytes))


def _external_data(profile: Profile, device: Device, memory: BytesInterval) -> Change | None:
    """Weights in a file of their own, which the runtime maps instead of copying.

    Measured: the peak falls to that of running, and rows of embedding tables that no
    input asks for stay on disk (XLM-R base 1802 to 344 MiB, MiniLM-L6 141 to 55).
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
    left = max(running - tables, device.limits.runtime_bytes.value)
    return Change(
        left,
        "store the weights as external data: they are mapped instead of copied, and the peak "
        f"falls from about {format_bytes(memory.likely_bytes)} to at most {format_bytes(left)} "
        "(1.02 to 1.07 times the latency where it was measured)",
    )


def _steady_allocator(profile: Profile, device: Device) -> Change | None:
    """A fixed trim threshold, which stops glibc from keeping what was freed."""
    memory = profile.memory
    if device.allocator != "glibc" or memory is None or profile.default_allocator is None:
        return None
    if profile.host.arch != device.isa:
        return None
    peak = max(memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes)
    left = peak + device.limits.runtime_bytes.value
    return Change(
        left,
        f"start the process with {_TRIM_SETTING}: glibc then gives freed memory back, and the "
        f"peak stays at {format_bytes(left)} (loading takes longer, running does not)",
    )
