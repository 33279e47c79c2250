"""How is one measured row projected?

A case is a row together with the work of its model and its device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from feasibility.paths import profiles_dir
from feasibility.predict.latency.coefficients import REFERENCE_YEAR, CpuFit
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.error_covariance import Run, operator_point
from feasibility.predict.latency.gpu_formula import GpuCoefficients
from feasibility.predict.latency.likely_seconds import (
    fitted_int8_ratio,
    likely_cpu_seconds,
    likely_gpu_seconds,
)
from feasibility.predict.published_npu_times import ROWS_FILE
from feasibility.predict.validation.published_devices import all_devices, chip_of
from feasibility.predict.validation.published_rows import (
    ALL_CORES,
    FASTEST_CLUSTER,
    PublishedRow,
    read_rows,
)
from feasibility.predict.validation.published_work import Network, read_networks, work_of
from feasibility.predict.validation.row_remarks import Remark
from feasibility.records.device import Device

# 16-bit activations: most kernels compute in floating point. bf16: matrix units.
_IN_FLOAT: Final = re.compile("w[48]a16|.*int16|bf16")
# fp16 arithmetic, by precision and build. Models of Ultralytics are in fp32, but ncnn and OpenVINO
# compute them in fp16 where an Arm processor can.
_HALF: Final = re.compile(r"fp16(?! weights)|[^|]*\|(ncnn|openvino) .*ultralytics")
_OTHER_UNIT: Final = "on a unit that is not projected"


class PublishedTables(NamedTuple):
    """The tables that are part of this version.

    Attributes:
        networks: Networks whose work is known.
        devices: Devices of the catalogue and of the rows, by id.
    """

    rows: tuple[PublishedRow, ...]
    networks: tuple[Network, ...]
    devices: Mapping[str, Device]


def published_tables() -> PublishedTables:
    """Read the tables. Rows of memory alone, without a time, are left out."""
    folder = profiles_dir()
    rows, _ = read_rows(folder / ROWS_FILE)
    return PublishedTables(rows, read_networks(), all_devices())


class Case(NamedTuple):
    """A row with everything that its projection needs."""

    row: PublishedRow
    work: Work
    device: Device
    is_half: bool
    threads: int = 1
    clock_ratio: float = 1.0
    year: float = REFERENCE_YEAR

    @property
    def is_gpu(self) -> bool:
        """Whether the row is of a GPU; it has no threads."""
        return self.row.unit.startswith("GPU")

    @property
    def chip(self) -> str:
        """The chip; its rows are left out of a fit together."""
        return chip_of(self.device)

    @property
    def run(self) -> Run:
        """What decides how similar the error of this row is to that of another one.

        Tables of one device and runtime differ in the build, so the build is the runtime here.
        """
        return Run(self.row.build, self.threads > 1, operator_point(self.work))

    def seconds(self, fit: CpuFit) -> float:
        """Projection of a CPU row in floating point."""
        return likely_cpu_seconds(
            self.work,
            self.device,
            self.threads,
            fit,
            runtime=self.row.runtime,
            is_half=self.is_half,
            clock_ratio=self.clock_ratio,
            year=self.year,
        )

    def int8_seconds(self, fit: CpuFit, int8: Mapping[str, float]) -> float:
        """Projection of a CPU row in int8."""
        return self.seconds(fit) * fitted_int8_ratio(self.work, self.device, self.row.runtime, int8)

    def gpu_seconds(self, k: GpuCoefficients) -> float:
        """Projection of a GPU row."""
        seconds = likely_gpu_seconds(
            self.work, self.device, k, runtime=self.row.build, is_half=self.is_half
        )
        assert seconds is not None  # `case_of` leaves such rows out
        return seconds


def case_of(
    row: PublishedRow,
    tables: PublishedTables,
    *,
    own_work: Callable[[str], Work | Remark | None] = lambda _model: None,
) -> Case | Remark:
    """The row with its work and device, or why it is not projected.

    `own_work` gives the work of a row's model where it is known better than from the table.
    """
    device = tables.devices.get(row.device_id)
    if device is None:
        return Remark("of a device that is not in the catalogue", row.device_id)
    work = own_work(row.model) or work_of(row, tables.networks)
    is_gpu = row.unit.startswith("GPU")
    is_half = bool(_HALF.match(f"{row.precision}|{row.build}".lower()))
    if isinstance(work, Remark):
        return work
    if _IN_FLOAT.match(row.precision):
        return Remark("in a precision that is not projected", row.precision)
    if not is_gpu and row.unit != "CPU":
        return Remark(_OTHER_UNIT, row.unit.split(" ")[0])
    if not is_gpu and row.threads is None:
        return Remark("without threads")
    if work is None:
        return Remark("of a model whose work is not known", row.model)
    if is_gpu:
        if "int8" in row.precision:
            return Remark(_OTHER_UNIT, "GPU in int8")
        if device.gpu is None or device.gpu.fp32_flops_per_s is None:
            return Remark("on a GPU whose speed the catalogue does not know", device.id)
        return Case(row, work, device, is_half)
    if device.cpu is None:
        return Remark("on a CPU that the catalogue does not describe", device.id)
    clusters = [cluster.core_count.value for cluster in device.cpu.clusters]
    unstated = {ALL_CORES: sum(clusters), FASTEST_CLUSTER: clusters[0]}
    assert row.threads is not None
    clock = max(cluster.clock_hz.value for cluster in device.cpu.clusters)
    return Case(
        row=row,
        work=work,
        device=device,
        threads=min(unstated.get(row.threads, row.threads), sum(clusters)),
        is_half=is_half,
        clock_ratio=row.clock_hz / clock if row.clock_hz else 1.0,
        year=REFERENCE_YEAR if row.year is None else row.year,
    )


def is_int8(row: PublishedRow) -> bool:
    """Whether the row is in int8."""
    return row.precision.startswith(("int8", "w8"))


def core_count(device: Device) -> int:
    """Cores of all clusters; 0 if the CPU is not described."""
    return sum(cluster.core_count.value for cluster in device.cpu.clusters) if device.cpu else 0
