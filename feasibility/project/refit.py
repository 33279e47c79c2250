"""The whole calibration: from the published tables to the coefficients and their error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from feasibility.paths import profiles_dir
from feasibility.project import validate
from feasibility.project.calibrate import calibrate
from feasibility.project.calibrate_rest import fit_gpu, fit_int8
from feasibility.project.cases import (
    Case,
    GpuCase,
    calibration_cases,
    gpu_cases,
    int8_cases,
)
from feasibility.project.fitted import Fitted
from feasibility.project.rows import (
    ModelWork,
    PublishedRow,
    architecture,
    read_model_work,
    read_rows,
)
from feasibility.project.testbeds import all_devices
from feasibility.project.validate import Miss
from feasibility.records.device import Device

ROWS_FILE: Final = "published.csv"
WORK_FILE: Final = "ncnn_model_macs.csv"


class Evidence(NamedTuple):
    """What the calibration rests on."""

    rows: tuple[PublishedRow, ...]
    models: Mapping[str, ModelWork]
    devices: Mapping[str, Device]
    floats: tuple[Case, ...]
    int8: tuple[Case, ...]
    gpu: tuple[GpuCase, ...]


def published_evidence() -> Evidence:
    """The tables that are shipped.

    Raises:
        FeasibilityError: One of them cannot be read.
    """
    rows = read_rows(profiles_dir() / ROWS_FILE)
    models = read_model_work(profiles_dir() / WORK_FILE)
    devices = all_devices()
    return Evidence(
        rows=rows,
        models=models,
        devices=devices,
        floats=calibration_cases(rows, models, devices),
        int8=int8_cases(rows, models, devices),
        gpu=gpu_cases(rows, models, devices),
    )


def held_out_misses(evidence: Evidence) -> tuple[Miss, ...]:
    """Misses of every group of rows, what they are grouped by left out of the fit."""
    floats, models = evidence.floats, evidence.models
    by_chip = validate.left_out(floats, lambda case: case.chip)
    return (
        *by_chip,
        *validate.left_out(
            floats, lambda case: architecture(case.row.model, models), "other model"
        ),
        *validate.left_out(floats, lambda case: case.row.runtime, "other runtime"),
        *validate.anchored(floats, by_chip, 1),
        *validate.anchored(floats, by_chip, 2),
        *validate.left_out_int8(floats, evidence.int8),
        *validate.left_out_gpu(evidence.gpu),
    )


def refit(evidence: Evidence, misses: tuple[Miss, ...], written_on: str) -> Fitted:
    """The coefficients from all rows, and the intervals from the rows that were held out."""
    fit = calibrate(evidence.floats)
    groups = dict.fromkeys(miss.group for miss in misses)
    return Fitted(
        written_on=written_on,
        row_count=len(evidence.floats),
        cpu=fit,
        int8=fit_int8(evidence.int8, fit),
        gpu=fit_gpu(evidence.gpu),
        spreads={
            group: validate.spread_of(miss for miss in misses if miss.group == group)
            for group in groups
        },
    )
