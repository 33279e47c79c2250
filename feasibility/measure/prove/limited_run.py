"""One process under one limit, and what became of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from feasibility.errors import HostError
from feasibility.measure.child_errors import explain, is_out_of_memory
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.prove.page_cache import evict
from feasibility.records.proof import EndedBy, LimitedRun, Outcome
from feasibility.runners.child_command import Command
from feasibility.runners.child_process import ChildResult, run_child
from feasibility.runners.child_protocol import Done, Event, Failed, First, Loaded, Request
from feasibility.runners.limits.cgroup_folder import PAGE_BYTES
from feasibility.runners.limits.limit import EXIT_NOT_IN_GROUP, Enforcer, Usage
from feasibility.text import safe_text

# From this slowdown on a model is alive but of no use, provided that pages were read again.
THRASHING_RATIO: Final = 1.5
# Up to this slowdown nobody would notice the limit.
COMFORT_RATIO: Final = 1.1

_MESSAGE_LIMIT: Final = 300
_NO_MEMORY_WORDS: Final = ("cannot allocate memory", "insufficient memory", "not enough memory")
_OUTCOMES: Final[dict[EndedBy, Outcome]] = {"itself": "survived", "timeout": "thrashed"}
_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL})


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all runs of one proof.

    Args:
        enforcer: What limits them.
        command: Starts the child.
        request: The job.
        files: Files of the model, evicted from the page cache before every run.
    """

    enforcer: Enforcer
    command: Command
    request: Request
    files: tuple[Path, ...]


@dataclass(slots=True)
class Attempt:
    """A run and what its group counted.

    Args:
        result: What the child said, and how it ended.
        enforced_bytes: The limit as the kernel took it.
        kept_bytes: Bytes of the model's files that could not be evicted before.
        moments: Counters when an event of each kind arrived.
        final: Counters after its end.
    """

    result: ChildResult
    enforced_bytes: int | None
    kept_bytes: int
    moments: dict[type[Event], Usage] = field(default_factory=dict)
    final: Usage = field(default_factory=Usage)


def attempt(conditions: Conditions, enforced_bytes: int | None, *, timeout_s: float) -> Attempt:
    """Runs the model in a fresh group.

    Raises:
        HostError: The group cannot be made or entered.
    """
    kept_bytes = evict(conditions.files)
    moments: dict[type[Event], Usage] = {}
    try:
        with conditions.enforcer.group(enforced_bytes) as group:
            result = run_child(
                with_ceiling(conditions.request, group.ceiling_bytes),
                group.command(conditions.command),
                timeout_s=timeout_s,
                on_event=lambda event: moments.update({type(event): group.usage()}),
            )
            final, enforced_bytes = group.usage(), group.limit_bytes
    except OSError as error:
        raise HostError(
            "Cannot limit the memory of a process",
            safe_text(error.strerror or str(error)).lower(),
            "run `feasibility doctor`",
        ) from error
    if result.exit_code == EXIT_NOT_IN_GROUP and not result.events:
        raise HostError(
            "Cannot limit the memory of a process",
            "it could not be moved into the group that was made for it",
            "run `feasibility doctor`",
        )
    return Attempt(result, enforced_bytes, kept_bytes, moments, final)


def with_ceiling(request: Request, ceiling_bytes: int | None) -> Request:
    """The request with a limit that the child sets on itself, where the group cannot."""
    if ceiling_bytes is None:
        return request
    return msgspec.structs.replace(request, ceiling_bytes=ceiling_bytes)


def unlimited_run(result: Attempt) -> LimitedRun:
    """The record of a run without a limit that came through."""
    return _record(result, None, None, "survived", "itself")


