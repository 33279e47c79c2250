"""The search for floor and comfort point, against a kernel that is only simulated."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.measure.prove.bisection import (
    PRECISION_RATIO,
    RESOLUTION_BYTES,
    Bracket,
    Estimate,
    LimitResult,
    State,
    comfort_bracket,
    floor_bracket,
    next_limit,
)
from feasibility.measure.prove.prove_model import MAX_LIMITED_RUNS
from feasibility.units import KIB, MIB

PAGE = 4 * KIB
Kernel = Callable[[int], State]


def sharp(floor: int, comfort: int) -> Kernel:
    """Killed below the floor, slow below the comfort point; limits rounded down to pages."""

    def run(limit: int) -> State:
        limit = limit // PAGE * PAGE
        return "killed" if limit < floor else "slow" if limit < comfort else "fast"

    return run


def search(
    kernel: Kernel, estimate: Estimate, budget: int = MAX_LIMITED_RUNS, first: int | None = None
) -> list[LimitResult]:
    """What a search has results when it ends or its runs are used up."""
    results = [] if first is None else [LimitResult(first, kernel(first))]
    while len(results) < budget:
        limit = next_limit(results, estimate)
        if limit is None:
            break
        results.append(LimitResult(limit, kernel(limit)))
    return results


def estimate_of(floor: int, comfort: int, error: float = 1.0) -> Estimate:
    likely = round(floor * error)
    return Estimate(
        likely, max(likely, round(comfort * error)), likely // 2, 2 * max(comfort, likely)
    )


def finest(limit: int) -> float:
    return max(PRECISION_RATIO * limit, RESOLUTION_BYTES)


sizes = st.integers(1 * MIB, 4096 * MIB)


@given(floor=sizes, error=st.floats(0.99, 1.005))
def test_a_good_prediction_needs_few_runs(floor: int, error: float) -> None:
    """Two or three runs confirm a floor that was predicted to a percent."""
    results = search(sharp(floor, floor), estimate_of(floor, floor, error))
    assert len(results) <= 3
    assert floor_bracket(results).is_narrow
    assert comfort_bracket(results).is_narrow


@given(floor=sizes, error=st.floats(0.5, 2.0))
def test_a_bad_prediction_is_found_out(floor: int, error: float) -> None:
    """Twelve runs suffice for a model that is killed before it slows down."""
    results = search(sharp(floor, floor), estimate_of(floor, floor, error))
    bracket = floor_bracket(results)
    assert bracket.is_narrow
    assert bracket.high is not None
    assert floor <= bracket.high <= floor + finest(floor) * 1.1 + PAGE


@given(floor=sizes, factor=st.floats(1.0, 2.0), error=st.floats(0.97, 1.03))
def test_both_points_are_found_in_twelve_runs(floor: int, factor: float, error: float) -> None:
    comfort = round(floor * factor)
    results = search(sharp(floor, comfort), estimate_of(floor, comfort, error))
    assert len(results) <= MAX_LIMITED_RUNS
    for point, bracket in ((floor, floor_bracket(results)), (comfort, comfort_bracket(results))):
        assert bracket.is_narrow
        assert bracket.high is not None
        assert point <= bracket.high <= point + finest(point) * 1.1 + PAGE


@given(
    floor=sizes,
    factor=st.floats(1.0, 50.0),
    error=st.floats(0.1, 10.0),
    first=st.none() | sizes,
    noise=st.floats(0, 0.05),
    seed=st.integers(0, 99),
)
def test_whatever_happens_it_ends_and_never_asks_twice(
    floor: int, factor: float, error: float, first: int | None, noise: float, seed: int
) -> None:
    """With noise and any prediction: limits are positive and new, and brackets never cross."""
    chance = random.Random(seed)
    kernel = sharp(floor, round(floor * factor))

    def noisy(limit: int) -> State:
        return kernel(round(limit * (1 + chance.uniform(-noise, noise))))

    results = search(noisy, estimate_of(floor, round(floor * factor), error), first=first)
    limits = [item.limit_bytes for item in results]
    assert len(limits) <= MAX_LIMITED_RUNS
    assert all(limit > 0 for limit in limits)
    assert len(set(limits)) == len(limits)
    for bracket in (floor_bracket(results), comfort_bracket(results)):
        if bracket.low is not None and bracket.high is not None:
            assert bracket.low < bracket.high


def test_a_model_that_needs_nothing_ends_the_search() -> None:
    """Below the resolution there is no floor to be found."""
    results = search(sharp(0, 0), Estimate(4 * MIB, 5 * MIB, 2 * MIB, 9 * MIB))
    assert next_limit(results, Estimate(4 * MIB, 5 * MIB, 2 * MIB, 9 * MIB)) is None
    assert floor_bracket(results).low is None


def test_what_failed_once_counts_as_failing() -> None:
    """A survivor below a kill is luck, and does not become the floor."""
    results = [
        LimitResult(90, "fast"),
        LimitResult(95, "killed"),
        LimitResult(100, "slow"),
        LimitResult(110, "fast"),
    ]
    assert floor_bracket(results) == Bracket(95, 100)
    assert comfort_bracket(results) == Bracket(100, 110)


@pytest.mark.parametrize(
    ("bracket", "narrow", "gap"),
    [
        (Bracket(None, None), False, None),
        (Bracket(98 * MIB, 100 * MIB), True, 0.02),
        (Bracket(97 * MIB, 100 * MIB), False, 0.03),
        (Bracket(MIB - 256 * KIB, MIB), True, 0.25),
        (Bracket(None, 256 * KIB), True, None),
        (Bracket(5, None), False, None),
    ],
)
def test_how_well_a_point_is_known(bracket: Bracket, narrow: bool, gap: float | None) -> None:
    assert (bracket.is_narrow, bracket.gap_ratio) == (narrow, gap)
