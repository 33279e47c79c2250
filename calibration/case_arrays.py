"""How are many rows turned into arrays, in the records that the formulas take?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration.robust_fit import Vector
from feasibility.catalogue.cores import FAMILIES
from feasibility.predict.latency.cpu_cores import used_cores
from feasibility.predict.latency.cpu_formula import Cores, Work, kernels_of
from feasibility.predict.latency.gpu_formula import GpuPeaks, peaks_of
from feasibility.predict.validation.cases import Case


def incidence(keys: Sequence[object], columns: Sequence[object]) -> Vector:
    """1 where the key of the row equals the key of the column, else 0."""
    return np.array([[float(key == column) for column in columns] for key in keys]).reshape(
        len(keys), len(columns)
    )


def work_arrays(cases: Sequence[Case]) -> Work:
    """The work of all rows, by the kernels of their runtimes."""
    works = [kernels_of(case.work, case.row.runtime) for case in cases]
    kinds = sorted({kind for work in works for kind, amount in work.operations.items() if amount})
    fields: dict[str, Any] = {
        name: np.array([getattr(work, name) for work in works])
        for name in Work._fields
        if name != "operations"
    }
    operations: Any = {
        kind: np.array([work.operations.get(kind, 0.0) for work in works]) for kind in kinds
    }
    return Work(operations=operations, **fields)


def core_arrays(cases: Sequence[Case]) -> Cores:
    """The cores of all rows."""
    paper = dict.fromkeys(FAMILIES, 1.0)
    cores = [
        used_cores(
            case.device, case.device.cpu, case.threads, paper,
            is_half=case.is_half, clock_ratio=case.clock_ratio,
        )
        for case in cases
        if case.device.cpu is not None
    ]  # fmt: skip
    by_family = ("lead", "used")
    fields: dict[str, Any] = {
        name: np.array([getattr(one, name) for one in cores], dtype=float)
        for name in Cores._fields
        if name not in by_family
    }
    for name in by_family:
        fields[name] = {
            family: np.array([getattr(one, name).get(family, 0.0) for one in cores])
            for family in FAMILIES
        }
    return Cores(**fields)


def peak_arrays(cases: Sequence[Case]) -> GpuPeaks:
    """The GPU peaks of all rows."""
    each = (peaks_of(case.device, is_half=case.is_half) for case in cases)
    known = [peaks for peaks in each if peaks is not None]
    fields: Any = (np.array(field, dtype=float) for field in zip(*known, strict=True))
    return GpuPeaks(*fields)
