"""What does the report of `prove` say? How the model ran under enforced memory limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.assessment import DeviceAssessment
from feasibility.records.proof import Bisection, LimitedRun, LimitKind, Proof, RunPhase
from feasibility.render.reports.model_and_machine import host_text, model_row, workload_text
from feasibility.render.reports.sections import (
    Column,
    LatencyPlot,
    Report,
    Row,
    Section,
    Tone,
    assumption_rows,
    counted,
    known,
    name_text,
    notice_section,
    table,
)
from feasibility.units import format_bytes, format_duration, format_factor, format_percent

_ENFORCED_BY: Final[dict[LimitKind, str]] = {
    "cgroup-v2": "enforced by the kernel (cgroup v2), without swap",
    "cgroup-v1": "enforced by the kernel (cgroup v1), without swap",
    "systemd-scope": "enforced by the kernel (cgroup v2 of systemd), without swap",
    "address-space": "weaker limit (RLIMIT_DATA): counts requested memory, not memory in use",
}
_PHASES: Final[dict[RunPhase, str]] = {
    "start": "while starting",
    "import": "while starting",
    "load": "while loading",
    "inputs": "while creating inputs",
    "run": "while running",
    "end": "after the runs",
}
_NOTICEABLE_RATIO: Final = 1.1
_TONES: Final[dict[str, Tone]] = {"survived": "good", "thrashed": "caution", "killed": "bad"}


def prove_report(proof: Proof, *, details: bool = False) -> Report:
    """The outcome and what to do next, the limit, and with --bisect where it changes."""
    rows = (
        *_outcome_rows(proof),
        *_next_rows(proof),
        model_row(proof),
        *_limit_rows(proof),
        _unlimited_row(proof),
        *assumption_rows(proof.workload.assumptions),
    )
    found = proof.bisection is not None
    return (
        Section(name_text(proof.model.name, 200), rows),
        latency_plot_section(proof) if found else None,
        runs_section(proof) if details or found else None,
        notice_section(proof.warnings),
    )


def _outcome_rows(proof: Proof) -> Iterator[Row]:
    """The result under the limit, and the limits that a search found."""
    run, found = proof.verdict, proof.bisection
    if run is not None:
        yield Row("result", outcome_text(run), _TONES[run.outcome])
    if found is not None:
        yield Row("floor", _floor_text(found))
        if proof.limit_kind != "address-space":
            yield Row("comfort", _comfort_text(found))


def _next_rows(proof: Proof) -> Iterator[Row]:
    """What to do with it; nothing if it survived."""
    found, run = proof.bisection, proof.verdict
    if found is not None and found.floor_bytes is not None:
        enough = format_bytes(found.comfort_bytes or found.floor_bytes)
        yield Row("next", f"reserve {enough}, plus what the rest of the process needs")
    elif run is not None and run.outcome == "thrashed":
        yield Row("next", "give the model more memory; --bisect finds how much")
    elif run is not None and run.outcome == "killed":
        needed = format_bytes(proof.needed_bytes)
        yield Row("next", f"give the model about {needed}; --bisect finds the lowest limit")


def _limit_rows(proof: Proof) -> Iterator[Row]:
    yield Row("measured", f"on {host_text(proof.host)}, {workload_text(proof.workload)}")
    how = f"{_ENFORCED_BY[proof.limit_kind]}; {proof.allocator} allocator"
    if proof.verdict is None:
        yield Row("limits", how)
        return
    device = "" if proof.device is None else f" (available on {name_text(proof.device, 40)})"
    yield Row("limit", f"{format_bytes(proof.memory_bytes)} for the model{device}")
    yield Row(
        "",
        f"plus {format_bytes(proof.baseline_bytes)} for Python and the runtime "
        f"= {format_bytes(proof.verdict.enforced_bytes)}; shared library pages are not counted",
    )
    yield Row("", how)


def device_proof_section(devices: Sequence[DeviceAssessment]) -> Section | None:
    """Each device's memory limit and the run under it; None without such runs."""
    proven = [(item.name, item.proof) for item in devices if item.proof is not None]
    if not proven:
        return None
    grid = table(
        proven,
        (Column("device", min_width=20), lambda pair: name_text(pair[0], 32)),
        (Column("memory limit", "right"), lambda pair: format_bytes(pair[1].run.limit_bytes)),
        (Column("result"), lambda pair: _result_text(pair[1].run)),
        (Column("relative time", "right"), lambda pair: _factor_text(pair[1].run.latency_ratio)),
        tone=lambda pair: _TONES[pair[1].run.outcome],
        tone_column=2,
    )
    proof = proven[0][1]
    where = f"run on this machine ({name_text(proof.arch, 20)}), steady allocator"
    return Section(grid=grid, remarks=(f"{where}; {_ENFORCED_BY[proof.limit_kind]}",))


