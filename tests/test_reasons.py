"""Reasons: codes and figures where it is decided, words where it is rendered."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.decide.recommendation import assess_model, obstacles
from feasibility.decide.requirements import Requirements
from feasibility.decide.verdict import assess_device
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.assessment import (
    MemoryLimit,
    ModelAssessment,
    Part,
    Reason,
    ReasonCode,
)
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.reasons import reason_text
from feasibility.units import KIB, MIB, MILLISECOND_NS
from tests.projection_samples import devices, profiles, resnet101

DECIDE = sorted((Path(__file__).parents[1] / "feasibility" / "decide").glob("*.py"))
CATALOGUE = load_catalogue(devices_dir())
S24, ZERO, T4 = (find_device(name, CATALOGUE) for name in ("galaxy_s24", "rpi_zero2w", "t4"))


@pytest.mark.parametrize("path", DECIDE, ids=lambda path: path.name)
def test_deciding_has_no_words(path: Path) -> None:
    """It formats no figure and writes no sentence; only sources of networks are text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not {name for name in imported if name.startswith("format_")} | imported & {"render"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if isinstance(node.body[0], ast.Expr)
    } | {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword)
        if node.arg == "source"
    }  # fmt: skip
    words = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]
    assert [text for text in words if " " in text.strip() or text[-1:] == "."] == []


def told(*found: Device, demands: Requirements | None = None) -> ModelAssessment:
    return with_sentences(assess_model(resnet101(), found, demands or Requirements()))


def test_a_reason_has_code_part_device_and_figures() -> None:
    """As JSON it holds what its sentence says, and no figure that does not apply."""
    demands = Requirements(latency_budget_ns=10 * MILLISECOND_NS)
    (found,) = told(ZERO, demands=demands).devices
    latency = next(reason for reason in found.reasons if reason.part == "latency")
    assert msgspec.to_builtins(latency) == {
        "code": "over-limit",
        "part": "latency",
        "verdict": "does-not-fit",
        "score": 0,
        "device": "rpi_zero2w",
        "actual_low_ns": found.latency.low_ns,
        "actual_high_ns": found.latency.high_ns,
        "budget_ns": 10 * MILLISECOND_NS,
        "is_budget_asked": True,
        "text": reason_text(latency),
    }


def test_a_document_has_the_sentences_beside_the_reasons() -> None:
    model = told(S24, ZERO, T4, demands=Requirements(is_private=True, rate_per_s=3))
    for found in model.devices:
        assert found.reasons_text == tuple(map(reason_text, found.reasons))
    names = {found.device: found.name for found in model.devices}
    placed = model.placement
    assert placed.reasons_text == tuple(
        f"{names[reason.device]}: {reason.text}" for reason in placed.reasons
    )
    assert all(reason.text for reason in placed.reasons)
    assert all(other.reason for other in placed.alternatives)
    assert placed.summary


def test_every_obstacle_of_a_device_is_a_reason() -> None:
    """A memory that a change makes fit is one too, beside a time that is too long."""
    recorded = read_document(profiles_dir() / "zoo" / "resnet101.json", Profile)
    found = assess_model(recorded, (ZERO,)).placement.reasons
    assert [(reason.part, reason.code, reason.verdict) for reason in found] == [
        ("latency", "over-limit", "does-not-fit"),
        ("memory", "over-limit", "fits-with-changes"),
        ("memory", "external-data", "fits-with-changes"),
    ]


@settings(max_examples=60)
@given(profiles(), devices())
def test_every_reason_has_a_sentence(profile: Profile, device: Device) -> None:
    found = assess_device(profile, device, Requirements(rate_per_s=2, realtime_ns=10**9))
    assert [reason.device for reason in found.reasons] == [device.id] * 6
    texts = [*map(reason_text, found.reasons)]
    assert all(texts)
    assert [text for text in texts if "None" in text] == []
    assert bool(obstacles(found)) == (found.verdict not in ("fits", "tight"))


