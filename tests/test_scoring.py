"""A better device or a looser budget never gives a worse verdict."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.decide import constraints
from feasibility.decide import score as scores
from feasibility.decide.constraints import missing_operators
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import (
    SCORE_CHANGES,
    SCORE_CLOSE,
    SCORE_FITS,
    SCORE_TIGHT,
    interval_score,
    interval_verdict,
    verdict_rank,
    weakest,
)
from feasibility.decide.verdict import assess_device
from feasibility.predict import projected_latency, projected_memory
from feasibility.predict.latency import interval, model_work
from feasibility.predict.latency.cpu_formula import ESTIMATED_EFFICIENCY
from feasibility.records import device as device_records
from feasibility.records.assessment import DeviceAssessment, Verdict
from feasibility.records.device import Device, Figure
from feasibility.records.profile import Profile
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.reasons import reason_text
from feasibility.units import GIB, MIB, MILLISECOND_NS
from tests.projection_samples import board, devices, minilm, profiles, resnet101, xlmr

replace = msgspec.structs.replace


@pytest.mark.parametrize(
    ("low", "high", "budget", "verdict", "score"),
    [
        (10, 40, 100, "fits", 100),
        (10, 50, 100, "fits", 100),
        (10, 65, 100, "fits", 90),
        (10, 80, 100, "fits", 80),
        (10, 81, 100, "tight", 78),
        (10, 100, 100, "tight", 60),
        (50, 101, 100, "undecided", 58),
        (99, 199, 100, "undecided", 30),
        (101, 101, 100, "does-not-fit", 28),
        (150, 160, 100, "does-not-fit", 14),
        (200, 300, 100, "does-not-fit", 0),
        (900, 999, 100, "does-not-fit", 0),
    ],
)
def test_one_quantity(low: int, high: int, budget: int, verdict: Verdict, score: int) -> None:
    """The thresholds are where docs/scoring.md puts them."""
    assert (interval_verdict(low, high, budget), interval_score(low, high, budget)) == (
        verdict,
        score,
    )


_ENDS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(sorted)


@given(_ENDS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_budget_is_never_worse(ends: list[int], budget: int, more: int) -> None:
    low, high = ends
    assert interval_score(low, high, budget) <= interval_score(low, high, budget + more)
    assert verdict_rank(interval_verdict(low, high, budget)) <= verdict_rank(
        interval_verdict(low, high, budget + more)
    )


@given(_ENDS, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_needing_less_is_never_worse(ends: list[int], less: int, extra: int, budget: int) -> None:
    low, high = ends
    smaller = (max(0, low - less), max(0, low - less, high - less - extra))
    assert interval_score(*smaller, budget) >= interval_score(low, high, budget)


@given(_ENDS, st.integers(1, 10**6))
def test_points_and_verdict_agree(ends: list[int], budget: int) -> None:
    score = interval_score(*ends, budget)
    expected: Verdict = (
        "fits"
        if score >= SCORE_FITS
        else "tight"
        if score >= SCORE_TIGHT
        else "undecided"
        if score >= SCORE_CLOSE
        else "does-not-fit"
    )
    assert interval_verdict(*ends, budget) == expected


def test_weakest() -> None:
    assert weakest(("fits", "undecided", "tight")) == "undecided"
    assert weakest(("fits-with-changes", "undecided")) == "undecided"
    assert weakest(()) == "undecided"


def _scaled(figure: Figure, factor: float) -> Figure:
    return replace(figure, value=max(figure.value, int(figure.value * factor)))


def _more_memory(device: Device, factor: float) -> Device:
    memory, gpu = device.memory, device.gpu
    if memory is not None:
        grants = tuple(
            replace(grant, memory_bytes=_scaled(grant.memory_bytes, factor))
            for grant in memory.grants
        )
        memory = replace(memory, total_bytes=_scaled(memory.total_bytes, factor), grants=grants)
    if gpu is not None and gpu.memory_bytes is not None:
        gpu = replace(gpu, memory_bytes=_scaled(gpu.memory_bytes, factor))
    return replace(device, memory=memory, gpu=gpu)


def _faster_clusters(device: Device, factor: float, *, only_last: bool) -> Device:
    if device.cpu is None:
        return device
    clusters = list(device.cpu.clusters)
    for index in (len(clusters) - 1,) if only_last else range(len(clusters)):
        cluster = clusters[index]
        clusters[index] = replace(cluster, clock_hz=_scaled(cluster.clock_hz, factor))
    return replace(device, cpu=replace(device.cpu, clusters=tuple(clusters)))


def _more_cores(device: Device, factor: float) -> Device:
    if device.cpu is None:
        return device
    clusters = tuple(
        replace(cluster, core_count=_scaled(cluster.core_count, factor))
        for cluster in device.cpu.clusters
    )
    return replace(device, cpu=replace(device.cpu, clusters=clusters))


def _more_bandwidth(device: Device, factor: float) -> Device:
    memory, gpu = device.memory, device.gpu
    if memory is not None and memory.bandwidth_bytes_per_s is not None:
        memory = replace(
            memory, bandwidth_bytes_per_s=_scaled(memory.bandwidth_bytes_per_s, factor)
        )
    if gpu is not None and gpu.bandwidth_bytes_per_s is not None:
        gpu = replace(gpu, bandwidth_bytes_per_s=_scaled(gpu.bandwidth_bytes_per_s, factor))
    return replace(device, memory=memory, gpu=gpu)


def _faster_gpu(device: Device, factor: float) -> Device:
    gpu = device.gpu
    if gpu is None or gpu.fp32_flops_per_s is None:
        return device
    return replace(device, gpu=replace(gpu, fp32_flops_per_s=_scaled(gpu.fp32_flops_per_s, factor)))


def _looser_limits(device: Device, factor: float) -> Device:
    limits = device.limits
    storage, target = limits.model_storage_bytes, limits.latency_ns
    if storage is not None:
        limits = replace(limits, model_storage_bytes=_scaled(storage, factor))
    if target is not None:
        limits = replace(limits, latency_ns=_scaled(target, factor))
    return replace(device, limits=limits)


IMPROVEMENTS: tuple[Callable[[Device, float], Device], ...] = (
    _more_memory,
    lambda device, factor: _faster_clusters(device, factor, only_last=False),
    lambda device, factor: _faster_clusters(device, factor, only_last=True),
    _more_cores,
    _more_bandwidth,
    _faster_gpu,
    _looser_limits,
)


@given(profiles(), devices(), st.sampled_from(IMPROVEMENTS), st.floats(1, 20))
def test_a_better_device_is_never_worse(
    profile: Profile,
    device: Device,
    improve: Callable[[Device, float], Device],
    factor: float,
) -> None:
    """More memory, a faster processor or looser limits never cost a point."""
    _assert_not_worse(
        assess_device(profile, device), assess_device(profile, improve(device, factor))
    )


@given(profiles(), devices(), st.integers(1, 10**11), st.floats(1, 20))
def test_looser_requirements_are_never_worse(
    profile: Profile, device: Device, budget: int, factor: float
) -> None:
    before = Requirements(budget, budget, budget)
    loose = int(budget * factor)
    after = Requirements(loose, loose, loose)
    _assert_not_worse(assess_device(profile, device, before), assess_device(profile, device, after))


def _assert_not_worse(before: DeviceAssessment, after: DeviceAssessment) -> None:
    assert verdict_rank(after.verdict) >= verdict_rank(before.verdict)
    assert after.score >= before.score
    for part, score in before.score_parts.items():
        assert after.score_parts[part] >= score


@given(profiles(), devices())
def test_every_assessment_holds_together(profile: Profile, device: Device) -> None:
    """The score is the weakest part, and a change is named exactly when one is needed."""
    found = assess_device(profile, device)
    assert found.score == min(found.score_parts.values())
    assert set(found.score_parts) == {"memory", "latency", "storage", "operators"}
    assert len(found.reasons) == 4
    assert {reason.device for reason in found.reasons} == {device.id}
    if found.verdict == "fits-with-changes":
        assert found.memory_change is not None
    if found.verdict in ("fits", "tight"):
        assert found.memory_change is None
    for low, likely, high in (
        (found.memory.low_bytes, found.memory.likely_bytes, found.memory.high_bytes),
        (found.latency.low_ns, found.latency.likely_ns, found.latency.high_ns),
    ):
        if low is not None and likely is not None and high is not None:
            assert low <= likely <= high


def change_text(found: DeviceAssessment) -> str:
    assert found.memory_change is not None
    return reason_text(found.memory_change)


def test_the_decisive_reason_comes_first() -> None:
    """A model that does not fit in memory says so with the numbers before anything else."""
    found = assess_device(xlmr(), board(memory_bytes=2 * GIB, latency_ns=None))
    assert found.verdict == "fits-with-changes"
    assert reason_text(found.reasons[0]) == (
        "needs 1.61 to 1.91 GiB to load, over the limit: "
        "Linux grants a process (no desktop running) 1.5 GiB of 2 GiB"
    )


def test_change_is_offered_where_it_is_known_to_work() -> None:
    """Of the changes that are modelled, the one that asks least and is enough."""
    found = assess_device(xlmr(), board(memory_bytes=2 * GIB, latency_ns=None))
    assert found.score == SCORE_CHANGES
    assert change_text(found) == (
        "external data, steady allocator: the modelled peak falls from about 1.78 GiB to at most "
        "418 MiB; to measure it and write the files, run "
        "`feasibility fit MODEL --device board`"
    )
    assert found.memory_change is not None
    assert found.memory_change.changes == ("external-data", "steady-allocator")


def test_no_change_is_offered_where_none_is_enough() -> None:
    found = assess_device(xlmr(), board(memory_bytes=512 * MIB, latency_ns=None))
    assert (found.verdict, found.memory_change) == ("does-not-fit", None)


def test_the_default_allocator_decides_on_glibc() -> None:
    """On the host's own instruction set the upper end with glibc's defaults is judged."""
    server = board(isa="x86_64", grant_bytes=430 * MIB, latency_ns=None)
    found = assess_device(resnet101(), server)
    assert found.verdict == "fits-with-changes"
    assert change_text(found) == (
        "start the process with MALLOC_TRIM_THRESHOLD_=131072: glibc then returns freed memory, "
        "and the peak stays at 390 MiB (loading takes longer, running does not)"
    )
    android = replace(server, allocator="scudo")
    assert assess_device(resnet101(), android).verdict == "tight"


def test_too_slow_says_by_how_much() -> None:
    found = assess_device(resnet101(), board(), Requirements(latency_budget_ns=10 * MILLISECOND_NS))
    assert found.verdict == "does-not-fit"
    assert found.score == 0
    assert reason_text(found.reasons[0]).endswith(", over the target of 10 ms")


def test_a_target_inside_the_interval_is_undecided() -> None:
    likely = assess_device(resnet101(), board()).latency.likely_ns
    found = assess_device(resnet101(), board(), Requirements(latency_budget_ns=likely))
    assert found.verdict == "undecided"
    assert found.reasons[0].code == "limit-inside-interval"
    assert reason_text(found.reasons[0]).partition("; this interval contains the target of ")[1]


def test_custom_operators_run_nowhere() -> None:
    profile = minilm()
    profile = replace(profile, model=replace(profile.model, custom_operators=("com.a:Own\x1b",)))
    found = assess_device(profile, board())
    assert (found.verdict, found.score) == ("does-not-fit", 0)
    assert found.missing_operators == ("com.a:Own\x1b",)
    assert reason_text(found.reasons[0]) == (
        "needs com.a:Own\\x1b, missing in standard builds of ONNX Runtime"
    )


def test_a_model_optimised_on_x86_does_not_load_on_arm() -> None:
    profile = minilm()
    types = ("ai.onnx:MatMul", "com.microsoft.nchwc:Conv")
    model = replace(profile.model, operator_types=types)
    assert missing_operators(model, board()) == ("com.microsoft.nchwc:Conv",)
    assert missing_operators(model, board(isa="x86_64")) == ()


def test_cores_of_an_unknown_make_are_named() -> None:
    """A typo in a device file must not pass for a slow core."""
    device = board()
    assert device.cpu is not None
    clusters = tuple(replace(one, core="cortex-a7o") for one in device.cpu.clusters)
    odd = replace(device, cpu=replace(device.cpu, clusters=clusters))
    assert assess_device(resnet101(), odd).latency.unknown_cores == ("cortex-a7o",)
    assert assess_device(resnet101(), device).latency.unknown_cores == ()
    (told,) = with_sentences(assess_model(resnet101(), (odd,))).devices
    assert "The projection was never fitted to cortex-a7o" in told.latency.explanation


def test_nothing_known_is_undecided() -> None:
    """A missing measurement never reads as zero."""
    model = replace(minilm().model, flops=None, flops_by_class={}, modelled_memory=(), format="ort")
    profile = replace(minilm(), model=model, memory=None, default_allocator=None, latency=None)
    found = assess_device(profile, board())
    assert found.verdict == "undecided"
    assert found.memory.likely_bytes is None
    assert found.latency.likely_ns is None


def test_the_document_says_what_the_code_does() -> None:
    """Every constant that docs/scoring.md names has the value it gives."""
    text = (Path(__file__).parents[1] / "docs" / "scoring.md").read_text(encoding="utf-8")
    named = re.findall(r"`([A-Z][A-Z0-9_]+)` = ([\d.]+(?: \d{3})?)", text)
    known = {}
    for module in (
        projected_memory,
        constraints,
        device_records,
        projected_latency,
        scores,
        interval,
        model_work,
    ):
        known |= vars(module)
    assert len(named) > 20
    for name, value in named:
        assert known[name] == float(value.replace(" ", "").rstrip(".")), name
    shown = {
        "recurrent layers": "recurrent",
        "quantization": "quantization",
        "other operators": "other",
    }
    for words, name in shown.items():
        match = re.search(rf"{words}\s+(0\.\d\d)", text)
        assert match is not None
        assert float(match[1]) == ESTIMATED_EFFICIENCY[name]


def test_a_tensorflow_lite_model_is_projected_as_such_everywhere() -> None:
    """`check`, one device alone, and budgets; another runtime only if it is asked for."""
    profile = resnet101()
    lite = replace(profile, workload=replace(profile.workload, engine="litert"))
    device = chosen_devices(["rpi_4b"])[0]
    assert assess_device(lite, device).latency.runtime.startswith("LiteRT")
    assert assess_model(lite, [device]).runtime == "tflite"
    asked = Requirements(runtime="ncnn")
    assert assess_model(lite, [device], asked).runtime == "ncnn"
    assert assess_device(lite, device, asked).latency.runtime.startswith("ncnn")


def test_a_time_of_another_runtime_is_not_the_measured_one() -> None:
    device = chosen_devices(["rpi_4b"])[0]
    profile = resnet101()
    there = replace(
        profile,
        host=replace(profile.host, device=device.name),
        workload=replace(profile.workload, engine="litert", runtime="LiteRT 2.3.0"),
    )
    assert assess_device(there, device).latency.method == "measured"
    asked = Requirements(runtime="onnxruntime")
    assert assess_device(there, device, asked).latency.method == "projected"
