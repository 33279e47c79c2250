"""Latency on a device: what it depends on, how wide it is, and what it says when it cannot."""

from __future__ import annotations

import math

import msgspec
import pytest

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.paths import devices_dir
from feasibility.predict.latency.anchors import run_on
from feasibility.predict.latency.coefficients import circumstances, shipped_coefficients
from feasibility.predict.latency.error_covariance import posterior
from feasibility.predict.latency.interval import ESTIMATED_SPREAD, doubt
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.projected_latency import (
    CONFIDENCE,
    UNKNOWN_WORK_SPREAD,
    project_latency,
)
from feasibility.predict.published_npu_times import npu_times
from feasibility.records.device import Anchor, Cluster, Device, Gpu
from feasibility.records.intervals import DurationInterval
from feasibility.records.profile import Profile
from feasibility.render.reports.figure_explanations import latency_explanation
from feasibility.units import MILLISECOND_NS, SECOND_NS
from tests.projection_samples import board, figure, latency, minilm, resnet101

replace = msgspec.structs.replace


def likely(found: DurationInterval) -> int:
    assert found.likely_ns is not None
    return found.likely_ns


def said(found: DurationInterval) -> str:
    return latency_explanation(found, resnet101())


def spread(found: DurationInterval) -> float:
    assert found.low_ns is not None
    assert found.high_ns is not None
    return (found.high_ns / found.low_ns) ** 0.5


def without_work(profile: Profile) -> Profile:
    model = replace(
        profile.model, flops=None, flops_by_class={}, moved_bytes_by_class={}, format="ort"
    )
    return replace(profile, model=model)


def gpu_server(**changes: object) -> Device:
    gpu = Gpu(
        name="GPU",
        memory_bytes=figure(8 * 2**30),
        bandwidth_bytes_per_s=figure(448 * 10**9),
        fp32_flops_per_s=figure(20 * 10**12),
        launch_ns=figure(10_000),
    )
    gpu = replace(gpu, **changes)
    return replace(board(isa="x86_64"), runs_on="gpu", gpu=gpu, cpu=None, memory=None)


def test_resnet_on_a_raspberry_pi_4() -> None:
    """ResNet-101 takes a Pi 4 at 1.8 GHz most of a second with four threads."""
    found = project_latency(resnet101(), board())
    assert 0.4 * SECOND_NS < likely(found) < 1.2 * SECOND_NS
    assert found.confidence_ratio == CONFIDENCE
    assert found.method == "projected"
    assert "ONNX Runtime with 4 threads in fp32" in said(found)


def test_the_interval_is_that_of_rows_left_out_of_the_fit() -> None:
    """The width depends on kind of device and runtime; a runtime without rows counts as unseen."""
    k = shipped_coefficients()
    one = project_latency(resnet101(), board(), threads=1, runtime="ncnn")
    expected = k.spreads["cpu, one thread"] ** doubt(board(), "ncnn", k.widenings)
    assert spread(one) == pytest.approx(expected, rel=1e-6)
    assert "wider than usual" not in said(one)
    unseen = project_latency(resnet101(), board(), threads=1, runtime="nobody")
    usual = k.spreads["cpu, one thread"] ** doubt(board(), "nobody", k.widenings)
    expected = max(usual, k.spreads["other runtime, one thread"])
    assert spread(unseen) == pytest.approx(expected, rel=1e-6)
    assert "because there are few published times of this runtime." in said(unseen)


def test_a_dissimilar_model_and_estimated_work_have_wider_intervals() -> None:
    """A tree ensemble is not similar to any published network; its efficiency is an estimate."""
    model = replace(resnet101().model, flops_by_class={"tree": 10**9}, moved_bytes_by_class={})
    found = project_latency(replace(resnet101(), model=model, latency=None), board(), threads=1)
    usual = project_latency(resnet101(), board(), threads=1)
    assert spread(found) > spread(usual) * (ESTIMATED_SPREAD - 0.1)
    assert found.basis is not None
    assert found.basis.widenings == ("other model", "estimated work")
    assert "no published model has similar operators and there are no published" in said(found)


