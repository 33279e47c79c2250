"""Proofs with real children: under the kernel's limit where there is one, and the weaker one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feasibility.errors import FeasibilityError, HostError, MeasurementError, ModelError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import local_passes
from feasibility.measure.prove import prove_model as prove_module
from feasibility.measure.prove.limited_run import (
    GroupedChild,
    is_slowed,
    limited_run,
    unlimited_run,
)
from feasibility.measure.prove.page_cache import cached_bytes, evict, read_ahead_bytes
from feasibility.measure.prove.prove_model import ProveOptions, prove_model
from feasibility.records.proof import LimitedRun, Proof
from feasibility.runners.child_process import ChildResult, Ending
from feasibility.runners.child_protocol import (
    Done,
    Failed,
    First,
    Loaded,
    MemoryReading,
    Phase,
    Ready,
)
from feasibility.runners.limits.cgroup_files import PAGE_BYTES
from feasibility.runners.limits.memory_limit import ADDRESS_SPACE, Enforcer, Usage
from feasibility.runners.limits.strongest_limit import strongest_enforcer
from feasibility.units import KIB, MIB
from tests import tiny_models
from tests.test_child_process import ends_soon, heed_interrupts, running_child_of, wait_for

QUICK = MeasureOptions(run_count=3, warmup_count=1)
READING = MemoryReading(resident_bytes=50 * MIB, anonymous_bytes=30 * MIB, file_bytes=20 * MIB)


def prove(path: Path, options: MeasureOptions = QUICK, **wanted: object) -> Proof:
    return prove_model(path, options, ProveOptions(**wanted))  # type: ignore[arg-type]


@pytest.fixture
def groups() -> Path:
    """Where this machine's groups are made; skips where none can be."""
    with strongest_enforcer() as (enforcer, refusals):
        if enforcer.kind == "address-space":
            pytest.skip(f"no control group can be made here: {'; '.join(map(str, refusals))}")
        parent = enforcer.parent
    assert parent is not None
    return parent


@pytest.fixture
def no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where no control group can be made."""

    @contextlib.contextmanager
    def weaker() -> Iterator[tuple[Enforcer, tuple[()]]]:
        yield ADDRESS_SPACE, ()

    monkeypatch.setattr(prove_module, "strongest_enforcer", weaker)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """32 MiB of weights."""
    return tiny_models.mlp(tmp_path / "m.onnx", width=1024, layers=8)


def left_in(parent: Path, pid: int | None = None) -> list[str]:
    """Groups that a process has made there; other people's tests may run at the same time."""
    return [path.name for path in parent.glob(f"feasibility-{pid or os.getpid()}-*")]


def test_a_roomy_limit_is_survived(model: Path, groups: Path) -> None:
    proof = prove(model, memory_bytes=400 * MIB)
    run = proof.verdict
    assert run is not None
    assert (run.outcome, run.ended_by, run.phase, run.oom_kill_count) == (
        "survived",
        "itself",
        "end",
        0,
    )
    assert run.enforced_bytes == 400 * MIB + proof.baseline_bytes
    assert len(run.samples_ns) == 3
    assert run.latency_ratio is not None
    assert 32 * MIB < proof.needed_bytes < 200 * MIB
    assert 10 * MIB < proof.baseline_bytes < 100 * MIB
    assert left_in(groups) == []


def test_a_tight_limit_kills(model: Path, groups: Path) -> None:
    proof = prove(model, memory_bytes=16 * MIB)
    run = proof.verdict
    assert run is not None
    assert (run.outcome, run.ended_by, run.phase) == ("killed", "oom-killer", "load")
    assert run.oom_kill_count == 1
    assert run.median_ns is None
    assert proof.unlimited.median_ns is not None
    assert left_in(groups) == []


def test_the_search_encloses_the_floor(model: Path, groups: Path) -> None:
    proof = prove(model, bisect=True)
    found = proof.bisection
    assert found is not None
    assert len(proof.runs) <= prove_module.MAX_LIMITED_RUNS
    assert found.floor_bytes is not None
    assert found.killed_bytes is not None
    assert found.killed_bytes < found.floor_bytes
    assert found.floor_precision_ratio is not None
    assert found.floor_precision_ratio <= 0.02
    assert found.floor_bytes == pytest.approx(found.predicted_floor_bytes, rel=0.15)
    by_limit = {run.limit_bytes: run.outcome for run in proof.runs}
    assert by_limit[found.killed_bytes] == "killed"
    assert by_limit[found.floor_bytes] != "killed"
    assert proof.verdict is None


def test_the_wanted_limit_is_the_first_of_a_search(model: Path, groups: Path) -> None:
    proof = prove(model, memory_bytes=300 * MIB, bisect=True)
    assert proof.verdict == proof.runs[0]
    assert proof.runs[0].limit_bytes == 300 * MIB


