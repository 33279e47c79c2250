"""Which sentence does a reason of a verdict get? The only place that puts reasons into words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feasibility.records.assessment import MemoryLimit, Part, Reason, ReasonCode, SystemName
from feasibility.records.device import Role
from feasibility.records.workload import STEADY_SETTING
from feasibility.render.reports.change_texts import changes_text
from feasibility.text import safe_text
from feasibility.units import (
    SECOND_NS,
    format_bytes,
    format_bytes_range,
    format_count,
    format_duration,
    format_duration_range,
    format_number_range,
    format_percent_range,
)

# The setting that makes glibc return freed memory.

_ROLES: Final[dict[Role, str]] = {
    "foreground": "a foreground app",
    "background": "a background process",
    "extension": "an extension",
    "headless": "a process (no desktop running)",
    "service": "a service",
}
_SYSTEMS: Final[dict[SystemName, str]] = {
    "android": "Android",
    "ios": "iOS",
    "macos": "macOS",
    "windows": "Windows",
    "linux": "Linux",
}
# From this factor on a multiple reads better than a percentage.
_MANY_TIMES: Final = 2


def reason_text(reason: Reason) -> str:
    """The reason as a sentence, without the device's name."""
    return (_BY_CODE.get(reason.code) or _BY_PART[reason.part])(reason)


def upload_text(upload_bytes: int | None, *, is_given: bool) -> str:
    """What one request sends, for example `588 KiB of raw tensors`."""
    if upload_bytes is None:
        return "inputs of unknown size"
    size = format_bytes(upload_bytes)
    return size if is_given else f"{size} of raw tensors"


def _memory(reason: Reason) -> str:
    low, high = reason.actual_low_bytes, reason.actual_high_bytes
    if low is None or high is None:
        return "memory not measured"
    text = f"needs {format_bytes_range(low, high)}"
    if reason.phase is not None:
        text += f" to {reason.phase}"
    if reason.memory_limit is None or reason.budget_bytes is None:
        return f"{text}; no limit known"
    return _judged(reason, text, f"limit: {_limit_text(reason.memory_limit, reason.budget_bytes)}")


def _judged(reason: Reason, found: str, limit: str) -> str:
    """A figure and how it compares with its limit or target."""
    if reason.code == "over-limit":
        return f"{found}, over the {limit}"
    if reason.code == "limit-inside-interval":
        return f"{found}; this interval contains the {limit}"
    return f"{found}; {limit}"


def _limit_text(limit: MemoryLimit, budget_bytes: int) -> str:
    """Who sets the limit, for example `Android grants a foreground app 2 GiB of 8 GiB`."""
    size = format_bytes(budget_bytes)
    if limit.source == "option":
        return f"{size} (--memory)"
    about = "about " if limit.is_estimate else ""
    total = "" if limit.total_bytes is None else f" of {format_bytes(limit.total_bytes)}"
    if limit.source == "gpu":
        return f"{about}{size}{total} of GPU memory"
    if limit.system is None or limit.role is None:
        return size
    text = f"{_SYSTEMS[limit.system]} grants {_ROLES[limit.role]} {about}{size}{total}"
    if limit.asked_role is not None:
        text += f" (the device file has no figure for {_ROLES[limit.asked_role]})"
    return text


def _latency(reason: Reason) -> str:
    if reason.budget_ns is None:
        return "no latency target"
    return _against_target(reason, "takes", "time cannot be projected")


def _request(reason: Reason) -> str:
    sent = upload_text(reason.upload_bytes, is_given=reason.is_upload_given)
    request = f"a request over {safe_text(reason.network, 80)}"
    return _against_target(reason, f"{request}, {sent} up, takes", f"time of {request} not known")


def _against_target(reason: Reason, takes: str, unknown: str) -> str:
    kind = "target" if reason.is_budget_asked else "default target"
    target = f"{kind} of {format_duration(reason.budget_ns)}"
    if reason.actual_low_ns is None or reason.actual_high_ns is None:
        return f"{unknown}; {target}"
    time = format_duration_range(reason.actual_low_ns, reason.actual_high_ns)
    return _judged(reason, f"{takes} {time}", target)


def _storage(reason: Reason) -> str:
    if reason.actual_high_bytes is None:
        return "size on disk not known"
    text = f"takes {format_bytes(reason.actual_high_bytes)} on disk"
    if reason.budget_bytes is None:
        return text
    limit = format_bytes(reason.budget_bytes)
    source = "(--app-size)" if reason.is_budget_asked else "on this device"
    return _judged(reason, text, f"limit of {limit} {source}")


