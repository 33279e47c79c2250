"""The child process and its launcher, with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.records.workload import STEADY_ENVIRONMENT, Fill, InputSpec
from feasibility.runners.child import child_inputs, child_timing
from feasibility.runners.child_command import (
    CHILD_FOLDER,
    Command,
    local_command,
)
from feasibility.runners.child_process import ChildResult, run_child, run_children
from feasibility.runners.child_protocol import (
    Done,
    Failed,
    First,
    Loaded,
    Ready,
    Request,
    Schedule,
)
from tests import tiny_models

MIB = 1024**2
QUICK = Schedule(run_count_min=3, run_count_max=3, warmup_count=1)


def request_for(path: Path, **changes: object) -> Request:
    fields: dict[str, object] = {
        "action": "measure",
        "instrument": "plain",
        "model_path": str(path),
        "provider": "CPUExecutionProvider",
        "threads": 1,
        "inputs": (InputSpec(name="x", dtype="float32", shape=(1, 64)),),
        "schedule": QUICK,
    }
    return Request(**(fields | changes))


def measure(path: Path, *, timeout_s: float = 60, **changes: object) -> ChildResult:
    return run_child(request_for(path, **changes), local_command(), timeout_s=timeout_s)


def run_script(script: str, timeout_s: float = 30) -> ChildResult:
    """Runs a line of Python instead of the child program."""
    command = Command((sys.executable, "-c", script), os.environ)
    return run_child(request_for(Path("none")), command, timeout_s=timeout_s)


def test_events_come_in_order_and_complete(tmp_path: Path) -> None:
    """A healthy child sends ready, loaded, first, done, and has then ended."""
    result = measure(tiny_models.mlp(tmp_path / "m.onnx"))
    assert [type(event) for event in result.events] == [Ready, Loaded, First, Done]
    assert (result.ending, result.phase, result.exit_code) == ("done", "end", 0)
    done = result.event(Done)
    assert done is not None
    assert (done.warmup_count, len(done.samples_ns)) == (1, 3)
    assert all(sample > 0 for sample in done.samples_ns)


def test_child_imports_only_what_the_model_needs(tmp_path: Path) -> None:
    """Whatever else the child imported would be blamed on the baseline or on the model."""
    ready = measure(tiny_models.mlp(tmp_path / "m.onnx")).event(Ready)
    assert ready is not None
    own = {path.stem for path in CHILD_FOLDER.glob("*_*.py")}
    known = set(sys.stdlib_module_names) | {"numpy", "onnxruntime", "__main__"} | own
    hooks = {"_distutils_hack", "_virtualenv", "sitecustomize", "usercustomize"}
    assert {name for name in ready.modules if name not in known and name not in hooks} == set()


def test_baseline_is_not_the_parents_peak(tmp_path: Path) -> None:
    """A bloated parent leaves no trace in the child's figures, as it would in ru_maxrss."""
    model = tiny_models.mlp(tmp_path / "m.onnx")
    ballast = np.ones(400 * MIB, dtype=np.uint8)
    result = measure(model)
    del ballast
    ready, loaded = result.event(Ready), result.event(Loaded)
    assert ready is not None
    assert loaded is not None
    assert ready.baseline.resident_bytes < 150 * MIB
    assert loaded.peak_bytes - ready.baseline.resident_bytes < 50 * MIB


def test_peak_counts_the_weights(tmp_path: Path) -> None:
    """Loading 64 MiB of weights shows in the peak, and the runs do not raise it by as much."""
    model = tiny_models.mlp(tmp_path / "m.onnx", width=2048, layers=4)
    wide = (InputSpec(name="x", dtype="float32", shape=(1, 2048)),)
    command = local_command(STEADY_ENVIRONMENT)
    result = run_child(request_for(model, inputs=wide), command, timeout_s=60)
    ready, loaded, done = result.event(Ready), result.event(Loaded), result.event(Done)
    assert ready is not None
    assert loaded is not None
    assert done is not None
    above = loaded.peak_bytes - ready.baseline.resident_bytes
    assert 64 * MIB < above < 200 * MIB
    assert done.memory.resident_bytes <= done.peak_bytes


def test_sampling_finds_the_same_peak(tmp_path: Path) -> None:
    """Where the kernel's mark cannot be reset, sampling comes close and says so."""
    model = tiny_models.mlp(tmp_path / "m.onnx", width=1024, layers=8)
    wide = (InputSpec(name="x", dtype="float32", shape=(1, 1024)),)
    marked = measure(model, inputs=wide)
    sampled = measure(model, inputs=wide, force_sampling=True)
    ready = sampled.event(Ready)
    assert ready is not None
    assert ready.peak_source == "sampled"
    peaks = [result.event(Loaded).peak_bytes for result in (marked, sampled)]  # type: ignore[union-attr]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.25)


def test_unknown_provider_is_refused(tmp_path: Path) -> None:
    """A provider that is not in the build fails; it does not fall back to the CPU."""
    result = measure(tiny_models.mlp(tmp_path / "m.onnx"), provider="QNNExecutionProvider")
    failed = result.event(Failed)
    assert failed is not None
    assert failed.error_type == "ProviderUnavailable"
    assert "CPUExecutionProvider" in failed.available_providers


def test_endless_model_is_ended(tmp_path: Path) -> None:
    """A model that never returns is killed at the limit, and its load is kept."""
    one = (InputSpec(name="x", dtype="float32", shape=(1,)),)
    result = measure(tiny_models.endless_loop(tmp_path / "m.onnx"), inputs=one, timeout_s=3)
    assert (result.ending, result.phase) == ("timeout", "run")
    assert result.event(Loaded) is not None


