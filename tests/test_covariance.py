"""What a measurement on a device tells of another projection onto it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from calibration.fit_error_covariance import fit_covariance
from feasibility.predict.latency.error_covariance import (
    Covariance,
    Run,
    covariance,
    posterior,
)

K = Covariance(device=0.02, runtime=0.03, threads=0.01, operators=0.03, model=0.01)
WHOLE = sum(astuple(K))


def run(kind: str = "dense", *, runtime: str = "ncnn", is_threaded: bool = True) -> Run:
    point = (0.0,) if kind == "dense" else (9.0,)
    return Run(runtime, is_threaded, point)


def test_one_measurement_counts_as_much_as_it_shares() -> None:
    """The mean is the shared part of the variance over all of it."""
    found = posterior(run(), [run()], [0.5], K)
    shared = (WHOLE - K.model) / WHOLE
    assert found.mean == pytest.approx(0.5 * shared)
    assert found.deviation == pytest.approx(math.sqrt(WHOLE * (1 - shared**2)))


@pytest.mark.parametrize(
    ("other", "variance"),
    [
        (run("pointwise"), K.device + K.runtime + K.threads),
        (run(is_threaded=False), K.device + K.runtime + K.operators),
        (run(runtime="mnn"), K.device),
    ],
)
def test_what_two_runs_share(other: Run, variance: float) -> None:
    assert covariance(run(), other, K) == pytest.approx(variance)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("dense", "pointwise", "vector")),
            st.sampled_from(("ncnn", "mnn")),
            st.booleans(),
            st.floats(-1, 1),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_measurements_never_widen(known: list[tuple[str, str, bool, float]]) -> None:
    """More measurements leave less doubt, whatever they say."""
    runs = [run(kind, runtime=name, is_threaded=many) for kind, name, many, _ in known]
    errors = [error for *_, error in known]
    before = math.sqrt(WHOLE)
    for count in range(1, len(runs) + 1):
        found = posterior(run(), runs[:count], errors[:count], K)
        assert found.deviation <= before + 1e-9
        before = found.deviation


def test_conditioning_is_linear_algebra() -> None:
    """The small elimination gives the same as a library's solver."""
    runs = [run(), run("pointwise"), run(runtime="mnn")]
    errors = [0.2, -0.1, 0.4]
    among = np.array([[covariance(a, b, K) for b in runs] for a in runs]) + K.model * np.eye(3)
    across = np.array([covariance(run(), each, K) for each in runs])
    weights = np.linalg.solve(among, across)
    found = posterior(run(), runs, errors, K)
    assert found.mean == pytest.approx(float(weights @ errors))
    assert found.deviation == pytest.approx(math.sqrt(WHOLE - float(weights @ across)))


def test_variances_are_found_again() -> None:
    """Errors drawn with known variances of device and model give about these back."""
    generator = np.random.default_rng(7)
    places, runs, errors = [], [], []
    for device in range(60):
        offset = generator.normal(0, 0.3)
        for index in range(12):
            places.append(device)
            runs.append(Run("ncnn", is_threaded=False, point=(9.0 * index,)))
            errors.append(float(np.clip(offset + generator.normal(0, 0.1), -0.7, 0.7)))
    found = fit_covariance(places, runs, errors)
    assert found.device + found.runtime == pytest.approx(0.09, rel=0.35)
    assert found.model + found.operators == pytest.approx(0.01, rel=0.35)
