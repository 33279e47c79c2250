"""Memory over time and the arena's peak: the arithmetic, the instruments, the plots."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feasibility.measure.arena_peak import arena_peak
from feasibility.measure.instruments.ort_log import load_phases, read_load_phases
from feasibility.measure.instruments.ort_profile import ArenaStep, arena_step, trace_of
from feasibility.measure.memory_timeline import (
    MAX_POINT_COUNT,
    MemorySample,
    phases,
    thinned,
    timeline,
)
from feasibility.records.workload import STEADY_ENVIRONMENT, InputSpec
from feasibility.render.reports.sections import AreaPlot
from feasibility.render.terminal.curves import area_lines, axis_line
from feasibility.runners.child_command import local_command
from feasibility.runners.child_process import run_child
from feasibility.runners.child_protocol import Done, Ready, Recording, Request, Schedule
from tests import tiny_models

MIB = 1024**2
SAMPLES = st.lists(
    st.builds(
        MemorySample,
        time_ns=st.integers(0, 10**10),
        resident_bytes=st.integers(0, 10**9),
        allocated_bytes=st.just(0),
    ),
    min_size=1,
    max_size=400,
).map(lambda samples: sorted(samples, key=lambda sample: sample.time_ns))


@given(SAMPLES, st.integers(1, 50))
def test_thinning_keeps_the_highest_sample(samples: list[MemorySample], count: int) -> None:
    """Few points, in order of time, each of which was seen, the highest among them."""
    found = thinned(samples, count)
    assert len(found) <= max(count, 1)
    assert set(found) <= set(samples)
    assert [sample.time_ns for sample in found] == sorted(sample.time_ns for sample in found)
    assert max(sample.resident_bytes for sample in found) == max(
        sample.resident_bytes for sample in samples
    )


MARKS = (
    ("import", 100),
    ("load", 200),
    ("inputs", 300),
    ("first-run", 310),
    ("runs", 350),
    ("end", 400),
)
SAMPLES_BY_HAND = tuple(
    MemorySample(at, resident, resident - 5)
    for at, resident in [
        (100, 10),
        (150, 20),
        (200, 30),
        (230, 90),
        (260, 70),
        (320, 60),
        (360, 65),
    ]
)


def test_loading_is_divided_where_the_log_tells() -> None:
    """Parse, optimise and prepack take the place of load; the last one ends where loading does."""
    found = phases(
        MARKS, (("parse", 0), ("optimise", 20), ("prepack", 50), ("end", 95)), SAMPLES_BY_HAND
    )
    assert [(phase.name, phase.begin_ns, phase.end_ns) for phase in found] == [
        ("import", 0, 100),
        ("parse", 100, 120),
        ("optimise", 120, 150),
        ("prepack", 150, 200),
        ("inputs", 200, 210),
        ("first-run", 210, 250),
        ("runs", 250, 300),
    ]
    assert [phase.resident_peak_bytes for phase in found] == [30, 30, 90, 90, 70, 70, 65]


@pytest.mark.parametrize(
    "log", [(), (("parse", 0), ("optimise", 50), ("prepack", 60), ("end", 101))]
)
def test_loading_stays_whole_without_a_fitting_log(log: tuple[tuple[str, int], ...]) -> None:
    """A log that is missing, or that goes on beyond the loading, divides nothing."""
    found = phases(MARKS, log, SAMPLES_BY_HAND)
    assert [phase.name for phase in found] == ["import", "load", "inputs", "first-run", "runs"]
    assert found[1].resident_peak_bytes == 90


@given(st.lists(st.integers(0, 1000), min_size=6, max_size=6), SAMPLES)
def test_phases_leave_no_gap(times: list[int], samples: list[MemorySample]) -> None:
    """Each phase begins where the one before it ends."""
    names = [name for name, _ in MARKS]
    marks = tuple(zip(names, sorted(times), strict=True))
    found = phases(marks, (), [MemorySample(0, 0, 0), *samples])
    assert [phase.begin_ns for phase in found[1:]] == [phase.end_ns for phase in found[:-1]]
    assert len(found) == 5


def test_a_recording_becomes_a_timeline() -> None:
    """Times count from the first sample; a mute C library leaves the allocated memory open."""
    recording = Recording(
        phases=tuple((name, time_ns, 40, -1) for name, time_ns in MARKS),
        times_ns=(120, 250),
        resident_bytes=(41, 90),
        allocated_bytes=(-1, -1),
    )
    found = timeline(recording, (), None)
    assert found is not None
    assert found.baseline_bytes == 40
    assert found.at_ns == (0, 20, 100, 150, 200, 210, 250, 300)
    assert found.resident_bytes == (40, 41, 40, 90, 40, 40, 40, 40)
    assert found.allocated_bytes is None
    assert found.phases[1].allocated_peak_bytes is None


def test_a_recording_that_ended_early_is_no_timeline() -> None:
    recording = Recording((("import", 1, 2, 3),), (1,), (2,), (3,))
    assert timeline(recording, (), None) is None


def log_line(time: str, text: str) -> str:
    return f"2026-02-28 {time} [I:onnxruntime:, inference_session.cc:1 f] {text}\n"


BEGIN = log_line("23:59:59.900000000", "Session Options {")
LOG = (
    BEGIN
    + "  a line of something else\n"
    + log_line("23:59:59.950", "Initializing session.")
    + log_line("00:00:00.1", "Saving initialized tensors.").replace("02-28", "03-01")
    + log_line("00:00:00.15", "Saving initialized tensors.").replace("02-28", "03-01")
    + log_line("00:00:00.200000001", "Session successfully initialized.").replace("02-28", "03-01")
)


def test_the_runtimes_log_tells_the_phases() -> None:
    """Fractions of any length, over midnight; of a sentence said twice the first counts."""
    assert load_phases(LOG) == (
        ("parse", 0),
        ("optimise", 50_000_000),
        ("prepack", 200_000_000),
        ("end", 300_000_001),
    )


@pytest.mark.parametrize(
    "log",
    [
        "",
        "nothing of it",
        BEGIN,
        LOG.replace("Saving", "Storing"),
        BEGIN + LOG.replace(BEGIN, "").replace("23:59:59.950", "23:59:58.950"),
    ],
)
def test_another_log_tells_nothing(log: str) -> None:
    assert load_phases(log) == ()


def step(node: str, in_use: int, grown: int, **more: object) -> ArenaStep:
    fields = {"high_bytes": in_use, "op_type": "Conv"} | more
    return ArenaStep(node=node, in_use_bytes=in_use, grown_bytes=grown, **fields)  # type: ignore[arg-type]


def test_the_peak_of_a_residual_block() -> None:
    """a feeds b and the sum; c reads b, whose memory is then free; the sum has three tensors."""
    kib = 1024
    steps = [
        step("a", 104 * kib, 4 * kib, output_sizes=(4 * kib,)),
        step("b", 112 * kib, 8 * kib, input_sizes=(4 * kib,), output_sizes=(8 * kib,)),
        step("c", 116 * kib, 4 * kib, input_sizes=(8 * kib,), output_sizes=(4 * kib,)),
        step(
            "sum",
            112 * kib,
            4 * kib,
            high_bytes=119 * kib,
            input_sizes=(4 * kib, 4 * kib),
            output_sizes=(4 * kib,),
        ),
        step("end", 105 * kib, 1 * kib, high_bytes=119 * kib, input_sizes=(4 * kib,)),
    ]
    found = arena_peak(steps)
    assert found is not None
    assert (found.node, found.prepacked_bytes) == ("sum", 100 * kib)
    assert (found.in_use_bytes, found.scratch_bytes) == (19 * kib, 7 * kib)
    assert [(tensor.producer, tensor.size_bytes) for tensor in found.tensors] == [
        ("a", 4 * kib),
        ("c", 4 * kib),
        ("sum", 4 * kib),
    ]


def test_outputs_of_one_node_go_one_by_one() -> None:
    """A split leaves two blocks, of which the reader of one frees that one."""
    steps = [
        step("split", 768, 768, output_sizes=(500, 100)),
        step("left", 1024, 256, input_sizes=(500,), output_sizes=(10,)),
        step("end", 1280, 768, input_sizes=(10,), output_sizes=(700,)),
    ]
    found = arena_peak(steps)
    assert found is not None
    assert [(tensor.producer, tensor.size_bytes) for tensor in found.tensors] == [
        ("end", 768),
        ("split", 256),
        ("left", 256),
    ]


def run_of(
    sizes: list[int], freed_counts: list[int]
) -> tuple[list[ArenaStep], int, list[tuple[int, int]]]:
    """A run in which each step frees the oldest blocks, then takes one.

    Returns its steps, the highest use, and number and size of the blocks in use then.
    """
    alive: list[tuple[int, int]] = []
    at_peak: list[tuple[int, int]] = []
    steps: list[ArenaStep] = []
    high = 0
    for number, (size, freed) in enumerate(zip(sizes, freed_counts, strict=True)):
        alive = [*alive[freed:], (number, size)]
        in_use = sum(block_size for _, block_size in alive)
        if in_use > high:
            high, at_peak = in_use, alive
        steps.append(step(str(number), in_use, size, high_bytes=high, output_sizes=(size,)))
    return steps, high, at_peak


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=30))
@example([(1, 0), (1, 0), (1, 0), (5, 0), (3, 0), (3, 2), (4, 2), (3, 1), (3, 0)])
def test_what_is_listed_fits_into_what_is_in_use(plan: list[tuple[int, int]]) -> None:
    """Also where several blocks have one size, so that the wrong ones may count as freed."""
    steps, high, _ = run_of([256 * grains for grains, _ in plan], [freed for _, freed in plan])
    found = arena_peak(steps)
    assert found is not None
    assert found.in_use_bytes == high
    assert sum(tensor.size_bytes for tensor in found.tensors) + found.scratch_bytes <= high


@given(st.lists(st.integers(0, 3), min_size=1, max_size=24), st.randoms(use_true_random=False))
def test_blocks_of_different_sizes_are_all_found(freed: list[int], random: Random) -> None:
    """Each sum of freed blocks has one meaning, so the blocks at the peak are known exactly."""
    sizes = [256 << number for number in range(len(freed))]
    random.shuffle(sizes)
    steps, _, at_peak = run_of(sizes, freed)
    found = arena_peak(steps)
    assert found is not None
    listed = {(int(tensor.producer), tensor.size_bytes) for tensor in found.tensors}
    assert listed == set(at_peak)


def test_no_steps_have_no_peak() -> None:
    assert arena_peak(()) is None


def test_a_step_is_read_from_a_trace_event() -> None:
    """Numbers come as text and shapes by type; a build without memory fields tells nothing."""
    args = {
        "op_name": "Conv",
        "mem_bytes_in_use": "1000",
        "mem_in_use_delta": "-24",
        "mem_in_use_peak": "2000",
        "input_type_shape": [{"float": [2, 3]}, {"int64": []}, {"weird": [9]}],
        "output_type_shape": [{"float16": [5]}],
    }
    assert arena_step({"name": "n", "args": args}) == ArenaStep(
        "n", "Conv", 1000, -24, 2000, (24, 8, 0), (10,)
    )
    assert arena_step({"name": "n", "args": {"op_name": "Conv"}}) is None


def test_a_loop_comes_after_its_body() -> None:
    """Steps are in order of their ends, because that is when their figures were taken."""

    def kernel(name: str, ts: int, dur: int) -> dict[str, object]:
        figures = {"mem_bytes_in_use": "1", "mem_in_use_delta": "1", "mem_in_use_peak": "1"}
        return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": figures}

    run = {"name": "model_run", "ts": 0, "dur": 100}
    later = kernel("again", 150, 1)
    trace = trace_of([run, kernel("loop", 1, 50), kernel("body", 5, 5), later])
    assert [each.node for each in trace.steps] == ["body", "loop"]


def test_a_real_child_is_recorded(tmp_path: Path) -> None:
    """Marks rise, the log divides the loading, and 16 MiB of weights show in both figures."""
    model, log_path = tiny_models.mlp(tmp_path / "m.onnx", 1024, 4), tmp_path / "log"
    request = Request(
        action="measure",
        instrument="timeline",
        model_path=str(model),
        provider="CPUExecutionProvider",
        threads=1,
        inputs=(InputSpec(name="x", dtype="float32", shape=(1, 1024)),),
        schedule=Schedule(run_count_min=1, run_count_max=1, warmup_count=0),
        record=True,
        log_path=str(log_path),
    )
    result = run_child(request, local_command(STEADY_ENVIRONMENT), timeout_s=60)
    recording, ready, done = result.event(Recording), result.event(Ready), result.event(Done)
    assert recording is not None
    assert ready is not None
    assert done is not None
    found = timeline(recording, read_load_phases(log_path), None)
    assert found is not None
    assert [phase.name for phase in found.phases] == [
        "import", "parse", "optimise", "prepack", "inputs", "first-run", "runs",
    ]  # fmt: skip
    assert 0 < len(found.at_ns) <= MAX_POINT_COUNT
    assert found.baseline_bytes == pytest.approx(ready.baseline.resident_bytes, rel=0.1)
    assert max(found.resident_bytes) >= found.baseline_bytes + 16 * MIB
    assert found.allocated_bytes is not None
    assert max(found.allocated_bytes) >= 16 * MIB


@given(
    heights=st.lists(st.integers(0, 10**9), min_size=1, max_size=50),
    width=st.integers(1, 120),
    height=st.integers(1, 12),
    ascii_only=st.booleans(),
    two=st.booleans(),
)
def test_a_plot_fills_its_place(
    heights: list[int], width: int, height: int, ascii_only: bool, two: bool
) -> None:
    """As many rows and columns as asked for; the highest column reaches the top."""
    at = tuple(index / len(heights) for index in range(len(heights)))
    inner = tuple(value // 2 for value in heights) if two else ()
    plot = AreaPlot(at, tuple(heights), inner, (), "top", line_count=height)
    lines = area_lines(plot, width, ascii_only=ascii_only)
    assert [len(line) for line in lines] == [width] * height
    assert (lines[0].strip() != "") == any(heights)
    assert not ascii_only or "".join(lines).isascii()


def test_only_names_with_room_are_on_the_axis() -> None:
    assert axis_line([(0.0, "import"), (0.5, "load"), (0.7, "runs")], 20) == "|import   |   |runs "
