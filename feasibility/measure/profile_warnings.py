"""What a reader should know before trusting a profile, each with a hint that fits the options."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Final, Literal

from feasibility.measure.latency_percentiles import outlier_count
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.base import Notice
from feasibility.records.profile import Latency
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Failed
from feasibility.runners.runner import FreeSpace
from feasibility.text import safe_text
from feasibility.units import format_duration

FEW_SAMPLES: Final = 10
NOISY_RATIO: Final = 0.1
UNSETTLED_RATIO: Final = 0.05
OUTLIER_SHARE: Final = 0.05
BUSY_LOAD_RATIO: Final = 0.75
# Captures and traces grow in steps, so the last step that did not fit leaves some room.
FULL_DISK_BYTES: Final = 64 * 1024
SHORT_RUN_NS: Final = 100_000
# At least as many runs as are measured unasked, and more than there were.
_MORE_RUNS: Final = 100


def busy_host(load: float, core_count: int) -> list[Notice]:
    """A notice where other work was running when the measurement began."""
    if load <= BUSY_LOAD_RATIO * core_count:
        return []
    return [
        Notice(
            code="host-busy",
            message=f"the machine was busy (load {load:.1f} on {core_count} cores) before "
            "measuring; times may be too long",
            hint="measure on an idle machine",
        )
    ]


def sampled_peak(peak_source: Literal["vmhwm", "sampled"]) -> list[Notice]:
    """A notice where the kernel's own high-water mark could not be used."""
    if peak_source == "vmhwm":
        return []
    return [
        Notice(
            code="peak-sampled",
            message="peaks were sampled every millisecond, because the kernel does not let the "
            "high-water mark be reset here; short peaks may be missed",
            hint="allow writing /proc/self/clear_refs, or measure outside this sandbox",
        )
    ]


def changed_sizes(first: InputPlan, used: InputPlan) -> list[Notice]:
    """A notice where the likeliest sizes did not run and others were taken."""
    if first is used:
        return []
    changes = ", ".join(
        f"{safe_text(name)} {first.dims[name]} -> {size}"
        for name, size in used.dims.items()
        if name in first.dims and first.dims[name] != size
    )
    return [
        Notice(
            code="sizes-changed",
            message=f"the model did not run with the sizes assumed first; changed: "
            f"{changes or 'the generated inputs'}",
            hint="give the sizes that you will use with --dim NAME=N",
        )
    ]


def failed_pass(name: str, why: str) -> Notice:
    """A notice that one pass brought nothing."""
    return Notice(
        code="pass-failed",
        message=f"the {name} pass failed, so its figures are missing: {why}",
        hint="run `feasibility doctor`, or give it more time with --timeout",
    )


def no_memray(failed: Failed) -> Notice | None:
    """A notice that nothing counts allocations where the child ran; None if memray is there."""
    if failed.phase != "import" or "'memray'" not in failed.message:
        return None
    return Notice(
        code="memray-missing",
        message="allocations were not counted, because memray is not installed there",
        hint="install it beside onnxruntime there: pip install memray",
    )


def full_disk(name: str, space: FreeSpace | None) -> Notice | None:
    """A notice that the disk was full for one pass; None if there is free space."""
    if space is None or space.free_bytes >= FULL_DISK_BYTES:
        return None
    return Notice(
        code="disk-full",
        message=f"the {name} pass failed, so its figures are missing: the folder for temporary "
        f"files ({safe_text(space.folder)}) is full",
        hint="free space there, or set TMPDIR to another folder",
    )


def other_runtime(versions: Mapping[str, str], runner: str) -> list[Notice]:
    """A notice where another machine has another version of the runtime than this one."""
    there, here = versions.get("onnxruntime", ""), importlib.metadata.version("onnxruntime")
    if runner == "local" or there == here:
        return []
    return [
        Notice(
            code="other-runtime",
            message=f"ONNX Runtime is {safe_text(there)} on {safe_text(runner)} and {here} here; "
            "figures of the two are not those of one version",
            hint="install the version that you deploy on both",
        )
    ]


def emulated() -> list[Notice]:
    """A notice of what an emulator cannot tell."""
    return [
        Notice(
            code="emulated",
            message="memory was measured under emulation; latency, operators and allocations "
            "were not, because an emulator's times and instruments say nothing of the device",
            hint="measure on the device itself with --on ssh:HOST",
        )
    ]


def latency_notices(latency: Latency, options: MeasureOptions) -> list[Notice]:
    """Notices about samples that are few, scattered, or too short to time well."""
    samples, median = latency.samples_ns, latency.median_ns
    found: list[Notice] = []
    if len(samples) < FEW_SAMPLES and options.run_count is None:
        found.append(
            Notice(
                code="latency-few-samples",
                message=f"only {len(samples)} runs of {format_duration(median)} fitted into "
                "the time limit",
                hint=f"give it more time: --timeout {options.timeout_s * 3:g}",
            )
        )
    low, high = latency.median_low_ns, latency.median_high_ns
    reach = 0 if low is None or high is None else max(high - median, median - low)
    spread = (latency.stdev_ns or 0) / median if median else 0.0
    if len(samples) >= FEW_SAMPLES and (reach > UNSETTLED_RATIO * median or spread > NOISY_RATIO):
        found.append(
            Notice(
                code="latency-noisy",
                message=f"latency varies: standard deviation {100 * spread:.0f} % of the "
                f"median, which is known to within {max(100 * reach / max(median, 1), 1):.0f} %",
                hint="close other programs, or take more runs with --runs "
                f"{max(_MORE_RUNS, 2 * len(samples))}",
            )
        )
    outliers = outlier_count(samples)
    if outliers > OUTLIER_SHARE * len(samples):
        found.append(
            Notice(
                code="latency-outliers",
                message=f"{outliers} of {len(samples)} runs took far longer than the rest",
                hint="the 95th and 99th percentiles describe this machine more than the model",
            )
        )
    if 0 < median < SHORT_RUN_NS:
        found.append(
            Notice(
                code="latency-short",
                message=f"one run takes {format_duration(median)}; calling the runtime from "
                "Python is a large part of it",
                hint="for so small a model compare memory, not latency",
            )
        )
    return found
