"""Which change of a model is offered for a device, and how far its figure is trusted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from feasibility.decide.memory_changes import sufficient_change
from feasibility.predict.projected_memory import (
    CARRIED_HIGH_RATIO,
    GLIBC_RETAINED_RATIO,
    GRAPH_HIGH_RATIO,
    LOOPS_RATIO,
    OPEN_SHAPES_RATIO,
    changed_peak_high_bytes,
    gets_default_glibc,
    project_memory,
)
from feasibility.records.changes import ChangeCode
from feasibility.records.device import Allocator, Device, Gpu
from feasibility.records.facts import ActivationPeak
from feasibility.records.intervals import BytesInterval
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.records.workload import STEADY_ENVIRONMENT, RuntimeSettings
from feasibility.units import MIB
from tests.projection_samples import board, profile_of, resnet101, xlmr

RUNTIME = 24 * MIB
STEADY = RuntimeSettings(environment=STEADY_ENVIRONMENT)
OTHER_VARIABLE = RuntimeSettings(environment={"OMP_NUM_THREADS": "1"})
SERVER = board(isa="x86_64")


def with_settings(profile: Profile, settings: RuntimeSettings) -> Profile:
    return replace(profile, workload=replace(profile.workload, settings=settings))


def offered(
    profile: Profile, device: Device, budget: int, high: int = 600
) -> tuple[ChangeCode, ...] | None:
    """Changes that are offered for a limit and an upper end of memory in MiB."""
    memory = BytesInterval(likely_bytes=500 * MIB, high_bytes=high * MIB, budget_bytes=budget * MIB)
    reason = sufficient_change(profile, device, memory)
    return None if reason is None else reason.changes


@pytest.mark.parametrize(
    ("allocator", "settings", "is_default"),
    [
        ("glibc", RuntimeSettings(), True),
        ("glibc", OTHER_VARIABLE, True),
        ("glibc", STEADY, False),
        ("scudo", RuntimeSettings(), False),
        ("apple", RuntimeSettings(), False),
        ("windows", STEADY, False),
    ],
)
def test_who_gets_the_default_allocator_of_glibc(
    allocator: Allocator, settings: RuntimeSettings, *, is_default: bool
) -> None:
    profile = with_settings(resnet101(), settings)
    assert gets_default_glibc(profile, board(allocator=allocator)) is is_default


def test_a_model_with_the_steady_allocator_needs_what_was_measured_with_it() -> None:
    """Without it, up to the range of the default allocator."""
    plain = project_memory(resnet101(), SERVER)
    steady = project_memory(with_settings(resnet101(), STEADY), SERVER)
    assert (steady.low_bytes, steady.high_bytes) == (366 * MIB + RUNTIME,) * 2
    assert plain.high_bytes == math.ceil(457 * 1.02 * MIB) + RUNTIME
    assert plain.basis is not None
    assert steady.basis is not None
    assert plain.basis.is_default_allocator
    assert not steady.basis.is_default_allocator


@pytest.mark.parametrize(
    ("settings", "measured", "graph_alone"),
    [
        (RuntimeSettings(), 181 * GLIBC_RETAINED_RATIO + 25, 181 * GLIBC_RETAINED_RATIO + 23),
        (STEADY, 206 * CARRIED_HIGH_RATIO, 204 * GRAPH_HIGH_RATIO),
    ],
    ids=["default", "steady"],
)
def test_only_the_default_allocator_retains_memory_on_another_instruction_set(
    settings: RuntimeSettings, measured: float, graph_alone: float
) -> None:
    """181 MiB are resident there."""
    profile = with_settings(resnet101(), settings)
    for each, high in ((profile, measured), (replace(profile, memory=None), graph_alone)):
        found = project_memory(each, board()).high_bytes
        assert found == pytest.approx(high * MIB + RUNTIME, abs=2)


@pytest.mark.parametrize(
    ("settings", "budget", "changes"),
    [
        (RuntimeSettings(), 400, ("steady-allocator",)),
        (RuntimeSettings(), 390, ("steady-allocator",)),
        (RuntimeSettings(), 389, None),
        (STEADY, 400, None),
        (STEADY, 410, ("external-data",)),
    ],
)
def test_the_steady_allocator_is_offered_only_where_it_is_not_set(
    settings: RuntimeSettings, budget: int, changes: tuple[ChangeCode, ...] | None
) -> None:
    """It gives 390 MiB, and external data at most 405."""
    assert offered(with_settings(resnet101(), settings), SERVER, budget) == changes


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (RuntimeSettings(), ("external-data", "steady-allocator")),
        (STEADY, ("external-data",)),
    ],
)
def test_a_change_of_files_comes_with_the_steady_allocator_only_where_it_is_not_set(
    settings: RuntimeSettings, changes: tuple[ChangeCode, ...]
) -> None:
    assert offered(with_settings(xlmr(), settings), board(), budget=500) == changes


def test_other_allocators_are_offered_no_setting_of_glibc() -> None:
    assert offered(xlmr(), board(allocator="scudo"), budget=500) == ("external-data",)


def test_no_change_is_offered_that_gains_nothing() -> None:
    """External data need at most 405 MiB, so they help no model that needs 400."""
    profile = with_settings(resnet101(), STEADY)
    assert offered(profile, SERVER, budget=410, high=400) is None


def test_no_change_is_offered_for_a_gpu_or_without_a_limit() -> None:
    server = replace(board(), runs_on="gpu", gpu=Gpu(name="GPU"))
    assert offered(xlmr(), server, budget=500) is None
    assert sufficient_change(xlmr(), board(), BytesInterval(high_bytes=600 * MIB)) is None


PEAK = ActivationPeak(peak_bytes=MIB, node="n", op_type="Loop", tensors=(), unknown_tensor_count=1)


@pytest.mark.parametrize(
    ("fields", "wider"),
    [
        ({}, 1.0),
        ({"operator_types": ("ai.onnx:Loop",)}, LOOPS_RATIO),
        ({"operator_types": ("ai.onnx:Scan",)}, LOOPS_RATIO),
        ({"operator_types": ("com.a:Loops",)}, 1.0),
        ({"activation_peak": replace(PEAK, unknown_tensor_count=0)}, 1.0),
        ({"activation_peak": PEAK}, OPEN_SHAPES_RATIO),
        (
            {"activation_peak": PEAK, "operator_types": ("ai.onnx:Loop",)},
            OPEN_SHAPES_RATIO * LOOPS_RATIO,
        ),
    ],
    ids=["neither", "loop", "scan", "another", "known shapes", "open shapes", "both"],
)
def test_loops_and_open_shapes_widen_what_the_graph_alone_says(
    fields: dict[str, Any], wider: float
) -> None:
    """Before and after a change; a model that was measured keeps its interval."""
    model: ProfiledModel = replace(xlmr().model, **fields)
    unmeasured, phone = profile_of(model, None), board(allocator="scudo")
    changed = next(each for each in model.changed_memory if each.isa == "aarch64")
    loading, running = 1803, 1084
    as_it_is = project_memory(unmeasured, phone)
    assert as_it_is.high_bytes == pytest.approx(
        max(loading, running * wider) * GRAPH_HIGH_RATIO * MIB + RUNTIME, abs=2
    )
    assert changed_peak_high_bytes(unmeasured, changed) == pytest.approx(
        368 * wider * GRAPH_HIGH_RATIO * MIB, abs=2
    )
    measured = replace(xlmr(), model=model)
    assert changed_peak_high_bytes(measured, changed) == round(368 * MIB * CARRIED_HIGH_RATIO)
    limit = round(368 * GRAPH_HIGH_RATIO + 24) + 1
    assert offered(unmeasured, phone, limit, high=5000) == (
        ("external-data",) if wider == 1 else None
    )


def test_what_the_model_of_memory_missed_before_a_change_it_misses_after_it() -> None:
    """A tenth more was measured than modelled."""
    measured = resnet101()
    assert measured.memory is not None
    more = replace(measured, memory=replace(measured.memory, load_peak_bytes=396 * MIB))
    changed = measured.model.changed_memory[0]
    assert changed_peak_high_bytes(more, changed) == round(
        350 * MIB * CARRIED_HIGH_RATIO * 396 / 360
    )
