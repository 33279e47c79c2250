"""Which variances explain the errors of projections onto one device best?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray
from scipy.optimize import minimize

from feasibility.predict.latency.error_covariance import Covariance, Run, in_common

Vector: TypeAlias = NDArray[np.float64]

# Centre of the prior of every variance, and spread of its logarithm.
CENTRES: Final = Covariance(device=0.03, runtime=0.02, threads=0.02, operators=0.02, model=0.005)
PRIOR_SPREAD: Final = 1.5
# A larger error (a factor of 2.2) counts as this one, because it is an exception.
MOST_ERROR: Final = 0.8


class _Device(NamedTuple):
    """Errors on one device, and how much of each variance every two of them share."""

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
    devices = []
    for place in dict.fromkeys(places):
        own = [index for index, other in enumerate(places) if other == place]
        parts = np.array([[in_common(runs[i], runs[j]) for j in own] for i in own])
        alone = np.eye(len(own))[:, :, None]
        clipped = np.clip([errors[index] for index in own], -MOST_ERROR, MOST_ERROR)
        devices.append(_Device(clipped, np.concatenate((parts, alone), axis=2)))
    centre = np.log(astuple(CENTRES))
    found = minimize(_cost, centre, args=(devices, centre), jac=True, method="L-BFGS-B")
    return Covariance(*np.exp(found.x).tolist())


def _cost(logs: Vector, devices: Sequence[_Device], centre: Vector) -> tuple[float, Vector]:
    """Negative logarithm of likelihood and prior, and its gradient."""
    variances = np.exp(logs)
    away = (logs - centre) / PRIOR_SPREAD
    cost = float(away @ away) / 2
    gradient = away / PRIOR_SPREAD
    for device in devices:
        whole = device.parts @ variances
        inverse = np.linalg.inv(whole)
        weighted = inverse @ device.errors
        cost += float(device.errors @ weighted) / 2 + float(np.linalg.slogdet(whole)[1]) / 2
        change = np.einsum("ij,ijk->k", inverse, device.parts)
        change -= np.einsum("i,ijk,j->k", weighted, device.parts, weighted)
        gradient += change * variances / 2
    return cost, gradient
