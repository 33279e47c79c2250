"""One limit against figures of a model and its baseline, process by process."""

from __future__ import annotations

import math

import msgspec
import pytest

from feasibility.budget.comparability import (
    COMPARABLE,
    OTHER_CPU_TOLERANCE,
    SAME_HOST_TOLERANCE,
    Comparability,
    comparability,
)
from feasibility.budget.judge_limit import Comparison, judge, line_of
from feasibility.budget.metrics import METRICS
from feasibility.budget.parse_limit import parse_limit
from feasibility.measure.significance import LOOKS
from feasibility.records.budget import Conditions, Metric, Outcome, Snapshot

MIB = 2**20
HERE = Conditions(
    arch="x86_64", cpu="A", core_count=2, os="L", libc="glibc 2.36", runtime="ONNX Runtime 1.31"
)


def outcome(
    metric: Metric,
    limit: str,
    now: tuple[int, ...],
    before: tuple[int, ...] = (),
    *,
    paired: bool = True,
    quiet: tuple[bool, ...] = (),
    comparable: Comparability = COMPARABLE,
    trusted: bool = False,
) -> tuple[Outcome, bool]:
    parsed = parse_limit(limit, METRICS[metric].unit)
    compared = Comparison(
        now=now,
        baseline=before,
        bound=parsed.value if parsed.kind == "absolute" else None,
        comparability=comparable,
        is_paired=paired and parsed.is_relative,
        quiet=quiet,
        may_trust_times=trusted,
    )
    found = judge(metric, parsed, compared)
    return found.outcome, found.wants_more


def test_sizes_are_exact() -> None:
    """A byte more is more."""
    assert outcome("file_size", "100B", (100,)) == ("pass", False)
    assert outcome("file_size", "100B", (101,)) == ("fail", False)
    assert outcome("file_size", "+10%", (110,), (100,)) == ("pass", False)
    assert outcome("parameters", "+0%", (101,), (100,)) == ("fail", False)


def test_memory_passes_on_one_process_and_breaks_on_six() -> None:
    """Too much in one process asks for more of them; only agreement breaks the budget."""
    assert outcome("peak", "100MiB", (99 * MIB,)) == ("pass", False)
    assert outcome("peak", "100MiB", (101 * MIB,)) == ("fail", True)
    assert outcome("peak", "100MiB", (101 * MIB,) * 6) == ("fail", False)
    assert outcome("peak", "+2%", (104,) * 6, (100,) * 6) == ("fail", False)


def test_one_process_that_keeps_to_the_limit_forbids_a_failure() -> None:
    assert outcome("peak", "100B", (104, 104, 104, 99, 104, 104)) == ("inconclusive", False)
    assert outcome("peak", "100B", (99, 104, 99, 99, 104, 99)) == ("pass", False)


def test_a_recorded_baseline_has_to_be_exceeded_by_more_than_figures_repeat() -> None:
    """Half a percent on the same processor, three on another one."""
    same = Comparability(tolerance_ratio=SAME_HOST_TOLERANCE)
    other = Comparability(tolerance_ratio=OTHER_CPU_TOLERANCE)
    assert outcome("peak", "+2%", (10240,) * 6, (10000,), paired=False, comparable=same) == (
        "inconclusive",
        False,
    )
    over = (10400,) * 6
    assert outcome("peak", "+2%", over, (10000,), paired=False, comparable=same)[0] == "fail"
    assert outcome("peak", "+2%", over, (10000,), paired=False, comparable=other) == (
        "inconclusive",
        False,
    )


