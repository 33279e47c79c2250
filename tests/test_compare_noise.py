"""A difference of two figures: real, or within the noise."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.compare import noise
from feasibility.records.comparison import ComparedOutcome
from feasibility.units import MIB

TIMES = st.lists(st.integers(1_000, 10_000_000), min_size=1, max_size=16)
SIZES = st.lists(st.integers(0, 10_000_000_000), min_size=1, max_size=5)
OTHER_WAY: dict[ComparedOutcome, ComparedOutcome] = {"lower": "higher", "higher": "lower"}


@given(st.lists(st.tuples(st.integers(1000, 10**7), st.integers(1000, 10**7)), min_size=1))
def test_times_in_turns_are_judged_the_same_from_both_sides(pairs: list[tuple[int, int]]) -> None:
    """What is lower against A is higher against B, and the interval holds the ratio."""
    before, after = zip(*pairs[:16], strict=True)
    there, back = noise.in_turns(before, after), noise.in_turns(after, before)
    assert back.outcome == OTHER_WAY.get(there.outcome, there.outcome)
    assert there.low_ratio is not None
    assert there.high_ratio is not None
    assert there.value_ratio is not None
    assert there.low_ratio * (1 - 1e-9) <= there.value_ratio <= there.high_ratio * (1 + 1e-9)
    assert back.low_ratio == pytest.approx(1 / there.high_ratio)


@given(TIMES)
def test_equal_times_show_no_difference(times: list[int]) -> None:
    """With fewer rounds than the first look, nothing is decided."""
    found = noise.in_turns(times, times)
    assert found.outcome == ("no-difference" if len(times) >= noise.LOOKS[0] else "undecided")
    assert found.value_ratio == 1


@given(st.lists(st.integers(1_000, 10_000_000), min_size=8, max_size=16), st.integers(2, 9))
def test_times_that_are_longer_in_every_round_are_higher(times: list[int], factor: int) -> None:
    found = noise.in_turns(times, [factor * each for each in times])
    assert found.outcome == "higher"
    assert found.value_ratio == pytest.approx(factor)


# Two-sided critical values of Wilcoxon's signed-rank test at 5 %, from published tables.
CRITICAL_VALUES = {8: 3, 9: 5, 10: 8, 11: 10, 12: 13, 13: 17, 14: 21, 15: 25, 16: 29}


@given(st.lists(st.tuples(st.integers(1000, 10**7), st.integers(1000, 10**7)), min_size=8))
def test_the_interval_of_a_ratio_is_that_of_the_published_tables(
    pairs: list[tuple[int, int]],
) -> None:
    """Geometric means of all pairs of ratios, without as many at each end as the table says."""
    before, after = zip(*pairs[:16], strict=True)
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    means = sorted(
        math.sqrt(one * other) for one, other in itertools.combinations_with_replacement(ratios, 2)
    )
    cut = CRITICAL_VALUES[len(ratios)]
    found = noise.in_turns(before, after)
    assert found.value_ratio == pytest.approx(math.exp(statistics.median(map(math.log, ratios))))
    assert found.low_ratio == pytest.approx(means[cut])
    assert found.high_ratio == pytest.approx(means[-1 - cut])


@given(TIMES, st.integers(2, 9))
def test_the_interval_of_a_ratio_without_noise_is_the_ratio(times: list[int], factor: int) -> None:
    found = noise.in_turns(times, [factor * each for each in times])
    assert (found.low_ratio, found.high_ratio) == (pytest.approx(factor), pytest.approx(factor))


def test_the_interval_holds_the_ratio_as_often_as_it_says() -> None:
    """About 95 of 100 intervals of eight rounds, with noise of a tenth in both models."""
    draw = random.Random(5)
    held = 0
    for _ in range(400):
        before, after = (
            [round(centre * math.exp(draw.gauss(0, 0.1))) for _ in range(8)]
            for centre in (10**6, 1_300_000)
        )
        found = noise.in_turns(before, after)
        assert found.low_ratio is not None
        assert found.high_ratio is not None
        held += found.low_ratio <= 1.3 <= found.high_ratio
    assert 370 <= held <= 394


def test_a_difference_that_the_interval_suggests_but_the_test_does_not_is_undecided() -> None:
    """Seven of eight rounds are slower, one much faster."""
    before = [100] * 8
    after = [120, 121, 122, 123, 124, 125, 126, 99]
    assert noise.in_turns(before, after).outcome == "undecided"


@pytest.mark.parametrize(
    ("before", "after", "is_settled"),
    [
        ([], [], False),
        ([100] * 7, [200] * 7, False),
        ([100] * 8, [200] * 8, True),
        ([100] * 8, [100] * 8, True),
        ([100] * 8, [150, 70] * 4, False),
        ([100] * 9, [150] * 9, False),
        ([100] * 16, [150, 70] * 8, True),
    ],
    ids=["none", "few", "clear", "equal", "noisy", "between-looks", "last"],
)
def test_rounds_end_when_nothing_new_would_be_seen(
    before: list[int], after: list[int], is_settled: bool
) -> None:
    assert noise.is_settled(before, after) is is_settled


@given(SIZES, SIZES)
def test_memory_is_judged_the_same_from_both_sides(before: list[int], after: list[int]) -> None:
    there, back = noise.by_repeats(before, after), noise.by_repeats(after, before)
    assert back.outcome == OTHER_WAY.get(there.outcome, there.outcome)


@given(SIZES)
def test_equal_memory_shows_no_difference(sizes: list[int]) -> None:
    assert noise.by_repeats(sizes, sizes).outcome == "no-difference"


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([100 * MIB], [101 * MIB], "no-difference"),
        ([100 * MIB], [102 * MIB], "higher"),
        ([10 * MIB], [11 * MIB], "no-difference"),
        ([10 * MIB], [12 * MIB], "higher"),
        ([1000, 1001, 1002], [1005, 1006, 1007], "higher"),
        ([1000, 1010, 1020], [1005, 1021, 1022], "no-difference"),
    ],
    ids=["a-percent", "more", "a-small-model", "a-smaller-one", "repeats-well", "repeats-badly"],
)
def test_memory_differs_if_by_more_than_it_repeats(
    before: list[int], after: list[int], outcome: str
) -> None:
    """One figure each: within 1 % or 1.25 MiB. Several: within their own spread."""
    assert noise.by_repeats(before, after).outcome == outcome


def test_allocated_bytes_repeat_without_pages() -> None:
    """Of 10 MiB, half a MiB is a real difference."""
    before, after = [10 * MIB], [10 * MIB + MIB // 2]
    assert noise.by_repeats(before, after, is_counted=True).outcome == "higher"


def test_on_another_processor_memory_may_differ_by_more() -> None:
    before, after = [100 * MIB], [102 * MIB]
    found = noise.by_repeats(before, after, least_ratio=noise.OTHER_CPU_RATIO)
    assert found.outcome == "no-difference"


@pytest.mark.parametrize(
    ("after", "outcome"),
    [((90, 110), "no-difference"), ((101, 110), "higher"), ((50, 79), "lower")],
)
def test_ranges_differ_if_they_do_not_overlap(after: tuple[int, int], outcome: str) -> None:
    assert noise.by_ranges((80, 100), after).outcome == outcome


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        ([100] * 20, "no-difference"),
        ([109] * 20, "no-difference"),
        ([115] * 20, "higher"),
        ([85] * 20, "lower"),
        ([95, 140] * 10, "no-difference"),
        ([105, 140] * 10, "no-difference"),
        ([105, 112, 113] * 3, "undecided"),
        ([500] * 5, "undecided"),
    ],
)
def test_saved_times_differ_if_by_more_than_a_tenth(after: list[int], outcome: str) -> None:
    """They were not measured in turns, so that a smaller difference may be the machine's."""
    assert noise.by_samples([100] * 20, after).outcome == outcome


@pytest.mark.parametrize(
    ("after", "outcome"), [(100, "equal"), (101, "higher"), (99, "lower"), (0, "lower")]
)
def test_figures_of_files_have_no_noise(after: int, outcome: str) -> None:
    assert noise.exact(100, after).outcome == outcome


def test_without_a_figure_of_the_reference_there_is_no_ratio() -> None:
    assert noise.ratio_of(0, 5) is None
    assert noise.ratio_of(0, 0) == 1
    assert noise.single(100, 500).outcome == "undecided"
