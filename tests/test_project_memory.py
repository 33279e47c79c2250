"""Memory on a device against what was measured on both instruction sets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from feasibility.predict.projected_memory import (
    peaks_while_loading,
    project_memory,
)
from feasibility.records.device import Device, Gpu, Isa
from feasibility.records.facts import ActivationPeak
from feasibility.records.profile import GpuMemory, Profile
from feasibility.render.reports.figure_explanations import memory_explanation
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
    assert memory_explanation(found).startswith(
        "Projected for aarch64 from figures measured on x86_64: 172 MiB less memory to load "
        "(x86-64 keeps a second copy of convolution weights), 4 MiB more memory to run. "
        "Largest parts while running: 171 MiB for weights, 15 MiB for activations, 1 MiB for "
        "inputs, 10 MiB for buffers of the runtime."
    )
    assert "the same memory to load, the same memory to run." in (
        memory_explanation(project_memory(minilm(), board()))
    )


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


def test_only_the_difference_of_the_models_is_added() -> None:
    """What the model of the graph gets wrong on both instruction sets does not matter."""
    phone = replace(board(), allocator="scudo")
    profile = resnet101()
    wrong = tuple(
        replace(memory, load_peak_bytes=memory.load_peak_bytes + 50 * MIB)
        for memory in profile.model.modelled_memory
    )
    shifted = replace(profile, model=replace(profile.model, modelled_memory=wrong))
    assert project_memory(shifted, phone).likely_bytes == (
        project_memory(profile, phone).likely_bytes
    )


def test_an_unknown_graph_leaves_a_wide_interval() -> None:
    """Loading takes what stays up to what was measured."""
    profile = resnet101()
    unknown = replace(profile, model=replace(profile.model, modelled_memory=()))
    found = project_memory(unknown, replace(board(), allocator="scudo"))
    assert found.low_bytes == pytest.approx(182 * 0.90 * MIB + RUNTIME, abs=2)
    assert found.high_bytes == pytest.approx(366 * 1.10 * MIB + RUNTIME, abs=2)
    assert "The graph is not known" in memory_explanation(found)


def test_a_whole_process_needs_no_runtime_added() -> None:
    """Other programs' peaks hold their runtime already."""
    profile = replace(
        minilm(), memory=None, process_peak_bytes=151 * MIB, source="onnxruntime_perf_test (a.txt)"
    )
    found = project_memory(profile, board(isa="x86_64"))
    assert (found.low_bytes, found.high_bytes) == (151 * MIB, 151 * MIB)
    assert found.method == "measured"
    assert "onnxruntime_perf_test (a.txt)" in memory_explanation(found)
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
    assert "peak of 1000 MiB on NVIDIA T4" in memory_explanation(found)


@pytest.mark.parametrize(("isa", "peak"), [("x86_64", 360), ("aarch64", 204)])
def test_without_measurement_the_graph_tells(isa: Isa, peak: int) -> None:
    device = replace(board(isa=isa), allocator="scudo")
    found = project_memory(profile_of(resnet101().model, None), device)
    assert found.likely_bytes == peak * MIB + RUNTIME
    assert found.method == "projected"
    assert f"was not measured; modelled for {isa} from the graph alone" in (
        memory_explanation(found)
    )


def test_quantized_graphs_and_open_shapes_widen_what_the_graph_tells() -> None:
    plain = resnet101().model
    phone = replace(board(), allocator="scudo")
    quantized = replace(plain, operator_types=("ai.onnx:QuantizeLinear",))
    peak = ActivationPeak(
        peak_bytes=MIB, node="n", op_type="Loop", tensors=(), unknown_tensor_count=3
    )
    ends = [
        project_memory(profile_of(model, None), phone)
        for model in (plain, quantized, replace(plain, activation_peak=peak))
    ]
    lows = [found.low_bytes or 0 for found in ends]
    highs = [found.high_bytes or 0 for found in ends]
    assert lows[1] < lows[0] == lows[2]
    assert highs[0] == highs[1] < highs[2]


def test_without_measurement_or_graph_nothing_is_said() -> None:
    model = replace(resnet101().model, modelled_memory=())
    found = project_memory(profile_of(model, None), board())
    assert (found.low_bytes, found.likely_bytes, found.high_bytes) == (None, None, None)
    assert memory_explanation(found) == "Memory was not measured."


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
    assert "CUDA context" in memory_explanation(found)


def test_phases() -> None:
    """On Arm ResNet-101 peaks while it runs, on x86-64 while it loads."""
    assert peaks_while_loading(resnet101(), board()) is False
    assert peaks_while_loading(resnet101(), board(isa="x86_64")) is True
    assert peaks_while_loading(resnet101(), _gpu_server()) is None


def test_range_of_default_allocator_never_below_steady() -> None:
    profile = profile_of(
        minilm().model, steady(141, 97, 106), default=default_range((100, 110), (90, 95))
    )
    found = project_memory(profile, board(isa="x86_64"))
    assert found.low_bytes == found.high_bytes == 141 * MIB + RUNTIME


@pytest.mark.parametrize(
    ("arch", "method", "end"),
    [
        ("aarch64", "measured", "by perf_test (p.txt)."),
        ("x86_64", "projected", "; measured on x86_64."),
        ("", "projected", "; measured on an unnamed machine."),
    ],
)
def test_a_whole_process_counts_as_measured_on_its_own_instruction_set_only(
    arch: str, method: str, end: str
) -> None:
    profile = msgspec.structs.replace(
        profile_of(minilm().model, None, arch=arch),
        process_peak_bytes=150 * MIB,
        source="perf_test (p.txt)",
    )
    found = project_memory(profile, board())
    assert (found.likely_bytes, found.method) == (150 * MIB, method)
    assert memory_explanation(found).endswith(end)
