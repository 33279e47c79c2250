"""Machines as their kernels describe them, and devices that were measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from feasibility.catalogue.read_device_file import INT8_KINDS, WORK_KINDS
from feasibility.records.device import (
    UNVERIFIED,
    Anchor,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Grant,
    Limits,
    MeasuredMachine,
    Npu,
    Price,
    Rates,
)
from feasibility.units import GIB, MIB, SECOND_NS

# Any text that a file may hold: quotes, backslashes, control characters, every script.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
sources = st.just(UNVERIFIED) | texts


def figures(lowest: int, highest: int) -> st.SearchStrategy[Figure]:
    notes = st.just("") | texts
    return st.builds(Figure, value=st.integers(lowest, highest), source=sources, note=notes)


sizes = figures(MIB, GIB)
bandwidths = figures(10**7, 10**14)
clusters = st.builds(
    Cluster,
    core=texts,
    core_count=figures(1, 1024),
    clock_hz=figures(10**7, 10**10),
    flop_per_cycle=figures(1, 1024),
)
memories = st.builds(
    DeviceMemory,
    total_bytes=figures(GIB, 2**46),
    bandwidth_bytes_per_s=st.none() | bandwidths,
    grants=st.lists(
        st.builds(
            Grant,
            role=st.sampled_from(("foreground", "headless", "service")),
            memory_bytes=sizes,
            reason=texts,
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda grant: grant.role,
    ).map(tuple),
)
gpus = st.builds(
    Gpu,
    name=texts,
    memory_bytes=st.none() | sizes,
    bandwidth_bytes_per_s=st.none() | bandwidths,
    fp32_flops_per_s=st.none() | figures(10**8, 10**17),
    fp16_flops_per_s=st.none() | figures(10**8, 10**17),
    launch_ns=st.none() | figures(1, 10**9),
    context_bytes=st.none() | sizes,
)
anchors = st.builds(
    Anchor,
    # Anchors name files, whose names are shown safely and so not kept to the letter.
    model=st.just("model.onnx"),
    latency_ns=st.integers(1000, SECOND_NS),
    threads=st.integers(1, 64),
    runtime=st.just("onnxruntime"),
    precision=st.sampled_from(("fp32", "fp16", "int8")),
    measured_on=st.just("2026-01-31"),
    operations=st.just({"dense": 10**9}),
    activation_count=st.integers(0, 10**12),
)


def rates(threads: int) -> st.SearchStrategy[Rates]:
    required = dict.fromkeys(("dense", "matmul", "other"), figures(10**6, 10**15))
    kinds = (*WORK_KINDS, *INT8_KINDS)
    optional = {kind: figures(10**6, 10**15) for kind in kinds if kind not in required}
    return st.builds(
        Rates,
        thread_count=st.just(threads),
        operations_per_s=st.fixed_dictionaries(required, optional=optional),
        activation_bytes_per_s=bandwidths,
        bandwidth_bytes_per_s=bandwidths,
        layer_ns=figures(1, 10**9),
    )


machines = st.builds(
    MeasuredMachine,
    runtime=texts,
    processor=texts,
    core_count=st.integers(1, 1024),
    cache_bytes=st.none() | figures(2**14, 2**34),
    rates=st.sets(st.integers(2, 64), max_size=3).flatmap(
        lambda counts: st.tuples(*(rates(count) for count in (1, *sorted(counts))))
    ),
)
devices = st.builds(
    Device,
    id=st.from_regex(r"[a-z0-9][a-z0-9_]*", fullmatch=True),
    name=texts,
    kind=st.sampled_from(("phone", "sbc", "server")),
    aliases=st.lists(texts, max_size=2).map(tuple),
    os=texts,
    isa=st.sampled_from(("aarch64", "x86_64")),
    allocator=st.sampled_from(("glibc", "scudo", "apple", "windows")),
    runs_on=st.just("cpu"),
    role=st.sampled_from(("foreground", "headless", "service")),
    cpu=st.builds(
        Cpu,
        soc=texts,
        features=st.lists(texts, max_size=3).map(tuple),
        clusters=st.lists(clusters, min_size=1, max_size=3).map(tuple),
    ),
    memory=memories,
    gpu=st.none() | gpus,
    npu=st.none()
    | st.builds(Npu, name=texts, int8_ops_per_s=st.none() | figures(10**8, 10**17)),
    limits=st.builds(
        Limits,
        runtime_bytes=figures(0, 2**34),
        model_storage_bytes=st.none() | sizes,
        latency_ns=st.none() | figures(1000, 60 * SECOND_NS),
    ),
    power_mw=st.none() | figures(1, 10**7),
    price=st.none()
    | st.builds(Price, hourly_microusd=figures(0, 10**10), as_of=st.just("2026-01")),
    runtimes=st.lists(texts, max_size=2).map(tuple),
    anchors=st.lists(anchors, max_size=2).map(tuple),
    measured=st.none() | machines,
)  # fmt: skip


def machine(gflops: float, *counts: int, cache_bytes: int | None = None) -> MeasuredMachine:
    """A machine whose rates grow with the threads: all kinds of work at the same rate."""
    return MeasuredMachine(
        runtime="ONNX Runtime 1.31.1",
        processor="Test CPU",
        core_count=4,
        cache_bytes=None if cache_bytes is None else Figure(value=cache_bytes, source="test"),
        rates=tuple(same_rates(gflops * count, count) for count in counts or (1,)),
    )


def same_rates(gflops: float, threads: int) -> Rates:
    """All kinds at one rate, 4 GB/s in caches and 2 GB/s in memory, a microsecond a layer."""
    figure = Figure(value=round(gflops * 10**9), source="test")
    return Rates(
        thread_count=threads,
        operations_per_s=dict.fromkeys(("dense", "matmul", "other"), figure),
        activation_bytes_per_s=Figure(value=4 * 10**9, source="test"),
        bandwidth_bytes_per_s=Figure(value=2 * 10**9, source="test"),
        layer_ns=Figure(value=1000, source="test"),
    )


def written(root: Path, files: Mapping[str, str]) -> Path:
    """A folder with these files, in place of `/`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def cpuinfo(*processors: Mapping[str, str]) -> str:
    """What /proc/cpuinfo says of processors with these fields."""
    return "\n\n".join(
        "\n".join(
            f"{name}\t: {value}" for name, value in {"processor": str(number), **fields}.items()
        )
        for number, fields in enumerate(processors)
    )
