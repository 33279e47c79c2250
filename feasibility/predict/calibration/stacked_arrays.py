"""Many rows as arrays in the records that the formula takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feasibility.predict.latency.cpu_cores import FAMILIES, used_cores
from feasibility.predict.latency.cpu_formula import Cores, Work
from feasibility.predict.validation.cases import Case, GpuCase


def stacked_work(cases: Sequence[Case | GpuCase]) -> Work:
    """The work of all rows as arrays in one record."""
    import numpy as np

    kinds = sorted(
        {kind for case in cases for kind, amount in case.work.operations.items() if amount}
    )
    fields: dict[str, Any] = {
        name: np.array([getattr(case.work, name) for case in cases])
        for name in Work._fields
        if name != "operations"
    }
    operations: Any = {
        kind: np.array([case.work.operations.get(kind, 0.0) for case in cases]) for kind in kinds
    }
    return Work(operations=operations, **fields)


def stacked_cores(cases: Sequence[Case]) -> Cores:
    """The cores of all rows as arrays in one record."""
    import numpy as np

    paper = dict.fromkeys(FAMILIES, 1.0)
    cores = [
        used_cores(
            case.device, case.device.cpu, case.threads, paper,
            is_half=case.is_half, clock_ratio=case.clock_ratio,
        )
        for case in cases
        if case.device.cpu is not None
    ]  # fmt: skip
    fields: dict[str, Any] = {
        name: np.array([getattr(one, name) for one in cores], dtype=float)
        for name in Cores._fields
        if name not in ("lead", "used", "slowest")
    }
    for name in ("lead", "used", "slowest"):
        fields[name] = {
            family: np.array([getattr(one, name).get(family, 0.0) for one in cores])
            for family in FAMILIES
        }
    return Cores(**fields)
