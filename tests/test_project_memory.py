"""Memory on a device against what was measured on both instruction sets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from feasibility.project.memory import (
    peaks_while_loading,
    project_memory,
    running_peak_bytes,
)
from feasibility.records.device import Device, Gpu
from feasibility.records.profile import GpuMemory, Profile
from feasibility.units import GIB, MIB
from tests.projection_samples import (
    board,
    default_range,
    figure,
    minilm,
    profile_of,
    resnet101,
    steady,
    xlmr,
)

replace = msgspec.structs.replace
RUNTIME = 24 * MIB


@pytest.mark.parametrize(
    ("profile", "arm_peak"),
    [(resnet101, 206), (minilm, 135), (xlmr, 1810)],
)
def test_arm_is_modelled_within_five_percent(profile: Callable[[], Profile], arm_peak: int) -> None:
    """Peaks of the aarch64 build: only x86-64 holds convolution weights twice."""
    found = project_memory(profile(), replace(board(), allocator="scudo"))
    assert found.likely_bytes is not None
    assert found.low_bytes is not None
    assert found.high_bytes is not None
    likely = found.likely_bytes - RUNTIME
    assert abs(likely - arm_peak * MIB) <= 0.05 * arm_peak * MIB
    assert found.low_bytes <= arm_peak * MIB + RUNTIME <= found.high_bytes
    assert found.method == "projected"


def test_the_explanation_names_what_differs() -> None:
    found = project_memory(resnet101(), board())
    assert "Modelled for aarch64 from figures measured on x86_64" in found.explanation
    assert "re-lays convolution weights" in found.explanation
    assert "re-lays" not in project_memory(minilm(), board()).explanation


def test_same_isa_with_glibc_takes_the_upper_end() -> None:
    """Verdicts on Linux go by what an unprepared process gets."""
    found = project_memory(resnet101(), board(isa="x86_64"))
    assert found.low_bytes == 366 * MIB + RUNTIME
    assert found.high_bytes == pytest.approx(457 * 1.02 * MIB + RUNTIME, abs=2)
    assert found.method == "measured"


@pytest.mark.parametrize("allocator", ["scudo", "apple", "windows"])
def test_other_allocators_get_the_steady_figure(allocator: str) -> None:
    device = replace(board(isa="x86_64"), allocator=allocator)
    found = project_memory(resnet101(), device)
    assert (found.low_bytes, found.likely_bytes, found.high_bytes) == (366 * MIB + RUNTIME,) * 3


def test_emulated_profile_stays_emulated() -> None:
    profile = profile_of(minilm().model, steady(135, 99, 109), arch="aarch64")
    found = project_memory(replace(profile, method="emulated"), board())
    assert found.method == "emulated"
    assert found.likely_bytes == 135 * MIB + RUNTIME


def test_x86_from_arm_adds_the_second_copy() -> None:
    """ResNet-101 measured at 189 MiB on Arm needs about 366 where weights are re-laid."""
    profile = profile_of(resnet101().model, steady(189, 183, 206), arch="aarch64")
    found = project_memory(profile, replace(board(isa="x86_64"), allocator="scudo"))
    assert found.likely_bytes == pytest.approx(366 * MIB + RUNTIME, rel=0.05)


def test_generated_weights_widen_the_interval() -> None:
    """How often weights that the graph makes are copied is not known: 0 to 1 time less on Arm."""
    model = replace(
        resnet101().model,
        file_bytes=80_000,
        initializer_bytes=0,
        largest_initializer_bytes=0,
        generated_bytes=97 * MIB,
        weight_bytes_by_operator={},
    )
    found = project_memory(profile_of(model, steady(257, 220, 227)), board())
    assert found.low_bytes is not None
    assert found.likely_bytes is not None
    assert found.high_bytes is not None
    assert found.low_bytes < found.likely_bytes < 257 * MIB + RUNTIME < found.high_bytes


def test_folding_batch_normalisations_makes_the_weights_anew() -> None:
    """ResNet-101 with its normalisations peaks at 340 on Arm as well, folded ones at 190."""
    folded = resnet101().model
    model = replace(
        folded,
        node_count=345,
        operator_types=(":Conv", ":BatchNormalization"),
        node_count_by_class={"conv": 104, "normalization": 104},
    )
    phone = replace(board(), allocator="scudo")
    found = project_memory(profile_of(model, steady(366, 182, 202)), phone)
    plain = project_memory(profile_of(folded, steady(366, 182, 202)), phone)
    assert found.likely_bytes is not None
    assert plain.likely_bytes is not None
    assert found.likely_bytes - RUNTIME == pytest.approx(340 * MIB, rel=0.05)
    assert plain.likely_bytes - RUNTIME < 210 * MIB


def test_thin_convolutions_may_need_a_third_less() -> None:
    """x86-64 pads few channels to whole blocks."""
    phone = replace(board(), allocator="scudo")
    thin = replace(resnet101().model, node_count_by_class={"conv": 104})
    memory = steady(366, 182, 402)
    assert project_memory(profile_of(thin, memory), phone).low_bytes == pytest.approx(
        402 * MIB * 0.64 + RUNTIME, rel=0.01
    )
    dense = replace(thin, node_count_by_class={"matmul": 10})
    assert project_memory(profile_of(dense, memory), phone).low_bytes == pytest.approx(
        402 * MIB * 0.94 + RUNTIME, rel=0.01
    )


def test_a_whole_process_needs_no_runtime_added() -> None:
    """Other programs' peaks hold their runtime already."""
    profile = replace(
        minilm(), memory=None, process_peak_bytes=151 * MIB, source="onnxruntime_perf_test (a.txt)"
    )
    found = project_memory(profile, board(isa="x86_64"))
    assert (found.low_bytes, found.high_bytes) == (151 * MIB, 151 * MIB)
    assert found.method == "measured"
    assert "onnxruntime_perf_test (a.txt)" in found.explanation
    assert project_memory(profile, board()).method == "projected"