def of_memory(**changes: object) -> Reason:
    reason = Reason(
        code="over-limit",
        part="memory",
        verdict="does-not-fit",
        score=0,
        actual_low_bytes=300 * MIB,
        actual_high_bytes=400 * MIB,
        budget_bytes=200 * MIB,
        memory_limit=MemoryLimit(
            source="system", system="android", role="background", total_bytes=8192 * MIB
        ),
    )
    return replace(reason, **changes)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            of_memory(),
            "needs 300 to 400 MiB, over the limit: Android grants a background process 200 MiB "
            "of 8 GiB",
        ),
        (
            of_memory(code="within-limit", phase="run", memory_limit=MemoryLimit(source="option")),
            "needs 300 to 400 MiB to run; limit: 200 MiB (--memory)",
        ),
        (
            of_memory(
                code="limit-inside-interval",
                memory_limit=MemoryLimit(source="gpu", total_bytes=256 * MIB, is_estimate=True),
            ),
            "needs 300 to 400 MiB; this interval contains the limit: about 200 MiB of "
            "256 MiB of GPU memory",
        ),
        (of_memory(actual_low_bytes=None), "memory not measured"),
        (of_memory(memory_limit=None), "needs 300 to 400 MiB; no limit known"),
    ],
    ids=["system", "option", "gpu", "not measured", "no limit"],
)
def test_who_limits_the_memory(reason: Reason, text: str) -> None:
    assert reason_text(reason) == text


# Every reason that is decided, with its sentence for the figures of `with_all_figures`.
SENTENCES: dict[tuple[Part, ReasonCode], str] = {
    ("memory", "within-limit"): "needs 300 to 400 MiB; limit: 500 MiB (--memory)",
    ("memory", "over-limit"): "needs 300 to 400 MiB, over the limit: 500 MiB (--memory)",
    ("memory", "limit-inside-interval"): (
        "needs 300 to 400 MiB; this interval contains the limit: 500 MiB (--memory)"
    ),
    ("memory", "no-limit"): "needs 300 to 400 MiB; no limit known",
    ("memory", "not-known"): "memory not measured",
    ("memory", "external-data"): (
        "external data: the modelled peak falls from about 450 MiB to at most 400 MiB; to measure "
        "it and write the files, run `feasibility fit MODEL --device board`"
    ),
    ("memory", "steady-allocator"): (
        "start the process with MALLOC_TRIM_THRESHOLD_=131072: glibc then returns freed memory, "
        "and the peak stays at 400 MiB (loading takes longer, running does not)"
    ),
    ("latency", "within-limit"): "takes 30 to 40 ms; default target of 20 ms",
    ("latency", "over-limit"): "takes 30 to 40 ms, over the default target of 20 ms",
    ("latency", "limit-inside-interval"): (
        "takes 30 to 40 ms; this interval contains the default target of 20 ms"
    ),
    ("latency", "no-limit"): "no latency target",
    ("latency", "not-known"): "time cannot be projected; default target of 20 ms",
    ("storage", "within-limit"): "takes 400 MiB on disk; limit of 500 MiB on this device",
    ("storage", "over-limit"): "takes 400 MiB on disk, over the limit of 500 MiB on this device",
    ("storage", "no-limit"): "takes 400 MiB on disk",
    ("storage", "not-known"): "size on disk not known",
    ("operators", "operators-available"): (
        "standard builds of ONNX Runtime have all operators of the model"
    ),
    ("operators", "operators-not-checked"): "operators of ncnn not checked",
    ("operators", "operators-missing"): (
        "needs com.a:Own, missing in standard builds of ONNX Runtime"
    ),
    ("operators", "operators-x86-only"): (
        "contains com.a:Own, which exists only on x86-64, because the model was optimised there; "
        "use the file from before the optimisation"
    ),
    ("operators", "not-known"): "operators not known",
    ("rate", "within-limit"): "50 inferences per second keep it busy 150 to 200 % of the time",
    ("rate", "over-limit"): "reaches 25 to 33 inferences per second, below the target of 50",
    ("rate", "limit-inside-interval"): (
        "reaches 25 to 33 inferences per second; this interval contains the target of 50"
    ),
    ("rate", "several-servers"): "50 inferences per second need 2 to 3 of these servers",
    ("rate", "not-known"): "time not known, so 50 inferences per second cannot be checked",
    ("realtime", "within-limit"): (
        "takes 1.5 to 2 times the length of the signal (20 ms per inference)"
    ),
    ("realtime", "over-limit"): (
        "takes 1.5 to 2 times the length of the signal (20 ms per inference): too slow"
    ),
    ("realtime", "limit-inside-interval"): (
        "takes 1.5 to 2 times the length of the signal (20 ms per inference): undecided"
    ),
    ("realtime", "not-known"): (
        "time not known, so the length of the signal (20 ms per inference) cannot be checked"
    ),
    ("request", "within-limit"): (
        "a request over wifi, 588 KiB of raw tensors up, takes 30 to 40 ms; default target of 20 ms"
    ),
    ("request", "over-limit"): (
        "a request over wifi, 588 KiB of raw tensors up, takes 30 to 40 ms, over the default "
        "target of 20 ms"
    ),
    ("request", "limit-inside-interval"): (
        "a request over wifi, 588 KiB of raw tensors up, takes 30 to 40 ms; this interval "
        "contains the default target of 20 ms"
    ),
    ("request", "not-known"): "time of a request over wifi not known; default target of 20 ms",
    ("uplink", "within-limit"): (
        "wifi is fast enough to send 588 KiB of raw tensors 50 times per second"
    ),
    ("uplink", "over-limit"): (
        "wifi is too slow to send 588 KiB of raw tensors 50 times per second"
    ),
    ("uplink", "limit-inside-interval"): (
        "wifi may be too slow to send 588 KiB of raw tensors 50 times per second"
    ),
    ("uplink", "not-known"): "size of the inputs not known, so the uplink cannot be checked",
    ("demands", "no-network-allowed"): "it must work without a network (--offline)",
    ("demands", "inputs-private"): "inputs must stay on the device (--private)",
}


