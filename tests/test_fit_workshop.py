"""Candidates that are made, run and judged: each process is a fake, the files are not written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.errors import HostError, ModelError
from feasibility.fit import fit_model
from feasibility.fit import workshop as workshop_module
from feasibility.fit.candidate_runs import latency_ratio
from feasibility.fit.candidates import Destination
from feasibility.fit.changes import ChangeSet, settings_of
from feasibility.fit.on_target import TargetRun
from feasibility.fit.workshop import CandidateWorkshop, Measured, figures_of
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.prove.prove_model import ProveOptions
from feasibility.reading_cache import NO_CACHE, ReadingCache
from feasibility.records.fit import FitCandidate, FitTargets
from feasibility.records.profile import Profile
from feasibility.records.proof import Outcome
from feasibility.records.workload import InputPlan
from feasibility.rewrite.drifting_node import DriftingNode
from feasibility.units import MIB
from tests.projection_samples import board, profile_of, steady, xlmr

PLAN = InputPlan(inputs=())
INT8: ChangeSet = ("int8-weights", "steady-allocator")
EXACT = FitTargets(drift_ratio=0.01)
MODEL = replace(xlmr().model, changed_memory=())


@dataclasses.dataclass
class Times:
    """A model whose processes take these times, and that notes when it runs."""

    name: str
    times: Sequence[int]
    order: list[str]

    def median_ns(self) -> int:
        self.order.append(self.name)
        return self.times[self.order.count(self.name) - 1]


@pytest.mark.parametrize(
    ("times", "target", "ratio", "pairs"),
    [
        ([110, 120, 90, 100, 130], None, 1.1, 5),
        ([251], None, 2.51, 1),
        ([250, 250, 250, 250, 250], None, 2.5, 5),
        ([240, 300, 300, 300, 300], None, 3.0, 5),
        ([120, 130], 1.0, 1.25, 2),
        ([120, 105, 120, 120, 120], 1.0, 1.2, 5),
        ([120, 105, 130, 112, 120], 1.0, 1.2, 5),
        ([80, 90], 1.0, 0.85, 2),
        ([80, 95, 80, 80, 80], 1.0, 0.8, 5),
        ([45, 40], 0.5, 0.425, 2),
        ([100, 80, 95, 80, 80], 1.0, 0.8, 5),
    ],
    ids=[
        "no-target", "slow", "on-the-bound", "slow-later", "above", "above-but-near",
        "one-near", "below", "below-but-near", "half", "on-the-target",
    ],
)  # fmt: skip
def test_pairs_of_processes_end_when_their_ratios_leave_no_doubt(
    times: list[int], target: float | None, ratio: float, pairs: int
) -> None:
    """After five pairs at the latest; each pair begins with the other model."""
    order: list[str] = []
    changed: Any = Times("c", times, order)
    original: Any = Times("o", [100] * 5, order)
    assert latency_ratio(changed, original, lambda: True, target) == pytest.approx(ratio)
    assert "".join(order) == "cooccoocco"[: 2 * pairs]


def test_no_further_pair_starts_after_the_time() -> None:
    order: list[str] = []
    changed: Any = Times("c", [150], order)
    original: Any = Times("o", [100], order)
    assert latency_ratio(changed, original, lambda: False, 1.5) == 1.5
    assert order == ["c", "o"]


@dataclasses.dataclass
class FakeFiles:
    """Files that are made of nothing."""

    float_nodes: tuple[str, ...] = ()
    left_in_float: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    def variant(self, changes: ChangeSet) -> Any:
        return SimpleNamespace(path=Path("+".join(changes)))

    def keep(self, *wanted: ChangeSet) -> None:
        """Nothing is kept."""

    def leave_in_float(self, nodes: tuple[str, ...]) -> None:
        self.float_nodes = nodes
        self.left_in_float.append(nodes)


@dataclasses.dataclass
class FakeRuns:
    """Processes of one candidate, which are counted."""

    changes: ChangeSet
    found: Profile
    output: float
    started: list[str]
    variant: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(path=Path("m.onnx")))
    plan: InputPlan = PLAN

    def profile(self) -> Profile:
        self.started.append("profile")
        return self.found

    def outputs(self, *_: object) -> dict[str, Any]:
        self.started.append("outputs")
        return {"y": np.array([[1.0, self.output]])}


class Bench:
    """A workshop of fakes.

    `drifts` and `nodes` are the drift and the node where it begins, by number of nodes in float.
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        drifts: Sequence[float] = (0.0,),
        nodes: Sequence[str | None] = (),
        *,
        targets: FitTargets = EXACT,
        peak_mib: int = 100,
        **fields: Any,
    ) -> None:
        self.started: list[str] = []
        self.searched: list[float] = []
        self.files = FakeFiles()
        self.emulated: list[tuple[object, ...]] = []
        profile = profile_of(MODEL, steady(peak_mib, peak_mib, peak_mib))
        baseline = Measured(profile=profile, figures=figures_of(profile, 1.0, None))

        def runs(_: object, changes: ChangeSet) -> FakeRuns:
            drift = drifts[min(len(self.files.float_nodes), len(drifts) - 1)]
            return FakeRuns(changes, profile, 1.0 - drift, self.started)

        def first_drifting(*_: object, threshold_ratio: float) -> DriftingNode | None:
            self.searched.append(threshold_ratio)
            name = nodes[len(self.files.float_nodes)]
            return None if name is None else DriftingNode(name, 0.3)

        patch.setattr(CandidateWorkshop, "runs", runs)
        patch.setattr(workshop_module, "first_drifting_node", first_drifting)
        patch.setattr(workshop_module, "latency_ratio", lambda *_: 1.0)
        known: dict[str, Any] = {
            "original": FakeRuns((), profile, 1.0, []),
            "files": self.files,
            "targets": targets,
            "device": None,
            "baseline": baseline,
            "samples": ((PLAN, 0),),
            "has_samples": False,
            "cache": NO_CACHE,
            "key": b"",
            "has_time": lambda: True,
            "prove": lambda _: None,
            "measures_all": False,
        }
        self.workshop = CandidateWorkshop(**(known | fields))

    def measured(self, changes: ChangeSet = INT8) -> FitCandidate:
        return self.workshop.measured(changes, None)


