"""The whole calibration: from the published tables to the coefficients and their error."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from feasibility.errors import DocumentError
from feasibility.paths import profiles_dir
from feasibility.predict.calibration.fit_covariance import fit_covariance
from feasibility.predict.calibration.fit_cpu import calibrate
from feasibility.predict.calibration.fit_int8_gpu import fit_gpu, fit_int8
from feasibility.predict.latency.coefficients import Fit, Fitted
from feasibility.predict.latency.covariance import Covariance
from feasibility.predict.validation import held_out as validate
from feasibility.predict.validation.cases import (
    Case,
    GpuCase,
    calibration_cases,
    case_run,
    gpu_cases,
    int8_cases,
)
from feasibility.predict.validation.held_out import Miss
from feasibility.predict.validation.published_rows import (
    ModelWork,
    PublishedRow,
    architecture,
    read_model_work,
    read_rows,
)
from feasibility.predict.validation.testbeds import all_devices
from feasibility.records.device import Device
from feasibility.text import safe_text

ROWS_FILE: Final = "published.csv"
WORK_FILE: Final = "ncnn_model_macs.csv"
HELD_OUT_FILE: Final = "held_out.csv"
COVARIANCES_FILE: Final = "held_out_covariances.csv"
# Groups of chips; what errors have in common on those of one group, the others told.
CHIP_GROUPS: Final = 4
LEFT_OUT: Final = ("chip", "architecture", "runtime", "int8 chip", "gpu chip")

Projections: TypeAlias = Mapping[str, Sequence[float]]


class Evidence(NamedTuple):
    """What the calibration rests on."""

    rows: tuple[PublishedRow, ...]
    models: Mapping[str, ModelWork]
    devices: Mapping[str, Device]
    floats: tuple[Case, ...]
    int8: tuple[Case, ...]
    gpu: tuple[GpuCase, ...]


class HeldOut(NamedTuple):
    """What fits found that did not see what they are tried on.

    Attributes:
        seconds: Projections of every row, by what the fit did not see.
        covariances: What errors have in common on every group of chips, told by the others.
    """

    seconds: Projections
    covariances: tuple[Covariance, ...]


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


def hold_out(evidence: Evidence) -> HeldOut:
    """Projections of every row by fits that did not see it, and what their errors share."""
    floats, models = evidence.floats, evidence.models
    seconds = {
        "chip": validate.left_out(floats, lambda case: case.chip),
        "architecture": validate.left_out(
            floats, lambda case: architecture(case.row.model, models)
        ),
        "runtime": validate.left_out(floats, lambda case: case.row.runtime),
        "int8 chip": validate.left_out_int8(floats, evidence.int8),
        "gpu chip": validate.left_out_gpu(evidence.gpu),
    }
    fit = calibrate(floats)
    groups = _chip_groups(floats)
    covariances = []
    for group in range(CHIP_GROUPS):
        others = [index for index, case in enumerate(floats) if groups[case.chip] != group]
        covariances.append(_covariance(floats, seconds["chip"], fit, others))
    return HeldOut(seconds, tuple(covariances))


def _covariance(
    cases: Sequence[Case], seconds: Sequence[float], fit: Fit, chosen: Iterable[int]
) -> Covariance:
    """What the errors of these cases have in common."""
    chosen = list(chosen)
    return fit_covariance(
        [cases[index].device.id for index in chosen],
        [case_run(cases[index], fit) for index in chosen],
        [math.log(cases[index].row.seconds / seconds[index]) for index in chosen],
    )


def _chip_groups(cases: Sequence[Case]) -> Mapping[str, int]:
    """Group of every chip."""
    chips = sorted({case.chip for case in cases})
    return {chip: index % CHIP_GROUPS for index, chip in enumerate(chips)}


def held_out_misses(evidence: Evidence, held_out: HeldOut, fit: Fit) -> tuple[Miss, ...]:
    """Misses of every group of rows, of a device with models known on it included.

    Args:
        evidence: The rows.
        held_out: What `hold_out` returned, or `read_held_out` read.
        fit: The fit to all rows, for the shares of time that decide how alike two rows err.
    """
    groups: dict[str, tuple[Miss, ...]] = {}
    for name, label in (
        ("chip", "cpu"),
        ("architecture", "other model"),
        ("runtime", "other runtime"),
    ):
        groups[name] = tuple(
            validate.miss_of(case, seconds, label)
            for case, seconds in zip(evidence.floats, held_out.seconds[name], strict=True)
        )
    runs = [case_run(case, fit) for case in evidence.floats]
    of_chip = _chip_groups(evidence.floats)
    anchored = itertools.chain.from_iterable(
        validate.anchored(
            evidence.floats, groups["chip"], runs,
            lambda chip: held_out.covariances[of_chip[chip]], count,
        )
        for count in (1, 2)
    )  # fmt: skip
    return (
        *itertools.chain.from_iterable(groups.values()),
        *anchored,
        *(
            validate.miss_of(case, seconds, "int8")._replace(group="int8", deviation=1.0)
            for case, seconds in zip(evidence.int8, held_out.seconds["int8 chip"], strict=True)
        ),
        *(
            validate.gpu_miss(case, seconds)
            for case, seconds in zip(evidence.gpu, held_out.seconds["gpu chip"], strict=True)
        ),
    )


def write_held_out(folder: Path, evidence: Evidence, held_out: HeldOut) -> None:
    """Write the projections beside the rows they are of, so that anyone can check them."""
    lines = ["left_out,row_id,measured_ms,projected_ms"]
    for name, seconds in held_out.seconds.items():
        lines += [
            f"{name},{case.row.row_id},{case.row.seconds * 1e3:.5g},{projected * 1e3:.5g}"
            for case, projected in zip(_cases(evidence, name), seconds, strict=True)
        ]
    (folder / HELD_OUT_FILE).write_text("\n".join((*lines, "")), encoding="utf-8")
    lines = [",".join(Covariance._fields)]
    lines += [",".join(f"{value:.5g}" for value in k) for k in held_out.covariances]
    (folder / COVARIANCES_FILE).write_text("\n".join((*lines, "")), encoding="utf-8")


def read_held_out(folder: Path, evidence: Evidence) -> HeldOut:
    """What `write_held_out` wrote.

    Raises:
        DocumentError: A file cannot be read, or is of other rows than the tables.
    """
    try:
        with (folder / HELD_OUT_FILE).open(encoding="utf-8", newline="") as file:
            found = {
                (line["left_out"], line["row_id"]): float(line["projected_ms"]) / 1e3
                for line in csv.DictReader(file)
            }
        with (folder / COVARIANCES_FILE).open(encoding="utf-8", newline="") as file:
            covariances = tuple(
                Covariance(**{name: float(value) for name, value in line.items()})
                for line in csv.DictReader(file)
            )
        seconds = {
            name: tuple(found[name, case.row.row_id] for case in _cases(evidence, name))
            for name in LEFT_OUT
        }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DocumentError(
            f"Cannot read {safe_text(str(folder / HELD_OUT_FILE))}",
            "it does not belong to the tables beside it",
            "run make calibrate, or reinstall feasibility",
        ) from error
    return HeldOut(seconds, covariances)


def _cases(evidence: Evidence, name: str) -> Sequence[Case | GpuCase]:
    if name == "gpu chip":
        return evidence.gpu
    return evidence.int8 if name == "int8 chip" else evidence.floats


def refit(evidence: Evidence, held_out: HeldOut, fit: Fit, written_on: str) -> Fitted:
    """The coefficients from all rows, and the intervals from the rows that were held out.

    Args:
        evidence: The rows.
        held_out: Their projections by fits that did not see them.
        fit: What `calibrate` found on all of them.
        written_on: Date, ISO 8601.
    """
    misses = held_out_misses(evidence, held_out, fit)
    groups = dict.fromkeys(miss.group for miss in misses)
    return Fitted(
        written_on=written_on,
        row_count=len(evidence.floats),
        cpu=fit,
        int8=fit_int8(evidence.int8, fit),
        gpu=fit_gpu(evidence.gpu),
        covariance=_covariance(
            evidence.floats, held_out.seconds["chip"], fit, range(len(evidence.floats))
        ),
        spreads={
            group: validate.spread_of(miss for miss in misses if miss.group == group)
            for group in groups
        },
    )
