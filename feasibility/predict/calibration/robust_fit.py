"""Robust least squares with priors, the numerical part of the calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_STEP: Final = 1e-4
_MAX_ROUNDS: Final = 25


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
    """Parameters that minimise Huber's loss of the residuals plus normal priors.

    Levenberg-Marquardt with a numerical Jacobian.

    Args:
        model: Predictions, one per observation, from the parameters that are not linear.
        observed: What was observed.
        start: Where the search begins.
        centre: Means of the priors.
        spread: Standard deviations of the priors.
        noise: Standard deviation of one observation.
        knee: Residual from which the loss grows linearly.
        linear: What each of the last parameters adds to every prediction, a column for each;
            None if there are no such parameters.
    """
    import numpy as np

    design = np.zeros((len(observed), 0)) if linear is None else linear
    bent = len(start) - design.shape[1]

    def predict(x: Vector) -> Vector:
        predicted: Vector = model(x[:bent]) + design @ x[bent:]
        return predicted

    def cost(x: Vector, residual: Vector) -> float:
        size = np.abs(residual)
        loss = np.where(size < knee, size**2 / 2, knee * (size - knee / 2))
        return float(loss.sum() / noise**2 + (((x - centre) / spread) ** 2).sum() / 2)

    x: Vector = start.copy()
    damping = 1e-2
    predicted = predict(x)
    residual = observed - predicted
    best = cost(x, residual)
    for _ in range(_MAX_ROUNDS):
        jacobian = np.hstack((_jacobian(model, x[:bent]), design))
        weight = np.minimum(1.0, knee / np.maximum(np.abs(residual), 1e-9)) / noise**2
        hessian = jacobian.T @ (jacobian * weight[:, None]) + np.diag(1 / spread**2)
        gradient = jacobian.T @ (weight * residual) - (x - centre) / spread**2
        for _attempt in range(8):
            step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
            trial: Vector = x + np.clip(step, -1.0, 1.0)
            trial_predicted = predict(trial)
            trial_cost = cost(trial, observed - trial_predicted)
            if trial_cost < best:
                break
            damping *= 4
        else:
            return x
        gain = best - trial_cost
        x, predicted, best = trial, trial_predicted, trial_cost
        residual, damping = observed - predicted, max(damping / 5, 1e-8)
        if gain < 1e-4 * best:
            return x
    return x


def _jacobian(model: Callable[[Vector], Vector], x: Vector) -> Vector:
    import numpy as np

    predicted = model(x)
    columns: Vector = np.empty((len(predicted), len(x)))
    for index in range(len(x)):
        moved = x.copy()
        moved[index] += _STEP
        columns[:, index] = (model(moved) - predicted) / _STEP
    return columns