def test_nodes_stay_in_float_until_the_drift_meets_its_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, (0.3, 0.2, 0.005), ("a", "b"))
    found = bench.measured()
    assert (found.status, found.float_nodes) == ("meets", ("a", "b"))
    assert found.drift is not None
    assert found.drift.relative_ratio == pytest.approx(0.005)
    assert bench.files.left_in_float == [("a",), ("a", "b")]
    assert bench.started == ["profile", "outputs"] * 3
    assert bench.measured(("external-data",)).float_nodes == ()


def test_the_node_that_drifts_by_more_than_the_target_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And of a large drift, the node where it passes 5 %, for the report."""
    bench = Bench(monkeypatch, (0.3, 0.3), ("a", None))
    found = bench.measured()
    assert bench.searched == [0.05, 0.01, 0.05, 0.01]
    assert found.drift is not None
    assert (found.drift.first_node, found.status) == (None, "misses")
    small = Bench(monkeypatch, (0.04, 0.0), ("a",))
    assert small.measured().float_nodes == ("a",)
    assert small.searched == [0.01]


def test_the_report_names_the_node_where_a_large_drift_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Bench(monkeypatch, (0.3,), ("a",), targets=FitTargets()).measured()
    assert found.status == "meets"
    assert found.drift is not None
    assert (found.drift.first_node, found.drift.first_node_ratio) == ("a", 0.3)


def test_at_most_four_nodes_stay_in_float(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all nodes are changed again for the next candidate."""
    bench = Bench(monkeypatch, (0.04,), "abcdef")
    found = bench.measured()
    assert (found.status, [*found.missed]) == ("misses", ["drift"])
    assert found.float_nodes == ("a", "b", "c", "d")
    assert bench.searched == [0.01] * 4
    assert bench.files.float_nodes == ()


@pytest.mark.parametrize("nodes", [(None,), ("a", "a")], ids=["none", "the same again"])
def test_a_drift_without_a_further_node_is_left(
    monkeypatch: pytest.MonkeyPatch, nodes: tuple[str | None, ...]
) -> None:
    bench = Bench(monkeypatch, (0.04,), nodes)
    assert bench.measured().status == "misses"
    assert len(bench.searched) == len(nodes)
    assert bench.started == ["profile", "outputs"] * len(nodes)
    assert bench.files.float_nodes == ()


def test_no_node_is_left_in_float_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, (0.04,), "a", has_time=lambda: False)
    assert bench.measured().float_nodes == ()
    assert bench.started == ["profile", "outputs"]


@pytest.mark.parametrize(
    ("changes", "targets"),
    [
        (INT8, FitTargets(drift_ratio=0.01, size_bytes=1)),
        (("external-data",), EXACT),
    ],
    ids=["another target is missed too", "the arithmetic is the same"],
)
def test_nodes_stay_in_float_only_where_that_can_be_enough(
    monkeypatch: pytest.MonkeyPatch, changes: ChangeSet, targets: FitTargets
) -> None:
    bench = Bench(monkeypatch, (0.04,), "a", targets=targets, measures_all=True)
    found = bench.measured(changes)
    assert "drift" in found.missed
    assert bench.searched == []
    assert bench.files.left_in_float == []


