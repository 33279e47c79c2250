"""Fits the coefficients of the CPU projection to published measurements.

A mixed model on the logarithm of the time: the formula of `feasibility.project.cpu`, plus
what one device, one device with several threads and one mix of operators have in common. The
first two are thrown away, so that no device is learned by heart; they only keep a device with
many rows from counting as many devices. The third is kept as a smooth function of the mix.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from feasibility.project.cases import Case
from feasibility.project.cpu import Coefficients, Cores, Work, cpu_seconds
from feasibility.project.fitted import WINOGRAD_RUNTIMES, Fit
from feasibility.project.machine import FAMILIES, used_cores
from feasibility.project.mix import mix_features, similarity
from feasibility.project.numeric import fit_robust

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

REFERENCE_RUNTIME: Final = "ncnn"

# Prior of every coefficient: centre, and spread of its logarithm. Where rows say much the
# spread is wide; where they say little (few rows of a runtime) it pulls to the common value.
PRIORS: Final[Mapping[str, tuple[float, float]]] = {
    "efficiency.winograd": (1.6, 0.7),
    "efficiency.dense": (0.6, 0.5),
    "efficiency.pointwise": (0.7, 0.7),
    "efficiency.depthwise": (0.2, 0.7),
    "efficiency.grouped": (0.4, 0.7),
    "efficiency.vector": (0.3, 0.7),
    **{f"family_rate.{family}": (1.0, 0.3) for family in FAMILIES},
    "activation_operations": (2.0, 1.0),
    "transform_operations": (4.0, 1.0),
    "bus_share": (0.6, 0.5),
    "weight_reads": (1.0, 0.7),
    "vector_weight_reads": (1.0, 0.5),
    "layer_cycles": (5000.0, 1.0),
    "thread_cycles": (5000.0, 1.0),
    "thread_room": (10.0, 1.0),
    "computer_room": (2.0, 0.7),
    "half_gain": (1.7, 0.2),
}
DIRECT_WINOGRAD_RATIO: Final = (0.4, 0.3)
RUNTIME_SPREAD: Final = 0.3
DEVICE_SPREAD: Final = 0.2
MIX_SPREAD: Final = 0.15
NOISE: Final = 0.12
KNEE: Final = 0.25
_ROBUST_ROUNDS: Final = 3
_MIX_NUGGET: Final = 0.05


def calibrate(cases: Sequence[Case]) -> Fit:
    """The coefficients that explain these rows best."""
    return _Problem(cases).solve()


class _Problem:
    """One mixed model over a set of rows, as arrays."""

    def __init__(self, cases: Sequence[Case]) -> None:
        import numpy as np

        self.observed = np.log([case.row.seconds for case in cases])
        self.work = stacked_work(cases)
        self.cores = stacked_cores(cases)
        runtimes = sorted({case.row.runtime for case in cases} - {REFERENCE_RUNTIME})
        self.runtimes = tuple(runtimes)
        self.runtime_rows = {
            name: np.array([case.row.runtime == name for case in cases], dtype=float)
            for name in runtimes
        }
        self.reference_rows = np.array([case.row.runtime == REFERENCE_RUNTIME for case in cases])
        mixes = sorted({mix_features(case.work) for case in cases})
        self.mixes = tuple(mixes)
        self.mix_index = np.array([mixes.index(mix_features(case.work)) for case in cases])
        self.mix_root = np.linalg.cholesky(
            mix_kernel(mixes, mixes) + _MIX_NUGGET * np.eye(len(mixes))
        )
        places = [(case.device.id, case.row.build) for case in cases]
        self.place_index = _indices(places)
        self.threaded_index = _indices(
            [place if case.threads > 1 else None for place, case in zip(places, cases, strict=True)]
        )
        self._lay_out()

    def _lay_out(self) -> None:
        """Where each group of parameters lies in the vector, with its priors."""
        import numpy as np

        centres = [np.log(centre) for centre, _ in PRIORS.values()]
        spreads = [spread for _, spread in PRIORS.values()]
        centres.append(np.log(DIRECT_WINOGRAD_RATIO[0]))
        spreads.append(DIRECT_WINOGRAD_RATIO[1])
        shared = len(centres)
        places = int(self.place_index.max()) + 1
        threaded = int(self.threaded_index.max()) + 1
        counts = (len(self.runtimes), len(self.runtimes), len(self.mixes), places, threaded)
        ends = np.cumsum((shared, *counts))
        slices = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.time_part, self.winograd_part, self.mix_part, self.place_part, self.threaded_part = (
            slices
        )
        for count, spread in zip(
            counts, (RUNTIME_SPREAD, RUNTIME_SPREAD, 1.0, DEVICE_SPREAD, DEVICE_SPREAD), strict=True
        ):
            centres += [0.0] * count
            spreads += [spread] * count
        self.centre, self.spread = np.array(centres), np.array(spreads)

    def solve(self) -> Fit:
        """The fit; offsets of devices far from the others count for less each round."""
        import numpy as np

        spread, x = self.spread.copy(), self.centre
        for _ in range(_ROBUST_ROUNDS):
            x = fit_robust(
                self._predict, self.observed, x, self.centre, spread, noise=NOISE, knee=KNEE
            )
            for part in (self.place_part, self.threaded_part):
                # The weights of Student's t with three degrees of freedom.
                spread[part] = DEVICE_SPREAD * np.sqrt((3 + (x[part] / DEVICE_SPREAD) ** 2) / 4)
        return self._fit(x)

    def _predict(self, x: Vector) -> Vector:
        import numpy as np

        threaded = np.append(x[self.threaded_part], 0.0)
        logs: Vector = (
            np.log(
                cpu_seconds(
                    self.work, self.cores, self._coefficients(x), winograd_ratio=self._winograd(x)
                )
            )
            + sum(
                rows * value
                for rows, value in zip(self.runtime_rows.values(), x[self.time_part], strict=True)
            )
            + (MIX_SPREAD * self.mix_root @ x[self.mix_part])[self.mix_index]
            + x[self.place_part][self.place_index]
            + threaded[self.threaded_index]
        )
        return logs

    def _winograd(self, x: Vector) -> Any:
        import numpy as np

        logs: Any = 0.0
        for name, value in zip(self.runtimes, x[self.winograd_part], strict=True):
            own = value if name in WINOGRAD_RUNTIMES else x[len(PRIORS)] + 0.0 * value
            logs = logs + self.runtime_rows[name] * own
        return np.exp(logs)

    def _coefficients(self, x: Vector) -> Coefficients:
        import numpy as np

        return coefficients_from(dict(zip(PRIORS, np.exp(x[: len(PRIORS)]), strict=True)))

    def _fit(self, x: Vector) -> Fit:
        import numpy as np

        values = {name: float(np.exp(value)) for name, value in zip(PRIORS, x, strict=False)}
        direct = float(np.exp(x[len(PRIORS)]))
        winograd = {
            name: float(np.exp(value)) if name in WINOGRAD_RUNTIMES else direct
            for name, value in zip(self.runtimes, x[self.winograd_part], strict=True)
        }
        time = {
            name: float(np.exp(value))
            for name, value in zip(self.runtimes, x[self.time_part], strict=True)
        }
        correction = MIX_SPREAD * self.mix_root @ x[self.mix_part]
        weights = np.linalg.solve(self.mix_root @ self.mix_root.T, correction)
        return Fit(
            coefficients=coefficients_from(values),
            time_ratio={REFERENCE_RUNTIME: 1.0, **time},
            winograd_ratio={REFERENCE_RUNTIME: 1.0, **winograd},
            row_counts={
                name: int(rows.sum())
                for name, rows in {
                    REFERENCE_RUNTIME: self.reference_rows,
                    **self.runtime_rows,
                }.items()
            },
            mixes=self.mixes,
            mix_weights=tuple(float(weight) for weight in weights),
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
    # The share of a bus is below one, which a logarithm alone would not keep.
    nested["bus_share"] = nested["bus_share"] / (1.0 + nested["bus_share"])
    return Coefficients(**nested)


def stacked_work(cases: Sequence[Case]) -> Work:
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
        if name not in ("lead", "used")
    }
    for name in ("lead", "used"):
        fields[name] = {
            family: np.array([getattr(one, name).get(family, 0.0) for one in cores])
            for family in FAMILIES
        }
    return Cores(**fields)


def mix_kernel(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> Vector:
    """Similarity of every mix on the left with every one on the right."""
    import numpy as np

    return np.array([[similarity(one, other) for other in right] for one in left])


def _indices(keys: Sequence[object]) -> Any:
    """Number of each key among the distinct ones; -1 for None."""
    import numpy as np

    known = sorted({key for key in keys if key is not None}, key=str)
    return np.array([-1 if key is None else known.index(key) for key in keys])
