"""Decisions: exact chances, bounded false alarms, and real differences found."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.measure.significance import (
    FALSE_ALARM_CHANCE,
    LOOKS,
    centre_interval,
    decide,
    sign_chance,
    signed_rank_chance,
)

values = st.lists(st.floats(-2, 2, allow_nan=False), min_size=1, max_size=9)


def enumerated_chance(observed: list[float]) -> float:
    """The same chance by trying every combination of signs."""
    sizes = sorted(abs(value) for value in observed)
    ranks = [
        (sizes.index(abs(v)) + 1 + sizes.index(abs(v)) + sizes.count(abs(v))) / 2 for v in observed
    ]
    reached = sum(rank for rank, value in zip(ranks, observed, strict=True) if value > 0)
    sums = [
        sum(itertools.compress(ranks, signs))
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    return sum(total >= reached for total in sums) / len(sums)


@given(values)
def test_the_signed_rank_chance_is_exact(observed: list[float]) -> None:
    """It equals an enumeration of all signs, ties and zeros included."""
    assert signed_rank_chance(observed) == pytest.approx(enumerated_chance(observed))


def test_the_sign_chance_is_that_of_coin_tosses() -> None:
    assert sign_chance([1, 2, 3]) == 1 / 8
    assert sign_chance([1, 2, -3]) == 4 / 8
    assert sign_chance([0, 0, 0]) == 1.0


@given(values)
def test_nothing_is_both_above_and_below(observed: list[float]) -> None:
    """A decision for one side excludes the other."""
    flipped = [-value for value in observed]
    decisions = {decide(observed, signed_rank_chance), decide(flipped, signed_rank_chance)}
    assert decisions in ({"above", "below"}, {"undecided"}, {"below", "undecided"})


def test_few_observations_cannot_break_a_budget() -> None:
    """Six in agreement are enough to pass and too few to fail."""
    assert decide([-0.1] * 6, signed_rank_chance) == "below"
    assert decide([5.0] * 6, signed_rank_chance) == "undecided"
    assert decide([5.0] * 10, signed_rank_chance) == "above"


def verdict_of(draw: random.Random, centre: float, spread: float) -> str:
    """The decision of a whole check: looks at growing numbers of noisy pairs."""
    seen: list[float] = []
    for look in LOOKS:
        while len(seen) < look:
            # Bursts: one pair in six is disturbed by as much as everything else together.
            wild = draw.random() < 1 / 6
            seen.append(draw.gauss(centre, spread * (5 if wild else 1)))
        decision = decide(seen, signed_rank_chance)
        if decision != "undecided":
            return decision
    return "undecided"


def test_an_unchanged_model_raises_no_alarm() -> None:
    """Pairs that scatter by a quarter, against a limit of +20 %: none of 400."""
    draw = random.Random(1)
    found = [verdict_of(draw, -math.log(1.2), 0.15) for _ in range(400)]
    assert found.count("above") == 0


def test_a_model_on_its_limit_raises_few_alarms() -> None:
    """All looks together break less than one of a hundred; three of one hundred would be luck."""
    assert len(LOOKS) * FALSE_ALARM_CHANCE < 0.01
    draw = random.Random(2)
    found = [verdict_of(draw, 0.0, 0.2) for _ in range(100)]
    assert found.count("above") <= 3


def test_half_as_slow_again_is_found() -> None:
    """1.5 times the time against +20 %, with the same noise: at least 196 of 200."""
    draw = random.Random(3)
    found = [verdict_of(draw, math.log(1.5 / 1.2), 0.15) for _ in range(200)]
    assert found.count("above") >= 196


def test_the_interval_holds_the_centre_as_often_as_it_says() -> None:
    """About 95 of 100 intervals of ten values hold the centre that they were drawn around."""
    draw = random.Random(4)
    held = 0
    for _ in range(1000):
        low, high = centre_interval([draw.gauss(0.3, 1) for _ in range(10)])
        held += low <= 0.3 <= high
    assert 930 <= held <= 985


@given(st.lists(st.floats(-2, 2, allow_nan=False), min_size=1, max_size=12))
def test_the_interval_lies_among_the_values(observed: list[float]) -> None:
    low, high = centre_interval(observed)
    assert min(observed) <= low <= high <= max(observed) or math.isclose(low, high, abs_tol=1e-12)