def test_a_transformer_on_an_unseen_phone_has_the_usual_interval() -> None:
    """Published transformers are in the fit, so their interval is not that of an estimate."""
    phone = find_device("galaxy_s24", load_catalogue(devices_dir()))
    found = project_latency(minilm(), phone)
    assert spread(found) == pytest.approx(spread(project_latency(resnet101(), phone)), rel=1e-6)
    assert spread(found) ** 2 < 3.6
    assert found.basis is not None
    assert found.basis.widenings == ()


def test_threads_do_not_multiply() -> None:
    """Four threads on a Pi 4 are published as 1.3 to 2.3 times as fast as one, not four."""
    one = likely(project_latency(resnet101(), board(), threads=1))
    four = likely(project_latency(resnet101(), board(), threads=4))
    assert 1.3 < one / four < 2.5


def test_more_threads_than_cores_change_nothing_and_are_named() -> None:
    most = project_latency(resnet101(), board(), threads=64)
    all_cores = project_latency(resnet101(), board(), threads=4)
    assert replace(most, basis=None) == replace(all_cores, basis=None)
    assert most.threads == 4
    assert "4 threads (all its cores; 64 were asked for)" in said(most)
    assert "asked for" not in said(all_cores)


def test_more_threads_than_the_host_has_do_not_make_it_look_slow() -> None:
    """Eight threads on two cores take turns; that says nothing about the model."""
    profile = replace(resnet101(), latency=latency(150 * MILLISECOND_NS))
    crowded = replace(profile, workload=replace(profile.workload, threads=8))
    two = replace(profile, workload=replace(profile.workload, threads=2))
    assert project_latency(crowded, board()) == project_latency(two, board())


def test_a_runtime_that_a_processor_does_not_have_is_replaced_and_said() -> None:
    on_cpu = project_latency(resnet101(), board(), runtime="tensorrt")
    usual = project_latency(resnet101(), board())
    assert replace(on_cpu, basis=None) == replace(usual, basis=None)
    assert "(TensorRT is not known on a processor of this kind)" in said(on_cpu)
    server = gpu_server()
    on_gpu = project_latency(resnet101(), server, runtime="mnn")
    assert on_gpu.runtime == "ONNX Runtime through CUDA"
    assert "(MNN is not known on a processor of this kind)" in said(on_gpu)
    vulkan = project_latency(resnet101(), server, runtime="ncnn")
    assert (vulkan.runtime, vulkan.threads) == ("ncnn through Vulkan", None)
    assert likely(vulkan) != likely(on_gpu)
    rt = project_latency(resnet101(), server, runtime="tensorrt")
    assert likely(rt) < likely(on_gpu)


def test_small_cores_beside_a_large_one_never_slow_it_down() -> None:
    """The best choice of cores is taken, whatever order the file lists them in."""
    device = board()
    assert device.cpu is not None
    little = Cluster(
        core="cortex-a53",
        core_count=figure(4),
        clock_hz=figure(10**9),
        flop_per_cycle=figure(8),
    )
    for clusters in ((*device.cpu.clusters, little), (little, *device.cpu.clusters)):
        mixed = replace(device, cpu=replace(device.cpu, clusters=clusters))
        assert likely(project_latency(resnet101(), mixed)) == likely(
            project_latency(resnet101(), device)
        )


def test_depthwise_work_costs_more_than_dense() -> None:
    """The share of the peak reached depends on the operator class."""
    dense = resnet101()
    work = 10**9
    as_conv = replace(dense, model=replace(dense.model, flops_by_class={"conv": work}))
    as_depthwise = replace(
        dense, model=replace(dense.model, flops_by_class={"depthwise_conv": work})
    )
    assert likely(project_latency(as_depthwise, board())) > likely(
        project_latency(as_conv, board())
    )


