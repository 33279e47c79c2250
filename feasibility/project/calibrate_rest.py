"""Fits what rests on few rows: int8 relative to fp32, and GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from feasibility.project.cases import Case, GpuCase, case_seconds
from feasibility.project.fitted import Fit, GpuCoefficients, Int8
from feasibility.project.formulas import integer_unit
from feasibility.project.numeric import fit_robust

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

INTEGER_UNITS: Final = ("none", "dotprod", "vnni")
GPU_RUNTIMES: Final = ("cuda", "tensorrt", "vulkan")
_NOISE: Final = 0.3
_KNEE: Final = 0.5
_INT8_SPREAD: Final = 0.5
_GPU_START: Final = (0.4, 0.25, 0.6, *([1.0] * len(GPU_RUNTIMES)))
_GPU_SPREAD: Final = (0.7, 0.7, 0.4, *([0.7] * len(GPU_RUNTIMES)))


def fit_int8(cases: Sequence[Case], fit: Fit) -> Mapping[str, Int8]:
    """How much longer int8 takes than fp32, by the core's integer unit.

    int8 saves arithmetic and loses Winograd kernels, so the ratio depends on their share.
    """
    import numpy as np

    float_log = np.log([case_seconds(case, fit) for case in cases])
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


def fit_gpu(cases: Sequence[GpuCase]) -> GpuCoefficients:
    """Shares of a GPU's peaks and launches per layer that explain these rows best."""
    import numpy as np

    observed = np.log([case.row.seconds for case in cases])

    def model(x: Vector) -> Vector:
        k = _gpu_coefficients(np.exp(x))
        return np.log([case.seconds(k) for case in cases])

    start = np.log(_GPU_START)
    spread = np.array(_GPU_SPREAD)
    return _gpu_coefficients(
        np.exp(fit_robust(model, observed, start, start, spread, noise=_NOISE, knee=_KNEE))
    )


def _gpu_coefficients(values: Vector) -> GpuCoefficients:
    launches = {name: float(v) for name, v in zip(GPU_RUNTIMES, values[3:], strict=True)}
    return GpuCoefficients(float(values[0]), float(values[1]), float(values[2]), launches)
