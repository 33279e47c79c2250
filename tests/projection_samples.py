"""Profiles and devices to project and judge: measured ones, and any at all."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from feasibility.records.changes import Changes
from feasibility.records.device import (
    Allocator,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Grant,
    Isa,
    Kind,
    Limits,
    Processor,
)
from feasibility.records.facts import ActivationPeak, ModelledMemory, OperatorClass
from feasibility.records.profile import (
    DefaultAllocator,
    Host,
    Latency,
    Memory,
    Profile,
    ProfiledModel,
)
from feasibility.records.workload import Workload
from feasibility.units import GIB, MIB, MILLISECOND_NS

GFLOP = 10**9


def latency(median_ns: int) -> Latency:
    return Latency(
        load_ns=median_ns,
        first_run_ns=median_ns,
        samples_ns=(median_ns,),
        min_ns=median_ns,
        median_ns=median_ns,
        mean_ns=median_ns,
        stdev_ns=0,
        p90_ns=median_ns,
        p95_ns=median_ns,
        p99_ns=median_ns,
        median_low_ns=median_ns,
        median_high_ns=median_ns,
    )


def steady(load: int, resident: int, run: int | None) -> Memory:
    """Steady figures given in MiB."""
    return Memory(
        allocator="steady",
        baseline_bytes=44 * MIB,
        load_peak_bytes=load * MIB,
        resident_bytes=resident * MIB,
        resident_anonymous_bytes=(resident - 8) * MIB,
        resident_file_bytes=8 * MIB,
        inference_peak_bytes=None if run is None else run * MIB,
    )


def default_range(load: tuple[int, int], run: tuple[int, int]) -> DefaultAllocator:
    """Range with glibc's defaults, given in MiB."""
    return DefaultAllocator(
        repeat_count=4,
        load_peak_low_bytes=load[0] * MIB,
        load_peak_high_bytes=load[1] * MIB,
        resident_low_bytes=run[0] * MIB,
        resident_high_bytes=run[1] * MIB,
        inference_peak_low_bytes=run[0] * MIB,
        inference_peak_high_bytes=run[1] * MIB,
    )


def profile_of(
    model: ProfiledModel,
    memory: Memory | None,
    *,
    default: DefaultAllocator | None = None,
    median_ns: int | None = None,
    arch: str = "x86_64",
) -> Profile:
    return Profile(
        tool_version="0.1.0",
        measured_at="2026-01-01T00:00:00Z",
        model=model,
        host=Host(
            cpu="AMD EPYC",
            arch=arch,
            core_count=2,
            memory_bytes=8 * GIB,
            os="Linux",
            python="3.11",
        ),
        workload=Workload(),
        memory=memory,
        default_allocator=default,
        latency=None if median_ns is None else latency(median_ns),
    )


# Load peak of XLM-R base after changes, in MiB.
EXTERNAL: Final[dict[Changes, int]] = {
    ("external-data",): 345,
    ("external-data", "prepacking-off"): 12,
}


def modelled(isa: Isa, load: int, resident: int, run: int, changes: Changes = ()) -> ModelledMemory:
    """What a graph tells of memory, in MiB: 10 of the runtime's own, 15 of activations."""
    return ModelledMemory(
        isa=isa,
        changes=changes,
        load_peak_bytes=load * MIB,
        resident_bytes=resident * MIB,
        inference_peak_bytes=run * MIB,
        weight_bytes=(resident - 10) * MIB,
        own_bytes=10 * MIB,
        activation_bytes=15 * MIB,
        input_bytes=MIB,
        mapped_bytes=max(0, run - resident - 15) * MIB if changes else 0,
    )


def resnet101() -> Profile:
    """ResNet-101 as it was measured on x86-64."""
    model = ProfiledModel(
        name="resnet101.onnx",
        path="resnet101.onnx",
        file_bytes=170 * MIB,
        initializer_bytes=169 * MIB,
        largest_initializer_bytes=9 * MIB,
        weight_bytes_by_operator={"Conv": 161 * MIB, "Gemm": 8 * MIB},
        flops=15_600_000_000,
        flops_by_class={"conv": 8 * GFLOP, "pointwise_conv": 7_600_000_000},
        moved_bytes_by_class={"conv": 150 * MIB, "pointwise_conv": 250 * MIB},
        node_count_by_class={"conv": 37, "pointwise_conv": 67, "elementwise": 134},
        weight_dtype="float32",
        modelled_memory=(modelled("x86_64", 360, 182, 200), modelled("aarch64", 188, 181, 204)),
        changed_memory=(
            modelled("x86_64", 350, 182, 200, ("external-data",)),
            modelled("aarch64", 190, 181, 197, ("external-data",)),
            modelled("aarch64", 25, 17, 195, ("optimised-offline", "external-data")),
        ),
    )
    return profile_of(
        model,
        steady(366, 182, 202),
        default=default_range((407, 457), (391, 441)),
        median_ns=65 * MILLISECOND_NS,
    )


