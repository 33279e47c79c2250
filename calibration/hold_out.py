"""Which times do fits project for rows that they did not see?

Rows of one chip (architecture, runtime) are left out of the fit together. The results stand in
`profiles/held_out.csv` and `held_out_covariances.csv`, so that anyone can check them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import astuple

from calibration.fit_cpu import fit_cpu
from calibration.fit_error_covariance import fit_covariance
from calibration.fit_int8_and_gpu import fit_gpu, fit_int8
from calibration.fit_rows import FitRows
from feasibility.paths import profiles_dir
from feasibility.predict.latency.error_covariance import Covariance
from feasibility.predict.validation.cases import WORK_FILE, Case
from feasibility.predict.validation.published_rows import architecture, read_model_work

HELD_OUT_FILE: Final = "held_out.csv"
COVARIANCES_FILE: Final = "held_out_covariances.csv"
# Chips are divided into groups; each group has the covariance of the errors on the others.
CHIP_GROUPS: Final = 4
LEFT_OUT: Final = ("chip", "architecture", "runtime", "int8 chip", "gpu chip")


class HeldOut(NamedTuple):
    """Projections by fits that did not see the rows.

    Attributes:
        seconds: Projections of every row, by what the fits did not see.
        covariances: For each group of chips, the covariance of the errors on the other chips.
    """

    seconds: Mapping[str, Sequence[float]]
    covariances: tuple[Covariance, ...]


def hold_out(rows: FitRows) -> HeldOut:
    """Project every row by fits that did not see it."""
    floats = rows.floats
    models = read_model_work(profiles_dir() / WORK_FILE)
    keys: dict[str, Callable[[Case], Hashable]] = {
        "chip": lambda case: case.chip,
        "architecture": lambda case: architecture(case.row.model, models),
        "runtime": lambda case: case.row.runtime,
    }

    def by_cpu(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        fit = fit_cpu(seen)
        return [case.seconds(fit) for case in unseen]

    def by_int8(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        fit = fit_cpu([case for case in floats if case.chip != unseen[0].chip])
        int8 = fit_int8(seen, fit)
        return [case.int8_seconds(fit, int8) for case in unseen]

    def by_gpu(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        k = fit_gpu(seen)
        return [case.gpu_seconds(k) for case in unseen]

    seconds = {name: _left_out(floats, key, by_cpu) for name, key in keys.items()}
    seconds["int8 chip"] = _left_out(rows.int8, lambda case: case.chip, by_int8)
    seconds["gpu chip"] = _left_out(rows.gpu, lambda case: case.chip, by_gpu)
    group_of = chip_groups(floats)
    covariances = tuple(
        error_covariance(
            (case, projected)
            for case, projected in zip(floats, seconds["chip"], strict=True)
            if group_of[case.chip] != group
        )
        for group in range(CHIP_GROUPS)
    )
    return HeldOut(seconds, covariances)


def _left_out(
    cases: Sequence[Case],
    key: Callable[[Case], Hashable],
    project: Callable[[Sequence[Case], Sequence[Case]], Sequence[float]],
) -> tuple[float, ...]:
    """Seconds of every row, projected by a fit to the rows of the other keys."""
    seconds: dict[int, float] = {}
    keys = [key(case) for case in cases]
    for value in dict.fromkeys(keys):
        unseen = [index for index, one in enumerate(keys) if one == value]
        seen = [case for case, one in zip(cases, keys, strict=True) if one != value]
        found = project(seen, [cases[index] for index in unseen])
        seconds |= dict(zip(unseen, found, strict=True))
    return tuple(seconds[index] for index in range(len(cases)))


def error_covariance(projections: Iterable[tuple[Case, float]]) -> Covariance:
    """How similar the errors of these projections are on one device."""
    cases, seconds = zip(*projections, strict=True)
    return fit_covariance(
        [case.device.id for case in cases],
        [case.run for case in cases],
        [
            math.log(case.row.seconds / projected)
            for case, projected in zip(cases, seconds, strict=True)
        ],
    )


def chip_groups(cases: Sequence[Case]) -> Mapping[str, int]:
    """The group of every chip."""
    chips = sorted({case.chip for case in cases})
    return {chip: index % CHIP_GROUPS for index, chip in enumerate(chips)}


def write_held_out(folder: Path, rows: FitRows, held_out: HeldOut) -> None:
    """Write the projections with the identifiers of their rows."""
    lines = ["left_out,row_id,measured_ms,projected_ms"]
    for name, seconds in held_out.seconds.items():
        lines += [
            f"{name},{case.row.row_id},{case.row.seconds * 1e3:.5g},{projected * 1e3:.5g}"
            for case, projected in zip(_cases(rows, name), seconds, strict=True)
        ]
    (folder / HELD_OUT_FILE).write_text("\n".join((*lines, "")), encoding="utf-8")
    lines = [",".join(Covariance.__struct_fields__)]
    lines += [",".join(f"{value:.5g}" for value in astuple(k)) for k in held_out.covariances]
    (folder / COVARIANCES_FILE).write_text("\n".join((*lines, "")), encoding="utf-8")


def read_held_out(folder: Path, rows: FitRows) -> HeldOut:
    """Read what `write_held_out` wrote.

    Raises:
        KeyError: The file belongs to other tables.
    """
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
        name: tuple(found[name, case.row.row_id] for case in _cases(rows, name))
        for name in LEFT_OUT
    }
    return HeldOut(seconds, covariances)


def _cases(rows: FitRows, name: str) -> Sequence[Case]:
    return {"int8 chip": rows.int8, "gpu chip": rows.gpu}.get(name, rows.floats)
