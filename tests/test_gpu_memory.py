"""Memory on a GPU, from recorded answers of NVIDIA's library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feasibility.measure import gpu
from feasibility.measure.host import ceiling_bytes
from feasibility.measure.options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.probe import nvml as nvml_module
from feasibility.probe.gpu_watch import GpuFigures, GpuWatcher
from feasibility.probe.nvml import GpuState, NvmlError, opened
from feasibility.probe.place import LocalPlace
from feasibility.probe.wire import Done, Loaded, MemoryReading, Ready
from feasibility.records.workload import InputPlan

MIB = 1024**2
PID = 4242
READING = MemoryReading(resident=1, anonymous=1, file=0)
READY = Ready(versions={}, modules=(), baseline=READING, peak_source="vmhwm")
LOADED = Loaded(load_ns=1, peak=1, memory=READING)
DONE = Done(first_run_ns=1, warmup_count=0, samples_ns=(), peak=1, memory=READING)


class Recorded:
    """Answers one after the other; the last one for ever."""

    def __init__(self, *states: GpuState) -> None:
        self.states = list(states)

    def state(self) -> GpuState:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def state(used: int, own: int | None = None, *, listed: bool = True) -> GpuState:
    """A GPU on which another process holds 1000 MiB."""
    processes: dict[int, int | None] = {7: 1000 * MIB}
    if listed:
        processes[PID] = None if own is None else own * MIB
    return GpuState("NVIDIA T4", 15360 * MIB, used * MIB, processes)


def test_the_childs_own_memory_is_followed_through_its_phases() -> None:
    watcher = GpuWatcher(
        Recorded(
            state(1100, listed=False),  # ready
            state(1500, 400),  # while loading
            state(1900, 800),
            state(1700, 600),  # loaded, looked at twice
            state(1700, 600),
            state(2100, 1000),  # while running
            state(1800, 700),  # done
        ),
        PID,
    )
    assert watcher.mend(READY) is READY
    watcher.look()
    watcher.look()
    watcher.mend(LOADED)
    watcher.look()
    watcher.mend(DONE)
    figures = watcher.figures
    assert (figures.name, figures.scope) == ("NVIDIA T4", "process")
    assert figures.load_peak_bytes == 800 * MIB
    assert figures.resident_bytes == 600 * MIB
    assert figures.inference_peak_bytes == 1000 * MIB


def test_where_processes_are_not_told_apart_the_difference_counts() -> None:
    """In a container the driver lists ids of the host."""
    watcher = GpuWatcher(
        Recorded(state(1100, listed=False), state(1600, listed=False), state(1600, listed=False)),
        PID,
    )
    watcher.mend(READY)
    watcher.mend(LOADED)
    watcher.mend(DONE)
    assert watcher.figures.scope == "device"
    assert watcher.figures.resident_bytes == 500 * MIB


def test_context_weights_and_workspace_are_told_apart() -> None:
    model = GpuFigures("T4", 100, "process", 800 * MIB, 600 * MIB, 1000 * MIB)
    memory = gpu.combined(model, GpuFigures("T4", 100, "process", 350 * MIB, 350 * MIB, 350 * MIB))
    assert memory.context_bytes == 350 * MIB
    assert memory.weights_bytes == 250 * MIB
    assert memory.workspace_bytes == 400 * MIB
    assert memory.inference_peak_bytes == 1000 * MIB


def test_without_the_context_its_share_is_not_known() -> None:
    memory = gpu.combined(GpuFigures("T4", 100, "device", 8, 6, 6), None)
    assert (memory.context_bytes, memory.weights_bytes) == (None, None)
    assert memory.workspace_bytes == 0


def passes(provider: str) -> Passes:
    options = MeasureOptions(provider=provider)
    return Passes(Path("/none.onnx"), options, LocalPlace(), ceiling_bytes())


def test_the_cpu_has_no_gpu_memory() -> None:
    assert gpu.gpu_memory(passes("cpu"), InputPlan(inputs=())) == (None, [])


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_an_absent_driver_is_one_sentence(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def absent() -> Iterator[object]:
        raise NvmlError("the NVIDIA driver's library is not installed here")
        yield

    monkeypatch.setattr(gpu, "opened", absent)
    memory, notices = gpu.gpu_memory(passes(provider), InputPlan(inputs=()))
    assert memory is None
    assert [notice.message for notice in notices] == [
        "memory on the GPU was not measured: the NVIDIA driver's library is not installed here"
    ]


class Library:
    """The shared library's functions, answering as recorded on a machine with one GPU."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.is_shut_down = False
        self.nvmlErrorString = lambda code: b"Not Found"

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self.code

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.is_shut_down = True
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: object) -> int:  # noqa: N802
        return 0 if index == 0 else 6

    def nvmlDeviceGetName(  # noqa: N802
        self, device: object, name: Any, size: int
    ) -> int:
        name.value = b"NVIDIA T4"
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: object, memory: object) -> int:  # noqa: N802
        answer = memory._obj  # type: ignore[attr-defined]
        answer.total, answer.used = 15360 * MIB, 1600 * MIB
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(  # noqa: N802
        self, device: object, count: object, found: object
    ) -> int:
        wanted = count._obj  # type: ignore[attr-defined]
        if wanted.value < 2:
            wanted.value = 2
            return 7
        wanted.value = 2
        found[0].pid, found[0].used_gpu_memory = PID, 600 * MIB  # type: ignore[index]
        found[1].pid, found[1].used_gpu_memory = 7, 2**64 - 1  # type: ignore[index]
        return 0


def test_the_librarys_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(nvml_module.ctypes, "CDLL", lambda name: library)
    with opened() as nvml:
        assert nvml.state() == GpuState(
            "NVIDIA T4", 15360 * MIB, 1600 * MIB, {PID: 600 * MIB, 7: None}
        )
    assert library.is_shut_down


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_module.ctypes, "CDLL", lambda name: Library())
    with pytest.raises(NvmlError, match="Not Found"), opened(3):
        pass


def test_a_driver_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_module.ctypes, "CDLL", lambda name: Library(code=9))
    with pytest.raises(NvmlError, match="does not answer"), opened():
        pass