def minilm() -> Profile:
    """MiniLM-L6 at sequence 64 as it was measured on x86-64."""
    model = ProfiledModel(
        name="minilm.onnx",
        path="minilm.onnx",
        file_bytes=round(86.1 * MIB),
        initializer_bytes=86 * MIB,
        largest_initializer_bytes=45 * MIB,
        weight_bytes_by_operator={"Gather": 46 * MIB, "MatMul": 40 * MIB},
        flops=1_450_000_000,
        flops_by_class={"matmul": 1_350_000_000, "attention": 100_000_000},
        moved_bytes_by_class={"matmul": 60 * MIB, "elementwise": 30 * MIB},
        node_count_by_class={"matmul": 50, "elementwise": 300},
        weight_dtype="float32",
        modelled_memory=(modelled("x86_64", 142, 98, 104), modelled("aarch64", 142, 98, 104)),
    )
    return profile_of(
        model,
        steady(141, 97, 106),
        default=default_range((141, 146), (119, 126)),
        median_ns=7_900_000,
    )


def xlmr() -> Profile:
    """XLM-R base at sequence 64 as it was measured on x86-64."""
    model = ProfiledModel(
        name="xlmr.onnx",
        path="xlmr.onnx",
        file_bytes=1058 * MIB,
        initializer_bytes=1058 * MIB,
        largest_initializer_bytes=732 * MIB,
        weight_bytes_by_operator={"Gather": 732 * MIB, "MatMul": 326 * MIB},
        flops=11 * GFLOP,
        flops_by_class={"matmul": 11 * GFLOP},
        moved_bytes_by_class={"matmul": 400 * MIB, "elementwise": 100 * MIB},
        node_count_by_class={"matmul": 80, "elementwise": 400},
        weight_dtype="float32",
        modelled_memory=(
            modelled("x86_64", 1803, 1070, 1084),
            modelled("aarch64", 1803, 1070, 1084),
        ),
        changed_memory=tuple(
            modelled(isa, load, load - 9, 368, changes)
            for changes, load in EXTERNAL.items()
            for isa in ("x86_64", "aarch64")
        ),
    )
    return profile_of(
        model,
        steady(1802, 1071, 1082),
        default=default_range((1802, 1802), (1272, 1290)),
        median_ns=60_800_000,
    )


def figure(value: int) -> Figure:
    return Figure(value=value, source="a test")


