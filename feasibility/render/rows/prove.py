"""A proof as rows: the limit, what the model did under it, and where it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.assessment import DeviceAssessment
from feasibility.records.proof import Bisection, LimitedRun, LimitKind, Proof, RunPhase
from feasibility.render.rows.profile import host_text, workload_text
from feasibility.render.rows.rows import Column, Grid, Row, Section, Tone, counted, name_text
from feasibility.units import format_bytes, format_duration, format_factor, format_percent

_ENFORCED_BY: Final[dict[LimitKind, str]] = {
    "cgroup-v2": "enforced by the kernel (cgroup v2), no swap",
    "cgroup-v1": "enforced by the kernel (cgroup v1), no swap",
    "systemd-scope": "enforced by the kernel (cgroup v2, through systemd), no swap",
    "address-space": "weaker: on private memory asked for (RLIMIT_DATA), not on memory in use",
}
_PHASES: Final[dict[RunPhase, str]] = {
    "start": "while starting",
    "import": "while starting",
    "load": "while loading",
    "inputs": "while making its inputs",
    "run": "while running",
    "end": "after its runs",
}
_NOTICEABLE_RATIO: Final = 1.1
_TONES: Final[dict[str, Tone]] = {"survived": "good", "thrashed": "caution", "killed": "bad"}


def proof_rows(proof: Proof) -> tuple[Row, ...]:
    """Where it ran, under which limit, and what became of it."""
    place = f"{host_text(proof.host)}, {workload_text(proof.workload)}"
    allocator = "steady" if proof.allocator == "steady" else "the C library's default"
    how = f"{_ENFORCED_BY[proof.limit_kind]}; allocator {allocator}"
    rows = [Row("ran", f"on {place}")]
    if proof.verdict is None:
        rows.append(Row("limits", how))
    else:
        device = "" if proof.device is None else f" (what {name_text(proof.device, 40)} leaves it)"
        rows.append(Row("limit", f"{format_bytes(proof.memory_bytes)} for the model{device}"))
        rows.append(
            Row(
                "",
                f"+ {format_bytes(proof.baseline_bytes)} for Python and the runtime = "
                f"{format_bytes(proof.verdict.enforced_bytes)}",
            )
        )
        rows.append(Row("", how))
    return (*rows, *_outcome_rows(proof), _need_row(proof))


def _outcome_rows(proof: Proof) -> tuple[Row, ...]:
    run = proof.verdict
    if run is None:
        return ()
    return (Row("result", outcome_text(run, proof), _TONES[run.outcome]),)


def device_proof_grid(devices: Sequence[DeviceAssessment]) -> Grid | None:
    """What became of the model under what each device leaves it; None where none was run."""
    proven = [(item.name, item.proof.run) for item in devices if item.proof is not None]
    if not proven:
        return None
    columns = (
        Column("device", shrinks=True, min_width=20),
        Column("leaves it", align="right"),
        Column("under that limit"),
        Column("time", align="right"),
    )
    rows = tuple(
        (
            name_text(name, 32),
            format_bytes(run.limit_bytes),
            run.outcome if run.outcome != "killed" else f"killed {_PHASES[run.phase]}",
            _factor_text(run.latency_ratio),
        )
        for name, run in proven
    )
    return Grid(columns, rows, tuple(_TONES[run.outcome] for _, run in proven), tone_column=2)


def device_proof_remark(devices: Sequence[DeviceAssessment]) -> str:
    """What enforced the limits, and on which instruction set the model ran."""
    proof = next(item.proof for item in devices if item.proof is not None)
    how = _ENFORCED_BY[proof.limit_kind]
    return f"run on this machine ({name_text(proof.arch, 20)}), allocator steady; {how}"


def outcome_text(run: LimitedRun, proof: Proof) -> str:
    """What became of a limited run, as a sentence."""
    if run.outcome == "killed":
        return f"killed {_PHASES[run.phase]}, {_cause_text(run)}"
    if run.ended_by == "timeout":
        return f"thrashed: {run.message}, {_PHASES[run.phase]}{_reread_text(run)}"
    ratio = _factor_text(run.latency_ratio)
    return (
        f"{run.outcome}: {format_duration(run.median_ns)} per run, {ratio} the "
        f"{format_duration(proof.unlimited.median_ns)} without a limit; loading took "
        f"{format_duration(run.load_ns)}, {_factor_text(run.load_ratio)}{_reread_text(run)}"
    )


def _cause_text(run: LimitedRun) -> str:
    if run.ended_by == "oom-killer":
        return "by the kernel, because it needed more than the limit"
    if run.ended_by == "refusal":
        return f"because memory was refused: {name_text(run.message, 200)}"
    return f"by a crash when memory ran out ({name_text(run.message, 40)})"


def _reread_text(run: LimitedRun) -> str:
    if run.reread_per_run_bytes == 0 and (run.latency_ratio or 0) > _NOTICEABLE_RATIO:
        return "; nothing had to be read again, so it was not the limit that slowed it down"
    if run.reread_per_run_bytes:
        return f"; every run reads {format_bytes(run.reread_per_run_bytes)} again from the disk"
    if run.reread_per_run_bytes is None and run.refault_bytes:
        return f"; it read {format_bytes(run.refault_bytes)} again from the disk"
    return ""


def _factor_text(ratio: float | None) -> str:
    return "" if ratio is None else format_factor(ratio)


def _need_row(proof: Proof) -> Row:
    unlimited = proof.unlimited
    return Row(
        "needs",
        f"about {format_bytes(proof.needed_bytes)} at once that cannot be evicted, by the run "
        f"without a limit ({format_duration(unlimited.median_ns)} per run, "
        f"{counted(len(unlimited.samples_ns), 'run')}; loading "
        f"{format_duration(unlimited.load_ns)})",
    )


def bisection_section(proof: Proof) -> Section | None:
    """Floor and comfort point, each with the run on its other side."""
    found = proof.bisection
    if found is None:
        return None
    rows = [Row("floor", _floor_text(found))]
    if proof.limit_kind != "address-space":
        rows.append(Row("comfort", _comfort_text(found)))
    predicted = (
        f"{format_bytes(found.predicted_floor_bytes)} and "
        f"{format_bytes(found.predicted_comfort_bytes)}, from the run without a limit"
    )
    rows.append(Row("predicted", predicted))
    return Section("where it changes", tuple(rows))


def _floor_text(found: Bisection) -> str:
    if found.floor_bytes is None:
        return "not found: every limit killed it"
    text = f"{format_bytes(found.floor_bytes)}: it comes through"
    if found.killed_bytes is None:
        return f"{text}; no limit killed it"
    return f"{text}; at {format_bytes(found.killed_bytes)} it is killed"


def _comfort_text(found: Bisection) -> str:
    percent = format_percent(found.comfort_ratio - 1)
    if found.comfort_bytes is None:
        return "not found: it was slow under every limit"
    text = f"{format_bytes(found.comfort_bytes)}: latency within {percent} of unlimited"
    if found.slow_bytes is None:
        return f"{text}; under no limit was it slower"
    if found.slow_bytes == found.killed_bytes:
        return f"{text}, so it is killed before it slows down"
    return f"{text}; at {format_bytes(found.slow_bytes)} it is slower"


def runs_section(proof: Proof) -> Section | None:
    """All limited runs by their limit."""
    if len(proof.runs) < 2:
        return None
    runs = sorted(proof.runs, key=lambda run: -(run.limit_bytes or 0))
    rows = tuple(
        (
            format_bytes(run.limit_bytes),
            run.outcome if run.outcome != "killed" else f"killed {_PHASES[run.phase]}",
            _time_text(run.load_ns),
            _time_text(run.median_ns),
            _factor_text(run.latency_ratio),
            format_bytes(run.reread_per_run_bytes) if run.reread_per_run_bytes else "",
        )
        for run in runs
    )
    columns = (
        Column("limit", align="right"),
        Column("outcome"),
        Column("loading", align="right", rank=2),
        Column("per run", align="right"),
        Column("slower", align="right"),
        Column("read again per run", align="right", rank=1),
    )
    tones = tuple(_TONES[run.outcome] for run in runs)
    return Section("limited runs", grid=Grid(columns, rows, tones, tone_column=1))


def advice_text(proof: Proof) -> str:
    """What to do with it, as a sentence; empty where the rows say it all."""
    found, run = proof.bisection, proof.verdict
    if found is not None and found.floor_bytes is not None:
        enough = found.comfort_bytes or found.floor_bytes
        return f"give it {format_bytes(enough)}, and a reserve for what else the process does"
    if run is None or run.outcome == "survived":
        return ""
    if run.outcome == "thrashed":
        return "more memory makes it faster; --bisect finds how much"
    return f"it takes about {format_bytes(proof.needed_bytes)}; --bisect finds out exactly"


def _time_text(ns: int | None) -> str:
    return "" if ns is None else format_duration(ns)
