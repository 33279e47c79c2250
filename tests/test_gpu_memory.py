"""Memory on a GPU, from recorded answers of NVIDIA's library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feasibility.measure import gpu_pass as gpu
from feasibility.measure.host import ceiling_bytes
from feasibility.measure.instruments import nvml as nvml_module
from feasibility.measure.instruments.gpu_watcher import GpuFigures, GpuWatcher
from feasibility.measure.instruments.nvml import GpuState, NvmlError, opened
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done, Loaded, MemoryReading, Ready
from feasibility.runners.local import LocalSession

MIB = 1024**2
PID = 4242
READING = MemoryReading(resident_bytes=1, anonymous_bytes=1, file_bytes=0)
READY = Ready(versions={}, modules=(), baseline=READING, peak_source="vmhwm")
LOADED = Loaded(load_ns=1, peak_bytes=1, memory=READING)
DONE = Done(first_run_ns=1, warmup_count=0, samples_ns=(), peak_bytes=1, memory=READING)


class Recorded:
    """Answers one after the other; the last one for ever. An answer holds one state per GPU."""

    def __init__(self, *answers: GpuState | tuple[GpuState, ...]) -> None:
        self.answers = [(each,) if isinstance(each, GpuState) else each for each in answers]

    def states(self) -> tuple[GpuState, ...]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def state(used: int, own: int | None = None, *, listed: bool = True) -> GpuState:
    """A GPU on which another process holds 1000 MiB."""
    processes: dict[int, int | None] = {7: 1000 * MIB}
    if listed:
        processes[PID] = None if own is None else own * MIB
    return GpuState("NVIDIA T4", 15360 * MIB, used * MIB, processes)


def watched(*answers: GpuState | tuple[GpuState, ...]) -> GpuFigures:
    """Figures of a child that was looked at between its phases only."""
    watcher = GpuWatcher(Recorded(*answers), PID)
    for event in (READY, LOADED, DONE):
        assert watcher.corrected(event) is event
    assert watcher.figures is not None
    return watcher.figures


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
    watcher.corrected(READY)
    watcher.observe()
    watcher.observe()
    watcher.corrected(LOADED)
    watcher.observe()
    watcher.corrected(DONE)
    assert watcher.figures == GpuFigures(
        "NVIDIA T4", 15360 * MIB, "process", 800 * MIB, 600 * MIB, 1000 * MIB
    )


def test_where_processes_are_not_told_apart_the_difference_counts() -> None:
    """In a container the driver lists ids of the host."""
    figures = watched(*(state(used, listed=False) for used in (1100, 1600, 1600, 1900)))
    assert (figures.scope, figures.resident_bytes) == ("device", 500 * MIB)
    assert figures.inference_peak_bytes == 800 * MIB


def test_a_process_whose_memory_is_not_told_is_counted_by_the_difference() -> None:
    """As under WSL, where the driver lists the process and no memory of it."""
    figures = watched(state(1100, listed=False), state(1600, None))
    assert (figures.scope, figures.resident_bytes) == ("device", 500 * MIB)


def test_others_on_the_gpu_do_not_count_once_the_child_is_listed() -> None:
    """What rose before the driver listed the child may have been another's."""
    figures = watched(
        state(1100, listed=False), state(9000, listed=False), state(1500, 400), state(1500, 400)
    )
    assert (figures.scope, figures.load_peak_bytes) == ("process", 0)
    assert (figures.resident_bytes, figures.inference_peak_bytes) == (400 * MIB, 400 * MIB)


def test_a_stranger_of_the_same_id_is_not_the_child() -> None:
    """The first look is taken before the child can have a context."""
    figures = watched(state(5000, 4000), state(5000, 4000), state(5300, 4000))
    assert (figures.scope, figures.resident_bytes) == ("device", 300 * MIB)


def test_the_gpu_that_the_runtime_took_is_found() -> None:
    """Its number for the runtime, after CUDA_VISIBLE_DEVICES, is not that of the driver."""
    other = GpuState("NVIDIA L4", 23034 * MIB, 10 * MIB, {})
    figures = watched((other, state(1100, listed=False)), (other, state(1600, 500)))
    assert (figures.name, figures.resident_bytes) == ("NVIDIA T4", 500 * MIB)


def test_nothing_seen_on_any_gpu_is_no_figure() -> None:
    watcher = GpuWatcher(Recorded(state(1100, listed=False)), PID)
    for event in (READY, LOADED, DONE):
        watcher.corrected(event)
    assert watcher.figures is None