def test_measurements_are_kept_per_set_of_nodes_in_float(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second search with the same cache starts no process and gives the same answer."""
    cache = ReadingCache(tmp_path)
    first = Bench(monkeypatch, (0.3, 0.005), "aa", cache=cache)
    found = first.measured()
    assert (found.status, found.float_nodes) == ("meets", ("a",))
    assert len(first.started) == 4
    again = Bench(monkeypatch, (0.3, 0.005), "aa", cache=cache)
    assert again.measured() == found
    assert again.started == []


def test_what_takes_long_is_left_out_of_a_candidate_that_misses_a_target_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, targets=FitTargets(memory_bytes=99 * MIB))
    found = bench.measured()
    assert [*found.missed] == ["memory"]
    assert found.drift is None
    assert found.measured is not None
    assert found.measured.latency_ratio is None
    assert bench.started == ["profile"]


def test_an_error_of_a_candidate_is_not_cached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = ReadingCache(tmp_path)
    bench = Bench(monkeypatch, cache=cache)

    def fails(*_: object) -> None:
        raise ModelError("Cannot run 'm'", "the runtime crashed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeRuns, "outputs", fails)
        with pytest.raises(ModelError):
            bench.measured()
    assert bench.measured().drift is not None


def emulated_run(there: Profile, output: float, calls: list[object]) -> Callable[..., TargetRun]:
    def run(runs: Any, device: Any, plan: InputPlan, seed: int) -> TargetRun:
        calls.append((runs.changes, device.id, plan, seed))
        return TargetRun(there, {"y": np.array([[1.0, output]])})

    return run


def test_a_candidate_runs_on_the_instruction_set_of_its_device_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its memory and its larger drift there count; a further search starts no emulator."""
    calls: list[object] = []
    there = profile_of(MODEL, steady(40, 40, 40), arch="aarch64")
    monkeypatch.setattr(workshop_module, "can_emulate", lambda _: True)
    monkeypatch.setattr(workshop_module, "run_on_target", emulated_run(there, 0.7, calls))
    for _ in range(2):
        bench = Bench(
            monkeypatch, (0.1,), ("a",), targets=FitTargets(device="board"), device=board(),
            samples=((PLAN, 7), (PLAN, 8)), cache=ReadingCache(tmp_path),
        )  # fmt: skip
        found = bench.measured()
        assert found.status == "meets"
        assert found.drift is not None
        assert found.drift.relative_ratio == pytest.approx(0.3)
        # With 24 MiB for the runtime.
        assert found.device_memory_bytes == (40 + 24) * MIB
    assert calls == [(INT8, "board", PLAN, 7)]


def test_no_emulator_starts_for_a_candidate_that_misses_a_target_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(workshop_module, "can_emulate", lambda _: True)
    monkeypatch.setattr(workshop_module, "run_on_target", emulated_run(xlmr(), 1.0, calls))
    targets = FitTargets(device="board", drift_ratio=0.05)
    bench = Bench(monkeypatch, (0.3,), (None, None), targets=targets, device=board())
    assert [*bench.measured().missed] == ["drift"]
    assert calls == []


def test_without_the_emulator_figures_of_the_device_are_projected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workshop_module, "can_emulate", lambda _: False)
    bench = Bench(monkeypatch, targets=FitTargets(device="board"), device=board())
    found = bench.measured()
    assert found.status == "meets"
    assert found.device_memory_bytes is not None
    assert found.device_memory_bytes > 24 * MIB


@pytest.mark.parametrize(
    ("device", "arch", "is_installed", "is_warned"),
    [
        ("rpi_5", "x86_64", False, True),
        ("rpi_5", "x86_64", True, False),
        ("rpi_5", "aarch64", False, False),
        ("n100_minipc", "x86_64", False, False),
        (None, "x86_64", False, False),
    ],
)
def test_an_emulator_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
    device: str | None,
    arch: str,
    *,
    is_installed: bool,
    is_warned: bool,
) -> None:
    monkeypatch.setattr(fit_model, "can_emulate", lambda _: is_installed)
    asked = None if device is None else chosen_devices([device])[0]
    warnings = fit_model._not_emulated_warning(asked, arch)
    assert [each.code for each in warnings] == ["not-emulated"] * is_warned


@pytest.mark.parametrize(
    ("changes", "has_samples", "is_warned"),
    [
        (("int8-static", "steady-allocator"), False, True),
        (("fp16",), False, True),
        (("int8-static", "steady-allocator"), True, False),
        (("external-data", "steady-allocator"), False, False),
        ((), False, False),
        (None, False, False),
    ],
)
def test_seeded_samples_are_a_warning_where_the_arithmetic_changed(
    changes: ChangeSet | None, *, has_samples: bool, is_warned: bool
) -> None:
    chosen = None if changes is None else FitCandidate(changes=changes, status="meets")
    workshop: Any = SimpleNamespace(has_samples=has_samples)
    warnings = fit_model._seeded_warning(chosen, workshop)
    assert [each.code for each in warnings] == ["seeded-samples"] * is_warned
    assert [(each.message, each.hint) for each in warnings] == [
        (
            "seeded random inputs were used to compare outputs and to quantize; they say little "
            "about the accuracy with real inputs",
            "before you deploy this, run it again with real inputs: --samples PATH",
        )
    ] * is_warned