def test_the_default_allocator_is_said_to_vary(model: Path, groups: Path) -> None:
    proof = prove(model, memory_bytes=400 * MIB, allocator="default")
    assert proof.allocator == "default"
    assert "allocator-default" in [notice.code for notice in proof.warnings]


def test_the_weaker_limit_survived(model: Path, no_groups: None) -> None:
    proof = prove(model, memory_bytes=400 * MIB)
    assert proof.verdict is not None
    assert (proof.limit_kind, proof.verdict.outcome) == ("address-space", "survived")
    assert "limit-weaker" in [notice.code for notice in proof.warnings]


def test_the_weaker_limit_refuses(model: Path, no_groups: None) -> None:
    """An allocation fails, and the model is as dead as if it had been killed."""
    proof = prove(model, memory_bytes=16 * MIB)
    assert proof.verdict is not None
    assert proof.verdict.outcome == "killed"
    assert proof.verdict.ended_by in {"refusal", "crash"}
    assert proof.verdict.phase == "load"


def test_the_weaker_limit_has_no_comfort_point(model: Path, no_groups: None) -> None:
    proof = prove(model, bisect=True)
    assert proof.bisection is not None
    assert proof.bisection.floor_bytes is not None
    assert proof.bisection.comfort_bytes is None


def test_a_model_that_does_not_run_at_all(tmp_path: Path, groups: Path) -> None:
    """What fails without a limit is no matter of the limit."""
    path = tiny_models.endless_loop(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="did not finish within 2 s"):
        prove(path, MeasureOptions(timeout_s=2), memory_bytes=400 * MIB)
    assert left_in(groups) == []


def test_a_group_that_cannot_be_made(
    model: Path, groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        kind = "cgroup-v2"

        @contextlib.contextmanager
        def limit(self, limit_bytes: int | None) -> Iterator[None]:
            raise PermissionError(13, "Permission denied")
            yield

    @contextlib.contextmanager
    def refusing() -> Iterator[tuple[object, tuple[()]]]:
        yield Refusing(), ()

    monkeypatch.setattr(prove_module, "strongest_enforcer", refusing)
    with pytest.raises(HostError, match="permission denied"):
        prove(model, memory_bytes=400 * MIB)


# What a run that was not healthy is taken for, from what is left of it.


def child(ending: Ending, *events: object, signal_number: int | None = None) -> ChildResult:
    ready = Ready(versions={}, modules=(), baseline=READING, peak_source="vmhwm")
    return ChildResult(
        ending=ending,
        events=(ready, *events),  # type: ignore[arg-type]
        signal_number=signal_number,
        exit_code=None,
        stderr_tail="",
        wall_ns=10**9,
        timeout_s=60.0,
    )


def healthy(median_ns: int, runs: int = 3) -> ChildResult:
    return child(
        "done",
        Loaded(load_ns=10**8, peak_bytes=60 * MIB, memory=READING),
        First(first_run_ns=median_ns),
        Done(
            first_run_ns=median_ns,
            warmup_count=1,
            samples_ns=(median_ns,) * runs,
            peak_bytes=60 * MIB,
            memory=READING,
        ),
    )


UNLIMITED = unlimited_run(GroupedChild(healthy(10**6), None, 0))


def judged(result: ChildResult, *, oom_kills: int | None = 0, reread: int | None = 0) -> LimitedRun:
    moments = {First: Usage(refault_bytes=None if reread is None else 0)}
    final = Usage(oom_kill_count=oom_kills, refault_bytes=reread)
    child = GroupedChild(result, 100 * MIB, 0, moments, final)  # type: ignore[arg-type]
    passes = local_passes(Path("m.onnx"), MeasureOptions())
    return limited_run(child, 70 * MIB, UNLIMITED, passes)


def failed(message: str, phase: Phase = "load") -> ChildResult:
    return child("failed", Failed(phase=phase, error_type="Fail", message=message))


@pytest.mark.parametrize(
    ("run", "outcome", "ended_by"),
    [
        (lambda: judged(healthy(10**6)), "survived", "itself"),
        (lambda: judged(healthy(2 * 10**6), reread=40 * MIB), "thrashed", "itself"),
        (lambda: judged(healthy(2 * 10**6), reread=0), "survived", "itself"),
        (lambda: judged(healthy(2 * 10**6), reread=None), "thrashed", "itself"),
        (lambda: judged(healthy(14 * 10**5), reread=40 * MIB), "survived", "itself"),
        (lambda: judged(child("signal", signal_number=9), oom_kills=1), "killed", "oom-killer"),
        (lambda: judged(child("signal", signal_number=9), oom_kills=None), "killed", "oom-killer"),
        (lambda: judged(child("signal", signal_number=11)), "killed", "crash"),
        (lambda: judged(child("signal", signal_number=6)), "killed", "crash"),
        (lambda: judged(failed("std::bad_alloc")), "killed", "refusal"),
        (lambda: judged(failed("read: Cannot allocate memory")), "killed", "refusal"),
        (lambda: judged(child("timeout"), reread=MIB), "thrashed", "timeout"),
        (lambda: judged(child("timeout"), reread=None), "thrashed", "timeout"),
    ],
)
def test_what_became_of_a_limited_run(run: object, outcome: str, ended_by: str) -> None:
    found = run()  # type: ignore[operator]
    assert (found.outcome, found.ended_by) == (outcome, ended_by)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (child("signal", signal_number=9), "was killed"),
        (child("signal", signal_number=15), "SIGTERM"),
        (child("timeout"), "did not finish"),
        (child("silent"), "without a result"),
        (failed("No such file"), "No such file"),
    ],
)
def test_what_is_not_the_limits_doing_is_an_error(result: ChildResult, why: str) -> None:
    """Counters of the group tell its own kills from those of others."""
    with pytest.raises(FeasibilityError, match=why) as caught:
        judged(result)
    assert isinstance(caught.value, ModelError | MeasurementError)