def test_bytes_bound_what_little_work_does_not() -> None:
    """A recurrent layer that reads its weights once is as slow as its memory."""
    model = replace(
        minilm().model,
        initializer_bytes=6_400_000_000,
        weight_bytes_by_operator={"LSTM": 6_400_000_000},
        flops_by_class={"recurrent": 1000},
        moved_bytes_by_class={"recurrent": 6_400_000_000},
        node_count_by_class={"recurrent": 1},
    )
    profile = replace(minilm(), model=model, latency=None)
    k = shipped_coefficients().cpu.formula
    bytes_per_s = 12_800_000_000 * k.bus_share
    found = project_latency(profile, board(), threads=1, runtime="ncnn")
    work = work_of_model(model)
    assert work is not None
    fit = shipped_coefficients().cpu
    amounts = circumstances("ncnn", 1, is_half=False, year=None)
    assert likely(found) / SECOND_NS == pytest.approx(
        6_400_000_000 / bytes_per_s * fit.time_ratio("ncnn", None) * fit.model_ratio(work, amounts),
        rel=0.01,
    )


def test_int8_dot_products_help_and_widen() -> None:
    """int8 is no constant factor, so its interval is wider."""
    profile = resnet101()
    model = replace(profile.model, weight_dtype="int8")
    profile = replace(profile, model=model, latency=None)
    plain = board()
    assert plain.cpu is not None
    with_dot = replace(plain, cpu=replace(plain.cpu, features=("neon", "dotprod")))
    assert likely(project_latency(profile, with_dot)) < likely(project_latency(profile, plain))
    assert spread(project_latency(profile, plain)) == pytest.approx(
        shipped_coefficients().spreads["int8"], rel=1e-6
    )


def test_fp16_is_faster_where_the_runtime_and_the_core_compute_in_it() -> None:
    plain = board()
    assert plain.cpu is not None
    half = replace(plain, cpu=replace(plain.cpu, features=("neon", "fp16")))
    assert likely(project_latency(resnet101(), half, runtime="ncnn")) < likely(
        project_latency(resnet101(), plain, runtime="ncnn")
    )
    assert project_latency(resnet101(), half) == project_latency(resnet101(), plain)


def test_runtimes_differ() -> None:
    """Winograd kernels, which ONNX Runtime does not have, show in dense convolutions."""
    assert likely(project_latency(resnet101(), board(), runtime="ncnn")) < likely(
        project_latency(resnet101(), board())
    )


def test_the_best_number_of_threads_is_taken() -> None:
    """A tiny model loses more to starting threads than it gains."""
    model = replace(
        resnet101().model,
        initializer_bytes=1000,
        weight_bytes_by_operator={},
        flops_by_class={"conv": 10**5},
        moved_bytes_by_class={"conv": 10**4},
        node_count_by_class={"conv": 100},
    )
    tiny = replace(resnet101(), model=model, latency=None)
    assert "1 thread " in said(project_latency(tiny, board()))
    assert likely(project_latency(tiny, board(), threads=4)) > likely(
        project_latency(tiny, board())
    )


def anchored(profile: Profile, factor: float, count: int = 1) -> Device:
    """The board after it ran the profile's model `factor` times as long as projected."""
    work = work_of_model(profile.model)
    assert work is not None
    seen = likely(project_latency(profile, board(), threads=4))
    anchor = Anchor(
        model="measured.onnx",
        latency_ns=round(seen * factor),
        threads=4,
        operations={kind: round(amount) for kind, amount in work.operations.items()},
        activation_count=round(work.activation_count),
        weight_count=round(work.weight_count),
        vector_weight_count=round(work.vector_weight_count),
        layer_count=round(work.layer_count),
    )
    return replace(board(), anchors=(anchor,) * count)