HERE = Destination("x86_64", has_glibc=True, is_here=True)
STEADY: ChangeSet = ("external-data", "steady-allocator")


def proof_of(outcome: Outcome) -> Any:
    return SimpleNamespace(verdict=SimpleNamespace(outcome=outcome))


@pytest.mark.parametrize(
    ("targets", "destination", "changes", "limit_mib", "allocator"),
    [
        (FitTargets(memory_bytes=30 * MIB), HERE, (), 30, "default"),
        (FitTargets(memory_bytes=30 * MIB), HERE, STEADY, 30, "steady"),
        (FitTargets(memory_bytes=30 * MIB), HERE._replace(has_glibc=False), (), 30, "steady"),
        (FitTargets(memory_bytes=30 * MIB, floor_bytes=20 * MIB), HERE, STEADY, 20, "steady"),
        (FitTargets(floor_bytes=20 * MIB), HERE, STEADY, 20, "steady"),
    ],
)
def test_the_kernel_enforces_the_lower_target_with_the_allocator_of_the_destination(
    monkeypatch: pytest.MonkeyPatch,
    targets: FitTargets,
    destination: Destination,
    changes: ChangeSet,
    limit_mib: int,
    allocator: str,
) -> None:
    calls: list[tuple[Path, MeasureOptions, ProveOptions]] = []

    def prove(path: Path, options: MeasureOptions, wanted: ProveOptions) -> Any:
        calls.append((path, options, wanted))
        return proof_of("survived")

    monkeypatch.setattr(fit_model, "prove_model", prove)
    runs: Any = SimpleNamespace(
        variant=SimpleNamespace(path=Path("changed.onnx")),
        passes=SimpleNamespace(options=MeasureOptions(threads=3, settings=settings_of(changes))),
        plan=InputPlan(inputs=(), dims={"batch": 2}),
    )
    assert fit_model._proved(runs, targets, destination, "x86_64") is not None
    ((path, options, wanted),) = calls
    assert path == Path("changed.onnx")
    assert (options.threads, options.dims) == (3, {"batch": 2})
    assert options.settings == settings_of(changes)
    assert (wanted.memory_bytes, wanted.allocator) == (limit_mib * MIB, allocator)


@pytest.mark.parametrize(
    ("targets", "destination"),
    [
        (FitTargets(size_bytes=1), HERE),
        (FitTargets(memory_bytes=30 * MIB), HERE._replace(isa="aarch64")),
    ],
    ids=["no target of memory", "another instruction set"],
)
def test_nothing_is_proved_without_a_limit_or_elsewhere(
    monkeypatch: pytest.MonkeyPatch, targets: FitTargets, destination: Destination
) -> None:
    monkeypatch.setattr(fit_model, "prove_model", lambda *_: pytest.fail("it was run"))
    runs: Any = SimpleNamespace()
    assert fit_model._proved(runs, targets, destination, "x86_64") is None


def test_a_proof_that_is_not_possible_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise HostError("Cannot enforce a limit", "there is no cgroup")

    monkeypatch.setattr(fit_model, "prove_model", fails)
    runs: Any = SimpleNamespace(
        variant=SimpleNamespace(path=Path("m.onnx")),
        passes=SimpleNamespace(options=MeasureOptions()),
        plan=PLAN,
    )
    assert fit_model._proved(runs, FitTargets(memory_bytes=30 * MIB), HERE, "x86_64") is None


@pytest.mark.parametrize(
    ("proof", "survives"),
    [
        (proof_of("survived"), True),
        (proof_of("thrashed"), True),
        (proof_of("killed"), False),
        (None, True),
        (SimpleNamespace(verdict=None), True),
    ],
    ids=["survived", "thrashed", "killed", "no proof", "no verdict"],
)
def test_only_what_the_kernel_kills_does_not_survive(
    monkeypatch: pytest.MonkeyPatch, proof: Any, *, survives: bool
) -> None:
    """The proof of each candidate is kept for the report."""
    proved: list[ChangeSet] = []

    def prove(runs: Any) -> Any:
        proved.append(runs.changes)
        return proof

    bench = Bench(monkeypatch, prove=prove)
    assert bench.workshop.survives(STEADY) is survives
    assert bench.workshop.survives(()) is survives
    assert proved == [STEADY, ()]
    assert bench.workshop.proofs == {STEADY: proof, (): proof}
