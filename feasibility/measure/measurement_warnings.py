"""Which warnings does a profile or a proof contain? All of them, each with a hint.

Warnings that may not apply are returned in a tuple, which is then empty.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from feasibility.measure.latency_percentiles import outlier_count
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.device import Device
from feasibility.records.profile import Latency
from feasibility.records.proof import LimitedRun, LimitKind
from feasibility.records.shared_fields import AllocatorSetting, Notice
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done, Failed
from feasibility.runners.engines import Engine
from feasibility.runners.session import FreeSpace
from feasibility.text import safe_text
from feasibility.units import (
    KIB,
    format_bytes,
    format_duration,
    format_margin,
    format_number,
    format_percent,
)

_GPU_HINT: Final = "measure on the machine that has the GPU, with the NVIDIA driver installed"
# An engine may keep this part of another processor busy, for example while it waits.
_EXTRA_THREADS: Final = 0.5
FEW_SAMPLES: Final = 10
NOISY_RATIO: Final = 0.1
UNSETTLED_RATIO: Final = 0.05
OUTLIER_SHARE: Final = 0.05
BUSY_LOAD_RATIO: Final = 0.75
# Captures and traces grow in steps, so a little room is left after the first step that failed.
FULL_DISK_BYTES: Final = 64 * 1024
SHORT_RUN_NS: Final = 100_000
# Hint for more runs: at least the default number, and twice the number so far.
_MORE_RUNS: Final = 100
_DISTURBED_RATIO: Final = 1.25
_USUAL_READ_AHEAD_BYTES: Final = 512 * KIB


def _warning_if(condition: object, code: str, message: str, hint: str) -> tuple[Notice, ...]:
    return (Notice(code=code, message=message, hint=hint),) if condition else ()


def busy_host(load: float, core_count: int) -> tuple[Notice, ...]:
    """A warning if other programs were running when the measurement began."""
    return _warning_if(
        load > BUSY_LOAD_RATIO * core_count,
        "host-busy",
        f"the machine was busy before measuring (load {format_number(load)} on {core_count} "
        "cores), so times may be too long",
        "measure on an idle machine",
    )


def sampled_peak(peak_source: Literal["vmhwm", "sampled"]) -> tuple[Notice, ...]:
    """A warning if the kernel's high-water mark could not be used."""
    return _warning_if(
        peak_source == "sampled",
        "peak-sampled",
        "peaks were sampled every millisecond, because the kernel's high-water mark cannot be "
        "reset here; short peaks may be missing",
        "allow writing to /proc/self/clear_refs, or measure outside this sandbox",
    )


def changed_sizes(first: InputPlan, used: InputPlan) -> tuple[Notice, ...]:
    """A warning if the model did not run with the likeliest sizes."""
    changes = ", ".join(
        f"{safe_text(name)} {first.dims[name]} -> {size}"
        for name, size in used.dims.items()
        if name in first.dims and first.dims[name] != size
    )
    return _warning_if(
        first is not used,
        "sizes-changed",
        f"the model did not run with the sizes assumed first; changed: "
        f"{changes or 'the generated inputs'}",
        "set the sizes that you will use with --dim NAME=VALUE",
    )


def failed_pass(
    name: str, why: str, disk: FreeSpace | None, failed: Failed | None = None
) -> Notice:
    """The warning that a pass's figures are missing; `disk` is where its files lie, if known."""
    if failed is not None and failed.phase == "import" and "'memray'" in failed.message:
        return Notice(
            code="memray-missing",
            message="allocations were not counted, because memray is not installed on that machine",
            hint="install it there, beside onnxruntime: pip install memray",
        )
    missing = f"the {name} pass failed, so its figures are missing"
    if disk is not None and disk.free_bytes < FULL_DISK_BYTES:
        return Notice(
            code="disk-full",
            message=f"{missing}: the folder for temporary files ({safe_text(disk.folder)}) is full",
            hint="free space there, or set TMPDIR to another folder",
        )
    return Notice(
        code="pass-failed",
        message=f"{missing}: {why}",
        hint="run `feasibility doctor`, or allow more time with --timeout",
    )


def other_runtime(versions: Mapping[str, str], engine: Engine, runner: str) -> tuple[Notice, ...]:
    """A warning if another machine has another version of the engine than this one."""
    if runner == "local":
        return ()
    try:
        here = importlib.metadata.version(engine.package)
    except importlib.metadata.PackageNotFoundError:
        return ()
    there = versions.get(engine.package, "")
    return _warning_if(
        there != here,
        "other-runtime",
        f"{engine.title} is {safe_text(there)} on {safe_text(runner)} but {here} on this machine, "
        "so figures of both cannot be compared",
        "install the version that you deploy on both",
    )


def emulated() -> Notice:
    """The warning about what an emulator cannot measure."""
    return Notice(
        code="emulated",
        message="memory was measured under emulation; latency, operators and allocations were not, "
        "because an emulator's figures differ from the device's",
        hint="measure on the device with --on ssh:HOST",
    )


def gpu_memory_missing(why: str, hint: str = _GPU_HINT) -> Notice:
    """The warning that memory on the GPU was not measured."""
    return Notice(
        code="gpu-memory-unseen", message=f"memory on the GPU was not measured: {why}", hint=hint
    )