def test_an_anchor_moves_and_tightens_all_projections() -> None:
    """A board twice as slow as projected is so for other models, and the interval narrows."""
    model = replace(resnet101(), latency=None)
    before = project_latency(model, board(), threads=4)
    after = project_latency(model, anchored(model, 2.0, count=2), threads=4)
    assert 1.7 < likely(after) / likely(before) < 2.0
    assert spread(after) < spread(before)
    assert "2 models timed on the device itself." in said(after)
    one = project_latency(model, anchored(model, 2.0), threads=4)
    assert likely(before) < likely(one) < likely(after)
    assert spread(after) < spread(one) < spread(before)


def test_the_interval_after_anchors_is_that_of_rows_left_out() -> None:
    """Its width is what remains of the variance, times what covered 80 % of such rows."""
    model = replace(resnet101(), latency=None)
    device = anchored(model, 2.0)
    work = work_of_model(model.model)
    assert work is not None
    run = run_on(device, work, 4, "onnxruntime", "fp32")
    base = spread(project_latency(model, board(), threads=4))
    relative = math.log(base) / math.log(shipped_coefficients().spreads["cpu, several threads"])
    left = posterior(run, [run], [0.0], shipped_coefficients().covariance).deviation
    expected = shipped_coefficients().spreads["one anchor, several threads"] ** (left * relative)
    assert spread(project_latency(model, device, threads=4)) == pytest.approx(expected, rel=1e-6)


def test_a_model_like_the_anchor_moves_most() -> None:
    """What one convolutional network tells of another, it tells less of a transformer."""
    device = anchored(resnet101(), 2.0)

    def moved(profile: Profile, threads: int = 4, runtime: str = "onnxruntime") -> float:
        profile = replace(profile, latency=None)
        after, before = (
            project_latency(profile, one, threads=threads, runtime=runtime)
            for one in (device, board())
        )
        return likely(after) / likely(before)

    assert 1.0 < moved(minilm()) < moved(resnet101())
    assert 1.0 < moved(resnet101(), threads=1) < moved(resnet101())
    assert 1.0 < moved(resnet101(), runtime="ncnn") < moved(resnet101(), threads=1)


def test_an_anchor_under_other_conditions_says_so() -> None:
    found = project_latency(resnet101(), anchored(resnet101(), 2.0), threads=4, runtime="ncnn")
    assert "1 model timed on the device itself, with another runtime" in said(found)


def test_gpu_pays_a_launch_per_node() -> None:
    """A small model takes as long as its launches, however fast the GPU is."""
    model = replace(
        minilm().model,
        initializer_bytes=4,
        weight_bytes_by_operator={},
        flops_by_class={"matmul": 10**6},
        moved_bytes_by_class={"matmul": 10**6},
        node_count_by_class={"matmul": 100},
    )
    found = project_latency(replace(minilm(), model=model, latency=None), gpu_server())
    # A board's processor takes longer to launch than its file says.
    launches = (
        MILLISECOND_NS
        * shipped_coefficients().gpu.launch_ratio["cuda"]
        * shipped_coefficients().gpu.small_launch_ratio
    )
    assert likely(found) == pytest.approx(launches, rel=0.02)
    assert spread(found) == pytest.approx(shipped_coefficients().spreads["gpu"], rel=1e-6)


def test_a_gpu_is_used_better_by_a_larger_model() -> None:
    """Work grows ten times, the time less: launches stay."""
    small = resnet101().model
    large = replace(small, flops_by_class={k: 10 * v for k, v in small.flops_by_class.items()})
    times = [
        likely(project_latency(replace(resnet101(), model=model, latency=None), gpu_server()))
        for model in (small, large)
    ]
    assert times[0] < times[1] < 10 * times[0]


def test_half_precision_weights_use_the_matrix_units() -> None:
    profile = resnet101()
    half = replace(profile, model=replace(profile.model, weight_dtype="float16"))
    server = gpu_server(fp16_flops_per_s=figure(80 * 10**12))
    assert likely(project_latency(half, server)) < likely(project_latency(profile, server))