def _result_text(run: LimitedRun) -> str:
    return f"killed {_PHASES[run.phase]}" if run.outcome == "killed" else run.outcome


def outcome_text(run: LimitedRun) -> str:
    """The result of a limited run as a sentence."""
    if run.outcome == "killed":
        return f"{_result_text(run)}: {_cause_text(run)}"
    if run.ended_by == "timeout":
        return f"thrashed: {run.message}, {_PHASES[run.phase]}{_reread_text(run)}"
    return (
        f"{run.outcome}: {format_duration(run.median_ns)} per run, "
        f"{_factor_text(run.latency_ratio)} the time without a limit; loading "
        f"{format_duration(run.load_ns)}, {_factor_text(run.load_ratio)}{_reread_text(run)}"
    )


def _cause_text(run: LimitedRun) -> str:
    if run.ended_by == "oom-killer":
        return "it needed more than the limit"
    if run.ended_by == "refusal":
        return f"an allocation failed: {name_text(run.message, 200)}"
    return f"it crashed when memory ran out ({name_text(run.message, 40)})"


def _reread_text(run: LimitedRun) -> str:
    if run.reread_per_run_bytes == 0 and (run.latency_ratio or 0) > _NOTICEABLE_RATIO:
        return "; no evicted page was read again, so the limit did not slow it down"
    if run.reread_per_run_bytes:
        return f"; each run reads {format_bytes(run.reread_per_run_bytes)} of evicted pages again"
    if run.reread_per_run_bytes is None and run.refault_bytes:
        return f"; it read {format_bytes(run.refault_bytes)} of evicted pages again"
    return ""


def _factor_text(ratio: float | None) -> str:
    return "" if ratio is None else format_factor(ratio)


def _unlimited_row(proof: Proof) -> Row:
    run = proof.unlimited
    text = f"{format_duration(run.median_ns)} per run ({counted(len(run.samples_ns), 'run')}), "
    text += f"loading {format_duration(run.load_ns)}; "
    return Row("no limit", f"{text}about {format_bytes(proof.needed_bytes)} must stay in memory")


def _floor_text(found: Bisection) -> str:
    predicted = f"predicted: {format_bytes(found.predicted_floor_bytes)}"
    if found.floor_bytes is None:
        return f"not found, killed under every limit; {predicted}"
    killed = found.killed_bytes
    below = "never killed" if killed is None else f"killed with {format_bytes(killed)}"
    return f"{format_bytes(found.floor_bytes)}, survived; {below}; {predicted}"


def _comfort_text(found: Bisection) -> str:
    predicted = f"predicted: {format_bytes(found.predicted_comfort_bytes)}"
    if found.comfort_bytes is None:
        return f"not found, slow under every limit; {predicted}"
    if found.slow_bytes is None:
        below = "never slower"
    elif found.slow_bytes == found.killed_bytes:
        below = "with less, it is killed"
    else:
        below = f"slow with {format_bytes(found.slow_bytes)}"
    margin = format_percent(found.comfort_ratio - 1)
    return f"{format_bytes(found.comfort_bytes)}, at most {margin} slower; {below}; {predicted}"


def latency_plot_section(proof: Proof) -> Section | None:
    """Median latency of every limited run; None with fewer than two different limits."""
    points = tuple((run.limit_bytes, run.median_ns) for run in proof.runs if run.limit_bytes)
    if len({limit for limit, _ in points}) < 2:
        return None
    return Section("time of one run against the memory limit", plot=LatencyPlot(points))


def runs_section(proof: Proof) -> Section | None:
    """All limited runs by their limit."""
    if len(proof.runs) < 2:
        return None
    runs = sorted(proof.runs, key=lambda run: -(run.limit_bytes or 0))
    grid = table(
        runs,
        (Column("limit", "right"), lambda run: format_bytes(run.limit_bytes)),
        (Column("result"), _result_text),
        (Column("loading", "right", rank=2), lambda run: known(run.load_ns, format_duration, "")),
        (Column("per run", "right"), lambda run: known(run.median_ns, format_duration, "")),
        (
            Column("relative time", "right", title_width=8),
            lambda run: _factor_text(run.latency_ratio),
        ),
        (
            Column("read again per run", "right", rank=1),
            lambda run: format_bytes(run.reread_per_run_bytes) if run.reread_per_run_bytes else "",
        ),
        tone=lambda run: _TONES[run.outcome],
        tone_column=1,
    )
    return Section("limited runs", grid=grid)