def test_rereading_is_counted_per_run_after_the_first() -> None:
    found = judged(healthy(2 * 10**6), reread=40 * MIB)
    assert found.reread_per_run_bytes == 10 * MIB  # one to warm up, three measured


@pytest.mark.parametrize(
    ("ratio", "reread", "slowed"),
    [(1.09, MIB, False), (1.2, MIB, True), (1.2, PAGE_BYTES - 1, False), (9.0, 0, False)],
)
def test_only_rereading_makes_a_limit_slow(ratio: float, reread: int, slowed: bool) -> None:
    found = judged(healthy(round(ratio * 10**6)), reread=reread * 4)
    assert is_slowed(found, 1.1) == slowed


def test_files_leave_the_page_cache(tmp_path: Path) -> None:
    """Also when they were written a moment ago; a missing one is no matter."""
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(300 * KIB))
    with path.open("rb") as file:
        assert cached_bytes(file.fileno()) > 0
        kept = evict([path, tmp_path / "missing"])
        assert kept == cached_bytes(file.fileno())
    read_ahead = read_ahead_bytes(path)
    assert read_ahead is None or read_ahead >= 0


def test_an_empty_file_has_nothing_to_evict(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert evict([path]) == 0


# The tool as a process: interrupted, killed, and beside another one.


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "feasibility", "prove", "m.onnx", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (no threads here)
    )


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


@pytest.mark.parametrize("words", ["reading the model", "without a limit", "under 400 MiB"])
def test_an_interrupt_leaves_nothing_behind(model: Path, groups: Path, words: str) -> None:
    tool = start(model.parent, "--memory", "400MiB", "--runs", "30000", "--timeout", "8")
    wait_for_line(tool, words)
    child_pid = (
        wait_for(lambda: running_child_of(tool.pid)) if words != "reading the model" else None
    )
    tool.send_signal(signal.SIGINT)
    _, err = tool.communicate(timeout=30)
    assert tool.returncode == 130
    assert "Traceback" not in err
    assert child_pid is None or ends_soon(child_pid)
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"]
    assert left_in(groups, tool.pid) == []


def test_a_killed_tool_takes_its_child_along_and_the_next_one_cleans_up(
    tmp_path: Path, groups: Path
) -> None:
    tiny_models.endless_loop(tmp_path / "m.onnx")
    tool = start(tmp_path, "--memory", "400MiB")
    wait_for_line(tool, "without a limit")
    child_pid = wait_for(lambda: running_child_of(tool.pid))
    tool.kill()
    tool.communicate()
    assert ends_soon(child_pid)

    def swept() -> bool:
        with strongest_enforcer():
            return left_in(groups, tool.pid) == []

    # The kernel lets go of a group a moment after the last of its processes.
    assert wait_for(swept)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_two_proofs_in_one_folder_do_not_meet(model: Path, groups: Path) -> None:
    both = [
        start(model.parent, "--memory", limit, "--runs", "3", "-o", f"{limit}.json")
        for limit in ("400MiB", "16MiB")
    ]
    endings = [(tool.communicate(timeout=100), tool.returncode) for tool in both]
    assert [code for _, code in endings] == [0, 1]
    assert sorted(path.name for path in model.parent.iterdir()) == [
        "16MiB.json",
        "400MiB.json",
        "m.onnx",
    ]
    assert [left_in(groups, tool.pid) for tool in both] == [[], []]