def test_odd_model_is_slow_elsewhere_too() -> None:
    """A model far slower here than its work explains stays slow on the device."""
    usual = project_latency(resnet101(), board())
    odd = project_latency(replace(resnet101(), latency=latency(20 * SECOND_NS)), board())
    assert likely(odd) > 10 * likely(usual)
    assert "slower than its operations explain" in said(odd)


def test_fast_host_changes_nothing() -> None:
    usual = project_latency(resnet101(), board())
    fast = project_latency(replace(resnet101(), latency=latency(MILLISECOND_NS)), board())
    assert fast == usual


def test_emulated_times_say_nothing() -> None:
    slow = replace(resnet101(), latency=latency(100 * SECOND_NS), method="emulated")
    assert likely(project_latency(slow, board())) == likely(project_latency(resnet101(), board()))
    assert project_latency(without_work(slow), board()).likely_ns is None


def test_cores_of_an_unknown_family_are_less_sure() -> None:
    known = board()
    assert known.cpu is not None
    strange = replace(known.cpu.clusters[0], core="cortex-z99")
    unknown = replace(known, cpu=replace(known.cpu, clusters=(strange,)))
    ratio = spread(project_latency(resnet101(), unknown)) / spread(
        project_latency(resnet101(), known)
    )
    assert ratio == pytest.approx(ESTIMATED_SPREAD, rel=1e-6)


def test_unknown_work_says_nothing_of_a_gpu() -> None:
    """A time on a processor is no measure of another kind of processor."""
    server = find_device("rtx_3070", load_catalogue(devices_dir()))
    found = project_latency(without_work(resnet101()), server)
    assert (found.low_ns, found.high_ns) == (None, None)
    assert said(found).startswith("The model's work is not known, and a time on a CPU")


def test_unknown_work_falls_back_to_the_host() -> None:
    """A `.ort` file is scaled from the latency measured here, with a wider interval."""
    found = project_latency(without_work(resnet101()), board())
    assert spread(found) == pytest.approx(UNKNOWN_WORK_SPREAD, rel=1e-6)
    assert "work is not known" in said(found)
    doubled = replace(resnet101(), latency=latency(130 * MILLISECOND_NS))
    assert likely(project_latency(without_work(doubled), board())) == pytest.approx(
        2 * likely(found), rel=1e-6
    )


def test_nothing_known_gives_no_figure() -> None:
    found = project_latency(without_work(replace(resnet101(), latency=None)), board())
    assert (found.low_ns, found.likely_ns, found.high_ns) == (None, None, None)
    assert project_latency(resnet101(), replace(board(), cpu=None)).likely_ns is None
    bare = gpu_server(fp32_flops_per_s=None)
    assert project_latency(resnet101(), bare).likely_ns is None
    assert project_latency(without_work(resnet101()), bare).likely_ns is None


def test_an_npu_is_looked_up_and_not_computed() -> None:
    """A published architecture is quoted; the projection stays that of the CPU."""
    phone = find_device("galaxy_s24", load_catalogue(devices_dir()))
    found = project_latency(resnet101(), phone)
    bare = project_latency(resnet101(), replace(phone, npu=None))
    assert (found.low_ns, found.high_ns) == (bare.low_ns, bare.high_ns)
    assert said(found).endswith(
        "Published tables have a model of this name: on the NPU of this device it took 0.87 to "
        "2.4 ms (fastest: TFLite 2.17.0, w8a8). Operators that the NPU does not have run on the "
        "CPU."
    )
    assert "NPU" not in said(project_latency(minilm(), phone))
    assert npu_times("vits-ljs.onnx", phone) is None
    assert npu_times("vit.onnx", phone) is not None


def test_the_whole_catalogue_is_projected() -> None:
    """Every device of the catalogue gets a figure."""
    for device in load_catalogue(devices_dir()):
        assert project_latency(resnet101(), device).likely_ns is not None


def test_loop_counted_once_is_said() -> None:
    profile = minilm()
    profile = replace(profile, model=replace(profile.model, per_iteration=True))
    assert "counted once" in said(project_latency(profile, board()))
