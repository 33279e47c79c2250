"""Which int8 ratios and GPU coefficients explain the published rows best?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from calibration.case_arrays import incidence, peak_arrays, work_arrays
from calibration.named_parameters import as_coefficients, as_numbers
from calibration.robust_fit import Vector, fit_robust
from feasibility.predict.latency.coefficients import CpuFit
from feasibility.predict.latency.gpu_formula import (
    GPU_RUNTIMES,
    GpuCoefficients,
    Interface,
    gpu_runtime,
    gpu_seconds,
    interface,
)
from feasibility.predict.latency.likely_seconds import int8_effects
from feasibility.predict.validation.cases import Case

_INT8_NOISE: Final = 0.2
_INT8_SPREAD: Final = 0.4
_GPU_NOISE: Final = 0.25
_KNEE: Final = 0.4
_TABLE_SPREAD: Final = 0.35
_ROBUST_ROUNDS: Final = 2
# Prior of every coefficient of a GPU: centre, and spread of its logarithm.
_GPU_PRIORS: Final[Mapping[str, tuple[float, float]]] = {
    **{f"share.{name}": (0.4, 0.5) for name in GPU_RUNTIMES},
    **{f"launch_ratio.{name}": (1.0, 0.25) for name in GPU_RUNTIMES},
    "half_share": (0.5, 0.5),
    "vulkan_matrix_ratio": (0.5, 0.7),
    "bandwidth_share": (0.6, 0.4),
    "small_launch_ratio": (2.0, 1.0),
    "vulkan_start_ns": (100_000.0, 1.0),
}


def fit_int8(cases: Sequence[Case], floats: Sequence[Case], fit: CpuFit) -> Mapping[str, float]:
    """Factors on the time in fp32, by the names of `int8_effects`.

    The fp32 time comes from the same table if the table has the model; otherwise it is projected.
    """
    measured = {_table_entry(case): case.row.seconds for case in floats if not case.is_half}
    ratios = np.log(
        [
            case.row.seconds / (measured.get(_table_entry(case)) or case.seconds(fit))
            for case in cases
        ]
    )
    effects = [int8_effects(case.work, case.device, case.row.runtime) for case in cases]
    names = list(dict.fromkeys(name for each in effects for name in each))
    columns = np.array([[each.get(name, 0.0) for name in names] for each in effects])
    found = _fit_with_tables(
        lambda x: x @ columns.T, ratios, cases,
        centre=np.zeros(len(names)), spread=np.full(len(names), _INT8_SPREAD), noise=_INT8_NOISE,
    )  # fmt: skip
    return dict(zip(names, np.exp(found).tolist(), strict=True))


def _table_entry(case: Case) -> Hashable:
    model = case.row.model.removesuffix(" quantized").removesuffix("_int8")
    return (model, case.device.id, case.row.build, case.threads)


def fit_gpu(cases: Sequence[Case]) -> GpuCoefficients:
    """Shares of a GPU's peaks and times of its launches that explain these rows best."""
    work, peaks = work_arrays(cases), peak_arrays(cases)
    kinds = [gpu_runtime(case.row.build) for case in cases]
    is_kind = incidence(kinds, GPU_RUNTIMES)

    def model(x: Vector) -> Vector:
        k = GpuCoefficients(**as_coefficients(_GPU_PRIORS, x))
        each = [interface(kind, k) for kind in GPU_RUNTIMES]
        fields: Any = (
            sum(field * column for field, column in zip(values, is_kind.T, strict=True))
            for values in zip(*each, strict=True)
        )
        logs: Vector = np.log(gpu_seconds(work, peaks, Interface(*fields), k))
        return logs

    centre, spread = np.array(list(_GPU_PRIORS.values())).T
    found = _fit_with_tables(
        model, np.log([case.row.seconds for case in cases]), cases,
        centre=np.log(centre), spread=spread, noise=_GPU_NOISE,
    )  # fmt: skip
    return GpuCoefficients(**as_numbers(as_coefficients(_GPU_PRIORS, found)))


def _fit_with_tables(
    model: Any, observed: Vector, cases: Sequence[Case],
    *, centre: Vector, spread: Vector, noise: float,
) -> Vector:  # fmt: skip
    """The parameters, with an offset for each table, which is discarded."""
    tables = [(case.device.id, case.row.build, case.is_half) for case in cases]
    design = incidence(tables, list(dict.fromkeys(tables)))
    count = len(centre)
    offsets = np.zeros(design.shape[1])
    middle = np.append(centre, offsets)
    x = middle
    for _ in range(_ROBUST_ROUNDS):
        # The weights of Student's t with three degrees of freedom: some tables were measured
        # on another processor than stated.
        widths = _TABLE_SPREAD * np.sqrt((3 + (x[count:] / _TABLE_SPREAD) ** 2) / 4)
        x = fit_robust(
            model, observed, x, middle, np.append(spread, widths),
            noise=noise, knee=_KNEE, linear=design,
        )  # fmt: skip
    return x[:count]
