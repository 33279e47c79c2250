"""What makes figures of two profiles not comparable? Other inputs, machines or versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from feasibility.records.comparison import Affected, ConditionCode, ConditionDifference
from feasibility.records.profile import Profile
from feasibility.records.workload import Fill


class _Condition(NamedTuple):
    code: ConditionCode
    text: Callable[[Profile], str | None]
    affects: tuple[Affected, ...]


def condition_differences(
    reference: Profile, other: Profile, label: str
) -> tuple[ConditionDifference, ...]:
    """The conditions of a profile, that of the subject with this label, that differ."""
    differences = []
    # Engines are compared on purpose; two versions of one engine are another condition.
    engines = {(each.workload.engine or "").partition("-")[0] for each in (reference, other)}
    for condition in _CONDITIONS:
        if condition.code == "runtime" and len(engines) > 1 and "" not in engines:
            continue
        before, after = condition.text(reference), condition.text(other)
        if before is not None and after is not None and before != after:
            differences.append(
                ConditionDifference(
                    subject=label,
                    code=condition.code,
                    reference=before,
                    other=after,
                    affects=condition.affects,
                )
            )
    return tuple(differences)


def affected(differences: Iterable[ConditionDifference]) -> frozenset[Affected]:
    """The kinds of figures that cannot be compared."""
    return frozenset(kind for each in differences for kind in each.affects)


def _inputs(profile: Profile) -> str:
    """Types and shapes in their order; names may differ."""
    return ", ".join(
        " ".join((each.dtype, "x".join(map(str, each.shape)))).strip()
        for each in profile.workload.inputs
    )


def _values(profile: Profile) -> str:
    return ", ".join(_fill(each.fill) for each in profile.workload.inputs)


def _fill(fill: Fill) -> str:
    match fill.kind:
        case "file":
            return " ".join(filter(None, (fill.path, fill.member)))
        case "absent":
            return fill.kind
        case "constant":
            return f"{fill.kind} {fill.low:g}"
    return f"{fill.kind} {fill.low:g} to {fill.high:g}"


def _processor(profile: Profile) -> str:
    host = profile.host
    cores = "" if host.core_count is None else f"{host.core_count} cores"
    return ", ".join(filter(None, (host.device, host.cpu, cores)))


def _peaks(profile: Profile) -> str | None:
    memory = profile.memory
    return None if memory is None else f"{memory.allocator} allocator, {memory.peak_source}"


_OWN: Final = "feasibility"
_WORK: Final[tuple[Affected, ...]] = ("work", "memory", "time")
_RUNS: Final[tuple[Affected, ...]] = ("memory", "time")
_CONDITIONS: Final = (
    _Condition("inputs", _inputs, _WORK),
    _Condition("values", _values, _RUNS),
    _Condition("machine", lambda profile: profile.host.arch, _RUNS),
    _Condition("processor", _processor, ("time",)),
    _Condition("system", lambda profile: profile.host.os, ("time",)),
    _Condition("method", lambda profile: profile.method, _RUNS),
    _Condition("runtime", lambda profile: profile.workload.runtime, _RUNS),
    _Condition("provider", lambda profile: profile.workload.provider, _RUNS),
    _Condition("threads", lambda profile: str(profile.workload.threads), _RUNS),
    _Condition("allocator", lambda profile: profile.host.libc, ("memory",)),
    _Condition("instrument", lambda profile: profile.source or _OWN, _RUNS),
    _Condition("peaks", _peaks, ("memory",)),
)
