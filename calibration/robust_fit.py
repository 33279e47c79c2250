"""Which parameters minimise Huber's loss of the residuals plus normal priors?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import huber

Vector: TypeAlias = NDArray[np.float64]

_STEP: Final = 1e-4
_MAX_ROUNDS: Final = 200


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
    """The parameters of least cost, by Newton steps within a trust region.

    Args:
        model: Predictions, one per observation, from the parameters that are not linear.
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

    @functools.lru_cache(maxsize=1)
    def jacobian_at(data: bytes) -> Vector:
        bent = np.frombuffer(data)[:bent_count]
        here = model(bent)
        steps = np.eye(bent_count) * _STEP
        columns = np.array([(model(bent + step) - here) / _STEP for step in steps])
        return np.hstack((columns.T.reshape(len(observed), bent_count), design))

    def cost(x: Vector) -> float:
        away = (x - centre) / spread
        return float(huber(knee, residual(x)).sum() / noise**2 + away @ away / 2)

    def gradient(x: Vector) -> Vector:
        slope = jacobian_at(x.tobytes()).T @ np.clip(residual(x), -knee, knee)
        found: Vector = (x - centre) / spread**2 - slope / noise**2
        return found

    def hessian(x: Vector) -> Vector:
        jacobian = jacobian_at(x.tobytes())
        weight = np.minimum(1.0, knee / np.maximum(np.abs(residual(x)), 1e-9)) / noise**2
        found: Vector = jacobian.T @ (jacobian * weight[:, None]) + np.diag(1 / spread**2)
        return found

    options = {"maxiter": _MAX_ROUNDS, "gtol": 1e-3}
    found: Vector = minimize(
        cost, start, jac=gradient, hess=hessian, method="trust-exact", options=options
    ).x
    return found
