"""Budgets of drift, with models that are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feasibility.budget.budget_file import BudgetedWorkload, DriftRule
from feasibility.budget.drift_and_device_rules import drift_line
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.reading_cache import ReadingCache
from tests.tiny_models import mlp


def opened(path: Path, cache: ReadingCache) -> ModelUnderTest:
    found = ModelUnderTest(path.name, path, BudgetedWorkload(), cache)
    found.open()
    return found


def test_models_are_run_on_the_same_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal weights in another file agree, others do not, and the second call runs nothing."""
    import onnx

    cache = ReadingCache(tmp_path / "cache")
    path = mlp(tmp_path / "a.onnx", layers=2)
    same = onnx.load_model(path)
    same.doc_string = "another file"
    onnx.save_model(same, tmp_path / "same.onnx")
    other = onnx.load_model(path)
    weight = onnx.numpy_helper.to_array(other.graph.initializer[1]) * np.float32(1.1)
    other.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(weight, "w1"))
    onnx.save_model(other, tmp_path / "other.onnx")
    rule = DriftRule(0.01, line=3)
    reference = opened(path, cache)
    kept = drift_line(rule, opened(tmp_path / "same.onnx", cache), reference)
    assert (kept.outcome, kept.line_number) == ("pass", 3)
    broken = drift_line(rule, opened(tmp_path / "other.onnx", cache), reference)
    assert broken.outcome == "fail"
    assert "by up to 10 %" in broken.reason
    monkeypatch.setattr(
        "feasibility.budget.model_runs.ModelRuns.outputs", lambda _: pytest.fail("run")
    )
    assert drift_line(rule, opened(tmp_path / "other.onnx", cache), reference) == broken


def test_without_anything_to_compare_with_it_is_undecided(tmp_path: Path) -> None:
    found = opened(mlp(tmp_path / "a.onnx"), ReadingCache(None))
    line = drift_line(DriftRule(0.01), found, None)
    assert (line.outcome, "--against" in line.reason) == ("inconclusive", True)
