"""What happened to the model under one limit? Runs one child in a cgroup and judges its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from feasibility.errors import HostError
from feasibility.measure.child_errors import child_error, is_out_of_memory
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.passes import Passes
from feasibility.measure.prove.page_cache import evict
from feasibility.records.proof import EndedBy, LimitedRun, Outcome
from feasibility.runners.child_command import Command, local_command
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Event, Failed, First, Loaded
from feasibility.runners.limits.cgroup_files import PAGE_BYTES
from feasibility.runners.limits.memory_limit import EXIT_NOT_IN_GROUP, Enforcer, Usage
from feasibility.runners.session import LocalSession
from feasibility.text import safe_text

# A model at least this much slower thrashes, if it read evicted pages again.
THRASHING_RATIO: Final = 1.5
# A model at most this much slower is comfortable.
COMFORT_RATIO: Final = 1.1

_MESSAGE_LIMIT: Final = 300
_OUTCOMES: Final[dict[EndedBy, Outcome]] = {"itself": "survived", "timeout": "thrashed"}
_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL})


@dataclass(slots=True)
class GroupedChild:
    """A child, and the counters of the group that it ran in.

    `enforced_bytes` is the kernel's limit, None for no limit; `kept_bytes` of the model's files
    could not be evicted before. `usage_at` holds the counters when an event of each kind arrived.
    """

    result: ChildResult
    enforced_bytes: int | None
    kept_bytes: int
    usage_at: dict[type[Event], Usage] = field(default_factory=dict)
    final_usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupSession(LocalSession):
    """A session on this machine whose children start inside a group."""

    enter: Callable[[Command], Command]

    def command(self, variables: Mapping[str, str]) -> Command:
        """The command that enters the group and starts the child program."""
        return self.enter(local_command(variables))


def run_in_group(
    enforcer: Enforcer,
    enforced_bytes: int | None,
    passes: Passes,
    run: Callable[[Passes, Callable[[Event], None]], ChildResult],
    files: Iterable[Path],
) -> GroupedChild:
    """Runs a child in a fresh group, with the model's files evicted from the page cache.

    `run` runs one pass and calls the function that it gets with each event.
    """
    kept_bytes = evict(files)
    usage_at: dict[type[Event], Usage] = {}
    try:
        with enforcer.limit(enforced_bytes) as group:
            grouped = replace(
                passes,
                session=_GroupSession(host=passes.session.host, enter=group.command),
                ceiling_bytes=group.ceiling_bytes or passes.ceiling_bytes,
            )
            result = run(grouped, lambda event: usage_at.update({type(event): group.usage()}))
            final_usage, enforced_bytes = group.usage(), group.limit_bytes
    except OSError as error:
        raise _group_error(safe_text(error.strerror or str(error)).lower()) from error
    if result.exit_code == EXIT_NOT_IN_GROUP and not result.events:
        raise _group_error("the process could not be moved into its control group")
    return GroupedChild(result, enforced_bytes, kept_bytes, usage_at, final_usage)


def _group_error(why: str) -> HostError:
    return HostError("Cannot limit the memory of a process", why, "run `feasibility doctor`")


def unlimited_run(child: GroupedChild) -> LimitedRun:
    """The record of a run without a limit that finished."""
    return _record(child, None, None, "survived", "itself")


def limited_run(
    child: GroupedChild, limit_bytes: int, unlimited: LimitedRun, passes: Passes
) -> LimitedRun:
    """The record of a run under a limit; raises an error if something else ended it."""
    ended_by = _ended_by(child, passes)
    outcome = _OUTCOMES.get(ended_by, "killed")
    run = _record(child, limit_bytes, unlimited, outcome, ended_by)
    if run.outcome == "survived" and is_slowed(run, THRASHING_RATIO):
        return msgspec.structs.replace(run, outcome="thrashed")
    return run


def is_slowed(run: LimitedRun, ratio: float) -> bool:
    """True if the limit made the runs slower than the ratio.

    If the kernel counts evictions and no evicted page was read again, other work on the machine
    caused the delay, not the limit.
    """
    if run.outcome != "survived":
        return True
    if run.latency_ratio is None or run.latency_ratio <= ratio:
        return False
    return run.reread_per_run_bytes is None or run.reread_per_run_bytes >= PAGE_BYTES


def _ended_by(child: GroupedChild, passes: Passes) -> EndedBy:
    """What ended a limited child; raises an error if it was not the limit."""
    result, counted = child.result, child.final_usage
    if result.ending == "done":
        return "itself"
    if result.ending == "timeout" and counted.refault_bytes != 0:
        return "timeout"
    if result.ending == "failed":
        failed = result.event(Failed)
        if failed is not None and is_out_of_memory(failed):
            return "refusal"
    if result.signal_number == signal.SIGKILL and counted.oom_kill_count != 0:
        return "oom-killer"
    if result.signal_number is not None and result.signal_number in _CRASHES:
        return "crash"
    raise child_error(result, passes.model_path.name, None, passes.engine.title)


def _record(
    child: GroupedChild,
    limit_bytes: int | None,
    unlimited: LimitedRun | None,
    outcome: Outcome,
    ended_by: EndedBy,
) -> LimitedRun:
    result, counted = child.result, child.final_usage
    loaded, first, done = result.event(Loaded), result.event(First), result.event(Done)
    load_ns = None if loaded is None else loaded.load_ns
    median_ns = None if done is None else percentile(sorted(done.samples_ns), 50)
    return LimitedRun(
        limit_bytes=limit_bytes,
        enforced_bytes=child.enforced_bytes,
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
        reread_per_run_bytes=_reread_per_run_bytes(child, done),
        refault_bytes=counted.refault_bytes,
        major_fault_count=counted.major_fault_count,
        oom_kill_count=counted.oom_kill_count,
        charged_peak_bytes=counted.peak_bytes,
        wall_ns=result.wall_ns,
    )


def _reread_per_run_bytes(child: GroupedChild, done: Done | None) -> int | None:
    """Evicted file pages read again, per run after the first, which reads every page once."""
    if done is None or First not in child.usage_at:
        return None
    before, after = child.usage_at[First].refault_bytes, child.final_usage.refault_bytes
    if before is None or after is None:
        return None
    return max(0, after - before) // max(1, done.warmup_count + len(done.samples_ns))


def _ratio(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _message(result: ChildResult) -> str:
    """Why the child did not finish; empty if it did."""
    failed = result.event(Failed)
    if failed is not None:
        return safe_text(" ".join(failed.message.split()), _MESSAGE_LIMIT)
    if result.signal_number is not None:
        return signal.Signals(result.signal_number).name
    return f"not finished within {result.timeout_s:g} s" if result.ending == "timeout" else ""
