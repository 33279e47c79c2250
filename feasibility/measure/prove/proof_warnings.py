"""What a reader should know before trusting a proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.measure.prove.bisection import PRECISION_RATIO, RESOLUTION_BYTES
from feasibility.records.base import Notice
from feasibility.records.device import Device
from feasibility.records.proof import Bisection, LimitedRun, LimitKind
from feasibility.units import KIB, format_bytes

_SLOW_RATIO: Final = 1.25
_USUAL_READ_AHEAD_BYTES: Final = 512 * KIB


def weaker_limit(kind: LimitKind) -> list[Notice]:
    """A notice where no control group could be had."""
    if kind != "address-space":
        return []
    return [
        Notice(
            code="limit-weaker",
            message="no control group can be made here, so the limit is on private memory that "
            "is asked for, used or not; files are not limited, and nothing can thrash",
            hint="`feasibility doctor` says what to allow for a limit that counts memory in use",
        )
    ]


def kept_files(kept_bytes: int) -> list[Notice]:
    """A notice where the model's files could not be evicted before a run."""
    if not kept_bytes:
        return []
    return [
        Notice(
            code="page-cache-kept",
            message=f"{format_bytes(kept_bytes)} of the model's files may have stayed in the page "
            "cache, charged to other processes; reading them was free",
            hint="end what else has the model open, or prove a copy of it that you own",
        )
    ]


def unprepared_allocator(allocator: str) -> list[Notice]:
    """A notice where figures differ from process to process."""
    if allocator == "steady":
        return []
    return [
        Notice(
            code="allocator-default",
            message="with the C library's default allocator one model needs up to an eighth more "
            "or less from process to process; another run may end otherwise",
            hint="set MALLOC_TRIM_THRESHOLD_=131072 where you deploy, and prove without "
            "--allocator default",
        )
    ]


def other_instruction_set(device: Device | None, arch: str) -> list[Notice]:
    """A notice where the device would run other code than this machine."""
    if device is None or device.isa == arch:
        return []
    return [
        Notice(
            code="other-instruction-set",
            message=f"this machine is {arch} and {device.name} is {device.isa}: convolution "
            "weights are laid out differently there, so loading may need less or more",
            hint="prove it on the device itself, or on another machine of its kind",
        )
    ]


def limit_above_free(enforced_bytes: int, free_bytes: int) -> list[Notice]:
    """A notice where the machine ends before the limit does."""
    if enforced_bytes <= free_bytes:
        return []
    return [
        Notice(
            code="limit-above-free",
            message=f"the limit of {format_bytes(enforced_bytes)} is more than the "
            f"{format_bytes(free_bytes)} that are free here, so it is not what was tested",
            hint="free memory, or prove it on a larger machine",
        )
    ]


def unexplained_slowness(runs: Sequence[LimitedRun]) -> list[Notice]:
    """A notice where a run was slow although its limit took nothing from it."""
    slow = [
        run
        for run in runs
        if run.outcome == "survived"
        and run.reread_per_run_bytes == 0
        and run.latency_ratio is not None
        and run.latency_ratio > _SLOW_RATIO
    ]
    if not slow:
        return []
    return [
        Notice(
            code="slow-without-rereads",
            message="a limited run took longer although no evicted page was read again, so "
            "something other than its limit slowed it down",
            hint="prove it on an idle machine for latencies to rely on",
        )
    ]


def eager_disk(runs: Sequence[LimitedRun], read_ahead_bytes: int | None) -> list[Notice]:
    """A notice where rereading was made worse by a disk that reads far ahead."""
    if read_ahead_bytes is None or read_ahead_bytes <= _USUAL_READ_AHEAD_BYTES:
        return []
    if not any(run.reread_per_run_bytes for run in runs):
        return []
    return [
        Notice(
            code="disk-reads-ahead",
            message=f"the disk here reads {format_bytes(read_ahead_bytes)} ahead of every page "
            "that is missing, where phones and boards read 128 KiB; under a limit that pushes "
            "other pages out, so the comfort point is higher here",
            hint="as root: echo 128 > /sys/block/DISK/queue/read_ahead_kb",
        )
    ]


def coarse_bisection(bisection: Bisection | None) -> list[Notice]:
    """A notice where the runs did not suffice to narrow a point down."""
    if bisection is None:
        return []
    gaps = (
        ("floor", bisection.floor_bytes, bisection.floor_precision_ratio),
        ("comfort point", bisection.comfort_bytes, bisection.comfort_precision_ratio),
    )
    coarse = [name for name, point, gap in gaps if point is not None and not _is_fine(point, gap)]
    if not coarse:
        return []
    return [
        Notice(
            code="bisection-coarse",
            message=f"the runs did not suffice to find the {' and the '.join(coarse)} to "
            f"{PRECISION_RATIO:.0%}",
            hint="run it again on an idle machine",
        )
    ]


def _is_fine(point_bytes: int, gap_ratio: float | None) -> bool:
    if gap_ratio is None:
        return False
    return gap_ratio * point_bytes <= max(PRECISION_RATIO * point_bytes, RESOLUTION_BYTES)