def _rate(reason: Reason) -> str:
    rate = reason.rate_per_s or 0.0
    asked = f"{format_count(rate)} inferences per second"
    low, high = reason.actual_low_ns, reason.actual_high_ns
    if low is None or high is None:
        return f"time not known, so {asked} cannot be checked"
    if reason.code == "several-servers":
        fewest, most = reason.server_low_count, reason.server_high_count
        servers = f"{most}" if fewest == most else f"{fewest} to {most}"
        return f"{asked} need {servers} of these servers"
    busy = (low * rate / SECOND_NS, high * rate / SECOND_NS)
    if reason.code == "within-limit":
        return f"{asked} keep it busy {format_percent_range(*busy)} of the time"
    done = format_number_range(rate / busy[1], rate / busy[0])
    text = f"reaches {done} inferences per second"
    if reason.code == "over-limit":
        return f"{text}, below the target of {format_count(rate)}"
    return f"{text}; this interval contains the target of {format_count(rate)}"


def _realtime(reason: Reason) -> str:
    signal_ns = reason.budget_ns or 1
    signal = f"the length of the signal ({format_duration(signal_ns)} per inference)"
    low, high = reason.actual_low_ns, reason.actual_high_ns
    if low is None or high is None:
        return f"time not known, so {signal} cannot be checked"
    factor = (low / signal_ns, high / signal_ns)
    if factor[1] < _MANY_TIMES:
        text = f"takes {format_percent_range(*factor)} of {signal}"
    else:
        text = f"takes {format_number_range(*factor)} times {signal}"
    endings = {"over-limit": ": too slow", "limit-inside-interval": ": undecided"}
    return text + endings.get(reason.code, "")


def _uplink(reason: Reason) -> str:
    sent = upload_text(reason.upload_bytes, is_given=reason.is_upload_given)
    if reason.upload_bytes is None:
        return "size of the inputs not known, so the uplink cannot be checked"
    if reason.upload_bytes == 0:
        return "nothing to send"
    speeds = {"over-limit": "is too slow", "limit-inside-interval": "may be too slow"}
    often = f"{format_count(reason.rate_per_s or 0.0)} times per second"
    speed = speeds.get(reason.code, "is fast enough")
    return f"{safe_text(reason.network, 80)} {speed} to send {sent} {often}"


def _names(reason: Reason) -> str:
    return safe_text(", ".join(reason.operators), 80)


_BY_PART: Final[dict[Part, Callable[[Reason], str]]] = {
    "memory": _memory,
    "latency": _latency,
    "storage": _storage,
    "operators": lambda _: "operators not known",
    "rate": _rate,
    "realtime": _realtime,
    "request": _request,
    "uplink": _uplink,
}
_BY_CODE: Final[dict[ReasonCode, Callable[[Reason], str]]] = {
    "operators-available": lambda _: (
        "standard builds of ONNX Runtime have all operators of the model"
    ),
    "operators-not-checked": lambda reason: (
        f"operators of {safe_text(reason.runtime, 40)} not checked"
    ),
    "operators-missing": lambda reason: (
        f"needs {_names(reason)}, missing in standard builds of "
        f"{'LiteRT' if reason.runtime == 'tflite' else 'ONNX Runtime'}"
    ),
    "operators-x86-only": lambda reason: (
        f"contains {_names(reason)}, which exists only on x86-64, because the model was optimised "
        "there; use the file from before the optimisation"
    ),
    "no-network-allowed": lambda _: "it must work without a network (--offline)",
    "inputs-private": lambda _: "inputs must stay on the device (--private)",
    "external-data": lambda reason: (
        f"{changes_text(reason.changes)}: the modelled peak falls from about "
        f"{format_bytes(reason.unchanged_bytes)} to at most "
        f"{format_bytes(reason.actual_high_bytes)}; to measure it and write the files, run "
        f"`feasibility fit MODEL --device {safe_text(reason.device, 40)}`"
    ),
    "steady-allocator": lambda reason: (
        f"start the process with {STEADY_SETTING}: glibc then returns freed memory, and the peak "
        f"stays at {format_bytes(reason.actual_high_bytes)} (loading takes longer, running does "
        "not)"
    ),
}
