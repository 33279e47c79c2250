"""Fits the coefficients of the CPU projection to published measurements.

A mixed model on the logarithm of the time: the formula of `predict.latency.cpu_formula`, plus
what one device, one device with several threads and one mix of operators have in common. The
first two are thrown away, so that no device is learned by heart; they only keep a device with
many rows from counting as many devices. The third is kept, as a smooth function of the mix: one
that always holds, and smaller ones for several threads, fp16 arithmetic, x86-64 and the age of
the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from feasibility.predict.calibration.robust_fit import fit_robust
from feasibility.predict.calibration.stacked_arrays import stacked_cores, stacked_work
from feasibility.predict.latency.coefficients import (
    CIRCUMSTANCES,
    REFERENCE_RUNTIME,
    WINOGRAD_RUNTIMES,
    Fit,
)
from feasibility.predict.latency.cpu_cores import FAMILIES
from feasibility.predict.latency.cpu_formula import Coefficients, cpu_seconds
from feasibility.predict.latency.operator_mix import mix_features, similarity
from feasibility.predict.validation.cases import Case, case_setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


class Spreads(NamedTuple):
    """Spreads of priors that were chosen by what they do to devices left out.

    `benchmarks/nested_choice.py` chooses them again without each device.

    Attributes:
        family: Of what one core family sustains, relative to the others.
        circumstance: Of what kernels for one mix of operators differ by under one of the
            circumstances other than always.
    """

    family: float
    circumstance: float


CHOSEN: Final = Spreads(family=0.15, circumstance=0.07)
# Prior of every coefficient: centre, and spread of its logarithm. Where rows say much the
# spread is wide; where they say little (few rows of a runtime) it pulls to the common value.
PRIORS: Final[Mapping[str, tuple[float, float]]] = {
    "efficiency.winograd": (1.6, 0.7),
    "efficiency.dense": (0.6, 0.5),
    "efficiency.pointwise": (0.7, 0.7),
    "efficiency.depthwise": (0.2, 0.7),
    "efficiency.grouped": (0.4, 0.7),
    "efficiency.vector": (0.3, 0.7),
    **{f"family_rate.{family}": (1.0, CHOSEN.family) for family in FAMILIES},
    "activation_operations": (2.0, 1.0),
    "transform_operations": (4.0, 1.0),
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
# By what kernels for one mix of operators always differ from those for another.
MIX_SPREAD: Final = 0.15
NOISE: Final = 0.12
KNEE: Final = 0.25
_ROBUST_ROUNDS: Final = 3
_MIX_NUGGET: Final = 0.05
# Where the Winograd ratio of runtimes without such kernels stands among the parameters.
_DIRECT: Final = len(PRIORS)


def calibrate(cases: Sequence[Case], spreads: Spreads = CHOSEN) -> Fit:
    """The coefficients that explain these rows best."""
    return _Problem(cases, spreads).solve()


class _Problem:
    """One mixed model over a set of rows, as arrays.

    The parameters are, in this order: logarithms of the coefficients; of the Winograd ratio of
    runtimes without such kernels; of that of every other runtime; and those that the logarithm
    of the time is linear in, which are columns of `design`.
    """

    def __init__(self, cases: Sequence[Case], spreads: Spreads) -> None:
        import numpy as np

        self.spreads = spreads
        others = len(CIRCUMSTANCES) - 1
        self.mix_spreads = np.array([MIX_SPREAD, *(spreads.circumstance,) * others])
        self.observed = np.log([case.row.seconds for case in cases])
        self.work = stacked_work(cases)
        self.cores = stacked_cores(cases)
        self.names = [case.row.runtime for case in cases]
        self.runtimes = tuple(sorted(set(self.names) - {REFERENCE_RUNTIME}))
        self.is_runtime = _incidence(self.names, self.runtimes)
        self.mixes = tuple(sorted({mix_features(case.work) for case in cases}))
        self.mix_root = np.linalg.cholesky(
            mix_kernel(self.mixes, self.mixes) + _MIX_NUGGET * np.eye(len(self.mixes))
        )
        self._lay_out(cases)

    def _lay_out(self, cases: Sequence[Case]) -> None:
        """Priors of all parameters, and the columns of the linear ones."""
        import numpy as np

        settings = [case_setting(case) for case in cases]
        is_mix = _incidence([mix_features(case.work) for case in cases], self.mixes)
        places = [(case.device.id, case.row.build) for case in cases]
        threaded = [
            place if case.threads > 1 else None for place, case in zip(places, cases, strict=True)
        ]
        kernels = is_mix @ self.mix_root
        circumstances = np.array([one.circumstances for one in settings])
        groups = [
            (np.array([[one.build_years] for one in settings]), YEAR_SPREAD),
            (self.is_runtime, RUNTIME_SPREAD),
            *(
                (spread * column[:, None] * kernels, 1.0)
                for spread, column in zip(self.mix_spreads, circumstances.T, strict=True)
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

    def solve(self) -> Fit:
        """The fit; offsets of devices far from the others count for less each round."""
        import numpy as np

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
        """Logarithms of the times that the formula gives, without the linear parameters."""
        import numpy as np

        k = coefficients_from(dict(zip(PRIORS, np.exp(x), strict=False)))
        winograd: Any = np.exp(self.is_runtime @ self._winograd(x))
        logs: Vector = np.log(cpu_seconds(self.work, self.cores, k, winograd_ratio=winograd))
        return logs

    def _winograd(self, x: Vector) -> Vector:
        """Logarithm of the Winograd ratio of every runtime but the reference."""
        import numpy as np

        own = x[_DIRECT + 1 : _DIRECT + 1 + len(self.runtimes)]
        has_kernels = [name in WINOGRAD_RUNTIMES for name in self.runtimes]
        return np.where(has_kernels, own, x[_DIRECT])

    def _fit(self, x: Vector) -> Fit:
        import numpy as np

        linear = x[len(x) - self.design.shape[1] :]
        time = np.exp(linear[1 : 1 + len(self.runtimes)])
        winograd = np.exp(self._winograd(x))
        mixes = linear[1 + len(self.runtimes) :][: len(CIRCUMSTANCES) * len(self.mixes)]
        parts = mixes.reshape(len(CIRCUMSTANCES), -1)
        corrections = self.mix_spreads[:, None] * (parts @ self.mix_root.T)
        weights = np.linalg.solve(self.mix_root @ self.mix_root.T, corrections.T)
        return Fit(
            coefficients=coefficients_from(dict(zip(PRIORS, np.exp(x).tolist(), strict=False))),
            time_ratio={
                REFERENCE_RUNTIME: 1.0,
                **dict(zip(self.runtimes, time.tolist(), strict=True)),
            },
            winograd_ratio={
                REFERENCE_RUNTIME: 1.0,
                **dict(zip(self.runtimes, winograd.tolist(), strict=True)),
            },
            row_counts={
                name: self.names.count(name) for name in (REFERENCE_RUNTIME, *self.runtimes)
            },
            yearly_ratio=float(np.exp(linear[0])),
            mixes=self.mixes,
            mix_weights={
                name: tuple(column.tolist())
                for name, column in zip(CIRCUMSTANCES, weights.T, strict=True)
            },
        )


def coefficients_from(values: Mapping[str, Any]) -> Coefficients:
    """Coefficients from their flat names, such as `efficiency.dense`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, _, member = name.partition(".")
        if member:
            nested.setdefault(group, {})[member] = value
        else:
            nested[group] = value
    # Shares are below one, which a logarithm alone would not keep.
    for name in ("bus_share", "even_share"):
        nested[name] = nested[name] / (1.0 + nested[name])
    return Coefficients(**nested)


def mix_kernel(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> Vector:
    """Similarity of every mix on the left with every one on the right."""
    import numpy as np

    return np.array([[similarity(one, other) for other in right] for one in left])


def _incidence(keys: Sequence[object], columns: Sequence[object]) -> Vector:
    """1 where the key of a row is that of a column, else 0."""
    import numpy as np

    return np.array([[float(key == column) for column in columns] for key in keys]).reshape(
        len(keys), len(columns)
    )
