"""Which parameters minimise Huber's loss of the residuals plus normal priors?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]

_STEP: Final = 1e-4
_MOST_ROUNDS: Final = 60
# Steps end when they lower the cost by less than this. The cost is a negative log probability.
_LEAST_GAIN: Final = 0.003
_SMALLEST_STEP: Final = 1e-6


def fit_robust(
    model: Callable[[Vector], Vector],
    observed: Vector,
    start: Vector,
    centre: Vector,
    spread: Vector,
    *,
    noise: float,
    knee: float,
    linear: Vector | None = None,
) -> Vector:
    """The parameters of least cost, by Gauss-Newton steps with step halving.

    Args:
        model: Predictions from the parameters that are not linear. Takes one vector, or a matrix
            with one vector in each row; then the result has one row for each.
        observed: The observations.
        start: Start of the search.
        centre: Means of the priors.
        spread: Standard deviations of the priors.
        noise: Standard deviation of one observation.
        knee: Residual from which the loss grows linearly.
        linear: Effect of each of the last parameters on every prediction, one column each; None
            without such parameters.
    """
    design = np.zeros((len(observed), 0)) if linear is None else linear
    bent_count = len(start) - design.shape[1]

    def residual(x: Vector) -> Vector:
        found: Vector = observed - model(x[:bent_count]) - design @ x[bent_count:]
        return found

    def cost(x: Vector) -> float:
        size, away = np.abs(residual(x)), (x - centre) / spread
        loss = np.where(size < knee, size**2 / 2, knee * (size - knee / 2))
        return float(loss.sum() / noise**2 + away @ away / 2)

    x, now = start, cost(start)
    for _ in range(_MOST_ROUNDS):
        bent = x[:bent_count]
        slopes = (model(bent + np.eye(bent_count) * _STEP) - model(bent)) / _STEP
        jacobian = np.hstack((slopes.T, design))
        left = residual(x)
        weight = np.minimum(1.0, knee / np.maximum(np.abs(left), 1e-9)) / noise**2
        curvature = jacobian.T @ (jacobian * weight[:, None]) + np.diag(1 / spread**2)
        downhill = jacobian.T @ (weight * left) - (x - centre) / spread**2
        step = np.linalg.solve(curvature, downhill)
        while (further := cost(x + step)) > now and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        if further > now:
            return x
        gain, x, now = now - further, x + step, further
        if gain < _LEAST_GAIN:
            return x
    return x
