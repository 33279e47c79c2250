"""Fits what the errors of projections onto one device have in common."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.predict.latency.covariance import Covariance, Run, in_common

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

# Centre of the prior of every variance, and spread of its logarithm.
CENTRES: Final = Covariance(
    device=0.03, runtime=0.02, threads=0.02, kinds=0.02, threaded_kinds=0.02, mix=0.005, model=0.005
)
PRIOR_SPREAD: Final = 1.5
# An error beyond a factor of 2.2 tells no more about what is usual than one of 2.2.
MOST_ERROR: Final = 0.8
_MAX_ROUNDS: Final = 60
_LEAST_STEP: Final = 1e-3


class _Device(NamedTuple):
    """Errors on one device, with what each two of them share of each part of the variance."""

    errors: Vector
    parts: Vector


def fit_covariance(
    places: Sequence[Hashable], runs: Sequence[Run], errors: Sequence[float]
) -> Covariance:
    """The variances under which these errors are most likely, with a weak prior.

    Args:
        places: Device of each projection.
        runs: What was projected.
        errors: Logarithms of measured over projected, by fits that did not see the device.
    """
    import numpy as np

    devices = []
    for place in dict.fromkeys(places):
        own = [index for index, other in enumerate(places) if other == place]
        parts = np.array([[in_common(runs[i], runs[j]) for j in own] for i in own])
        alone = np.eye(len(own))[:, :, None]
        clipped = np.clip([errors[index] for index in own], -MOST_ERROR, MOST_ERROR)
        devices.append(_Device(clipped, np.concatenate((parts, alone), axis=2)))
    return Covariance(*(float(v) for v in np.exp(_likeliest(devices, np.log(CENTRES)))))


def _likeliest(devices: Sequence[_Device], centre: Vector) -> Vector:
    """Logarithms of the variances of least cost, by Fisher scoring from the prior's centre."""
    import numpy as np

    best, damping = centre.copy(), 0.01
    cost, gradient, information = _cost(devices, best, centre)
    for _ in range(_MAX_ROUNDS):
        ridge = damping * np.diag(np.diag(information))
        step = np.clip(np.linalg.solve(information + ridge, -gradient), -1.0, 1.0)
        if np.abs(step).max() < _LEAST_STEP:
            break
        found = _cost(devices, best + step, centre)
        if found[0] < cost:
            best, damping = best + step, damping / 4
            cost, gradient, information = found
        else:
            damping *= 8
    return best


def _cost(devices: Sequence[_Device], logs: Vector, centre: Vector) -> tuple[float, Vector, Vector]:
    """Negative logarithm of likelihood and prior, its gradient, and Fisher's information."""
    import numpy as np

    variances = np.exp(logs)
    away = (logs - centre) / PRIOR_SPREAD
    cost = float(away @ away) / 2
    gradient = away / PRIOR_SPREAD
    information = np.eye(len(logs)) / PRIOR_SPREAD**2
    for device in devices:
        whole = device.parts @ variances
        inverse = np.linalg.inv(whole)
        weighted = inverse @ device.errors
        cost += float(device.errors @ weighted) / 2 + float(np.linalg.slogdet(whole)[1]) / 2
        scaled = [inverse @ device.parts[:, :, k] * v for k, v in enumerate(variances)]
        gradient += [
            (np.trace(one) - weighted @ device.parts[:, :, k] @ weighted * v) / 2
            for k, (one, v) in enumerate(zip(scaled, variances, strict=True))
        ]
        information += np.array([[(a * b.T).sum() / 2 for b in scaled] for a in scaled])
    return cost, gradient, information
