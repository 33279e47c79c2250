"""Checks of one model: what is measured, with whom, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from feasibility.budget.budget_file import Budget, OperatorRule
from feasibility.budget.budgeted_models import BudgetedModel
from feasibility.budget.check_model import Baseline, Check
from feasibility.budget.metrics import METRICS
from feasibility.budget.model_under_test import Readings
from feasibility.budget.parse_limit import parse_limit
from feasibility.measure.significance import LOOKS
from feasibility.records.budget import (
    Conditions,
    Growth,
    InitializerSize,
    Metric,
    ModelBudget,
    OperatorShare,
    OperatorTime,
    Snapshot,
)
from tests.projection_samples import resnet101

CONDITIONS = Conditions(
    arch="x86_64", cpu="A", core_count=2, os="L", libc="glibc", runtime="ONNX Runtime 1.31"
)
CPU = "CPUExecutionProvider"


def snapshot(size: int = 1000, **more: Any) -> Snapshot:
    return Snapshot(
        tool_version="0",
        model="a.onnx",
        conditions=CONDITIONS,
        figures={"file_size": size, "parameters": size // 4},
        initializers=(InitializerSize(name="w", dtype="float32", size_bytes=size),),
        **more,
    )


class FakeModel:
    """A model whose processes have given figures; logs what is measured."""

    static_profile = resnet101()

    def __init__(
        self, log: list[str], name: str, *, memory: int = 100, time: int = 100, size: int = 1000
    ) -> None:
        self.log, self.name, self.memory, self.time = log, name, memory, time
        self.readings = Readings(snapshot=snapshot(size))
        self.conditions = CONDITIONS
        self.digest, self.is_cached, self.kept = name, False, 0

    def take(self, need: str) -> None:
        if need == "memory":
            self._add({"peak": self.memory, "load_peak": self.memory}, need)
        elif need == "allocations":
            self._add({"allocated_peak": self.memory}, need)
        elif need == "latency":
            self._add({"latency": self.time, "latency_p95": 2 * self.time}, need)
            quiet = (*self.readings.quiet, True)
            self.readings = msgspec.structs.replace(self.readings, quiet=quiet)
        else:
            self._take_operators()

    def _take_operators(self) -> None:
        self.log.append(f"{self.name}: operators")
        times = (OperatorTime(op_type="MatMul", provider=CPU, time_ns=self.time),)
        self.readings = msgspec.structs.replace(
            self.readings,
            snapshot=msgspec.structs.replace(self.readings.snapshot, operator_times=times),
        )

    def forget_latency(self) -> None:
        self.readings = self.readings.without_latency()

    def save(self) -> None:
        self.kept += 1

    def _add(self, figures: dict[Metric, int], what: str) -> None:
        self.log.append(f"{self.name}: {what}")
        series = dict(self.readings.series)
        for metric, figure in figures.items():
            series[metric] = (*series.get(metric, ()), figure)
        self.readings = msgspec.structs.replace(self.readings, series=series)


def run(
    limits: dict[Metric, str],
    tested: FakeModel,
    baseline: Baseline,
    *,
    static: bool = False,
    operators: tuple[OperatorRule, ...] = (),
    trusted: bool = False,
) -> ModelBudget:
    parsed = {m: (parse_limit(text, METRICS[m].unit),) for m, text in limits.items()}
    check = Check(
        model=BudgetedModel("a.onnx", Path("a.onnx"), Budget("a.onnx", 1, parsed, operators)),
        tested=tested,  # type: ignore[arg-type]
        baseline=baseline,
        may_trust_times=trusted,
        is_static=static,
    )
    return check.run(is_explained=False)


def against(log: list[str], **figures: int) -> Baseline:
    return Baseline(other=FakeModel(log, "old", **figures))  # type: ignore[arg-type]


def test_a_kept_memory_budget_takes_one_process() -> None:
    log: list[str] = []
    found = run({"peak": "100B"}, FakeModel(log, "new"), Baseline())
    assert (found.outcome, log) == ("pass", ["new: memory"])


def test_a_broken_memory_budget_takes_six_of_each_in_turns() -> None:
    """And the order of the two changes, so that neither always comes second."""
    log: list[str] = []
    found = run({"peak": "+2%"}, FakeModel(log, "new", memory=104), against(log))
    assert found.outcome == "fail"
    assert log[:4] == ["old: memory", "new: memory", "new: memory", "old: memory"]
    assert len(log) == 12


def test_a_slower_model_is_found_and_explained() -> None:
    """Ten pairs suffice where all agree; then both tell the time of each operator."""
    log: list[str] = []
    found = run({"latency": "+20%"}, FakeModel(log, "new", time=150), against(log))
    assert found.outcome == "fail"
    assert log.count("old: latency") == log.count("new: latency") == 10
    assert log[-2:] in (["old: operators", "new: operators"], ["new: operators", "old: operators"])
    assert Growth(kind="operator-time", name="MatMul", unit="ns", before=100, after=150) in (
        found.growth
    )


def test_every_process_has_its_partner_where_any_limit_compares_times() -> None:
    """Also those that an absolute limit asked for first."""
    log: list[str] = []
    tested, baseline = FakeModel(log, "new"), against(log)
    check = run({"latency": "1s", "latency_p95": "+20%"}, tested, baseline)
    assert check.outcome == "pass"
    assert log.count("old: latency") == log.count("new: latency") == 6


def test_a_model_just_on_the_limit_ends_inconclusive_after_all_looks() -> None:
    log: list[str] = []
    found = run({"latency": "+20%"}, FakeModel(log, "new", time=120), against(log))
    assert found.outcome == "inconclusive"
    assert log.count("new: latency") == LOOKS[-1]


def test_an_unchanged_model_is_not_measured() -> None:
    """Neither against a revision nor against a recorded baseline of the same conditions."""
    log: list[str] = []
    tested = FakeModel(log, "same")
    old = FakeModel(log, "same")
    limits: dict[Metric, str] = {"peak": "+0%", "latency": "+0%", "file_size": "+0%"}
    found = run(limits, tested, Baseline(other=old))  # type: ignore[arg-type]
    assert (found.outcome, found.source, log) == ("pass", "unchanged", [])
    recorded = snapshot(digest="same")
    found = run(limits, tested, Baseline(snapshot=recorded))
    assert (found.outcome, log) == ("pass", [])


def test_an_unchanged_model_under_another_runtime_is_not_passed_unseen() -> None:
    """The model is the same, but what it costs may not be: not comparable, so undecided."""
    log: list[str] = []
    other = msgspec.structs.replace(CONDITIONS, runtime="ONNX Runtime 1.30")
    figures: dict[Metric, int] = {"peak": 100}
    recorded = msgspec.structs.replace(snapshot(digest="same"), conditions=other, figures=figures)
    found = run({"peak": "+5%"}, FakeModel(log, "same"), Baseline(snapshot=recorded))
    assert found.outcome == "inconclusive"
    assert "1.30" in found.lines[0].reason


def test_static_budgets_run_nothing() -> None:
    log: list[str] = []
    found = run(
        {"file_size": "999B", "peak": "1B", "latency": "1ns"},
        FakeModel(log, "new"),
        Baseline(),
        static=True,
    )
    assert [(line.metric, line.outcome) for line in found.lines] == [
        ("file_size", "fail"),
        ("peak", "fail"),
        ("latency", "skipped"),
    ]
    assert "not checked, because --static runs nothing" in found.lines[2].reason
    assert (found.outcome, found.source, log) == ("fail", "static", [])


def test_a_model_that_is_new_is_excused_and_one_never_recorded_is_not() -> None:
    log: list[str] = []
    new = Baseline(missing="new", is_excused=True)
    assert run({"peak": "+2%"}, FakeModel(log, "new"), new).outcome == "skipped"
    never = Baseline(missing="no baseline is recorded")
    assert run({"peak": "+2%"}, FakeModel(log, "new"), never).outcome == "inconclusive"
    assert log == []


def test_a_recorded_baseline_explains_without_running_it() -> None:
    recorded = msgspec.structs.replace(snapshot(900, digest="old"), are_initializers_cut=True)
    found = run({"file_size": "+2%"}, FakeModel([], "new"), Baseline(snapshot=recorded))
    assert found.growth == (
        Growth(kind="initializer", name="w", unit="bytes", before=900, after=1000),
    )


def test_initializers_that_the_baseline_left_out_are_not_called_new() -> None:
    """It only names the largest; of one it does not name the size before is not known."""
    recorded = msgspec.structs.replace(snapshot(900, digest="old"), are_initializers_cut=True)
    tested = FakeModel([], "new")
    sizes = {"w": 900, "small": 10, "grown": 5000}
    initializers = tuple(
        InitializerSize(name=name, dtype="float32", size_bytes=size) for name, size in sizes.items()
    )
    tested.readings = Readings(
        snapshot=msgspec.structs.replace(tested.readings.snapshot, initializers=initializers)
    )
    found = run({"file_size": "+2%"}, tested, Baseline(snapshot=recorded))
    assert [(part.name, part.before, part.after) for part in found.growth] == [
        ("grown", None, 5000)
    ]


def test_operators_are_held_to_their_lists() -> None:
    """By the file without a run, by the provider that ran them with one."""
    log: list[str] = []
    tested = FakeModel(log, "new")
    shares = (OperatorShare(op_type="ai.onnx:Conv"), OperatorShare(op_type="com.acme:Odd"))
    tested.readings = Readings(
        snapshot=msgspec.structs.replace(tested.readings.snapshot, operators=shares)
    )
    rules = (OperatorRule(None, ("Conv",), 3), OperatorRule("cpu", ("MatMul",), 4))
    found = run({}, tested, Baseline(), operators=rules)
    assert [(line.metric, line.outcome) for line in found.lines] == [
        ("operators", "fail"),
        ("operators.cpu", "pass"),
    ]
    assert "com.acme:Odd" in found.lines[0].reason
    assert log == ["new: operators"]


def test_a_device_bounds_what_was_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feasibility.budget.check_model.device_bound", lambda *_: 150)
    found = run({"peak": "device:pi"}, FakeModel([], "new", memory=151), Baseline())
    assert (found.outcome, found.lines[0].limit) == ("fail", 150)


def test_undecided_times_are_measured_again_next_time() -> None:
    """What settled something is kept for the next check, what did not is not."""
    tested = FakeModel([], "new", time=100)
    run({"latency": "100ns"}, tested, Baseline())
    assert (tested.kept, tested.readings.of("latency")) == (1, ())
    tested = FakeModel([], "new", time=99)
    run({"latency": "100ns"}, tested, Baseline())
    assert tested.readings.of("latency") == (99,) * 6