def more_threads(done: Done, threads: int, engine: str) -> tuple[Notice, ...]:
    """A warning if an engine used more threads than requested."""
    wall_ns = sum(done.samples_ns)
    used = done.all_processor_ns / wall_ns if wall_ns else 0.0
    return _warning_if(
        used > threads + _EXTRA_THREADS,
        "more-threads",
        f"{engine} kept {format_number(used)} processors busy with --threads "
        f"{threads}; its times are not those of {threads} thread{'s' * (threads > 1)}",
        "compare it with engines that use as many: --threads N",
    )


def latency_warnings(latency: Latency, options: MeasureOptions) -> tuple[Notice, ...]:
    """Warnings about samples that are few, vary, or are too short to time well."""
    samples, median = latency.samples_ns, latency.median_ns
    low, high = latency.median_low_ns, latency.median_high_ns
    reach = 0 if low is None or high is None else max(high - median, median - low)
    spread = (latency.stdev_ns or 0) / median if median else 0.0
    varies = reach > UNSETTLED_RATIO * median or spread > NOISY_RATIO
    outliers = outlier_count(samples)
    return (
        *_warning_if(
            len(samples) < FEW_SAMPLES and options.run_count is None,
            "latency-few-samples",
            f"only {len(samples)} runs of {format_duration(median)} fitted into the time limit",
            f"allow more time: --timeout {options.timeout_s * 3:g}",
        ),
        *_warning_if(
            len(samples) >= FEW_SAMPLES and varies,
            "latency-noisy",
            f"latency varies: the standard deviation is {format_percent(spread)} of the median; "
            f"95 % confidence of the median: {format_margin(reach / max(median, 1))}",
            f"close other programs, or measure more runs: --runs "
            f"{max(_MORE_RUNS, 2 * len(samples))}",
        ),
        *_warning_if(
            outliers > OUTLIER_SHARE * len(samples),
            "latency-outliers",
            f"{outliers} of {len(samples)} runs took far longer than the rest",
            "the 95th and 99th percentiles describe this machine more than the model",
        ),
        *_warning_if(
            0 < median < SHORT_RUN_NS,
            "latency-short",
            f"one run takes {format_duration(median)}; a large part of it is the call from Python",
            "compare the memory of so small a model, not its latency",
        ),
    )


def other_instruction_set(device: Device | None, arch: str) -> tuple[Notice, ...]:
    """A warning if the device has another instruction set than this machine."""
    if device is None:
        return ()
    return _warning_if(
        device.isa != arch,
        "other-instruction-set",
        f"this machine is {arch} and {device.name} is {device.isa}; the layout of convolution "
        "weights differs, so loading may need more or less memory there",
        "prove it on the device, or on another machine with its instruction set",
    )


def proof_warnings(
    runs: Sequence[LimitedRun],
    *,
    limit_kind: LimitKind,
    allocator: AllocatorSetting,
    free_bytes: int,
    kept_bytes: int,
    read_ahead_bytes: int,
    coarse_points: Sequence[str],
    precision_ratio: float,
) -> tuple[Notice, ...]:
    """Warnings about the limits of a proof, and about what disturbed its runs.

    `kept_bytes` of the model's files stayed in the page cache. The search found `coarse_points`,
    but not with the precision that was wanted.
    """
    most_bytes = max((run.enforced_bytes or 0 for run in runs), default=0)
    disturbed = any(
        run.outcome == "survived"
        and run.reread_per_run_bytes == 0
        and run.latency_ratio is not None
        and run.latency_ratio > _DISTURBED_RATIO
        for run in runs
    )
    reads_far = read_ahead_bytes > _USUAL_READ_AHEAD_BYTES
    return (
        *_warning_if(
            limit_kind == "address-space",
            "limit-weaker",
            "no control group can be made here, so the limit counts private memory that is "
            "requested, used or not; file-backed memory is not limited, so the model cannot thrash",
            "`feasibility doctor` says what to allow for a limit that counts memory in use",
        ),
        *_warning_if(
            most_bytes > free_bytes,
            "limit-above-free",
            f"the limit of {format_bytes(most_bytes)} is above the {format_bytes(free_bytes)} of "
            "free memory here, so the limit itself was not tested",
            "free memory, or prove it on a larger machine",
        ),
        *_warning_if(
            allocator == "default",
            "allocator-default",
            "with the default allocator the memory of one model differs by up to an eighth between "
            "processes, so another run may have another outcome",
            "set MALLOC_TRIM_THRESHOLD_=131072 where you deploy, and prove without "
            "--allocator default",
        ),
        *_warning_if(
            kept_bytes,
            "page-cache-kept",
            f"{format_bytes(kept_bytes)} of the model's files may have stayed in the page cache, "
            "where they do not count against the limit",
            "close other programs that have the model open, or prove your own copy of it",
        ),
        *_warning_if(
            disturbed,
            "slow-without-rereads",
            "a limited run took longer although it read no evicted page again, so something other "
            "than its limit slowed it down",
            "for reliable latencies, prove it on an idle machine",
        ),
        *_warning_if(
            reads_far and any(run.reread_per_run_bytes for run in runs),
            "disk-reads-ahead",
            f"for every missing page the disk here reads {format_bytes(read_ahead_bytes)} ahead, "
            "where phones and boards read 128 KiB; that evicts other pages, so the comfort point "
            "is higher here",
            "as root: echo 128 > /sys/block/DISK/queue/read_ahead_kb",
        ),
        *_warning_if(
            coarse_points,
            "bisection-coarse",
            f"there were not enough runs to find the {' and the '.join(coarse_points)} to "
            f"{format_margin(precision_ratio)}",
            "run it again on an idle machine",
        ),
    )
