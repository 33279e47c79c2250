"""Which coefficients of the CPU formula explain the published rows best?

A mixed model of the logarithm of the time: the formula of `predict.latency.cpu_formula`, plus an
offset for each device with one build of a runtime, for the same with several threads, and for each
model. With its offset, a device with many rows does not count as many devices; these offsets are
discarded. The offsets of models are kept, because similar models have similar offsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from calibration.case_arrays import core_arrays, incidence, work_arrays
from calibration.named_parameters import as_coefficients, as_numbers
from calibration.robust_fit import Vector, fit_robust
from feasibility.catalogue.cores import FAMILIES
from feasibility.predict.latency.coefficients import (
    CIRCUMSTANCES,
    CpuFit,
    build_years,
    circumstances,
)
from feasibility.predict.latency.cpu_formula import FITTED_KINDS, CpuCoefficients, cpu_seconds
from feasibility.predict.latency.error_covariance import operator_point, similarity
from feasibility.predict.validation.cases import Case


class Spreads(NamedTuple):
    """Spreads of priors, chosen by the error on held-out devices.

    `calibration/nested_choice.py` chooses them again without each group of chips.

    Attributes:
        family: Of the rate of a core family relative to the others.
        runtime: Of the rates of a runtime on each kind of work.
        circumstance: Of a model's correction under each circumstance other than `always`.
    """

    family: float
    runtime: float
    circumstance: float


CHOSEN: Final = Spreads(family=0.15, runtime=0.3, circumstance=0.07)
# Prior of every coefficient: centre, and spread of its logarithm.
PRIORS: Final[Mapping[str, tuple[float, float]]] = {
    "efficiency.winograd": (1.6, 0.7),
    "efficiency.direct": (0.7, 0.5),
    "efficiency.dense": (0.6, 0.5),
    "efficiency.pointwise": (0.7, 0.7),
    "efficiency.depthwise": (0.2, 0.7),
    "efficiency.grouped": (0.4, 0.7),
    "efficiency.vector": (0.3, 0.7),
    "efficiency.matmul": (0.7, 0.5),
    **{f"family_rate.{family}": (1.0, CHOSEN.family) for family in FAMILIES},
    "activation_operations": (5.0, 1.0),
    "bus_share": (0.6, 0.5),
    "layer_cycles": (5000.0, 1.0),
    "thread_cycles": (5000.0, 1.0),
    "thread_room": (10.0, 1.0),
    "computer_room": (1.4, 0.25),
    "half_gain": (1.7, 0.2),
    "yearly_ratio": (1.0, 0.1),
}
# Rates of a runtime relative to a typical one: of everything, and by kind of work.
RUNTIME_RATES: Final = (
    "whole", "winograd", "direct", "dense", "pointwise", "depthwise", "grouped", "matmul",
    "activation", "dispatch",
)  # fmt: skip
_FIXED: Final = 1e-6
# Parts of the formula that can be left out, and the values of their coefficients without them.
# A name that ends with a dot means all coefficients whose names begin with it.
PARTS: Final[Mapping[str, Mapping[str, float]]] = {
    "core families": {"family_rate.": 1.0},
    "runtime rates": {f"{kind}.": 1.0 for kind in RUNTIME_RATES[1:]},
    "activations": {"activation_operations": 1e-3},
    "dispatch": {"layer_cycles": 1e-3, "thread_cycles": 1e-3},
    "thread dispatch": {"thread_cycles": 1e-3},
    "thread room": {"thread_room": 1e9},
    "computer room": {"computer_room": 1.0},
    "build age": {"yearly_ratio": 1.0},
    "similar models": {f"correction.{name}": _FIXED for name in CIRCUMSTANCES},
    "circumstances": {f"correction.{name}": _FIXED for name in CIRCUMSTANCES[1:]},
}
DEVICE_SPREAD: Final = 0.2
MODEL_SPREAD: Final = 0.15
NOISE: Final = 0.12
KNEE: Final = 0.25
_SAME_MODEL: Final = 0.05
_ROBUST_ROUNDS: Final = 3


def fit_cpu(cases: Sequence[Case], without: str = "", spreads: Spreads = CHOSEN) -> CpuFit:
    """The coefficients that explain these rows best, without one of `PARTS` if it is named."""
    return _Problem(cases, PARTS[without] if without else {}, spreads).solve()


class _Problem:
    """One mixed model of a set of rows, as arrays."""

    def __init__(self, cases: Sequence[Case], fixed: Mapping[str, float], spreads: Spreads) -> None:
        self.names = [case.row.runtime for case in cases]
        self.runtimes = tuple(sorted(set(self.names)))
        self.runtime_chips = Counter(name for name, _ in {(c.row.runtime, c.chip) for c in cases})
        self.observed = np.log([case.row.seconds for case in cases])
        self.work = work_arrays(cases)
        self.cores = core_arrays(cases)
        self.is_runtime = incidence(self.names, self.runtimes)
        # If no row of the runtime has a kind of work, the rate for this kind stays at 1.
        everywhere = np.ones(len(cases))
        self.rates = [
            (kind, runtime)
            for kind in RUNTIME_RATES
            for runtime, column in zip(self.runtimes, self.is_runtime.T, strict=True)
            if column @ self.work.operations.get(kind, everywhere * (kind not in FITTED_KINDS))
        ]
        self.priors = {
            name: (centre, spreads.family if name.startswith("family_rate.") else spread)
            for name, (centre, spread) in PRIORS.items()
        } | {f"{kind}.{runtime}": (1.0, spreads.runtime) for kind, runtime in self.rates}
        for start, value in fixed.items():
            for name in self.priors:
                if name == start or (start.endswith(".") and name.startswith(start)):
                    self.priors[name] = (value, _FIXED)
        self.years = np.array([build_years(case.row.runtime, case.year) for case in cases])
        self.model_spreads = np.array(
            [
                fixed.get(f"correction.{name}", usual)
                for name, usual in zip(
                    CIRCUMSTANCES, (MODEL_SPREAD, *(spreads.circumstance,) * 3), strict=True
                )
            ]
        )
        self._lay_out_models(cases)
        places = [(case.device.id, case.row.build) for case in cases]
        threaded = [place for place, case in zip(places, cases, strict=True) if case.threads > 1]
        is_threaded = np.array([[float(case.threads > 1)] for case in cases])
        self.offsets = np.hstack(
            (
                incidence(places, list(dict.fromkeys(places))),
                incidence(places, list(dict.fromkeys(threaded))) * is_threaded,
            )
        )

    def _lay_out_models(self, cases: Sequence[Case]) -> None:
        """Columns for the corrections by models, with a spread of 1 each."""
        amounts = [
            circumstances(case.row.runtime, case.threads, is_half=half > 0, year=case.year)
            for case, half in zip(cases, self.cores.is_half, strict=True)
        ]
        own = [operator_point(case.work) for case in cases]
        corrected = sorted({one for one, each in zip(own, amounts, strict=True) if any(each)})
        self.points = (*corrected, *sorted(set(own) - set(corrected)))
        is_model = incidence(own, corrected)
        alike = np.array([[similarity(one, two) for two in corrected] for one in corrected])
        self.root = np.linalg.cholesky(alike + _SAME_MODEL * np.eye(len(corrected)))
        weighted = self.model_spreads * np.array(amounts)
        self.models = np.hstack([(is_model @ self.root) * column[:, None] for column in weighted.T])

    def solve(self) -> CpuFit:
        """The fit; devices with unusual offsets count less in each round."""
        centre, spread = np.array(list(self.priors.values())).T
        width = np.full(self.offsets.shape[1], DEVICE_SPREAD)
        kept = len(centre) + self.models.shape[1]
        middle = np.append(np.log(centre), np.zeros(self.models.shape[1] + len(width)))
        spread = np.append(spread, np.ones(self.models.shape[1]))
        x = middle
        for _ in range(_ROBUST_ROUNDS):
            x = fit_robust(
                self._predict, self.observed, x, middle, np.append(spread, width),
                noise=NOISE, knee=KNEE, linear=np.hstack((self.models, self.offsets)),
            )  # fmt: skip
            # The weights of Student's t with three degrees of freedom.
            width = DEVICE_SPREAD * np.sqrt((3 + (x[kept:] / DEVICE_SPREAD) ** 2) / 4)
        return self._fit(x[: len(centre)], x[len(centre) : kept])

    def _predict(self, x: Vector) -> Vector:
        """Logarithms of the formula's times, for one set of parameters or one in each row."""
        values = as_coefficients(PRIORS, x)
        of_runtimes = self._of_runtimes(x) @ self.is_runtime.T
        ratios = dict(zip(RUNTIME_RATES, np.exp(of_runtimes), strict=True))
        seconds = cpu_seconds(self.work, self.cores, formula_of(values), ratios)
        logs: Vector = np.log(seconds / ratios["whole"])
        return logs + self.years * np.log(values["yearly_ratio"])

    def _of_runtimes(self, x: Vector) -> Vector:
        """Logarithms of the rates of runtimes: by kind; by runtime along the last axis."""
        found = np.zeros((len(RUNTIME_RATES), *x.shape[:-1], len(self.runtimes)))
        for index, (kind, runtime) in enumerate(self.rates, start=len(PRIORS)):
            found[RUNTIME_RATES.index(kind), ..., self.runtimes.index(runtime)] = x[..., index]
        return found

    def _fit(self, x: Vector, models: Vector) -> CpuFit:
        values = as_numbers(as_coefficients(PRIORS, x))
        parts = models.reshape(len(CIRCUMSTANCES), -1)
        weights = np.linalg.solve(self.root.T, (self.model_spreads[:, None] * parts).T)
        return CpuFit(
            formula=formula_of(values),
            runtimes={
                name: {
                    kind: float(np.exp(x[index]))
                    for index, (kind, runtime) in enumerate(self.rates, start=len(PRIORS))
                    if runtime == name
                }
                for name in self.runtimes
            },
            runtime_chips={name: self.runtime_chips[name] for name in self.runtimes},
            yearly_ratio=values["yearly_ratio"],
            points=self.points,
            weights={
                name: tuple(column.tolist())
                for name, column in zip(CIRCUMSTANCES, weights.T, strict=True)
            },
        )


def formula_of(values: Mapping[str, Any]) -> CpuCoefficients:
    """The coefficients of the formula among all that were fitted."""
    nested = {name: values[name] for name in CpuCoefficients.__struct_fields__}
    # A share stays below one.
    nested["bus_share"] = nested["bus_share"] / (1.0 + nested["bus_share"])
    return CpuCoefficients(**nested)