def test_memory_ceiling_stops_a_hungry_model(tmp_path: Path) -> None:
    """A model that wants more than the ceiling gets an error instead of the machine."""
    one = (InputSpec(name="x", dtype="float32", shape=(1,)),)
    model = tiny_models.huge_allocation(tmp_path / "m.onnx", elements=2_000 * MIB)
    result = measure(model, inputs=one, ceiling_bytes=1024 * MIB)
    failed = result.event(Failed)
    assert result.ending == "failed", result
    assert failed is not None
    assert failed.phase in {"load", "run"}


@pytest.mark.parametrize(
    ("script", "ending", "signal_number"),
    [
        ("import os; os.kill(os.getpid(), 11)", "signal", signal.SIGSEGV),
        ("import os; os.kill(os.getpid(), 9)", "signal", signal.SIGKILL),
        ("raise SystemExit(7)", "silent", None),
        ("print('not json at all')", "silent", None),
    ],
)
def test_other_endings(script: str, ending: str, signal_number: int | None) -> None:
    """A child that crashes, is killed or says nothing is a result with its reason."""
    result = run_script(script)
    assert (result.ending, result.signal_number, result.phase) == (ending, signal_number, "start")


def test_grandchildren_do_not_survive(tmp_path: Path) -> None:
    """A process that the child started is gone when its result is there."""
    mark = tmp_path / "pid"
    run_script(
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(mark)!r}, 'w').write(str(p.pid))",
        timeout_s=3,
    )
    assert ends_soon(int(mark.read_text()))


def test_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """`kill -9` of the tool ends a child that is in the middle of an endless run."""
    model = tiny_models.endless_loop(tmp_path / "m.onnx")
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from pathlib import Path\n"
            "from tests.test_child_process import measure\n"
            "from feasibility.records.workload import InputSpec\n"
            "measure(Path(sys.argv[1]), inputs=(InputSpec(name='x', dtype='float32', "
            "shape=(1,)),), timeout_s=600)\n",
            str(model),
        ],
        cwd=Path(__file__).parents[1],
    )
    try:
        pid = wait_for(lambda: running_child_of(parent.pid))
        time.sleep(1.0)  # into the run
        parent.kill()
        parent.wait()
        assert ends_soon(pid)
    finally:
        parent.kill()
        parent.wait()


def test_children_side_by_side_keep_their_order(tmp_path: Path) -> None:
    """Results come in the order of the requests, whichever child ends first."""
    slow = request_for(
        tiny_models.mlp(tmp_path / "a.onnx", width=512, layers=8),
        inputs=(InputSpec(name="x", dtype="float32", shape=(1, 512)),),
        schedule=Schedule(run_count_min=200, run_count_max=200, warmup_count=0),
    )
    quick = request_for(tiny_models.mlp(tmp_path / "b.onnx"))
    results = run_children([(slow, local_command()), (quick, local_command())], timeout_s=60)
    counts = [len(result.event(Done).samples_ns) for result in results]  # type: ignore[union-attr]
    assert counts == [200, 3]


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(name="x", dtype="float16", shape=(3,)),
        InputSpec(name="x", dtype="bfloat16", shape=(3,)),
        InputSpec(name="x", dtype="uint8", shape=(), fill=Fill(kind="integers", low=0, high=9)),
        InputSpec(name="x", dtype="bool", shape=(2, 2), fill=Fill(kind="constant", low=1)),
        InputSpec(name="x", dtype="string", shape=(2,)),
        InputSpec(name="x", dtype="float32", shape=(0, 3)),
        InputSpec(
            name="x", dtype="float32", shape=(2,), kind="sequence", type_text="seq(tensor(float))"
        ),
        InputSpec(
            name="x",
            dtype="float32",
            shape=(2,),
            kind="optional",
            type_text="optional(tensor(float))",
        ),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.dtype}-{len(spec.shape)}d",
)
def test_every_kind_of_input_can_be_fed(tmp_path: Path, spec: InputSpec) -> None:
    """A model that hands its input through runs with inputs of every kind."""
    model = tiny_models.identity(tmp_path / "m.onnx", spec)
    result = measure(model, inputs=(spec,))
    assert result.ending == "done", (result.event(Failed), result.stderr_tail)


@given(
    low=st.integers(-1000, 1000),
    span=st.integers(0, 10**6),
    start=st.integers(0, 10**6),
    count=st.integers(0, 300),
    seed=st.integers(0, 2**31),
)
def test_generated_integers_stay_in_range_and_repeat(
    low: int, span: int, start: int, count: int, seed: int
) -> None:
    """Integers lie in the closed range, and any stretch can be made again on its own."""
    fill = {"kind": "integers", "low": float(low), "high": float(low + span)}
    whole = child_inputs.make_elements(np, fill, start, count, seed)
    assert whole.size == count
    assert ((whole >= low) & (whole <= low + span)).all()
    half = count // 2
    tail = child_inputs.make_elements(np, fill, start + half, count - half, seed)
    assert (whole[half:] == tail).all()


@given(samples=st.lists(st.integers(1, 10**9), min_size=1, max_size=200))
def test_median_interval_encloses_the_median(samples: list[int]) -> None:
    """The interval's indices are valid and enclose the middle."""
    low, high = child_timing.median_interval_indices(len(samples))
    assert 0 <= low <= (len(samples) - 1) // 2 <= high < len(samples)


def heed_interrupts() -> None:
    """For `preexec_fn`: a job that a shell started in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(probe: object, seconds: float = 30) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()  # type: ignore[operator]
        if found:
            return int(found)
        time.sleep(0.05)
    raise AssertionError("nothing happened in time")


def running_child_of(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def ends_soon(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False
