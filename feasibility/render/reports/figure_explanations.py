"""Which sentences explain a figure: memory, time, energy, cost or the network?"""

from __future__ import annotations

from typing import Final

from feasibility.records.assessment import Candidate
from feasibility.records.intervals import (
    BytesInterval,
    CostInterval,
    DurationInterval,
    EnergyInterval,
    LatencyBasis,
    LatencyBasisCode,
    MemoryBasis,
    Network,
    WideningCode,
)
from feasibility.records.profile import Profile
from feasibility.render.reports.reasons import upload_text
from feasibility.render.reports.sections import counted, joined
from feasibility.text import safe_text
from feasibility.units import (
    MIB,
    format_bytes,
    format_count,
    format_duration_range,
    format_number,
    format_percent,
)

# Smaller differences and parts are not worth a sentence.
_NOTEWORTHY_BYTES: Final = 2 * MIB
_NOT_MEASURED: Final = "Memory was not measured"
_UNKNOWN_WORK: Final = "The model's work is not known"
_PARTS: Final = {
    "mapped_weights": "mapped weights that are read",
    "runtime": "buffers of the runtime",
    "context": "the CUDA context",
    "workspace": "the work space of the runs",
}
_TIME_BASIS: Final[dict[LatencyBasisCode, str]] = {
    "fitted": "from the work of each operator type. On devices that were left out of the fit, "
    "{share} of published times were inside their intervals.",
    "measured-rates": "from the work of each operator type and its speed, measured on this device. "
    "{share} of the checked models were inside their intervals (docs/devices.md).",
    "host-latency": f"{_UNKNOWN_WORK}. Its measured latency was scaled by the ratio of the "
    "speeds of both processors, so the interval is wide.",
    "unknown-work": f"{_UNKNOWN_WORK}, and there is no latency of a machine like this.",
    "unknown-work-gpu": f"{_UNKNOWN_WORK}, and a time on a CPU cannot be scaled to a GPU.",
    "no-processor": "The device file does not state the speed of its processor.",
}
_WIDENINGS: Final[dict[WideningCode, str]] = {
    "other runtime": "there are few published times of this runtime",
    "other model": "no published model has similar operators",
    "estimated work": "there are no published times of most of its operators",
}


def latency_explanation(latency: DurationInterval, profile: Profile) -> str:
    """Where a time comes from, and what changed it."""
    text = _time_source(latency, profile)
    if not latency.unknown_cores:
        return text
    cores = joined([safe_text(core, 40) for core in latency.unknown_cores])
    return (
        f"{text} The projection was never fitted to {cores} and uses another core family; it may "
        "be far off."
    )


def energy_explanation(energy: EnergyInterval) -> str:
    """The power behind an energy, and its source."""
    power = format_count(energy.power_mw / 1000, "W")
    return f"Latency multiplied by 30 to 100 % of {power} ({energy.power_source})."


def cost_explanation(cost: CostInterval) -> str:
    """The price behind a cost, its source, and what both ends include."""
    source = cost.price_source or "given with --price"
    hourly = format_count(cost.hourly_microusd / 10**6, "USD")
    text = f"{hourly} per hour ({source}). The low end is for a server that is never idle."
    if cost.rate_per_s is not None:
        text += f" The high end is for {format_count(cost.rate_per_s)} requests per second only."
    return text


def network_explanation(found: Candidate, network: Network) -> str:
    """What a request sends and fetches over which network."""
    up = upload_text(found.upload_bytes, is_given=found.is_upload_given)
    down = found.download_bytes
    answer = "outputs of unknown size" if down is None else format_bytes(down)
    return (
        f"One round trip over {network.name} on an open connection, {up} up, {answer} back. "
        f"{network.source}."
    )


def _time_source(latency: DurationInterval, profile: Profile) -> str:
    if latency.method == "measured":
        return f"Measured on the device itself by {profile.source or 'this tool'}."
    basis = latency.basis
    if basis is None:
        return latency.explanation
    if basis.code not in ("fitted", "measured-rates"):
        return _TIME_BASIS[basis.code]
    share = format_percent(latency.confidence_ratio or 0)
    source = _TIME_BASIS[basis.code].format(share=share)
    sentences = [f"Projected for {_target_text(latency, basis)} {source}"]
    if basis.anchor_ratio is not None:
        sentences.append(_anchors_text(latency.anchor_count, basis.anchor_ratio, basis))
    if basis.host_ratio > 1:
        sentences.append(
            f"Multiplied by {format_number(basis.host_ratio)}, because on this machine the model "
            "was slower than its operations explain."
        )
    if basis.widenings:
        reasons = " and ".join(_WIDENINGS[code] for code in basis.widenings)
        sentences.append(f"The interval is wider than usual, because {reasons}.")
    if basis.is_loop_counted_once:
        sentences.append("A loop of unknown length was counted once.")
    if (npu := basis.npu) is not None:
        sentences.append(
            "Published tables have a model of this name: on the NPU of this device it took "
            f"{format_duration_range(npu.low_ns, npu.high_ns)} (fastest: {npu.runtime}, "
            f"{npu.precision}). Operators that the NPU does not have run on the CPU."
        )
    return " ".join(sentences)


