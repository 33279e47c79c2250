"""Which candidate is run, in which order, and which one is chosen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from feasibility.errors import HostError, ModelError, UselessChangeError
from feasibility.fit.candidates import (
    Destination,
    loading_candidates,
    may_meet,
    rewritings_for,
)
from feasibility.fit.changes import (
    CHANGES,
    file_changes,
    ordered,
    precision_of,
    settings_of,
)
from feasibility.fit.search import Search
from feasibility.fit.targets import marked, missed, nearest
from feasibility.records.changes import (
    ALL_CHANGES,
    PRECISIONS,
    ChangeCode,
    Changes,
    Precision,
)
from feasibility.records.drift import Drift
from feasibility.records.fit import FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import ProfiledModel
from feasibility.units import MIB, MILLISECOND_NS
from tests.projection_samples import modelled, xlmr

ChangeSet = tuple[ChangeCode, ...]
HERE = Destination("x86_64", has_glibc=True, is_here=True)


def figures(peak: float, floor: float = 10, ms: float = 10, size: float = 100) -> FitFigures:
    return FitFigures(
        load_peak_bytes=round(peak * MIB),
        inference_peak_bytes=round(peak * MIB / 2),
        floor_bytes=round(floor * MIB),
        median_ns=round(ms * MILLISECOND_NS),
        latency_ratio=ms / 10,
        file_bytes=round(size * MIB),
    )


def candidate(changes: ChangeSet, found: FitFigures, targets: FitTargets) -> FitCandidate:
    misses = missed(found, targets, None, None)
    status = "misses" if misses else "meets"
    return FitCandidate(changes=changes, status=status, measured=found, missed=misses)


class Bench:
    """A workshop whose figures are given by what a set of changes contains."""

    def __init__(self, targets: FitTargets, effects: Mapping[str, Any]) -> None:
        self.targets = targets
        self.effects = effects
        self.runs: list[ChangeSet] = []
        self.killed: tuple[ChangeSet, ...] = ()

    def model_with(self, rewriting: ChangeCode) -> ProfiledModel:
        if rewriting == "merged-weights" and rewriting not in self.effects:
            raise UselessChangeError("Cannot merge weights", "none is held twice")
        if isinstance(self.effects.get(rewriting), Exception):
            raise self.effects[rewriting]
        return xlmr().model

    def survives(self, changes: ChangeSet) -> bool:
        return changes not in self.killed

    def measured(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        self.runs.append(changes)
        found = figures(1800, 1790)
        for code in (precision_of(changes),) if precision_of(changes) else changes:
            effect = self.effects.get(code)
            if isinstance(effect, Exception):
                raise effect
            if effect is not None:
                found = effect
        return replace(candidate(changes, found, self.targets), modelled=modelled)


def search(targets: FitTargets, effects: Mapping[str, Any], **further: Any) -> tuple[Search, Bench]:
    bench = Bench(targets, effects)
    bench.killed = further.pop("killed", ())
    found = Search(
        workshop=bench,
        targets=targets,
        baseline=candidate((), figures(1800, 1790), targets),
        destination=HERE,
        deadline=further.pop("deadline", time.monotonic() + 1000),
        measures_all=further.pop("measures_all", False),
        report=lambda *_: None,
    )
    found.run(xlmr().model)
    return found, bench


def test_the_first_that_meets_the_target_is_chosen() -> None:
    """The modelled figures leave out the allocator alone, which cannot be enough."""
    found, bench = search(FitTargets(memory_bytes=400 * MIB), {"external-data": figures(350, 340)})
    assert bench.runs == [("external-data", "steady-allocator")]
    assert found.chosen is not None
    assert found.chosen.changes == ("external-data", "steady-allocator")
    assert {each.status for each in found.tried} == {"meets", "modelled"}


def test_nothing_runs_if_the_model_fits_as_it_is() -> None:
    found, bench = search(FitTargets(memory_bytes=2000 * MIB), {})
    assert (bench.runs, found.tried, found.chosen) == ([], [], found.baseline)


def test_all_candidates_are_measured_if_asked_for() -> None:
    effects = {"external-data": figures(350, 340), "prepacking-off": figures(340, 9)}
    targets = FitTargets(memory_bytes=400 * MIB)
    found, bench = search(targets, effects, measures_all=True)
    assert bench.runs == [each.changes for each in found.tried]
    assert set(map(precision_of, bench.runs)) == {None, *PRECISIONS}
    loading = [each for each in bench.runs if precision_of(each) is None]
    assert loading == [*loading_candidates(xlmr().model, HERE)]
    assert found.chosen is not None
    assert found.chosen.changes == ("external-data", "steady-allocator")


def test_weights_are_merged_after_loading_and_before_other_arithmetic() -> None:
    """Loading makes no file smaller, so none of its changes runs for a size."""
    found, bench = search(
        FitTargets(size_bytes=80 * MIB), {"merged-weights": figures(1800, 1790, size=70)}
    )
    assert bench.runs == [("merged-weights", "steady-allocator")]
    assert found.chosen is not None
    assert found.chosen.changes == ("merged-weights", "steady-allocator")


def test_a_model_without_weights_to_merge_has_no_such_candidate() -> None:
    found, bench = search(FitTargets(size_bytes=80 * MIB), {"fp16": figures(1800, size=50)})
    assert bench.runs == [("fp16", "steady-allocator")]
    assert not any("merged-weights" in each.changes for each in found.tried)


def test_merged_weights_that_need_too_much_memory_do_not_run() -> None:
    """The graph is modelled as well as before; only other arithmetic is tried in any case."""
    effects = {"merged-weights": figures(1800, 1790), "int8-weights": figures(15)}
    _, bench = search(FitTargets(memory_bytes=20 * MIB), effects)
    assert bench.runs == [("int8-weights", "steady-allocator")]


def test_other_arithmetic_comes_only_when_loading_cannot_help() -> None:
    """Changes of loading make no model faster, so none of them runs for a time."""
    found, bench = search(
        FitTargets(latency_ns=5 * MILLISECOND_NS),
        {"int8-dynamic": figures(60, 50, ms=57), "int8-static": figures(60, 50, ms=4)},
    )
    assert bench.runs == [
        ("int8-dynamic", "steady-allocator"),
        ("int8-static", "steady-allocator"),
    ]
    assert found.chosen is not None
    assert found.chosen.changes == ("int8-static", "steady-allocator")


def test_what_the_kernel_kills_under_the_target_is_not_chosen() -> None:
    effects = {"external-data": figures(350, 340), "prepacking-off": figures(340, 9)}
    killed = ("external-data", "steady-allocator")
    found, _ = search(FitTargets(memory_bytes=400 * MIB), effects, killed=(killed,))
    assert found.chosen is not None
    assert found.chosen.changes == ("external-data", "steady-allocator", "prepacking-off")
    failed = next(each for each in found.tried if each.changes == killed)
    assert failed.status == "failed"
    assert "the kernel kills it" in failed.message
    assert nearest([failed]) is None


def test_a_model_that_the_kernel_kills_as_it_is_does_not_fit_as_it_is() -> None:
    effects = {"external-data": figures(350, 340)}
    found, bench = search(FitTargets(memory_bytes=2000 * MIB), effects, killed=((),))
    assert found.baseline.status == "failed"
    assert found.chosen is not None
    assert bench.runs[0] == found.chosen.changes


SLOW = figures(300, ms=100, size=4)
SMALL = FitTargets(size_bytes=5 * MIB)


@pytest.mark.parametrize(
    ("targets", "static", "chosen"),
    [
        (SMALL, figures(300, ms=11, size=4), "int8-static"),
        (SMALL, figures(300, ms=11, size=6), "int8-dynamic"),
        (SMALL, figures(300, ms=99, size=4), "int8-dynamic"),
        (SMALL, ModelError("Cannot run 'm'", "the runtime crashed"), "int8-dynamic"),
        (
            FitTargets(size_bytes=5 * MIB, latency_ns=200 * MILLISECOND_NS),
            figures(300, ms=11, size=4),
            "int8-dynamic",
        ),
    ],
    ids=["faster", "misses", "as slow", "crashes", "the target allows it"],
)
@pytest.mark.parametrize("measures_all", [False, True])
def test_after_slow_arithmetic_a_faster_one_that_meets_the_targets_is_chosen(
    targets: FitTargets, static: Any, chosen: Precision, *, measures_all: bool
) -> None:
    effects = {"int8-dynamic": SLOW, "int8-static": static}
    found, bench = search(targets, effects, measures_all=measures_all)
    assert found.chosen is not None
    assert precision_of(found.chosen.changes) == chosen
    if not measures_all:
        assert ("int8-dynamic", "external-data", "steady-allocator") not in bench.runs


@pytest.mark.parametrize(
    ("drift", "targets", "preferred"),
    [
        (0.01, SMALL, True),
        (0.06, SMALL, False),
        (0.06, replace(SMALL, drift_ratio=0.1), True),
    ],
    ids=["as exact", "less exact", "the user allows it"],
)
def test_a_faster_arithmetic_is_not_chosen_for_much_more_drift(
    drift: float, targets: FitTargets, *, preferred: bool
) -> None:
    found, _ = search(targets, {})
    exact, rough = (
        Drift(sample_count=4, is_identical=False, relative_ratio=ratio) for ratio in (0.008, drift)
    )
    found.chosen = replace(candidate(("int8-weights",), SLOW, targets), drift=exact)
    faster = candidate(("int8-static",), figures(300, ms=5, size=4), targets)
    assert found._is_preferred(replace(faster, drift=rough)) is preferred


def test_a_full_disk_does_not_take_back_what_was_found() -> None:
    effects = {
        "external-data": figures(350, 340),
        "prepacking-off": HostError("Cannot write", "the disk is full", "free space"),
    }
    found, bench = search(FitTargets(memory_bytes=400 * MIB), effects, measures_all=True)
    assert found.chosen is not None
    assert found.chosen.changes == ("external-data", "steady-allocator")
    failed = [each.message for each in found.tried if each.status == "failed"]
    assert failed == ["Cannot write: the disk is full"]
    assert "prepacking-off" in bench.runs[-1]
    assert not found.is_complete


def test_a_candidate_that_fails_is_noted_and_the_search_goes_on() -> None:
    effects = {
        "external-data": ModelError("Cannot run 'm'", "the runtime crashed"),
        "int8-weights": ModelError("Cannot apply int8-weights", "it has no matrix product"),
        "int8-dynamic": figures(300),
    }
    found, _ = search(FitTargets(memory_bytes=400 * MIB), effects)
    failed = {each.changes: each.message for each in found.tried if each.status == "failed"}
    assert failed[("external-data", "steady-allocator")] == "Cannot run 'm': the runtime crashed"
    assert failed[("int8-weights",)] == "Cannot apply int8-weights: it has no matrix product"
    assert found.chosen is not None
    assert "int8-dynamic" in found.chosen.changes


def test_an_error_of_the_machine_ends_the_search() -> None:
    effects = {"external-data": HostError("Cannot write", "the disk is full", "free space")}
    with pytest.raises(HostError):
        search(FitTargets(memory_bytes=400 * MIB), effects)


def test_no_candidate_starts_after_the_time() -> None:
    found, bench = search(FitTargets(memory_bytes=400 * MIB), {}, deadline=time.monotonic() - 1)
    assert (bench.runs, found.is_complete, found.chosen) == ([], False, None)
    assert {"int8-weights", "int8-static"} <= {precision_of(each.changes) for each in found.tried}


def test_the_nearest_is_the_one_whose_worst_miss_is_smallest() -> None:
    targets = FitTargets(memory_bytes=100 * MIB, latency_ns=10 * MILLISECOND_NS)
    found = [
        candidate(("external-data",), figures(200, ms=10), targets),
        candidate(("prepacking-off",), figures(150, ms=15), targets),
        candidate(("arena-off",), figures(120, ms=30), targets),
        FitCandidate(changes=("fp16",), status="modelled"),
    ]
    chosen = nearest(found)
    assert chosen is not None
    assert chosen.changes == ("prepacking-off",)
    assert chosen.missed == {"memory": 1.5, "latency": 1.5}
    assert nearest([]) is None


def test_a_candidate_that_another_beats_in_everything_is_beaten() -> None:
    targets = FitTargets()
    best = candidate((), figures(100, 10, 10, 100), targets)
    slower = candidate(("arena-off",), figures(90, 10, 12, 100), targets)
    beaten = candidate(("prepacking-off",), figures(110, 10, 12, 100), targets)
    found = marked([best, slower, beaten, FitCandidate(changes=(), status="modelled")])
    assert [each.is_beaten for each in found] == [False, False, True, None]


def test_missed_targets_are_figures_over_targets() -> None:
    targets = FitTargets(
        memory_bytes=50 * MIB,
        floor_bytes=20 * MIB,
        latency_ns=5 * MILLISECOND_NS,
        size_bytes=200 * MIB,
        drift_ratio=0.01,
    )
    drift = Drift(sample_count=1, is_identical=False, relative_ratio=0.02)
    assert missed(figures(100), targets, drift, None) == {
        "memory": 2.0,
        "latency": 2.0,
        "drift": 2.0,
    }


def test_candidates_are_ordered_by_what_they_ask_and_leave_out_what_gains_nothing() -> None:
    found = loading_candidates(xlmr().model, HERE)
    assert list(found) == [
        ("steady-allocator",),
        ("external-data", "steady-allocator"),
        ("external-data", "steady-allocator", "prepacking-off"),
    ]
    assert [round(each.peak_bytes / MIB) for each in found.values() if each] == [1803, 368, 368]
    other = loading_candidates(xlmr().model, HERE._replace(has_glibc=False), ("fp16",))
    assert list(other)[:2] == [("fp16",), ("fp16", "external-data")]


@pytest.mark.parametrize(
    ("destination", "precision", "is_offered"),
    [
        (HERE, None, True),
        (HERE._replace(has_glibc=False), None, True),
        (HERE._replace(is_here=False), None, False),
        (HERE, "int8-weights", False),
    ],
    ids=["here", "without glibc", "another instruction set", "other arithmetic"],
)
def test_weights_are_packed_only_for_this_instruction_set_and_in_float(
    destination: Destination, precision: Precision | None, *, is_offered: bool
) -> None:
    """The other ways to store the model stay."""
    optimised: Changes = ("optimised-offline", "external-data")
    packed: Changes = ("optimised-offline", "external-data", "prepacked-offline")
    model = replace(
        xlmr().model,
        changed_memory=(
            modelled("x86_64", 300, 290, 1000, optimised),
            modelled("x86_64", 100, 90, 400, packed),
        ),
    )
    found = loading_candidates(model, destination, () if precision is None else (precision,))
    kept = [{*changes} - {"steady-allocator", precision} for changes in found]
    assert {*optimised} in kept
    assert ({*packed} in kept) is is_offered


def test_settings_are_left_for_a_graph_that_is_not_modelled() -> None:
    model = replace(xlmr().model, modelled_memory=(), changed_memory=())
    found = loading_candidates(model, HERE._replace(has_glibc=False))
    assert set(found) == {
        ("pattern-off",),
        ("arena-off",),
        ("prepacking-off",),
        ("pattern-off", "prepacking-off"),
        ("arena-off", "prepacking-off"),
    }
    assert set(found.values()) == {None}


def test_a_modelled_figure_far_above_a_target_needs_no_run() -> None:
    near, far = figures(110), figures(200)
    targets = FitTargets(memory_bytes=100 * MIB)
    assert (may_meet(near, targets), may_meet(far, targets), may_meet(None, targets)) == (
        True,
        False,
        True,
    )
    assert not may_meet(figures(50, floor=50), FitTargets(floor_bytes=20 * MIB))
    assert not may_meet(far, FitTargets(), limit_bytes=100 * MIB)


def test_precisions_help_with_what_is_missed() -> None:
    assert (
        rewritings_for({"latency_ratio"})
        == rewritings_for({"latency"})
        == ("int8-dynamic", "int8-static")
    )
    assert rewritings_for({"size"})[:2] == ("merged-weights", "fp16")
    assert "fp16" not in rewritings_for({"memory"})
    assert rewritings_for({"drift"}) == ()


@given(st.sets(st.sampled_from(sorted(CHANGES))))
def test_the_order_of_changes_is_the_order_of_their_application(codes: set[ChangeCode]) -> None:
    changes = ordered(codes)
    assert set(changes) == codes
    assert ordered(reversed(changes)) == changes
    assert file_changes(changes) == tuple(
        code for code in changes if CHANGES[code].kind != "setting"
    )


def test_settings_are_those_of_the_changes() -> None:
    plain = settings_of(())
    assert (plain.optimization_level, plain.prepacking, plain.arena) == ("all", True, True)
    assert plain.environment == {}
    found = settings_of(("optimised-offline", "prepacking-off", "arena-off", "steady-allocator"))
    assert (found.optimization_level, found.prepacking, found.arena) == ("disabled", False, False)
    assert not found.memory_pattern
    assert found.environment == {"MALLOC_TRIM_THRESHOLD_": "131072"}
    assert not settings_of(("pattern-off",)).memory_pattern


def test_every_set_of_modelled_changes_can_be_asked_for() -> None:
    """An optimised file always keeps its weights outside."""
    assert all("external-data" in each for each in ALL_CHANGES if "optimised-offline" in each)
    assert len(set(map(frozenset, ALL_CHANGES))) == len(ALL_CHANGES)
    assert modelled("x86_64", 1, 1, 1, ("external-data",)).changes == ("external-data",)
