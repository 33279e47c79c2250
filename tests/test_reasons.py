"""Reasons: codes and figures where it is decided, words where it is rendered."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.decide.recommendation import assess_model, obstacles
from feasibility.decide.requirements import Requirements
from feasibility.decide.verdict import assess_device
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.assessment import MemoryLimit, ModelAssessment, Reason
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.reasons import reason_text
from feasibility.units import MIB, MILLISECOND_NS
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
    assert all(map(reason_text, found.reasons))
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
    return msgspec.structs.replace(reason, **changes)


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
