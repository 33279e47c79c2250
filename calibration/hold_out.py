"""Which times do fits project for rows that they did not see?

All rows of one chip (architecture, runtime) are left out of the fit together. The results are
in `profiles/held_out.csv`, so that anyone can check them.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from calibration.fit_cpu import fit_cpu
from calibration.fit_int8_and_gpu import fit_gpu, fit_int8
from calibration.fit_rows import FitRows
from feasibility.predict.latency.coefficients import CpuFit
from feasibility.predict.validation.cases import Case
from feasibility.predict.validation.published_work import network_name, read_networks

HELD_OUT_FILE: Final = "held_out.csv"
LEFT_OUT: Final = ("chip", "architecture", "runtime", "int8 chip", "gpu chip")

# Projected seconds for every row, grouped by what the fits did not see.
HeldOut: TypeAlias = Mapping[str, Sequence[float]]
Project: TypeAlias = Callable[[Sequence[Case], Sequence[Case]], Sequence[float]]


def hold_out(rows: FitRows) -> HeldOut:
    """Project every row by fits that did not see it."""
    networks = read_networks()

    @functools.cache
    def without(chip: str) -> CpuFit:
        return fit_cpu([case for case in rows.floats if case.chip != chip])

    def by_chip(_seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        return [case.seconds(without(unseen[0].chip)) for case in unseen]

    def by_int8(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        fit = without(unseen[0].chip)
        int8 = fit_int8(seen, rows.floats, fit)
        return [case.int8_seconds(fit, int8) for case in unseen]

    def by_gpu(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        k = fit_gpu(seen)
        return [case.gpu_seconds(k) for case in unseen]

    return {
        "chip": _left_out(rows.floats, _chip, by_chip),
        "architecture": _left_out(
            rows.floats, lambda case: network_name(case.row.model, networks), _by_cpu()
        ),
        "runtime": _left_out(rows.floats, lambda case: case.row.runtime, _by_cpu()),
        "int8 chip": _left_out(rows.int8, _chip, by_int8),
        "gpu chip": _left_out(rows.gpu, _chip, by_gpu),
    }


def hold_out_groups(cases: Sequence[Case], without: str, count: int) -> Sequence[float]:
    """Seconds of every row by fits without its group of chips and without a part of the formula."""
    group_of = chip_groups(cases, count)
    return _left_out(cases, lambda case: group_of[case.chip], _by_cpu(without))


def chip_groups(cases: Sequence[Case], count: int) -> Mapping[str, int]:
    """The group of every chip."""
    chips = sorted({case.chip for case in cases})
    return {chip: index % count for index, chip in enumerate(chips)}


def _chip(case: Case) -> str:
    return case.chip


def _by_cpu(without: str = "") -> Project:
    def project(seen: Sequence[Case], unseen: Sequence[Case]) -> Sequence[float]:
        fit = fit_cpu(seen, without)
        return [case.seconds(fit) for case in unseen]

    return project


def _left_out(
    cases: Sequence[Case], key: Callable[[Case], Hashable], project: Project
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


def write_held_out(folder: Path, rows: FitRows, held_out: HeldOut) -> None:
    """Write the projections with the identifiers of their rows."""
    lines = ["left_out,row_id,measured_ms,projected_ms"]
    for name, seconds in held_out.items():
        lines += [
            f"{name},{case.row.row_id},{case.row.seconds * 1e3:.5g},{projected * 1e3:.5g}"
            for case, projected in zip(_cases(rows, name), seconds, strict=True)
        ]
    (folder / HELD_OUT_FILE).write_text("\n".join((*lines, "")), encoding="utf-8")


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
    return {
        name: tuple(found[name, case.row.row_id] for case in _cases(rows, name))
        for name in LEFT_OUT
    }


def _cases(rows: FitRows, name: str) -> Sequence[Case]:
    return {"int8 chip": rows.int8, "gpu chip": rows.gpu}.get(name, rows.floats)
