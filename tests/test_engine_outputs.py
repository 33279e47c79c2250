"""Outputs of engines against those of the reference, with outputs that a test makes up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest

from feasibility.errors import ChangeError
from feasibility.measure import engine_outputs
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.model_outputs import ModelOutputs
from feasibility.records.workload import Fill, InputPlan, InputSpec

Array: TypeAlias = np.ndarray[Any, Any]

ONES = Fill(kind="constant", low=1)
PIXELS = InputSpec(name="x", dtype="float32", shape=(1, 4))
IDS = InputSpec(name="input_ids", dtype="int64", shape=(2, 12), fill=Fill(kind="constant", low=7))
MASK = InputSpec(name="attention_mask", dtype="int64", shape=(2, 12), fill=ONES)


def rows(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((2, 50))


@dataclass
class Engine:
    """Passes of an engine: what it answers to a seed, and what it was asked."""

    answer: Callable[[int], Array] = rows
    options: Any = field(default_factory=lambda: SimpleNamespace(seed=3))
    asked: list[tuple[InputPlan, int]] = field(default_factory=list)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process runs."""

    def answer(engine: Engine, plan: InputPlan, seed: int) -> ModelOutputs:
        engine.asked.append((plan, seed))
        result: Any = None
        return ModelOutputs({"0": engine.answer(seed)}, result)

    monkeypatch.setattr(engine_outputs, "model_outputs", answer)


def check_of(reference: Engine, folder: Path, *inputs: InputSpec) -> EngineOutputs:
    passes: Any = reference
    return EngineOutputs(passes, InputPlan(inputs=inputs or (PIXELS,)), ["logits"], folder)


def checked(check: EngineOutputs, engine: Engine) -> Any:
    passes: Any = engine
    return check.checked(passes)


def test_equal_outputs_of_five_inputs(tmp_path: Path) -> None:
    """Both engines get the same five; the reference runs once for all engines."""
    reference, one, other = Engine(), Engine(), Engine()
    check = check_of(reference, tmp_path)
    for engine in (one, other):
        drift = checked(check, engine)
        assert drift.is_identical
        assert (drift.sample_count, drift.outputs[0].name) == (5, "logits")
    assert [seed for _, seed in reference.asked] == [3, 4, 5, 6, 7]
    assert reference.asked == one.asked == other.asked


def test_rounding_is_no_other_output(tmp_path: Path) -> None:
    drift = checked(check_of(Engine(), tmp_path), Engine(lambda seed: rows(seed) * (1 + 1e-6)))
    assert not drift.is_identical
    assert drift.relative_ratio < 1e-5


def test_other_outputs_are_an_error_with_the_cosine(tmp_path: Path) -> None:
    """The lowest one of the five."""
    turned = Engine(lambda seed: -rows(seed) if seed == 5 else rows(seed))
    with pytest.raises(ChangeError) as caught:
        checked(check_of(Engine(), tmp_path), turned)
    assert caught.value.message == (
        "Cannot use its figures: the output 'logits' differs too much: cosine similarity -1.0000, "
        "but at least 0.9999 is needed"
    )


def test_a_cosine_just_below_the_bound_does_not_read_as_the_bound(tmp_path: Path) -> None:
    noisy = Engine(lambda seed: rows(seed) + 0.0156 * rows(seed + 100))
    with pytest.raises(ChangeError, match=r"cosine similarity 0\.999[78], but at least 0\.9999"):
        checked(check_of(Engine(), tmp_path), noisy)


@pytest.mark.parametrize("scale", [0.0, 0.8, 2.0, 1e300])
def test_another_scale_is_an_error(tmp_path: Path, scale: float) -> None:
    """The cosine of such outputs is 1, and zeros have none."""
    with pytest.raises(ChangeError, match=r"by more than 10 % of the largest value"):
        checked(check_of(Engine(), tmp_path), Engine(lambda seed: scale * rows(seed)))