def test_what_was_seen_on_a_gpu_gets_the_context_of_the_device() -> None:
    server = _gpu_server()
    seen = GpuMemory(
        name="NVIDIA T4",
        total_bytes=15360 * MIB,
        scope="process",
        context_bytes=300 * MIB,
        load_peak_bytes=800 * MIB,
        resident_bytes=700 * MIB,
        inference_peak_bytes=1000 * MIB,
        weights_bytes=400 * MIB,
        workspace_bytes=300 * MIB,
    )
    found = project_memory(replace(resnet101(), gpu=seen), server)
    assert server.gpu is not None
    there = server.gpu.context_bytes.value if server.gpu.context_bytes else 300 * MIB
    assert found.likely_bytes == 700 * MIB + there
    assert "1000 MiB at its peak on NVIDIA T4" in found.explanation


def test_without_measurement_the_file_is_the_floor() -> None:
    found = project_memory(profile_of(minilm().model, None), board())
    assert found.low_bytes == 86 * MIB + RUNTIME
    assert found.high_bytes is not None
    assert found.high_bytes >= 2 * 86 * MIB
    assert "could not be measured" in found.explanation


def _gpu_server() -> Device:
    gpu = Gpu(
        name="GPU",
        memory_bytes=figure(8 * GIB),
        fp32_flops_per_s=figure(20 * 10**12),
        context_bytes=figure(400 * MIB),
    )
    return replace(board(), runs_on="gpu", gpu=gpu, isa="x86_64", memory=None, cpu=None)


def test_gpu_holds_weights_activations_and_context() -> None:
    """A published ResNet-18 session took 345 MB, one MobileNet 443 MB."""
    found = project_memory(resnet101(), _gpu_server())
    assert found.low_bytes == (169 + 20 + 300) * MIB
    assert found.high_bytes == (2 * 189 + 600) * MIB
    assert "CUDA context" in found.explanation


def test_phases() -> None:
    """On Arm ResNet-101 peaks while it runs, on x86-64 while it loads."""
    assert peaks_while_loading(resnet101(), board()) is False
    assert peaks_while_loading(resnet101(), board(isa="x86_64")) is True
    assert peaks_while_loading(resnet101(), _gpu_server()) is None
    phone = replace(board(), allocator="scudo")
    assert running_peak_bytes(minilm(), phone) == pytest.approx(106 * MIB * 1.08 + RUNTIME, abs=2)


def test_range_of_default_allocator_never_below_steady() -> None:
    profile = profile_of(
        minilm().model, steady(141, 97, 106), default=default_range((100, 110), (90, 95))
    )
    found = project_memory(profile, board(isa="x86_64"))
    assert found.low_bytes == found.high_bytes == 141 * MIB + RUNTIME