def test_a_look_that_fails_is_passed_over() -> None:
    class Lost:
        def states(self) -> tuple[GpuState, ...]:
            raise NvmlError("GPU is lost")

    watcher = GpuWatcher(Lost(), PID)
    watcher.corrected(READY)
    watcher.corrected(LOADED)
    assert watcher.figures is None


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
    return Passes(Path("/none.onnx"), options, LocalSession(), ceiling_bytes())


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
    """The shared library's functions, answering as recorded on a machine with one GPU.

    Args:
        code: What its start answers.
        listing: What the list of processes answers once there is room for it.
        newest: The version of the list's function.
    """

    def __init__(self, code: int = 0, listing: int = 0, newest: str = "_v3") -> None:
        self.code = code
        self.listing = listing
        self.is_shut_down = False
        self.nvmlErrorString = lambda code: {
            6: b"Not Found",
            9: b"Driver Not Loaded",
            15: b"GPU is lost",
            18: b"Driver/library version mismatch",
        }[code]
        setattr(self, f"nvmlDeviceGetComputeRunningProcesses{newest}", self.processes)

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self.code

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.is_shut_down = True
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:  # noqa: N802
        handle._obj.value = 1000 + index
        return 0

    def nvmlDeviceGetMigMode(self, device: Any, mode: Any, pending: Any) -> int:  # noqa: N802
        return 3

    def nvmlDeviceGetName(self, device: Any, name: Any, size: int) -> int:  # noqa: N802
        name.value = b"NVIDIA T4"
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total, memory._obj.used = 15360 * MIB, 1600 * MIB
        return 0

    def processes(self, device: Any, count: Any, found: Any) -> int:
        wanted = count._obj
        if wanted.value < 2:
            wanted.value = 2
            return 7
        wanted.value = 2
        if not self.listing:
            found[0].pid, found[0].used_gpu_memory = PID, 600 * MIB
            found[1].pid, found[1].used_gpu_memory = 7, 2**64 - 1
        return self.listing


class DividedLibrary(Library):
    """A GPU divided into instances, of which the first and the third slot are taken."""

    def nvmlDeviceGetMigMode(self, device: Any, mode: Any, pending: Any) -> int:  # noqa: N802
        mode._obj.value = 1
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any, count: Any) -> int:  # noqa: N802
        count._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(  # noqa: N802
        self, device: Any, index: int, handle: Any
    ) -> int:
        if index not in (0, 2):
            return 6
        handle._obj.value = 2000 + index
        return 0

    def nvmlDeviceGetName(self, device: Any, name: Any, size: int) -> int:  # noqa: N802
        name.value = f"instance {device.value}".encode()
        return 0


def use(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(nvml_module.ctypes, "CDLL", lambda name: library)
    return library


@pytest.mark.parametrize("newest", ["_v3", "_v2", ""])
def test_the_librarys_answers_are_read(newest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older drivers know only older versions of the list, the oldest with fewer fields."""
    library = use(Library(newest=newest), monkeypatch)
    with opened() as nvml:
        assert nvml.states() == (
            GpuState("NVIDIA T4", 15360 * MIB, 1600 * MIB, {PID: 600 * MIB, 7: None}),
        )
    assert library.is_shut_down


def test_instances_of_a_divided_gpu_answer_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    use(DividedLibrary(), monkeypatch)
    with opened() as nvml:
        assert [each.name for each in nvml.states()] == ["instance 2000", "instance 2002"]


@pytest.mark.parametrize("refusal", [3, 4])
def test_processes_that_are_not_listed_are_no_failure(
    refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not supported, or not for this user: what all hold is told nevertheless."""
    use(Library(listing=refusal), monkeypatch)
    with opened() as nvml:
        assert nvml.states()[0] == GpuState("NVIDIA T4", 15360 * MIB, 1600 * MIB, {})


def test_another_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use(Library(listing=15), monkeypatch)
    with opened() as nvml, pytest.raises(NvmlError, match="says: GPU is lost"):
        nvml.states()


def test_a_driver_without_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    library.nvmlDeviceGetCount_v2 = lambda count: 0  # type: ignore[method-assign]
    use(library, monkeypatch)
    with pytest.raises(NvmlError, match="knows no GPU"), opened():
        pass


@pytest.mark.parametrize(
    ("code", "words"), [(9, "Driver Not Loaded"), (18, "Driver/library version mismatch")]
)
def test_a_driver_that_does_not_answer_is_named(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Library(code=code), monkeypatch)
    with pytest.raises(NvmlError, match=f"does not answer .{words}"), opened():
        pass
