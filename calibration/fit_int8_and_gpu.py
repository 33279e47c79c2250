"""Which int8 ratios and GPU coefficients explain the published rows best?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from calibration.case_arrays import peak_arrays, work_arrays
from calibration.fit_cpu import nested_names
from calibration.robust_fit import Vector, fit_robust
from feasibility.predict.latency.coefficients import CpuFit, Int8
from feasibility.predict.latency.gpu_formula import (
    GPU_RUNTIMES,
    GpuCoefficients,
    Interface,
    gpu_runtime,
    gpu_seconds,
    interface,
)
from feasibility.predict.latency.likely_seconds import integer_unit
from feasibility.predict.validation.cases import Case

INTEGER_UNITS: Final = ("neon", "dotprod", "sse", "vnni")
_NOISE: Final = 0.3
_KNEE: Final = 0.5
_INT8_SPREAD: Final = 0.5
_GPU_NOISE: Final = 0.25
_GPU_KNEE: Final = 0.4
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


def fit_int8(cases: Sequence[Case], fit: CpuFit) -> Mapping[str, Int8]:
    """Time of int8 relative to fp32, by the core's integer unit.

    int8 has faster arithmetic but no Winograd kernels, so the ratio depends on their share.
    """
    float_log = np.log([case.seconds(fit) for case in cases])
    ratio_log = np.log([case.row.seconds for case in cases]) - float_log
    share = np.array([case.work.operations.get("winograd", 0) / case.work.total for case in cases])
    unit = [integer_unit(case.device) for case in cases]
    found = {}
    for name in INTEGER_UNITS:
        own = np.array([one == name for one in unit])

        def model(x: Vector, rows: Vector = share[own]) -> Vector:
            line: Vector = x[0] + x[1] * rows
            return line

        x = fit_robust(
            model, ratio_log[own], np.zeros(2), np.zeros(2), np.full(2, _INT8_SPREAD),
            noise=_NOISE, knee=_KNEE,
        )  # fmt: skip
        found[name] = Int8(float(np.exp(x[0])), float(np.exp(x[1])))
    return found


def fit_gpu(cases: Sequence[Case]) -> GpuCoefficients:
    """Shares of a GPU's peaks and times of its launches that explain these rows best.

    An offset for each table is fitted too and discarded.
    """
    observed = np.log([case.row.seconds for case in cases])
    work = work_arrays(cases)
    peaks = peak_arrays(cases)
    runtimes = [gpu_runtime(case.row.build) for case in cases]

    def model(x: Vector) -> Vector:
        k = _gpu_coefficients(np.exp(x))
        each = [interface(runtime, k) for runtime in runtimes]
        fields: Any = (np.array(field) for field in zip(*each, strict=True))
        logs: Vector = np.log(gpu_seconds(work, peaks, Interface(*fields), k))
        return logs

    tables = [(case.device.id, case.row.build, case.is_half) for case in cases]
    kinds = list(dict.fromkeys(tables))
    design = np.array([[float(table == kind) for kind in kinds] for table in tables])
    priors = _GPU_PRIORS.values()
    centre = np.append(np.log([value for value, _ in priors]), np.zeros(len(kinds)))
    first = np.append([spread for _, spread in priors], np.full(len(kinds), _TABLE_SPREAD))
    spread, x = first, centre
    for _ in range(_ROBUST_ROUNDS):
        x = fit_robust(
            model, observed, x, centre, spread, noise=_GPU_NOISE, knee=_GPU_KNEE, linear=design
        )
        # The weights of Student's t with three degrees of freedom: some tables were measured
        # on another processor than stated.
        offsets = np.append(np.zeros(len(priors)), x[len(priors) :] / _TABLE_SPREAD)
        spread = first * np.sqrt(np.where(offsets == 0, 1.0, (3 + offsets**2) / 4))
    return _gpu_coefficients(np.exp(x))


def _gpu_coefficients(values: Vector) -> GpuCoefficients:
    return GpuCoefficients(**nested_names(dict(zip(_GPU_PRIORS, values.tolist(), strict=False))))