def test_times_in_turns_decide_by_pairs() -> None:
    """Both models slowed down alike say nothing; one that is slower in every pair does."""
    rising = tuple(range(100, 700, 60))
    slower = tuple(3 * time // 2 for time in rising)
    assert outcome("latency", "+20%", rising, rising) == ("pass", False)
    assert outcome("latency", "+20%", slower, rising) == ("fail", False)
    assert outcome("latency", "+20%", slower[:6], rising[:6]) == ("inconclusive", True)


def test_processor_times_decide_where_a_thread_does_all_the_work() -> None:
    """Clock times that other work has scattered over each other do not matter then."""
    limit = parse_limit("+20%", "ns")
    compared = Comparison(
        now=(90, 400, 110, 900, 100, 300, 120, 700, 100, 150),
        baseline=(300, 100, 500, 90, 700, 110, 900, 100, 95, 800),
        bound=None,
        processor=((150,) * 10, (100,) * 10),
        is_paired=True,
    )
    assert judge("latency", limit, compared).outcome == "fail"
    assert line_of("latency", limit, compared, judge("latency", limit, compared)).low_ratio == (
        pytest.approx(1.5)
    )


def test_times_that_cannot_be_told_from_the_limit_end_inconclusive() -> None:
    spread = [(-1) ** number * (number // 2 + 1) / 100 for number in range(LOOKS[-1])]
    now = tuple(round(1_200_000 * math.exp(x)) for x in spread)
    before = (1_000_000,) * LOOKS[-1]
    assert outcome("latency", "+20%", now, before) == ("inconclusive", False)


def test_an_absolute_time_fails_only_while_nothing_else_ran() -> None:
    """What is fast enough beside other work is so without; what is too slow may not be."""
    slow, count = (60_000_000,) * 10, LOOKS[-1]
    assert outcome("latency", "50ms", (49_000_000,) * 6, quiet=(False,) * 6) == ("pass", False)
    assert outcome("latency", "50ms", slow, quiet=(True,) * 10) == ("fail", False)
    assert outcome("latency", "50ms", slow, quiet=(False,) * 10) == ("inconclusive", True)
    assert outcome("latency", "50ms", slow[:1] * count, quiet=(False,) * count) == (
        "inconclusive",
        False,
    )


def test_recorded_times_never_fail_a_model_unless_the_machine_is_its_own() -> None:
    slow, quiet = (200,) * 10, (True,) * 10
    told = outcome("latency", "+20%", slow, (100,), paired=False, quiet=quiet)
    assert told == ("inconclusive", False)
    told = outcome("latency", "+20%", slow, (100,), paired=False, quiet=quiet, trusted=True)
    assert told == ("fail", False)
    assert outcome("latency", "+20%", (100,) * 6, (100,), paired=False)[0] == "pass"


def test_what_is_missing_is_said() -> None:
    assert outcome("flops", "1M", ()) == ("skipped", False)
    assert outcome("peak", "+2%", (1,)) == ("inconclusive", False)
    reason = Comparability("another machine")
    assert outcome("peak", "+2%", (1,), (1,), comparable=reason) == ("inconclusive", False)


def test_the_line_states_the_limit_as_a_figure() -> None:
    limit = parse_limit("+20%", "ns")
    compared = Comparison(now=(150,) * 10, baseline=(100,) * 10, bound=None, is_paired=True)
    line = line_of("latency", limit, compared, judge("latency", limit, compared))
    assert (line.limit, line.baseline, line.actual) == (120, 100, 150)
    assert line.low_ratio == pytest.approx(1.5)
    assert line.high_ratio == pytest.approx(1.5)


def snapshot(**changes: object) -> Snapshot:
    conditions = msgspec.structs.replace(HERE, **changes)
    return Snapshot(tool_version="0", model="a.onnx", conditions=conditions, dims={"batch": 1})


@pytest.mark.parametrize(
    ("changes", "file", "memory", "latency"),
    [
        ({}, True, True, True),
        ({"cpu": "B"}, True, True, False),
        ({"core_count": 4}, True, True, False),
        ({"arch": "aarch64"}, True, False, False),
        ({"runtime": "ONNX Runtime 1.30"}, True, False, False),
        ({"libc": "musl"}, True, False, False),
        ({"method": "emulated"}, True, False, False),
        ({"threads": 2}, True, False, False),
    ],
)
def test_only_what_is_comparable_is_compared(
    changes: dict[str, object], file: bool, memory: bool, latency: bool
) -> None:
    """Another machine forbids times, another runtime or instruction set memory as well."""
    metrics: tuple[Metric, ...] = ("file_size", "peak", "latency")
    found = [not comparability(name, snapshot(**changes), snapshot()).obstacle for name in metrics]
    assert found == [file, memory, latency]


def test_other_sizes_leave_only_the_file() -> None:
    other = msgspec.structs.replace(snapshot(), dims={"batch": 8})
    metrics: tuple[Metric, ...] = ("parameters", "flops", "peak")
    found = [not comparability(name, other, snapshot()).obstacle for name in metrics]
    assert found == [True, False, False]
