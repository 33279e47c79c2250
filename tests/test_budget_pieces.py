"""The small parts: proposals, devices, digests, the cache, and whether the machine was quiet."""

from __future__ import annotations

import hashlib
import os
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.budget.baseline import KEPT_INITIALIZER_COUNT, read_baseline, write_baseline
from feasibility.budget.budget_file import BudgetedWorkload, parse_config
from feasibility.budget.drift_and_device_rules import device_bound
from feasibility.budget.metrics import METRICS
from feasibility.budget.model_runs import ModelRuns
from feasibility.budget.propose_budgets import propose_toml
from feasibility.errors import DeviceError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.processor_use import ProcessorUse, is_quiet
from feasibility.reading_cache import (
    NO_CACHE,
    ReadingCache,
    file_digest,
    model_digest,
)
from feasibility.records.budget import InitializerSize, Metric, Snapshot
from feasibility.records.workload import Fill, InputSpec
from tests.tiny_models import mlp


@given(
    st.dictionaries(st.sampled_from(list(METRICS)), st.integers(0, 10**13)),
    st.integers(0, 200),
    st.text(min_size=1, max_size=20).filter(str.strip),
)
def test_proposed_limits_leave_the_headroom_that_was_asked_for(
    figures: dict[Metric, int], percent: int, name: str
) -> None:
    """Whatever the figures and the model's name, the text is a budget file that holds them."""
    told = Snapshot(tool_version="0", model=name, figures={"file_size": 1, **figures})
    text = propose_toml([told], BudgetedWorkload(dims={name: 3}), percent / 100)
    if tomllib.loads(text)["budget"][0]["model"] != name:
        pytest.fail(text)
    (budget,) = parse_config(text, Path("feasibility.toml")).budgets
    assert budget.workload.dims == {name: 3}
    for metric, (limit,) in budget.limits.items():
        if limit.kind == "absolute":
            wanted = told.figures[metric] * (1 + percent / 100)
            assert wanted <= limit.value * (1 + 1e-9)
            assert limit.value <= 1.11 * wanted + 10


def test_a_device_bounds_memory_without_its_runtime_and_storage() -> None:
    assert 0 < device_bound("rpi_4b", "peak") < 8 * 2**30
    assert device_bound("pi4", "peak") == device_bound("rpi_4b", "peak")
    with pytest.raises(DeviceError, match="Cannot find device"):
        device_bound("pi4711", "peak")


def test_a_digest_covers_external_data(tmp_path: Path) -> None:
    """A model whose weights lie outside has changed when they have."""
    import onnx

    path = tmp_path / "a.onnx"
    model = onnx.load_model(mlp(path))
    onnx.save_model(model, path, save_as_external_data=True, location="a.data", size_threshold=0)
    cache = ReadingCache(tmp_path / "cache")
    first = model_digest(path, cache)
    assert model_digest(path, cache) == model_digest(path, NO_CACHE) == first
    data = tmp_path / "a.data"
    data.write_bytes(bytes(byte ^ 1 for byte in data.read_bytes()))
    assert model_digest(path, cache) != first


def test_a_file_that_is_known_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is so young that its times cannot show a further change."""
    path, cache = tmp_path / "file", ReadingCache(tmp_path / "cache")
    path.write_bytes(b"one")
    young = file_digest(path, cache)
    assert not (tmp_path / "cache").exists()
    an_hour_later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr("feasibility.reading_cache.time.time_ns", lambda: an_hour_later)
    assert file_digest(path, cache) == young
    (entry,) = (tmp_path / "cache").rglob("*.json")
    entry.write_text('"the digest that is known"')
    assert file_digest(path, cache) == "the digest that is known"
    path.write_bytes(b"two")
    os.utime(path, (1, 1))
    assert file_digest(path, cache) == hashlib.sha256(b"two").hexdigest()


def test_a_damaged_entry_is_none_at_all(tmp_path: Path) -> None:
    cache = ReadingCache(tmp_path)
    cache.put("kind", b"key", {"a": 1})
    assert cache.get("kind", b"key", dict[str, int]) == {"a": 1}
    assert cache.get("kind", b"key", list[str]) is None
    (entry,) = tmp_path.rglob("*.json")
    entry.write_bytes(b'{"a"')
    assert cache.get("kind", b"key", dict[str, int]) is None
    assert NO_CACHE.get("kind", b"key", dict[str, int]) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ReadingCache(tmp_path / "file").put("kind", b"key", 1)


@pytest.mark.parametrize(
    ("others", "quiet"), [(0, True), (20, True), (40, False), (100, False)]
)  # fmt: skip
def test_other_work_is_what_this_process_did_not_do(others: int, quiet: bool) -> None:
    """Ticks of two processors over one second, one of them used by the model."""
    after = ProcessorUse(busy_ticks=100 + others, total_ticks=200, own_ticks=100)
    assert is_quiet(ProcessorUse(0, 0, 0), after) is quiet


def test_processor_time_is_known_where_one_thread_does_all_the_work(tmp_path: Path) -> None:
    """Another number of threads, and the thread that asks no longer does it all."""
    path = mlp(tmp_path / "a.onnx", width=256)
    one = ModelRuns(path, MeasureOptions()).times(5)
    assert one.processor_ns is not None
    assert one.processor_ns > 0
    assert ModelRuns(path, MeasureOptions(threads=2)).times(5).processor_ns is None


def test_a_system_that_does_not_tell_is_taken_as_quiet() -> None:
    assert is_quiet(None, None)
    assert is_quiet(ProcessorUse(1, 1, 1), ProcessorUse(1, 1, 1))


def test_a_committed_baseline_keeps_the_largest_and_no_path(tmp_path: Path) -> None:
    sizes = tuple(
        InitializerSize(name=f"w{number:02}", dtype="float32", size_bytes=number)
        for number in range(40)
    )
    fill = Fill(kind="file", path="/home/somebody/x.npy")
    inputs = (InputSpec(name="x", dtype="float32", shape=(1,), fill=fill),)
    told = Snapshot(tool_version="0", model="m/a.onnx", initializers=sizes, inputs=inputs)
    path = write_baseline(tmp_path, told)
    kept = read_baseline(tmp_path, "m/a.onnx")
    assert kept is not None
    assert [size.name for size in kept.initializers] == [f"w{number}" for number in range(16, 40)]
    assert len(kept.initializers) == KEPT_INITIALIZER_COUNT
    assert kept.are_initializers_cut
    assert "somebody" not in path.read_text()