def with_all_figures(part: Part, code: ReasonCode) -> Reason:
    """A reason with every figure that its code lets it have."""
    reason = Reason(
        code=code,
        part=part,
        verdict="undecided",
        score=0,
        device="board",
        actual_low_bytes=300 * MIB,
        actual_high_bytes=400 * MIB,
        budget_bytes=500 * MIB,
        unchanged_bytes=450 * MIB,
        actual_low_ns=30 * MILLISECOND_NS,
        actual_high_ns=40 * MILLISECOND_NS,
        budget_ns=20 * MILLISECOND_NS,
        rate_per_s=50.0,
        server_low_count=2,
        server_high_count=3,
        upload_bytes=588 * KIB,
        network="wifi",
        memory_limit=MemoryLimit(source="option"),
        operators=("com.a:Own",),
        runtime="ncnn",
        changes=("external-data",),
    )
    if code == "no-limit":
        return replace(reason, budget_bytes=None, budget_ns=None, memory_limit=None)
    if code == "not-known":
        figures = ("actual_low_bytes", "actual_high_bytes", "actual_low_ns", "actual_high_ns")
        return replace(reason, upload_bytes=None, **dict.fromkeys(figures))
    return reason


@pytest.mark.parametrize(("part", "code"), SENTENCES)
def test_the_sentence_of_every_reason(part: Part, code: ReasonCode) -> None:
    assert reason_text(with_all_figures(part, code)) == SENTENCES[part, code]


def test_operators_of_a_tflite_model_are_missing_in_litert() -> None:
    profile = resnet101()
    model = replace(profile.model, custom_operators=("tflite:Own",))
    for engine, runtime in (("litert-builtin", "LiteRT"), ("onnxruntime", "ONNX Runtime")):
        workload = replace(profile.workload, engine=engine)
        found = assess_device(replace(profile, model=model, workload=workload), S24, Requirements())
        (reason,) = (each for each in found.reasons if each.part == "operators")
        assert reason_text(reason) == (f"needs tflite:Own, missing in standard builds of {runtime}")


def test_every_code_has_sentences_of_its_own() -> None:
    assert {code for _, code in SENTENCES} == set(get_args(ReasonCode))
    assert {part for part, _ in SENTENCES} == set(get_args(Part))
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_a_model_without_inputs_sends_nothing() -> None:
    reason = with_all_figures("uplink", "within-limit")
    assert reason_text(replace(reason, upload_bytes=0)) == "nothing to send"