def board(
    *,
    memory_bytes: int = 4 * GIB,
    grant_bytes: int | None = None,
    clock_hz: int = 1_800_000_000,
    isa: Isa = "aarch64",
    allocator: Allocator = "glibc",
    latency_ns: int | None = 200 * MILLISECOND_NS,
) -> Device:
    """A Raspberry Pi 4, or something near it."""
    return Device(
        id="board",
        name="Board",
        kind="sbc",
        os="Linux",
        isa=isa,
        allocator=allocator,
        role="headless",
        cpu=Cpu(
            soc="SoC",
            clusters=(
                Cluster(
                    core="cortex-a72",
                    core_count=figure(4),
                    clock_hz=figure(clock_hz),
                    flop_per_cycle=figure(8),
                ),
            ),
        ),
        memory=DeviceMemory(
            total_bytes=figure(memory_bytes),
            bandwidth_bytes_per_s=figure(12_800_000_000),
            grants=(
                Grant(
                    role="headless",
                    memory_bytes=figure(grant_bytes or memory_bytes * 3 // 4),
                    reason="the system keeps the rest",
                ),
            ),
        ),
        limits=Limits(
            runtime_bytes=figure(24 * MIB),
            latency_ns=None if latency_ns is None else figure(latency_ns),
        ),
    )


_CLASSES: tuple[OperatorClass, ...] = (
    "conv",
    "depthwise_conv",
    "matmul",
    "quantization",
    "elementwise",
    "tree",
)
_BYTES = st.integers(0, 4 * GIB)


def _class_work(most: int) -> st.SearchStrategy[dict[OperatorClass, int]]:
    return st.dictionaries(st.sampled_from(_CLASSES), st.integers(0, most), max_size=4)


@st.composite
def _memories(draw: st.DrawFn) -> Memory:
    resident = draw(st.integers(8, 3000))
    return steady(
        resident + draw(st.integers(0, 3000)),
        resident,
        draw(st.none() | st.integers(resident, resident + 2000)),
    )


@st.composite
def _models(draw: st.DrawFn) -> ProfiledModel:
    return ProfiledModel(
        name="model.onnx",
        path="model.onnx",
        format=draw(st.sampled_from(("onnx", "ort"))),
        file_bytes=draw(_BYTES),
        external_bytes=draw(st.just(0) | _BYTES),
        initializer_bytes=draw(st.none() | _BYTES),
        largest_initializer_bytes=draw(st.none() | _BYTES),
        generated_bytes=draw(st.just(0) | _BYTES),
        weight_bytes_by_operator=draw(
            st.dictionaries(st.sampled_from(("Conv", "ai.onnx:Conv", "Gather", "MatMul")), _BYTES)
        ),
        flops=draw(st.none() | st.integers(0, 10**12)),
        moved_bytes=draw(st.none() | _BYTES),
        node_count=draw(st.none() | st.integers(0, 5000)),
        flops_by_class=draw(_class_work(10**12)),
        moved_bytes_by_class=draw(_class_work(10**10)),
        node_count_by_class=draw(_class_work(2000)),
        weight_dtype=draw(st.sampled_from((None, "float32", "float16", "int8"))),
        custom_operators=draw(st.sampled_from(((), (), ("com.example:Own",)))),
        operator_types=draw(st.sampled_from(((), ("com.microsoft.nchwc:Conv",)))),
        per_iteration=draw(st.booleans()),
        activation_peak=draw(
            st.none()
            | st.builds(
                ActivationPeak,
                peak_bytes=_BYTES,
                node=st.just("n"),
                op_type=st.just("Conv"),
                tensors=st.just(()),
            )
        ),
    )


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any profile, with everything missing that may be missing."""
    memory = draw(st.none() | _memories())
    load, run = draw(st.integers(8, 6000)), draw(st.integers(8, 6000))
    return profile_of(
        draw(_models()),
        memory,
        default=draw(st.none() | st.just(default_range((load, load + 50), (run, run + 50)))),
        median_ns=draw(st.none() | st.integers(1, 10**11)),
        arch=draw(st.sampled_from(("x86_64", "aarch64", "riscv64"))),
    )


@st.composite
def _cpus(draw: st.DrawFn) -> Cpu:
    clusters = st.builds(
        Cluster,
        core=st.sampled_from(("cortex-a53", "cortex-a72", "cortex-x4", "zen-2", "unheard-of")),
        core_count=st.builds(figure, st.integers(1, 8)),
        clock_hz=st.builds(figure, st.integers(10**7, 10**10)),
        flop_per_cycle=st.builds(figure, st.integers(1, 64)),
    )
    return Cpu(
        soc="SoC",
        clusters=draw(st.lists(clusters, min_size=1, max_size=3).map(tuple)),
        features=draw(st.sampled_from(((), ("dotprod",)))),
    )


_RATE = st.integers(10**8, 10**15)
_OPTIONAL_RATE = st.none() | st.builds(figure, _RATE)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    """Any device, with everything missing that may be missing."""
    total = draw(st.integers(MIB, 64 * GIB))
    runs_on: Processor = draw(st.sampled_from(("cpu", "cpu", "gpu")))
    kind: Kind = draw(st.sampled_from(("phone", "sbc", "server")))
    memory = DeviceMemory(
        total_bytes=figure(total),
        bandwidth_bytes_per_s=draw(_OPTIONAL_RATE),
        grants=(
            Grant(
                role="foreground",
                memory_bytes=figure(draw(st.integers(MIB, total))),
                reason="the system keeps the rest",
            ),
        ),
    )
    gpu = Gpu(
        name="GPU",
        memory_bytes=draw(st.none() | st.builds(figure, st.integers(MIB, 64 * GIB))),
        bandwidth_bytes_per_s=draw(_OPTIONAL_RATE),
        fp32_flops_per_s=draw(_OPTIONAL_RATE),
        fp16_flops_per_s=draw(_OPTIONAL_RATE),
        launch_ns=draw(st.none() | st.builds(figure, st.integers(1, 10**6))),
    )
    budget = st.none() | st.builds(figure, st.integers(1000, 10**11))
    return Device(
        id="any",
        name="Any",
        kind=kind,
        os="System",
        isa=draw(st.sampled_from(("aarch64", "x86_64"))),
        allocator=draw(st.sampled_from(("glibc", "scudo", "apple", "windows"))),
        runs_on=runs_on,
        role="foreground",
        cpu=draw(st.none() | _cpus()),
        memory=draw(st.sampled_from((None, memory, memory))),
        gpu=draw(st.none() | st.just(gpu)),
        limits=Limits(
            runtime_bytes=figure(draw(st.integers(0, 64 * MIB))),
            model_storage_bytes=draw(st.none() | st.builds(figure, st.integers(1, 8 * GIB))),
            latency_ns=draw(budget),
        ),
    )