def limited_run(
    result: Attempt, limit_bytes: int, unlimited: LimitedRun, model_name: str
) -> LimitedRun:
    """The record of a run under a limit.

    Args:
        result: The run.
        limit_bytes: What the model might use.
        unlimited: The run to compare with.
        model_name: For messages.

    Raises:
        FeasibilityError: It ended for a reason that is not the limit.
    """
    ended_by = _ended_by(result, model_name)
    outcome = _OUTCOMES.get(ended_by, "killed")
    run = _record(result, limit_bytes, unlimited, outcome, ended_by)
    if run.outcome == "survived" and is_slowed(run, THRASHING_RATIO):
        return msgspec.structs.replace(run, outcome="thrashed")
    return run


def is_slowed(run: LimitedRun, ratio: float) -> bool:
    """True if the limit made the runs slower than the ratio.

    Where the kernel counts evictions, a run that had to read nothing again was not slowed
    down by its limit, whatever else kept the machine busy.
    """
    if run.outcome != "survived":
        return True
    if run.latency_ratio is None or run.latency_ratio <= ratio:
        return False
    return run.reread_per_run_bytes is None or run.reread_per_run_bytes >= PAGE_BYTES


def _ended_by(attempt: Attempt, model_name: str) -> EndedBy:
    """What ended a limited run.

    Raises:
        FeasibilityError: Something that is not the limit.
    """
    result, counted = attempt.result, attempt.final
    if result.ending == "done":
        return "itself"
    if result.ending == "timeout" and counted.refault_bytes != 0:
        return "timeout"
    if result.ending == "failed":
        failed = result.event(Failed)
        if failed is not None and _is_about_memory(failed):
            return "refusal"
    if result.signal_number == signal.SIGKILL and counted.oom_kill_count != 0:
        return "oom-killer"
    if result.signal_number is not None and result.signal_number in _CRASHES:
        return "crash"
    raise explain(result, model_name, None)


def _is_about_memory(failed: Failed) -> bool:
    text = failed.message.lower()
    return is_out_of_memory(failed) or any(words in text for words in _NO_MEMORY_WORDS)


def _record(
    attempt: Attempt,
    limit_bytes: int | None,
    unlimited: LimitedRun | None,
    outcome: Outcome,
    ended_by: EndedBy,
) -> LimitedRun:
    result, counted = attempt.result, attempt.final
    loaded, first, done = result.event(Loaded), result.event(First), result.event(Done)
    load_ns = None if loaded is None else loaded.load_ns
    median_ns = None if done is None else percentile(sorted(done.samples_ns), 50)
    return LimitedRun(
        limit_bytes=limit_bytes,
        enforced_bytes=attempt.enforced_bytes,
        outcome=outcome,
        ended_by=ended_by,
        phase=result.phase,
        message=_message(result),
        load_ns=load_ns,
        first_run_ns=None if first is None else first.first_run_ns,
        median_ns=median_ns,
        samples_ns=() if done is None else done.samples_ns,
        latency_ratio=None if unlimited is None else _ratio(median_ns, unlimited.median_ns),
        load_ratio=None if unlimited is None else _ratio(load_ns, unlimited.load_ns),
        reread_per_run_bytes=_reread_per_run_bytes(attempt, done),
        refault_bytes=counted.refault_bytes,
        major_fault_count=counted.major_fault_count,
        oom_kill_count=counted.oom_kill_count,
        charged_peak_bytes=counted.peak_bytes,
        wall_ns=result.wall_ns,
    )


def _reread_per_run_bytes(attempt: Attempt, done: Done | None) -> int | None:
    """File pages read again after the first run, which has to read them all once."""
    if done is None or First not in attempt.moments:
        return None
    before, after = attempt.moments[First].refault_bytes, attempt.final.refault_bytes
    if before is None or after is None:
        return None
    return max(0, after - before) // max(1, done.warmup_count + len(done.samples_ns))


def _ratio(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _message(result: ChildResult) -> str:
    """What is known of an end that was not its own."""
    failed = result.event(Failed)
    if failed is not None:
        return safe_text(" ".join(failed.message.split()), _MESSAGE_LIMIT)
    if result.signal_number is not None:
        return signal.Signals(result.signal_number).name
    return f"not done after {result.timeout_s:g} s" if result.ending == "timeout" else ""
