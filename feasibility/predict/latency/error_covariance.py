"""How similar are the errors of two projections onto one device?

The logarithm of measured over projected is a sum of parts. Each is normally distributed around
zero: one of the device, of the runtime on it, of several threads there, of models with similar
operators, and of one model alone. A time measured on the device shows the parts that it shares
with other models there.

A model is a point: its shares of each kind of work, and its activations, layers and weights per
operation. Models with similar operators are near each other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from feasibility.predict.latency.cpu_formula import FITTED_KINDS, Work

# Two architectures are about one unit apart.
_SHARE_UNIT: Final = 0.25
_LENGTH: Final = 1.0


class Covariance(Struct, frozen=True):
    """Variances of the logarithm of measured over projected.

    Attributes:
        device: Of everything that runs on the device.
        runtime: Of one runtime on it.
        threads: Of several threads with that runtime.
        operators: Of models with similar operators.
        model: Of one model.
    """

    device: float
    runtime: float
    threads: float
    operators: float
    model: float


class Run(NamedTuple):
    """What decides how similar the error of a projection is to that of another one.

    Attributes:
        runtime: Name of the runtime, with the arithmetic if it has its own kernels for it.
        point: The operators of the model, from `operator_point`.
    """

    runtime: str
    is_threaded: bool
    point: tuple[float, ...]


def operator_point(work: Work) -> tuple[float, ...]:
    """The model as a point."""
    total = work.total
    shares = (work.operations.get(kind, 0.0) / total / _SHARE_UNIT for kind in FITTED_KINDS)
    ratios = (
        work.activation_count / total,
        work.layer_count / total * 1e6,
        work.weight_count / total,
    )
    return (
        *(round(share, 4) for share in shares),
        *(round(math.log(max(ratio, 1e-6)), 4) for ratio in ratios),
    )


def similarity(left: Sequence[float], right: Sequence[float]) -> float:
    """Similarity of two points: 1 for the same, near 0 for distant ones."""
    distance = sum((a - b) ** 2 for a, b in zip(left, right, strict=True))
    return math.exp(-distance / (2 * _LENGTH**2))


@functools.lru_cache(maxsize=64)
def similarities(
    point: tuple[float, ...], others: tuple[tuple[float, ...], ...]
) -> tuple[float, ...]:
    """Similarity to each of the others; cached, because one model meets many devices."""
    return tuple(similarity(point, other) for other in others)


class Posterior(NamedTuple):
    """An error, given measurements: its mean and standard deviation."""

    mean: float
    deviation: float


def in_common(left: Run, right: Run) -> tuple[float, ...]:
    """How much of each part of `Covariance`, except the last, two runs on one device share."""
    if left.runtime != right.runtime:
        return (1.0, 0.0, 0.0, 0.0)
    threaded = float(left.is_threaded and right.is_threaded)
    return (1.0, 1.0, threaded, similarity(left.point, right.point))


def covariance(left: Run, right: Run, k: Covariance) -> float:
    """Covariance of the errors of two different models on one device."""
    variances: tuple[float, ...] = astuple(k)
    parts = zip(in_common(left, right), variances, strict=False)
    return sum(part * variance for part, variance in parts)


def posterior(
    target: Run, measured: Sequence[Run], errors: Sequence[float], k: Covariance
) -> Posterior:
    """The error of one projection, given the errors of others onto the same device.

    `errors` are logarithms of measured over projected, one for each of `measured`.
    """
    among = [
        [covariance(one, other, k) + (k.model if row == column else 0.0)
         for column, other in enumerate(measured)]
        for row, one in enumerate(measured)
    ]  # fmt: skip
    across = [covariance(target, one, k) for one in measured]
    weights = _solved(among, across)
    mean = sum(weight * error for weight, error in zip(weights, errors, strict=True))
    explained = sum(weight * value for weight, value in zip(weights, across, strict=True))
    variance = covariance(target, target, k) + k.model
    return Posterior(mean, math.sqrt(max(0.0, variance - explained)))


def _solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solution of a positive definite system of a few equations, by elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot, row in enumerate(rows):
        for other in rows[pivot + 1 :]:
            factor = other[pivot] / row[pivot]
            for column in range(pivot, len(row)):
                other[column] -= factor * row[column]
    found = [0.0] * len(rows)
    for index in reversed(range(len(rows))):
        row = rows[index]
        rest = sum(row[column] * found[column] for column in range(index + 1, len(rows)))
        found[index] = (row[-1] - rest) / row[index]
    return found
