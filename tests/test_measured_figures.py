"""Arithmetic between what children say and what a profile says."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.errors import UsageError
from feasibility.measure import latency_percentiles as latency
from feasibility.measure import measurement_warnings
from feasibility.measure.default_allocator_range import default_range
from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_profile import Trace, read_trace, trace_of
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import (
    ChildMemory,
    memory_of,
    steady_memory,
)
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Loaded, MemoryReading, Ready
from feasibility.runners.session import LocalSession

SAMPLES = st.lists(st.integers(1, 10**10), min_size=1, max_size=150)


@given(SAMPLES, st.floats(0, 100))
def test_percentiles_are_samples_that_happened(samples: list[int], percent: float) -> None:
    """At least the stated share lies at or below the percentile, which is a sample."""
    ordered = sorted(samples)
    found = latency.percentile(ordered, percent)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= percent / 100 * len(samples)


@given(SAMPLES)
def test_latency_figures_are_in_order(samples: list[int]) -> None:
    """Percentiles rise, and the interval encloses the median."""
    figures = latency.latency_summary(samples, 5, 7)
    assert figures.samples_ns == tuple(samples)
    rising = [figures.min_ns, figures.median_ns, figures.p90_ns, figures.p95_ns, figures.p99_ns]
    assert rising == sorted(rising)
    assert figures.median_low_ns <= figures.median_ns <= figures.median_high_ns
    assert (figures.load_ns, figures.first_run_ns) == (5, 7)


def test_known_latency_figures() -> None:
    """The figures of ten samples, by hand."""
    figures = latency.latency_summary([40, 10, 20, 30, 50, 60, 70, 80, 90, 100], 1, 2)
    assert (figures.min_ns, figures.median_ns, figures.mean_ns) == (10, 50, 55)
    assert (figures.p90_ns, figures.p95_ns, figures.p99_ns) == (90, 100, 100)
    assert figures.stdev_ns == 30


def test_outliers_lie_beyond_the_outer_fence() -> None:
    """A single long run among equal ones is found; equal runs are none."""
    assert latency.outlier_count([10] * 20) == 0
    assert latency.outlier_count([10, 11] * 10 + [100]) == 1


READY = Ready(
    versions={},
    modules=(),
    baseline=MemoryReading(
        resident_bytes=1000,
        anonymous_bytes=400,
        file_bytes=600,
        pss_bytes=500,
        private_dirty_bytes=300,
    ),
    peak_source="vmhwm",
)
LOADED = Loaded(load_ns=1, peak_bytes=5000, memory=MemoryReading(3000, 2300, 700))
DONE = Done(
    first_run_ns=1,
    warmup_count=0,
    samples_ns=(1,),
    peak_bytes=4000,
    memory=MemoryReading(3500, 2700, 800, pss_bytes=2500, private_dirty_bytes=2300),
)


def finished(done: Done) -> ChildResult:
    return ChildResult(
        ending="done",
        events=(READY, LOADED, done),
        signal_number=None,
        exit_code=0,
        stderr_tail="",
        wall_ns=1,
        timeout_s=60.0,
    )


def test_memory_is_counted_above_the_baseline() -> None:
    """Peaks less a current value; anonymous and file-backed parts on their own."""
    assert memory_of(finished(DONE)) == ChildMemory(
        peak_source="vmhwm",
        baseline_bytes=1000,
        load_peak_bytes=4000,
        resident_bytes=2000,
        resident_anonymous_bytes=1900,
        resident_file_bytes=100,
        inference_peak_bytes=3000,
        inference_anonymous_bytes=2300,
        inference_file_bytes=200,
        inference_pss_bytes=2000,
        inference_private_dirty_bytes=2000,
    )


def test_steady_memory_joins_the_instruments() -> None:
    """Floor, comfort, allocated and retained follow from the parts."""
    kernel = memory_of(finished(DONE))
    memory = steady_memory(
        kernel,
        PhaseAllocations(peak_bytes=3800, kept_bytes=1500, uses=()),
        PhaseAllocations(peak_bytes=700, kept_bytes=0, uses=()),
        Trace(operators=(), arena_held_bytes=900, arena_in_use_peak_bytes=800),
        default_anonymous_bytes=2600,
    )
    assert (memory.floor_bytes, memory.comfort_bytes) == (3900, 3900)
    assert memory.allocated_load_peak_bytes == 3800
    assert memory.allocated_inference_peak_bytes == 2200
    assert memory.retained_bytes == 1100
    assert (memory.arena_held_bytes, memory.arena_in_use_peak_bytes) == (900, 800)


def test_comfort_has_room_for_the_runs_file_pages() -> None:
    """Where runs map more than loading needed, they decide; the two never add up."""
    done = msgspec.structs.replace(DONE, peak_bytes=9000)
    memory = steady_memory(memory_of(finished(done)), None, None, None, 0)
    assert (memory.floor_bytes, memory.comfort_bytes) == (7800, 8000)


def test_missing_instruments_leave_none() -> None:
    """A figure that was not measured is None, never zero."""
    memory = steady_memory(memory_of(finished(DONE)), None, None, None, 0)
    assert memory.allocated_load_peak_bytes is None
    assert memory.allocated_inference_peak_bytes is None
    assert memory.retained_bytes is None
    assert memory.arena_held_bytes is None


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_default_range_encloses_every_child(peaks: list[int]) -> None:
    """All children lie inside, and the range is widened by 1/(n-1) of itself on each side."""
    base = memory_of(finished(DONE))
    children = [replace(base, load_peak_bytes=peak) for peak in peaks]
    found = default_range(children)
    low, high = min(peaks), max(peaks)
    reach = (high - low) / max(1, len(peaks) - 1)
    assert found.repeat_count == len(peaks)
    assert found.load_peak_high_bytes == pytest.approx(high + reach, abs=1)
    assert found.load_peak_low_bytes == pytest.approx(max(0, low - reach), abs=1)


def kernel_event(name: str, ts: int, dur: int, index: int, **args: Any) -> dict[str, Any]:
    fields = {"op_name": "Conv", "provider": "CPUExecutionProvider", "node_index": str(index)}
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": ts,
        "dur": dur,
        "args": fields | {key: str(value) for key, value in args.items()},
    }


def run_event(ts: int, dur: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur}


def test_trace_takes_memory_of_the_first_run_and_times_of_the_others() -> None:
    """Two nodes over three runs, with one name used twice."""
    events = [
        run_event(100, 50),
        kernel_event("a", 100, 30, 1, mem_bytes_in_use=10, mem_in_use_peak=10, mem_arena_held=64),
        kernel_event("a", 130, 10, 2, mem_bytes_in_use=25, mem_in_use_peak=40, mem_arena_held=64),
        run_event(200, 20),
        kernel_event("a", 200, 5, 1, mem_bytes_in_use=99, mem_in_use_peak=40, mem_arena_held=128),
        kernel_event("a", 205, 7, 2, mem_bytes_in_use=99),
        run_event(300, 20),
        kernel_event("a", 300, 5, 1, output_size=4, activation_size=8, parameter_size=2),
        kernel_event("a", 305, 9, 2),
        {"cat": "Node", "name": "a_fence_before", "ts": 1, "dur": 1},
    ]
    trace = trace_of(events)
    assert [(o.call_count, o.total_ns, o.run_count) for o in trace.operators] == [
        (2, 10_000, 2),
        (2, 16_000, 2),
    ]
    assert [o.arena_in_use_bytes for o in trace.operators] == [10, 25]
    assert (trace.arena_held_bytes, trace.arena_in_use_peak_bytes) == (128, 40)


def test_trace_of_a_build_without_memory_fields() -> None:
    """Older builds time nodes and say nothing of memory."""
    trace = trace_of([run_event(1, 9), kernel_event("a", 1, 3, 1)])
    assert trace.arena_held_bytes is None
    assert [(o.total_ns, o.arena_in_use_bytes, o.bytes) for o in trace.operators] == [
        (3000, None, None)
    ]


def test_trace_file_that_is_cut(tmp_path: Path) -> None:
    """A profile that the runtime did not finish is refused, not half read."""
    path = tmp_path / "t.json"
    path.write_text(json.dumps([run_event(1, 2)])[:-3])
    with pytest.raises(ValueError, match="Expecting"):
        read_trace(path)


def figures_of(*samples: int) -> Any:
    return latency.latency_summary(samples, 1, 1)


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        ([10**6] * 9, "latency-few-samples"),
        ([10**6, 2 * 10**6] * 10, "latency-noisy"),
        ([10**6] * 18 + [10**8] * 2, "latency-outliers"),
        ([9_000] * 20, "latency-short"),
    ],
)
def test_each_latency_notice(samples: list[int], code: str) -> None:
    """Every notice has a code, a message and a hint."""
    found = {
        notice.code: notice
        for notice in measurement_warnings.latency_warnings(figures_of(*samples), MeasureOptions())
    }
    assert code in found
    assert found[code].message
    assert found[code].hint


def test_scattered_samples_with_a_sure_median_ask_for_more_runs_than_there_were() -> None:
    """No median is known to 0 %, and who took 100 runs is not told to take 100."""
    samples = [10**6] * 90 + [2 * 10**6] * 10
    (noisy,) = (
        notice
        for notice in measurement_warnings.latency_warnings(figures_of(*samples), MeasureOptions())
        if notice.code == "latency-noisy"
    )
    assert noisy.message.endswith("95 % confidence of the median: +/- 0.1 %")
    assert noisy.hint == "close other programs, or measure more runs: --runs 200"


def test_quiet_latency_has_no_notice() -> None:
    """Steady samples of a reasonable length need no comment."""
    samples = [10**7 + i for i in range(20)]
    assert measurement_warnings.latency_warnings(figures_of(*samples), MeasureOptions()) == ()


def test_a_chosen_number_of_runs_is_not_few() -> None:
    """Who asks for three runs gets three runs without a lecture."""
    assert (
        measurement_warnings.latency_warnings(figures_of(*[10**7] * 3), MeasureOptions(run_count=3))
        == ()
    )


def test_other_notices() -> None:
    """A busy host, a sampled peak and changed sizes are told; their opposites are not."""
    assert measurement_warnings.busy_host(0.1, 2) == ()
    assert measurement_warnings.busy_host(1.9, 2)[0].code == "host-busy"
    assert measurement_warnings.sampled_peak("vmhwm") == ()
    assert measurement_warnings.sampled_peak("sampled")[0].code == "peak-sampled"
    first = InputPlan(inputs=(), dims={"h": 224})
    other = InputPlan(inputs=(), dims={"h": 256})
    assert measurement_warnings.changed_sizes(first, first) == ()
    assert "h 224 -> 256" in measurement_warnings.changed_sizes(first, other)[0].message


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that had no room says so instead of what broke because of it."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    session = LocalSession()
    missing = measurement_warnings.failed_pass("allocation", "it broke", session.free_space())
    assert (missing.code, missing.message[-10:]) == ("pass-failed", ": it broke")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    notice = measurement_warnings.failed_pass("allocation", "it broke", session.free_space())
    assert f"({tmp_path}) is full" in notice.message
    assert "TMPDIR" in notice.hint


def test_providers_by_short_and_full_name() -> None:
    """Either name is understood; another is an error that lists them."""
    assert MeasureOptions(provider="CPU").provider_name == "CPUExecutionProvider"
    full = "CUDAExecutionProvider"
    assert MeasureOptions(provider=full).provider_name == full
    with pytest.raises(UsageError, match="Unknown execution provider 'gpu'"):
        MeasureOptions(provider="gpu")
