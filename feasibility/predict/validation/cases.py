"""Published rows with their work and device, and what the projection says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from feasibility.predict.latency.coefficients import REFERENCE_YEAR, Fit, Int8, Setting
from feasibility.predict.latency.covariance import Run
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.gpu_formula import GpuCoefficients
from feasibility.predict.latency.likely_seconds import (
    cpu_run,
    integer_unit,
    likely_cpu_seconds,
    likely_gpu_seconds,
    setting_of,
)
from feasibility.predict.validation.published_rows import ModelWork, PublishedRow, work_of
from feasibility.predict.validation.testbeds import chip_of
from feasibility.records.device import Device

CALIBRATION_SPLIT: Final = "calib"
_OWN_CLOCK: Final = re.compile(r"\boverclocked (?:to )?([0-9]{3,4}) MHz")
_NAMED_CLOCK: Final = re.compile(r"([A-Z][\w ]*?) clock then ([0-9](?:\.[0-9]+)?) GHz")


class Case(NamedTuple):
    """A row with everything that its projection needs."""

    row: PublishedRow
    work: Work
    device: Device
    threads: int
    is_half: bool
    clock_ratio: float
    year: float

    @property
    def chip(self) -> str:
        """Chip, so that rows of one chip are left out together."""
        return chip_of(self.device)


def calibration_cases(
    rows: Sequence[PublishedRow],
    models: Mapping[str, ModelWork],
    devices: Mapping[str, Device],
) -> tuple[Case, ...]:
    """The rows that the CPU formula is fitted to: fp32 and fp16 with known work and threads."""
    return tuple(
        case
        for row in rows
        if row.split == CALIBRATION_SPLIT and not row.precision.startswith(("int8", "w8"))
        if (case := cpu_case(row, models, devices)) is not None
    )


def int8_cases(
    rows: Sequence[PublishedRow],
    models: Mapping[str, ModelWork],
    devices: Mapping[str, Device],
) -> tuple[Case, ...]:
    """CPU rows of int8 models with known work and threads."""
    return tuple(
        case
        for row in rows
        if row.precision.startswith("int8") and row.split in ("int8", CALIBRATION_SPLIT)
        if (case := cpu_case(row, models, devices)) is not None
    )


def cpu_case(
    row: PublishedRow,
    models: Mapping[str, ModelWork],
    devices: Mapping[str, Device],
    *,
    work: Work | None = None,
) -> Case | None:
    """The row with its work and device; None where the formula cannot be tried on it.

    Args:
        row: The row.
        models: The table of model work.
        devices: Devices by id.
        work: The model's work where it is known better than from the table.
    """
    device = devices.get(row.device_id)
    work = work or work_of(row, models)
    if row.unit != "CPU" or device is None or device.cpu is None:
        return None
    if work is None or row.threads is None:
        return None
    cores = core_count(device)
    clock = max(cluster.clock_hz.value for cluster in device.cpu.clusters)
    clock_hz = row.clock_hz or noted_clock_hz(row.note, device)
    return Case(
        row=row,
        work=work,
        device=device,
        threads=min(row.threads or cores, cores),
        is_half=row.precision.startswith("fp16"),
        clock_ratio=clock_hz / clock if clock_hz else 1.0,
        year=REFERENCE_YEAR if row.year is None else row.year,
    )


def core_count(device: Device) -> int:
    """Cores of all clusters; 0 where the CPU is not described."""
    return sum(cluster.core_count.value for cluster in device.cpu.clusters) if device.cpu else 0


def noted_clock_hz(note: str, device: Device) -> float | None:
    """The clock that the remark on a row states for this device; None if it states none.

    Tables say it as `overclocked 1950 MHz` or, of one device among several, `Pi 4 clock then
    1.5 GHz`.
    """
    own = _OWN_CLOCK.search(note)
    if own:
        return float(own[1]) * 1e6
    other = _NAMED_CLOCK.search(note)
    if other and other[1].lower() in {device.id, device.name.lower(), *device.aliases}:
        return float(other[2]) * 1e9
    return None


def case_setting(case: Case) -> Setting:
    """How the row's model ran, apart from the device's speed."""
    return setting_of(
        case.device, case.threads,
        runtime=case.row.runtime, is_half=case.is_half, year=case.year,
    )  # fmt: skip


def case_run(case: Case, fit: Fit) -> Run:
    """What decides how alike the projections of this row and another one err.

    Tables of one device and runtime differ in the build, so the build stands for the runtime.
    """
    run = cpu_run(
        case.work, case.device, case.threads, fit, runtime=case.row.runtime, is_half=case.is_half
    )
    return run._replace(runtime=case.row.build)


def case_seconds(case: Case, fit: Fit) -> float:
    """Projection of a CPU row as if it computed in floating point."""
    seconds = likely_cpu_seconds(
        case.work,
        case.device,
        case.threads,
        fit,
        runtime=case.row.runtime,
        is_half=case.is_half,
        clock_ratio=case.clock_ratio,
        year=case.year,
    )
    if seconds is None:
        raise AssertionError  # a case has a CPU
    return seconds


def int8_seconds(case: Case, fit: Fit, int8: Mapping[str, Int8]) -> float:
    """Projection of a CPU row that computes in int8."""
    entry = int8[integer_unit(case.device)]
    share = case.work.operations.get("winograd", 0.0) / case.work.total
    ratio: float = entry.ratio * entry.winograd_ratio**share
    return case_seconds(case, fit) * ratio


class GpuCase(NamedTuple):
    """A row that was measured on a GPU which the catalogue describes."""

    row: PublishedRow
    work: Work
    device: Device

    @property
    def chip(self) -> str:
        """Chip, so that rows of one chip are left out together."""
        return chip_of(self.device)

    @property
    def is_half(self) -> bool:
        """Whether it computed in fp16."""
        return self.row.precision.startswith("fp16")

    def seconds(self, k: GpuCoefficients) -> float:
        """Projection of the row."""
        seconds = likely_gpu_seconds(
            self.work, self.device, k, runtime=self.row.build, is_half=self.is_half
        )
        if seconds is None:
            raise AssertionError  # gpu_case leaves such rows out
        return seconds


def gpu_cases(
    rows: Sequence[PublishedRow],
    models: Mapping[str, ModelWork],
    devices: Mapping[str, Device],
) -> tuple[GpuCase, ...]:
    """Floating-point rows of GPUs that the catalogue describes."""
    return tuple(
        case
        for row in rows
        if row.split in ("gpu", CALIBRATION_SPLIT)
        if (case := gpu_case(row, models, devices)) is not None
    )


def gpu_case(
    row: PublishedRow,
    models: Mapping[str, ModelWork],
    devices: Mapping[str, Device],
    *,
    work: Work | None = None,
) -> GpuCase | None:
    """The row with its work and device; None where the formula cannot be tried on it.

    Args:
        row: The row.
        models: The table of model work.
        devices: Devices by id.
        work: The model's work where it is known better than from the table.
    """
    device = devices.get(row.device_id)
    work = work or work_of(row, models)
    if not row.unit.startswith("GPU") or "int8" in row.precision or work is None:
        return None
    if device is None or device.gpu is None or device.gpu.fp32_flops_per_s is None:
        return None
    return GpuCase(row, work, device)