def _target_text(latency: DurationInterval, basis: LatencyBasis) -> str:
    text = latency.runtime
    if basis.gpu:
        text += f" on {basis.gpu}"
    elif latency.threads is not None:
        text += f" with {counted(latency.threads, 'thread')}"
    if basis.asked_thread_count is not None:
        text += f" (all its cores; {basis.asked_thread_count} were asked for)"
    text += f" in {basis.precision}"
    if basis.unknown_runtime:
        text += f" ({basis.unknown_runtime} is not known on a processor of this kind)"
    return text


def _anchors_text(count: int, ratio: float, basis: LatencyBasis) -> str:
    models, other = counted(count, "model"), basis.other_anchor_count
    text = f"Multiplied by {format_number(ratio)} because of {models} timed on the device itself"
    if not other:
        return f"{text}."
    which = "" if other == count else f"{other} of them "
    return (
        f"{text}, {which}with another runtime, arithmetic or number of threads and so with less "
        "weight."
    )


def memory_explanation(memory: BytesInterval) -> str:
    """Where a memory figure comes from, and its parts."""
    basis = memory.basis
    if basis is None:
        return memory.explanation
    sentences = [_memory_source(memory, basis)]
    if basis.code != "gpu" and (parts := _part_texts(basis, MIB)):
        sentences.append(f"Largest parts while running: {', '.join(parts)}.")
    if basis.code == "other-isa" and basis.isa == "aarch64":
        sentences.append("To measure it, use --on emulate:aarch64 or --on ssh:HOST.")
    if basis.load_bytes is not None and basis.run_bytes is not None:
        load, run = format_bytes(basis.load_bytes), format_bytes(basis.run_bytes)
        own = format_bytes(memory.runtime_bytes or 0)
        sentences.append(
            f"The model needs about {load} to load and {run} to run; the runtime adds {own}."
        )
    return " ".join(sentences)


def _memory_source(memory: BytesInterval, basis: MemoryBasis) -> str:
    if basis.code == "same-isa":
        how = "Measured under emulation" if memory.method == "emulated" else "Measured"
        allocator = "; the upper end is with glibc's default allocator"
        return f"{how} on the same instruction set{allocator * basis.is_default_allocator}."
    if basis.code == "other-isa":
        return _other_isa_text(basis)
    if basis.code == "graph":
        return f"{_NOT_MEASURED}; modelled for {basis.isa} from the graph alone."
    if basis.code == "gpu":
        parts = ", ".join(_part_texts(basis, 0))
        arena = format_bytes((memory.likely_bytes or 0) - (memory.runtime_bytes or 0))
        return (
            f"GPU memory: {parts}. The arena needs about {arena} for weights and activations, and "
            "at most twice their sum."
        )
    if basis.code == "measured-gpu":
        return f"GPU memory: peak of {format_bytes(basis.run_bytes or 0)} on {basis.measured_on}."
    if basis.code == "whole-process":
        text = f"Peak of the whole process, its runtime included, by {basis.measured_on}"
        if basis.measured_isa == basis.isa:
            return f"{text}."
        return f"{text}; measured on {safe_text(basis.measured_isa) or 'an unnamed machine'}."
    return f"{_NOT_MEASURED}."


def _other_isa_text(basis: MemoryBasis) -> str:
    text = f"Projected for {basis.isa} from figures measured on {basis.measured_isa}"
    loading, running = basis.load_change_bytes, basis.run_change_bytes
    if loading is None or running is None:
        return (
            f"{text}. The graph is not known, so both are expected to need the same while running."
        )
    text += f": {_difference(loading)} to load"
    if abs(loading) >= _NOTEWORTHY_BYTES:
        text += " (x86-64 keeps a second copy of convolution weights)"
    return f"{text}, {_difference(running)} to run."


def _part_texts(basis: MemoryBasis, least_bytes: int) -> list[str]:
    return [
        f"{format_bytes(size)} for {_PARTS.get(name, name)}"
        for name, size in basis.parts_bytes.items()
        if size >= least_bytes
    ]


def _difference(size: int) -> str:
    if abs(size) < _NOTEWORTHY_BYTES:
        return "the same memory"
    return f"{format_bytes(abs(size))} {'more' if size > 0 else 'less'} memory"
