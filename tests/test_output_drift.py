"""How far outputs lie from those of a reference."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from feasibility.errors import ChangeError
from feasibility.output_drift import (
    comparable_pairs,
    drift_between,
    relative_ratio,
    require_comparable,
)
from feasibility.records.drift import Drift

FLOATS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(width=32),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def of(before: Any, after: Any) -> Drift:
    return drift_between([{"y": np.asarray(before)}], [{"y": np.asarray(after)}])


def test_the_figures_of_one_output() -> None:
    drift = of([[4.0, 0.0, -2.0], [1.0, 2.0, 3.0]], [[3.0, 0.0, -2.0], [3.0, 2.0, 1.0]])
    (output,) = drift.outputs
    assert (output.max_difference, output.relative_ratio) == (2.0, 0.5)
    assert output.mean_difference == pytest.approx(5 / 6)
    assert output.cosine == pytest.approx(26 / math.sqrt(34 * 27))
    assert output.top1_ratio == 0.5
    assert (drift.sample_count, drift.is_identical, drift.relative_ratio) == (1, False, 0.5)


def test_all_samples_and_outputs_count() -> None:
    before = [{"a": np.array([2.0]), "b": np.eye(2)}, {"a": np.array([-8.0]), "b": np.eye(2)}]
    after = [{"a": np.array([1.0]), "b": np.eye(2)}, {"a": np.array([-8.0]), "b": 1 - np.eye(2)}]
    drift = drift_between(before, after)
    a, b = drift.outputs
    assert (a.name, a.max_difference, a.mean_difference, a.relative_ratio) == ("a", 1, 0.5, 1 / 8)
    assert (a.cosine, a.top1_ratio) == (1.0, None)
    assert (b.cosine, b.top1_ratio, b.relative_ratio) == (0.0, 0.5, 1.0)
    assert (drift.sample_count, drift.relative_ratio) == (2, 1.0)


@given(FLOATS)
def test_equal_outputs_have_no_drift(array: np.ndarray) -> None:
    drift = of(array, array.copy())
    (output,) = drift.outputs
    assert drift.is_identical
    assert (output.max_difference, output.mean_difference, output.relative_ratio) == (0, 0, 0)
    assert output.cosine is None or output.cosine == pytest.approx(1)
    assert output.top1_ratio in {None, 1}


@given(st.data())
def test_figures_are_numbers_that_json_can_hold(data: st.DataObject) -> None:
    """Whatever the values, or an error says that they are not finite."""
    before = data.draw(FLOATS.map(lambda each: each.astype(np.float64)))
    after = data.draw(arrays.arrays(np.float64, before.shape, elements=st.floats()))
    try:
        drift = of(before, after)
    except ChangeError:
        finite = np.isfinite(before) & np.isfinite(after)
        assert not np.array_equal(before[~finite], after[~finite], equal_nan=True)
        return
    assert msgspec.json.decode(msgspec.json.encode(drift), type=Drift) == drift


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1), st.floats(0.5, 4))
def test_relative_figures_do_not_depend_on_the_unit(
    values: list[tuple[float, float]], unit: float
) -> None:
    before, after = np.array(values, np.float64).clip(-1e100, 1e100).T
    if np.abs(before).max() < 1e-100:
        return
    (one,), (other,) = (of(before * u, after * u).outputs for u in (1.0, unit))
    assert other.relative_ratio == pytest.approx(one.relative_ratio)
    assert other.top1_ratio == one.top1_ratio


def test_the_largest_numbers_do_not_overflow() -> None:
    (output,) = of([[-1.7e308, 1.7e308]], [[1.7e308, -1.7e308]]).outputs
    assert (output.cosine, output.top1_ratio) == (pytest.approx(-1), 0)
    assert math.isfinite(output.max_difference)
    assert math.isfinite(output.mean_difference)


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 0.1], 1.0),
        ([1, 2, 3], [1, 2, 0], 1.0),
        ([True, False], [True, True], 1.0),
        (["a", "b"], ["a", "c"], 1.0),
        (["a", "b"], ["a", "b"], 0.0),
        ([1 + 1j], [1 + 0j], pytest.approx(1 / math.sqrt(2))),
        ([math.nan, 2.0], [math.nan, 1.0], 0.5),
        ([math.inf, 2.0], [math.inf, 1.0], 0.5),
        ([], [], 0.0),
    ],
)
def test_relative_difference(before: Any, after: Any, ratio: float) -> None:
    assert of(before, after).relative_ratio == ratio


def test_the_same_bits_in_another_type_are_not_identical() -> None:
    assert not of(np.zeros(2, np.float32), np.zeros(2, np.int32)).is_identical
    assert not of([0.0], [-0.0]).is_identical
    assert not drift_between([{}], [{}]).is_identical


def test_any_of_equal_classes_is_right() -> None:
    assert of([[1.0, 1.0, 0.0]], [[0.9, 1.1, 0.0]]).outputs[0].top1_ratio == 1
    assert of([[1.0, 1.0, 0.0]], [[0.9, 1.1, 2.0]]).outputs[0].top1_ratio == 0


@pytest.mark.parametrize("odd", [np.full((1, 3), np.nan), np.full((1, 3), np.inf), np.zeros((0,))])
def test_outputs_without_a_finite_number_prove_nothing_about_other_arithmetic(odd: Any) -> None:
    with pytest.raises(ChangeError, match="no output with a finite number or text"):
        require_comparable([{"y": odd}, {"y": odd}])
    require_comparable([{"y": odd}, {"y": np.zeros(1)}])
    require_comparable([{"y": odd, "text": np.array(["a"])}])


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ({}, "the output 'y' is missing"),
        ({"y": np.zeros(2), "z": np.zeros(2)}, "the output 'z' is not one of the reference"),
        ({"y": np.zeros(3)}, "the output 'y' has the shape [3] in place of [2]"),
        (
            {"y": np.array([0, math.nan])},
            "the output 'y' differs from the reference in elements that are not finite "
            "(NaN or infinity)",
        ),
        (
            {"y": np.array([0, -math.inf])},
            "the output 'y' differs from the reference in elements that are not finite "
            "(NaN or infinity)",
        ),
    ],
)
def test_outputs_that_cannot_be_compared_are_errors(after: Any, why: str) -> None:
    with pytest.raises(ChangeError) as caught:
        drift_between([{"y": np.array([0, 1.0])}], [after])
    assert (caught.value.what, caught.value.why) == (
        "Cannot compare the outputs with those of the reference",
        why,
    )
    assert caught.value.hint


@pytest.mark.parametrize(
    ("reference", "output", "ratio"),
    [([4.0, 2.0], [4.0, 1.0], 0.25), ([0.0], [0.0], 0), ([0.0], [1.0], math.inf), ([], [], 0)],
)
def test_what_differs_from_zeros_differs_without_a_limit(
    reference: list[float], output: list[float], ratio: float
) -> None:
    """A budget has to fail then, whatever its limit."""
    pairs = comparable_pairs({"y": np.array(reference)}, {"y": np.array(output)})
    assert relative_ratio([*pairs.values()]) == ratio


def test_text_that_differs_has_no_ratio_either() -> None:
    pairs = comparable_pairs({"y": np.array(["a"])}, {"y": np.array(["b"])})
    assert relative_ratio([*pairs.values()]) == math.inf


def test_text_has_no_classes() -> None:
    assert of([["a", "b"]], [["c", "d"]]).outputs[0].top1_ratio is None
