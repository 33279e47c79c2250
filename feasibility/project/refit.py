"""The whole calibration: from the published tables to the coefficients and their error."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from feasibility.errors import DocumentError
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
from feasibility.text import safe_text

ROWS_FILE: Final = "published.csv"
WORK_FILE: Final = "ncnn_model_macs.csv"
HELD_OUT_FILE: Final = "held_out.csv"
LEFT_OUT: Final = ("chip", "architecture", "runtime", "int8 chip", "gpu device")

Projections: TypeAlias = Mapping[str, Sequence[float]]


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


def held_out_seconds(evidence: Evidence) -> Projections:
    """Projections of every row by fits that did not see it, by what they did not see."""
    floats, models = evidence.floats, evidence.models
    return {
        "chip": validate.left_out(floats, lambda case: case.chip),
        "architecture": validate.left_out(
            floats, lambda case: architecture(case.row.model, models)
        ),
        "runtime": validate.left_out(floats, lambda case: case.row.runtime),
        "int8 chip": validate.left_out_int8(floats, evidence.int8),
        "gpu device": validate.left_out_gpu(evidence.gpu),
    }


def held_out_misses(evidence: Evidence, held_out: Projections) -> tuple[Miss, ...]:
    """Misses of every group of rows, of a device with models known on it included.

    Args:
        evidence: The rows.
        held_out: What `held_out_seconds` returned, or `read_held_out` read.
    """
    groups: dict[str, tuple[Miss, ...]] = {}
    for name, label in (
        ("chip", "cpu"),
        ("architecture", "other model"),
        ("runtime", "other runtime"),
    ):
        groups[name] = tuple(
            validate.miss_of(case, seconds, label)
            for case, seconds in zip(evidence.floats, held_out[name], strict=True)
        )
    return (
        *itertools.chain.from_iterable(groups.values()),
        *validate.anchored(evidence.floats, groups["chip"], 1),
        *validate.anchored(evidence.floats, groups["chip"], 2),
        *(
            validate.miss_of(case, seconds, "int8")._replace(group="int8")
            for case, seconds in zip(evidence.int8, held_out["int8 chip"], strict=True)
        ),
        *(
            validate.gpu_miss(case, seconds)
            for case, seconds in zip(evidence.gpu, held_out["gpu device"], strict=True)
        ),
    )


def write_held_out(path: Path, evidence: Evidence, held_out: Projections) -> None:
    """Write the projections beside the rows they are of, so that anyone can check them."""
    lines = ["left_out,row_id,measured_ms,projected_ms"]
    for name, seconds in held_out.items():
        lines += [
            f"{name},{case.row.row_id},{case.row.seconds * 1e3:.5g},{projected * 1e3:.5g}"
            for case, projected in zip(_cases(evidence, name), seconds, strict=True)
        ]
    path.write_text("\n".join((*lines, "")), encoding="utf-8")


def read_held_out(path: Path, evidence: Evidence) -> Projections:
    """The projections that `write_held_out` wrote.

    Raises:
        DocumentError: The file cannot be read, or is of other rows than the tables.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = {
                (line["left_out"], line["row_id"]): float(line["projected_ms"]) / 1e3
                for line in csv.DictReader(file)
            }
        return {
            name: tuple(found[name, case.row.row_id] for case in _cases(evidence, name))
            for name in LEFT_OUT
        }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DocumentError(
            f"Cannot read {safe_text(str(path))}",
            "it does not belong to the tables beside it",
            "run make calibrate, or reinstall feasibility",
        ) from error


def _cases(evidence: Evidence, name: str) -> Sequence[Case | GpuCase]:
    if name == "gpu device":
        return evidence.gpu
    return evidence.int8 if name == "int8 chip" else evidence.floats


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
