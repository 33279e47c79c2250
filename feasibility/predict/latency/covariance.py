"""What the errors of projections onto one device have in common.

The logarithm of measured over projected is a sum of parts, each normal around zero: of the
device, of the runtime on it, of several threads there, of every kind of work (as much as its
share of the time), of the mix of operators, and what is of one model alone. A measurement on
the device tells of the parts that it shares with another model there, and so much of its error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from feasibility.predict.latency.operator_mix import similarity


class Covariance(NamedTuple):
    """Variances of the logarithm of measured over projected.

    Attributes:
        device: Of everything that runs on the device.
        runtime: Of one runtime on it.
        threads: Of several threads with that runtime.
        kinds: Of the work of one kind, if all of the time were spent on it.
        threaded_kinds: The same with several threads.
        mix: Of models with the same mix of operators.
        model: Of one model.
    """

    device: float
    runtime: float
    threads: float
    kinds: float
    threaded_kinds: float
    mix: float
    model: float


class Run(NamedTuple):
    """What decides how alike two projections onto one device err.

    Attributes:
        runtime: Name of the runtime, with the arithmetic where it has kernels of its own.
        is_threaded: True for several threads.
        shares: Share of the projected time by what it is spent on.
        mix: The mix of operators as a point.
    """

    runtime: str
    is_threaded: bool
    shares: Mapping[str, float]
    mix: tuple[float, ...]


class Posterior(NamedTuple):
    """What measurements leave of an error: its mean and standard deviation."""

    mean: float
    deviation: float


def in_common(left: Run, right: Run) -> tuple[float, ...]:
    """How much of each part of `Covariance`, but the last, two runs on one device share."""
    if left.runtime != right.runtime:
        return (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    shares = sum(share * right.shares.get(name, 0.0) for name, share in left.shares.items())
    threaded = float(left.is_threaded and right.is_threaded)
    return (1.0, 1.0, threaded, shares, threaded * shares, similarity(left.mix, right.mix))


def covariance(left: Run, right: Run, k: Covariance) -> float:
    """Covariance of the errors of two different models on one device."""
    return sum(part * variance for part, variance in zip(in_common(left, right), k, strict=False))


def posterior(
    target: Run, measured: Sequence[Run], errors: Sequence[float], k: Covariance
) -> Posterior:
    """The error of one projection, given those of others onto the same device.

    Args:
        target: What is projected.
        measured: What was measured on the device, each another model or setting.
        errors: Logarithms of measured over projected, one for each.
        k: What errors have in common.
    """
    among = [
        [covariance(one, other, k) + (k.model if one is other else 0.0) for other in measured]
        for one in measured
    ]
    across = [covariance(target, one, k) for one in measured]
    return conditioned(among, across, covariance(target, target, k) + k.model, errors)


def conditioned(
    among: Sequence[Sequence[float]],
    across: Sequence[float],
    variance: float,
    errors: Sequence[float],
) -> Posterior:
    """Mean and deviation of a normal variable, given others that vary with it.

    Args:
        among: Covariance of those that are given, symmetric and positive definite.
        across: Covariance of the variable with each of them.
        variance: Variance of the variable.
        errors: What the others are.
    """
    weights = _solved(among, across)
    mean = sum(weight * error for weight, error in zip(weights, errors, strict=True))
    explained = sum(weight * value for weight, value in zip(weights, across, strict=True))
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
