"""Budget limits without a run: modelled memory decides, or the report says `not checked`."""

from __future__ import annotations

import platform

import msgspec
import pytest

from feasibility.budget.parse_limit import parse_limit
from feasibility.budget.static_limits import NOT_CHECKED, limits_isa, static_line
from feasibility.predict.projected_memory import from_graph, modelled_on
from feasibility.records.budget import Conditions, Metric, Outcome, Snapshot
from tests.projection_samples import resnet101

MODEL = resnet101().model
MODELLED = modelled_on(MODEL, "aarch64")
assert MODELLED is not None
PEAK = from_graph(MODEL, MODELLED).peak


def outcome(metric: Metric, limit: str, isa: str = "aarch64") -> tuple[Outcome, bool]:
    line = static_line(metric, parse_limit(limit, "bytes"), MODEL, isa)
    return line.outcome, NOT_CHECKED in line.reason


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(PEAK.high + 1, "pass"), (PEAK.likely, "inconclusive"), (PEAK.low - 2, "fail")],
)
def test_the_whole_interval_must_be_on_one_side(limit: float, expected: Outcome) -> None:
    line = static_line("peak", parse_limit(f"{round(limit)}B", "bytes"), MODEL, "aarch64")
    assert (line.outcome, line.actual, line.limit) == (expected, round(PEAK.likely), round(limit))
    assert ("modelled for aarch64" in line.reason) == (expected != "pass")


def test_a_device_has_a_limit() -> None:
    assert outcome("inference_peak", "device:rpi_5") == ("pass", False)
    assert outcome("load_peak", "100MB") == ("fail", False)


@pytest.mark.parametrize(
    ("metric", "limit", "isa"),
    [
        ("peak", "+5%", "aarch64"),
        ("peak", "+5MiB", "aarch64"),
        ("peak", "1GiB", "riscv64"),
        ("floor", "1GiB", "aarch64"),
        ("resident", "1GiB", "aarch64"),
        ("allocated_peak", "1GiB", "aarch64"),
    ],
)
def test_other_limits_are_not_checked(metric: Metric, limit: str, isa: str) -> None:
    line = static_line(metric, parse_limit(limit, "bytes"), MODEL, isa)
    assert (line.outcome, line.reason, line.actual) == ("skipped", NOT_CHECKED, None)


def test_limits_are_for_the_machine_of_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = Conditions(
        arch="aarch64", cpu="A", core_count=2, os="L", libc="glibc", runtime="ONNX Runtime 1.31"
    )
    recorded = Snapshot(tool_version="0", model="a.onnx", conditions=conditions)
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    assert limits_isa(recorded) == "aarch64"
    assert limits_isa(msgspec.structs.replace(recorded, conditions=None)) == "x86_64"
    assert limits_isa(None) == "x86_64"
