"""Which coefficients of the CPU formula explain the published rows best?

A mixed model of the logarithm of the time: the formula of `predict.latency.cpu_formula`, plus an
offset for each device, for each device with several threads, and for each model. The offsets of
devices only keep a device with many rows from counting as many devices; they are discarded. The
offsets of models are kept: a model is corrected by similar models, always, and further for
several threads, for fp16 and for the age of the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from calibration.case_arrays import core_arrays, work_arrays
from calibration.robust_fit import Vector, fit_robust
from feasibility.catalogue.cores import FAMILIES
from feasibility.predict.latency.coefficients import (
    CIRCUMSTANCES,
    REFERENCE_RUNTIME,
    WINOGRAD_RUNTIMES,
    CpuFit,
    RuntimeRatios,
)
from feasibility.predict.latency.cpu_formula import CpuCoefficients, cpu_seconds
from feasibility.predict.latency.error_covariance import operator_point, similarity
from feasibility.predict.validation.cases import Case


class Spreads(NamedTuple):
    """Spreads of priors that were chosen by the error on devices left out.

    `calibration/nested_choice.py` chooses them again without each device.

    Attributes:
        family: Of the rate of a core family relative to the others.
        circumstance: Of a model's correction under each circumstance other than `always`.
    """

    family: float
    circumstance: float


CHOSEN: Final = Spreads(family=0.15, circumstance=0.07)
# Prior of every coefficient: centre, and spread of its logarithm. The spread is wide if many rows
# determine the coefficient, and narrow if few do (runtimes with few rows).
PRIORS: Final[Mapping[str, tuple[float, float]]] = {
    "efficiency.winograd": (1.6, 0.7),
    "efficiency.dense": (0.6, 0.5),
    "efficiency.pointwise": (0.7, 0.7),
    "efficiency.depthwise": (0.2, 0.7),
    "efficiency.grouped": (0.4, 0.7),
    "efficiency.vector": (0.3, 0.7),
    **{f"family_rate.{family}": (1.0, CHOSEN.family) for family in FAMILIES},
    "activation_operations": (2.0, 1.0),
    "bus_share": (0.6, 0.5),
    "weight_reads": (1.0, 0.7),
    "vector_weight_reads": (1.0, 0.5),
    "layer_cycles": (5000.0, 1.0),
    "thread_cycles": (5000.0, 1.0),
    "even_share": (0.5, 1.0),
    "thread_room": (10.0, 1.0),
    "computer_room": (2.0, 0.7),
    "half_gain": (1.7, 0.2),
}
DIRECT_WINOGRAD_RATIO: Final = (0.4, 0.3)
YEAR_SPREAD: Final = 0.1
RUNTIME_SPREAD: Final = 0.2
WINOGRAD_SPREAD: Final = 0.3
DEVICE_SPREAD: Final = 0.2
MODEL_SPREAD: Final = 0.15
NOISE: Final = 0.12
KNEE: Final = 0.25
_ROBUST_ROUNDS: Final = 3
_SAME_MODEL: Final = 0.05
# Position of the Winograd ratio of runtimes without such kernels among the parameters.
_DIRECT: Final = len(PRIORS)


def fit_cpu(cases: Sequence[Case], spreads: Spreads = CHOSEN) -> CpuFit:
    """The coefficients that explain these rows best."""
    return _Problem(cases, spreads).solve()


class _Problem:
    """One mixed model of a set of rows, as arrays.

    The parameters are, in this order: logarithms of the coefficients, of the Winograd ratio of
    runtimes without such kernels, and of that of every other runtime; then the parameters that
    the logarithm of the time is linear in, one for each column of `design`.
    """

    def __init__(self, cases: Sequence[Case], spreads: Spreads) -> None:
        self.spreads = spreads
        others = len(CIRCUMSTANCES) - 1
        self.model_spreads = np.array([MODEL_SPREAD, *(spreads.circumstance,) * others])
        self.observed = np.log([case.row.seconds for case in cases])
        self.work = work_arrays(cases)
        self.cores = core_arrays(cases)
        self.names = [case.row.runtime for case in cases]
        self.runtimes = tuple(sorted(set(self.names) - {REFERENCE_RUNTIME}))
        self.is_runtime = _incidence(self.names, self.runtimes)
        self.points = tuple(sorted({operator_point(case.work) for case in cases}))
        self.point_root = np.linalg.cholesky(
            _similarities(self.points, self.points) + _SAME_MODEL * np.eye(len(self.points))
        )
        self._lay_out(cases)

    def _lay_out(self, cases: Sequence[Case]) -> None:
        """Priors of all parameters, and the columns of the linear ones."""
        settings = [case.setting for case in cases]
        is_model = _incidence([operator_point(case.work) for case in cases], self.points)
        places = [(case.device.id, case.row.build) for case in cases]
        threaded = [
            place if case.threads > 1 else None for place, case in zip(places, cases, strict=True)
        ]
        kernels = is_model @ self.point_root
        circumstances = np.array([one.circumstances for one in settings])
        groups = [
            (np.array([[one.build_years] for one in settings]), YEAR_SPREAD),
            (self.is_runtime, RUNTIME_SPREAD),
            *(
                (spread * column[:, None] * kernels, 1.0)
                for spread, column in zip(self.model_spreads, circumstances.T, strict=True)
            ),
            (_incidence(places, list(dict.fromkeys(places))), DEVICE_SPREAD),
            (_incidence(threaded, [one for one in dict.fromkeys(threaded) if one]), DEVICE_SPREAD),
        ]
        bent = [
            *(
                (centre, self.spreads.family if name.startswith("family_rate.") else spread)
                for name, (centre, spread) in PRIORS.items()
            ),
            DIRECT_WINOGRAD_RATIO,
            *((1.0, WINOGRAD_SPREAD),) * len(self.runtimes),
        ]
        self.design = np.hstack([columns for columns, _ in groups])
        self.centre = np.append(
            np.log([centre for centre, _ in bent]), np.zeros(self.design.shape[1])
        )
        self.spread = np.concatenate(
            [
                [spread for _, spread in bent],
                *(np.full(columns.shape[1], spread) for columns, spread in groups),
            ]
        )
        self.place_count = sum(columns.shape[1] for columns, _ in groups[-2:])

    def solve(self) -> CpuFit:
        """The fit; devices with unusual offsets count less in each round."""
        spread, x = self.spread.copy(), self.centre
        for _ in range(_ROBUST_ROUNDS):
            x = fit_robust(
                self._predict, self.observed, x, self.centre, spread,
                noise=NOISE, knee=KNEE, linear=self.design,
            )  # fmt: skip
            # The weights of Student's t with three degrees of freedom.
            offsets = x[-self.place_count :] / DEVICE_SPREAD
            spread[-self.place_count :] = DEVICE_SPREAD * np.sqrt((3 + offsets**2) / 4)
        return self._fit(x)

    def _predict(self, x: Vector) -> Vector:
        """Logarithms of the formula's times, without the linear parameters."""
        k = coefficients_from(dict(zip(PRIORS, np.exp(x), strict=False)))
        winograd: Any = np.exp(self.is_runtime @ self._winograd(x))
        logs: Vector = np.log(cpu_seconds(self.work, self.cores, k, winograd_ratio=winograd))
        return logs

    def _winograd(self, x: Vector) -> Vector:
        """Logarithm of the Winograd ratio of every runtime except the reference."""
        own = x[_DIRECT + 1 : _DIRECT + 1 + len(self.runtimes)]
        has_kernels = [name in WINOGRAD_RUNTIMES for name in self.runtimes]
        return np.where(has_kernels, own, x[_DIRECT])

    def _fit(self, x: Vector) -> CpuFit:
        linear = x[len(x) - self.design.shape[1] :]
        runtime_count = len(self.runtimes)
        times = np.exp(linear[1 : 1 + runtime_count]).tolist()
        winograd = np.exp(self._winograd(x)).tolist()
        parts = linear[1 + runtime_count :][: len(CIRCUMSTANCES) * len(self.points)]
        corrections = self.model_spreads[:, None] * (
            parts.reshape(len(CIRCUMSTANCES), -1) @ self.point_root.T
        )
        weights = np.linalg.solve(self.point_root @ self.point_root.T, corrections.T)
        names = (REFERENCE_RUNTIME, *self.runtimes)
        return CpuFit(
            formula=coefficients_from(dict(zip(PRIORS, np.exp(x).tolist(), strict=False))),
            runtimes={
                name: RuntimeRatios(time, ratio, self.names.count(name))
                for name, time, ratio in zip(names, (1.0, *times), (1.0, *winograd), strict=True)
            },
            yearly_ratio=float(np.exp(linear[0])),
            points=self.points,
            weights={
                name: tuple(column.tolist())
                for name, column in zip(CIRCUMSTANCES, weights.T, strict=True)
            },
        )


def nested_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with names such as `efficiency.dense` gathered in one table for each group."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, _, member = name.partition(".")
        if member:
            nested.setdefault(group, {})[member] = value
        else:
            nested[group] = value
    return nested


def coefficients_from(values: Mapping[str, Any]) -> CpuCoefficients:
    """Coefficients from their flat names, such as `efficiency.dense`."""
    nested: dict[str, Any] = nested_names(values)
    # Shares stay below one.
    for name in ("bus_share", "even_share"):
        nested[name] = nested[name] / (1.0 + nested[name])
    return CpuCoefficients(**nested)


def _similarities(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> Vector:
    """Similarity of every point on the left to every point on the right."""
    return np.array([[similarity(one, other) for other in right] for one in left])


def _incidence(keys: Sequence[object], columns: Sequence[object]) -> Vector:
    """1 where the key of a row is that of a column, else 0."""
    return np.array([[float(key == column) for column in columns] for key in keys]).reshape(
        len(keys), len(columns)
    )
