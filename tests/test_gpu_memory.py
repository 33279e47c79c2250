"""Memory on a GPU, from recorded answers of NVIDIA's library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from feasibility.measure import gpu_pass as gpu
from feasibility.measure.gpu_pass import GpuWatcher
from feasibility.measure.instruments.nvml import GpuState, NvmlError, open_nvml
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.records.profile import GpuMemory
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done, Loaded, MemoryReading, Ready
from feasibility.runners.host import ceiling_bytes
from feasibility.runners.session import LocalSession

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


def watched(*answers: GpuState | tuple[GpuState, ...]) -> GpuMemory:
    """Figures of a child that was looked at between its phases only."""
    watcher = GpuWatcher(Recorded(*answers), PID)
    for event in (READY, LOADED, DONE):
        assert watcher.corrected(event) is event
    assert watcher.memory is not None
    return watcher.memory


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
    assert watcher.memory == GpuMemory(
        name="NVIDIA T4",
        total_bytes=15360 * MIB,
        scope="process",
        load_peak_bytes=800 * MIB,
        resident_bytes=600 * MIB,
        inference_peak_bytes=1000 * MIB,
        workspace_bytes=400 * MIB,
    )
    memory = gpu.without_context(watcher.memory, 350 * MIB)
    assert (memory.context_bytes, memory.weights_bytes) == (350 * MIB, 250 * MIB)


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
    assert (figures.scope, figures.load_peak_bytes) == ("process", 400 * MIB)
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
    assert watcher.memory is None


def test_a_look_that_fails_is_passed_over() -> None:
    class Lost:
        def states(self) -> tuple[GpuState, ...]:
            raise NvmlError("GPU is lost")

    watcher = GpuWatcher(Lost(), PID)
    watcher.corrected(READY)
    watcher.corrected(LOADED)
    assert watcher.memory is None


def test_a_look_at_the_runs_alone_may_be_lower_than_after_loading() -> None:
    """No peak is below what was held after loading, and the context's share is not known."""
    memory = watched(
        state(1100, listed=False), state(1600, 400), state(1600, 600), state(1300, 300)
    )
    assert (memory.load_peak_bytes, memory.inference_peak_bytes) == (600 * MIB, 600 * MIB)
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

    monkeypatch.setattr(gpu, "open_nvml", absent)
    memory, notices = gpu.gpu_memory(passes(provider), InputPlan(inputs=()))
    assert memory is None
    assert [notice.message for notice in notices] == [
        "memory on the GPU was not measured: the NVIDIA driver's library is not installed here"
    ]


class FakeError(Exception):
    """An error of the driver, with its number and words in NVML."""

    WORDS: ClassVar = {
        3: "Not Supported",
        4: "Insufficient Permissions",
        6: "Not Found",
        9: "Driver Not Loaded",
        12: "NVML Shared Library Not Found",
        13: "Function Not Found",
        15: "GPU is lost",
        18: "RM has detected an NVML/RM version mismatch.",
    }

    def __init__(self, value: int) -> None:
        super().__init__(self.WORDS[value])
        self.value = value


class FakePynvml(ModuleType):
    """The module of nvidia-ml-py, with answers recorded on a machine with one GPU.

    Args:
        init_code: Error number of its start; 0 for none.
        list_code: Error number of the list of processes; 0 for none.
    """

    NVMLError = FakeError
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_NO_PERMISSION = 4
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_FUNCTION_NOT_FOUND = 13
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, init_code: int = 0, list_code: int = 0, gpu_count: int = 1) -> None:
        super().__init__("pynvml")
        self.init_code = init_code
        self.list_code = list_code
        self.gpu_count = gpu_count
        self.is_shut_down = False

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init_code:
            raise FakeError(self.init_code)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_shut_down = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpu_count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return 1000 + index

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:  # noqa: N802
        raise FakeError(3)

    def nvmlDeviceGetName(self, device: int) -> str:  # noqa: N802
        return "NVIDIA T4"

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=15360 * MIB, used=1600 * MIB)

    def nvmlDeviceGetComputeRunningProcesses(  # noqa: N802
        self, device: int
    ) -> list[SimpleNamespace]:
        if self.list_code:
            raise FakeError(self.list_code)
        return [
            SimpleNamespace(pid=PID, usedGpuMemory=600 * MIB),
            SimpleNamespace(pid=7, usedGpuMemory=None),
        ]


class DividedPynvml(FakePynvml):
    """A GPU divided into instances; the first and the third slot hold one."""

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:  # noqa: N802
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: int, index: int) -> int:  # noqa: N802
        if index not in (0, 2):
            raise FakeError(6)
        return 2000 + index

    def nvmlDeviceGetName(self, device: int) -> str:  # noqa: N802
        return f"instance {device}"


def use(module: FakePynvml, monkeypatch: pytest.MonkeyPatch) -> FakePynvml:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_the_drivers_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    module = use(FakePynvml(), monkeypatch)
    with open_nvml() as nvml:
        assert nvml.states() == (
            GpuState("NVIDIA T4", 15360 * MIB, 1600 * MIB, {PID: 600 * MIB, 7: None}),
        )
    assert module.is_shut_down


def test_the_package_has_what_the_fake_answers() -> None:
    """Names and numbers of the fake are those of nvidia-ml-py, where that is installed."""
    pynvml = pytest.importorskip("pynvml")
    for name in (*vars(FakePynvml), *vars(DividedPynvml)):
        if name.startswith("NVML_"):
            assert getattr(pynvml, name) == getattr(FakePynvml, name)
        elif name.startswith("nvml"):
            assert callable(getattr(pynvml, name))
    for value, words in FakeError.WORDS.items():
        assert str(pynvml.NVMLError(value)) == words


def test_instances_of_a_divided_gpu_have_their_own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    use(DividedPynvml(), monkeypatch)
    with open_nvml() as nvml:
        assert [each.name for each in nvml.states()] == ["instance 2000", "instance 2002"]


@pytest.mark.parametrize("refusal", [3, 4, 13])
def test_processes_that_are_not_listed_are_no_failure(
    refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of all processes together is known nevertheless."""
    use(FakePynvml(list_code=refusal), monkeypatch)
    with open_nvml() as nvml:
        assert nvml.states()[0] == GpuState("NVIDIA T4", 15360 * MIB, 1600 * MIB, {})


def test_another_refusal_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakePynvml(list_code=15), monkeypatch)
    with open_nvml() as nvml, pytest.raises(NvmlError, match="reports: GPU is lost"):
        nvml.states()


def test_a_driver_without_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakePynvml(gpu_count=0), monkeypatch)
    with pytest.raises(NvmlError, match="reports no GPU"), open_nvml():
        pass


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, r"does not answer \(Driver Not Loaded\)"),
        (18, r"RM has detected an NVML/RM version mismatch"),
        (12, "the NVIDIA driver's library is not installed here"),
    ],
)
def test_a_driver_that_does_not_answer_is_named(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakePynvml(init_code=code), monkeypatch)
    with pytest.raises(NvmlError, match=words), open_nvml():
        pass


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    memory, notices = gpu.gpu_memory(passes("cuda"), InputPlan(inputs=()))
    assert memory is None
    assert [(notice.message, notice.hint) for notice in notices] == [
        (
            "memory on the GPU was not measured: the Python package nvidia-ml-py is not installed",
            "pip install 'feasibility[gpu]'",
        )
    ]
