"""Latency from rates that were measured on the device itself."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.decide.requirements import Requirements
from feasibility.decide.verdict import assess_device
from feasibility.measure.this_machine.measure_speed import BUS, KernelTime
from feasibility.paths import devices_dir
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.measured_rates import (
    KINDS,
    LIKE,
    SPREADS,
    is_same_machine,
    measured_int8_ratio,
    measured_seconds,
)
from feasibility.predict.projected_latency import project_latency
from feasibility.predict.this_device import rates_of
from feasibility.records.device import Device, Figure
from feasibility.records.profile import Host, Profile, ProfiledModel
from feasibility.units import MIB, SECOND_NS
from tests.machine_samples import machine, same_rates
from tests.projection_samples import minilm, resnet101

RPI_5 = find_device("rpi_5", load_catalogue(devices_dir()))
NOTHING = Work({}, 0.0, 0.0, 0.0, 0.0)


def measured(gflops: float, *counts: int) -> Device:
    return msgspec.structs.replace(RPI_5, measured=machine(gflops, *counts))


def test_the_parts_add_up() -> None:
    """2 GFLOP at 10 GFLOP/s, 4 MB at 4 GB/s, 8 MB at 2 GB/s, 100 layers of a microsecond."""
    work = Work({"dense": 1.5e9, "matmul": 0.5e9}, 1e6, 2e6, 0.0, 100.0)
    expected = 0.2 + 0.001 + 0.004 + 0.0001
    assert measured_seconds(work, machine(10), 1) == pytest.approx(expected)


def test_weights_that_a_cache_holds_are_not_read_again() -> None:
    work = NOTHING._replace(weight_count=2e6)
    assert measured_seconds(work, machine(10, cache_bytes=8 * MIB), 1) == 0
    assert measured_seconds(work, machine(10, cache_bytes=4 * MIB), 1) == pytest.approx(0.004)


@pytest.mark.parametrize(("kind", "like"), LIKE.items())
def test_a_kind_without_a_rate_runs_like_another(kind: str, like: str) -> None:
    """`other` is a hundred times slower here, and each kind follows the one it is like."""
    slow = Figure(value=10**8, source="test")
    rates = same_rates(10, 1)
    rates = msgspec.structs.replace(
        rates, operations_per_s={**rates.operations_per_s, "other": slow}
    )
    there = msgspec.structs.replace(machine(10), rates=(rates,))
    work = NOTHING._replace(operations={kind: 1e9})
    assert measured_seconds(work, there, 1) == pytest.approx(10 if like == "other" else 0.1)


def test_products_with_one_row_have_a_rate_of_their_own() -> None:
    """A million weights are two million of the operations, and only once."""
    rates = same_rates(10, 1)
    fast = Figure(value=20 * 10**9, source="test")
    there = msgspec.structs.replace(
        machine(10, cache_bytes=8 * MIB),
        rates=(
            msgspec.structs.replace(
                rates, operations_per_s={**rates.operations_per_s, "vector": fast}
            ),
        ),
    )
    work = Work({"matmul": 2e6, "recurrent": 1e6}, 0.0, 0.0, 1e6, 0.0)
    assert measured_seconds(work, there, 1) == pytest.approx(1e-4 + 1e-4)


def test_numbers_of_threads_in_between_are_on_the_line() -> None:
    """Twice as fast with each doubling: three threads are three times as fast."""
    work = NOTHING._replace(operations={"dense": 1e9})
    there = machine(10, 1, 2, 4)
    seconds = [measured_seconds(work, there, threads) for threads in (1, 2, 3, 4, 8)]
    assert seconds == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025, 0.025])


@given(
    st.floats(1, 1000),
    st.floats(1, 1000),
    st.floats(1e6, 1e12),
    st.floats(0, 1e9),
    st.integers(1, 8),
)
def test_faster_cores_never_take_longer(
    first: float, second: float, amount: float, activations: float, threads: int
) -> None:
    work = Work({"dense": amount, "other": amount / 100}, activations, 1e5, 0.0, 10.0)
    slow, fast = (machine(rate, 1, 4) for rate in sorted((first, second)))
    assert measured_seconds(work, fast, threads) <= measured_seconds(work, slow, threads)


def test_the_projection_rests_on_the_measurement() -> None:
    """Neither the clock nor the family of the core matters then."""
    one = project_latency(resnet101(), measured(10), threads=1)
    two = project_latency(resnet101(), measured(20), threads=1)
    assert one.likely_ns is not None
    assert two.likely_ns is not None
    assert 1.7 < one.likely_ns / two.likely_ns < 2
    assert one.low_ns is not None
    assert one.likely_ns / one.low_ns == pytest.approx(SPREADS["one"], rel=1e-3)
    assert one.basis is not None
    assert one.basis.code == "measured-rates"
    cpu = RPI_5.cpu
    assert cpu is not None
    clock = Figure(value=10**9, source="test")
    clusters = tuple(msgspec.structs.replace(each, clock_hz=clock) for each in cpu.clusters)
    slower = msgspec.structs.replace(
        measured(10), cpu=msgspec.structs.replace(cpu, clusters=clusters)
    )
    assert project_latency(resnet101(), slower, threads=1).likely_ns == one.likely_ns


def test_another_runtime_is_projected_as_ever() -> None:
    """The kernels ran through ONNX Runtime and say nothing of ncnn."""
    plain = project_latency(resnet101(), RPI_5, runtime="ncnn")
    assert project_latency(resnet101(), measured(10), runtime="ncnn") == plain


def int8_machine(dense: float, matmul: float) -> Device:
    """fp32 at 10 GFLOP/s, and int8 at these."""
    rates = machine(10).rates[0]
    int8 = {"int8_dense": dense, "int8_matmul": matmul}
    quantised = {
        kind: Figure(value=round(gflops * 10**9), source="test") for kind, gflops in int8.items()
    }
    rates = msgspec.structs.replace(rates, operations_per_s=rates.operations_per_s | quantised)
    there = msgspec.structs.replace(machine(10), rates=(rates,))
    return msgspec.structs.replace(RPI_5, measured=there)


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [("winograd", 0.5), ("pointwise", 0.5), ("matmul", 0.25), ("recurrent", 0.25), ("other", 1)],
)
def test_int8_gains_what_it_was_measured_to(kind: str, ratio: float) -> None:
    work = NOTHING._replace(operations={kind: 1e9})
    found = measured_int8_ratio(work, int8_machine(20, 40), "onnxruntime", 1)
    assert found == pytest.approx(ratio)


def test_without_int8_rates_the_fitted_ratio_stays() -> None:
    work = NOTHING._replace(operations={"dense": 1e9})
    assert measured_int8_ratio(work, measured(10), "onnxruntime", 1) is None
    assert measured_int8_ratio(work, RPI_5, "onnxruntime", 1) is None
    assert measured_int8_ratio(work, int8_machine(20, 40), "ncnn", 1) is None


def test_an_int8_model_is_projected_with_int8_rates() -> None:
    profile = resnet101()
    int8 = msgspec.structs.replace(
        profile, model=msgspec.structs.replace(profile.model, weight_dtype="int8")
    )
    slow, fast = (
        project_latency(int8, int8_machine(rate, rate), threads=1).likely_ns for rate in (10, 40)
    )
    assert slow is not None
    assert fast is not None
    assert 3 < slow / fast < 4


def on(profile: Profile, **changes: object) -> Profile:
    host = Host(
        cpu="Test CPU", arch="aarch64", core_count=4, memory_bytes=8 * 1024 * MIB, os="", python=""
    )
    workload = msgspec.structs.replace(profile.workload, runtime="ONNX Runtime 1.31.1")
    same = msgspec.structs.replace(profile, host=host, workload=workload)
    return msgspec.structs.replace(
        same,
        host=msgspec.structs.replace(
            host, **{name: value for name, value in changes.items() if hasattr(host, name)}
        ),
        workload=msgspec.structs.replace(
            workload, **{name: value for name, value in changes.items() if hasattr(workload, name)}
        ),
    )


def test_a_profile_of_the_very_machine_is_its_latency() -> None:
    """What was measured on it needs no projection, unless other threads are asked for."""
    profile = on(minilm())
    assert profile.latency is not None
    found = assess_device(profile, measured(10)).latency
    assert (found.method, found.likely_ns) == ("measured", profile.latency.median_ns)
    other = assess_device(profile, measured(10, 1, 2), Requirements(threads=2)).latency
    assert other.method == "projected"


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "Other CPU"},
        {"arch": "x86_64"},
        {"core_count": 2},
        {"memory_bytes": 4 * 1024 * MIB},
        {"runtime": "ONNX Runtime 1.30.0"},
        {"provider": "CUDAExecutionProvider"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_machine_is_not_the_same(change: dict[str, object]) -> None:
    assert is_same_machine(on(minilm()), measured(10))
    assert not is_same_machine(on(minilm(), **change), measured(10))
    assert not is_same_machine(on(minilm()), RPI_5)


def kernel(ns: int, **facts: object) -> KernelTime:
    fields: dict[str, object] = {"name": "k", "path": "k", "file_bytes": 1, "node_count": 1}
    return KernelTime(ProfiledModel(**(fields | facts)), ns)  # type: ignore[arg-type]


def test_times_become_rates() -> None:
    """A gigaflop in a tenth of a second, a gigabyte in half a second, 200 layers in 200 us."""
    times = {
        kind: kernel(
            SECOND_NS // 10,
            flops=10**9,
            flops_by_class={"recurrent" if kind == "recurrent" else "conv": 10**9},
            node_count_by_class={"conv": 0},
        )
        for kind in KINDS
    }
    times["layers"] = kernel(200_000)
    times["small"] = kernel(60_000)
    times["traffic"] = times[BUS] = kernel(SECOND_NS // 2, moved_bytes=10**9, node_count=0)
    rates = rates_of(1, times, times, "here")
    assert rates.thread_count == 1
    assert {kind: figure.value for kind, figure in rates.operations_per_s.items()} == (
        dict.fromkeys(KINDS, 10**10)
    )
    assert rates.activation_bytes_per_s.value == 2 * 10**9
    assert rates.bandwidth_bytes_per_s.value == 2 * 10**9
    assert rates.layer_ns.value == 1000
    assert {figure.source for figure in rates.operations_per_s.values()} == {"here"}


def test_threads_that_wait_show_in_every_layer() -> None:
    """Twice as fast on large layers, so 20 small ones of 3 us could take 1.5 us; they take 2."""
    work = {"flops": 10**9, "flops_by_class": {"conv": 10**9}, "node_count_by_class": {"conv": 0}}
    alone = dict.fromkeys(KINDS, kernel(SECOND_NS // 10, **work))
    alone |= {"layers": kernel(200_000), "small": kernel(60_000)}
    alone |= dict.fromkeys(("traffic", BUS), kernel(SECOND_NS // 2, moved_bytes=10**9))
    two = alone | dict.fromkeys(KINDS, kernel(SECOND_NS // 20, **work)) | {"small": kernel(40_000)}
    rates = rates_of(2, two, alone, "here")
    assert rates.layer_ns.value == 1000 + 500
    assert rates.operations_per_s["dense"].value == 2 * 10**10


def test_a_model_of_small_layers_gains_nothing_and_loses_nothing() -> None:
    slow = Figure(value=10**6, source="test")
    one, two = machine(10, 1, 2).rates
    there = msgspec.structs.replace(
        machine(10), rates=(one, msgspec.structs.replace(two, layer_ns=slow))
    )
    work = NOTHING._replace(operations={"dense": 1e6}, layer_count=100.0)
    assert measured_seconds(work, there, 2) == measured_seconds(work, there, 1)