def test_zeros_for_one_input_are_an_error(tmp_path: Path) -> None:
    lost = Engine(lambda seed: (seed != 6) * rows(seed))
    with pytest.raises(ChangeError, match="'logits' differs too much"):
        checked(check_of(Engine(), tmp_path), lost)


def test_an_output_of_another_shape_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChangeError, match=r"'logits' has the shape \[1, 50\] in place of \[2, 50"):
        checked(check_of(Engine(), tmp_path), Engine(lambda seed: rows(seed)[:1]))


def test_a_reference_without_numbers_checks_nothing(tmp_path: Path) -> None:
    """Equal outputs would not show an error."""
    empty = Engine(lambda seed: np.full((2, 2), np.nan))
    with pytest.raises(ChangeError, match="no output with a finite number"):
        checked(check_of(empty, tmp_path), empty)


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_masks_end_earlier_and_earlier(tmp_path: Path, dtype: str) -> None:
    """Of all rows, in the type of the input; other inputs stay as they are."""
    reference = Engine()
    mask = InputSpec(name="attention_mask", dtype=dtype, shape=(2, 12), fill=ONES)
    checked(check_of(reference, tmp_path, IDS, mask), Engine())
    masks = [np.load(str(plan.inputs[1].fill.path)) for plan, _ in reference.asked]
    assert [each.sum(axis=-1).tolist() for each in masks] == [
        [length, length] for length in (12, 10, 8, 6, 4)
    ]
    assert all(np.all(np.diff(each.astype(int)) <= 0) for each in masks)
    assert {each.dtype for each in masks} == {np.dtype(dtype)}
    assert {plan.inputs[0] for plan, _ in reference.asked} == {IDS}


def test_an_engine_that_ignores_the_mask_is_found(tmp_path: Path) -> None:
    """With masks of ones only, its outputs would be the same."""

    def summed(engine: Engine, *, is_masked: bool) -> Callable[[int], Array]:
        def answer(seed: int) -> Array:
            mask = np.load(str(engine.asked[-1][0].inputs[0].fill.path))
            return (np.arange(24).reshape(2, 12) * (mask if is_masked else 1)).astype(float)

        return answer

    reference, other = Engine(), Engine()
    reference.answer = summed(reference, is_masked=True)
    other.answer = summed(other, is_masked=False)
    with pytest.raises(ChangeError, match="cosine similarity"):
        checked(check_of(reference, tmp_path, MASK), other)


@pytest.mark.parametrize(
    "given",
    [
        InputSpec(
            name="attention_mask",
            dtype="int64",
            shape=(2, 12),
            fill=Fill(kind="file", path="m.npy"),
        ),
        InputSpec(name="mask", dtype="int64", shape=(), fill=ONES),
        InputSpec(name="token_type_ids", dtype="int64", shape=(2, 12), fill=ONES),
    ],
    ids=["of-the-user", "a-number", "no-mask"],
)
def test_other_inputs_are_not_shortened(tmp_path: Path, given: InputSpec) -> None:
    """Without any generated input, one run shows everything."""
    reference = Engine()
    checked(check_of(reference, tmp_path, given), Engine())
    assert [plan.inputs for plan, _ in reference.asked] == [(given,)]


def test_outputs_that_prove_nothing_are_an_error_for_every_engine(tmp_path: Path) -> None:
    """Also for the second engine, when the outputs of the reference are known."""
    broken = Engine(lambda _: np.full((1, 3), np.nan, np.float32))
    check = check_of(broken, tmp_path)
    for _ in range(2):
        with pytest.raises(ChangeError, match="no output with a finite number or text"):
            checked(check, broken)


def test_outputs_of_one_name_are_both_compared() -> None:
    """As tensors of TensorFlow Lite may have."""
    found = ModelOutputs({"0": rows(0), "1": rows(1)}, SimpleNamespace())  # type: ignore[arg-type]
    assert list(found.named(["y", "y"])) == ["y", "1"]
