"""Which parts of a model explain the growth of a figure?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from feasibility.budget.metrics import METRICS
from feasibility.records.budget import Growth, Metric, Snapshot, Unit

KEPT_PARTS: Final = 8
Kind: TypeAlias = Literal["operator", "operator-time", "initializer", "phase"]

_MEMORY_PHASES: Final[tuple[Metric, ...]] = ("load_peak", "resident", "inference_peak", "floor")


def explain_growth(
    metrics: Iterable[Metric], baseline: Snapshot | None, now: Snapshot
) -> tuple[Growth, ...]:
    """The changed parts that explain these metrics, largest change first.

    Without a baseline, the largest parts.
    """
    before = baseline or Snapshot(tool_version="", model="")
    needs = {METRICS[metric].need for metric in metrics}
    wanted = set(metrics)
    parts: list[Growth] = []
    if "memory" in needs or "allocations" in needs:
        parts += _changes("phase", "bytes", _phases(before), _phases(now))
    if needs & {"memory", "allocations"} or wanted & {"file_size", "parameters"}:
        parts += _top(_initializer_changes(before, now))
        parts += _top(_changes("operator", "bytes", _weights(before), _weights(now)))
    if "flops" in wanted or "latency" in needs:
        parts += _top(_changes("operator", "count", _work(before), _work(now)))
    if "latency" in needs and (baseline is None or before.operator_times):
        parts += _top(_changes("operator-time", "ns", _times(before), _times(now)))
    if baseline is None:
        return tuple(msgspec.structs.replace(part, before=None) for part in parts)
    return tuple(parts)


def _top(changes: Sequence[Growth]) -> Sequence[Growth]:
    return changes[:KEPT_PARTS]


def _changes(
    kind: Kind, unit: Unit, before: Mapping[str, int], after: Mapping[str, int]
) -> list[Growth]:
    """Parts with different figures, largest difference first."""
    found = [
        Growth(
            kind=kind, name=name, unit=unit, before=before.get(name, 0), after=after.get(name, 0)
        )
        for name in {**after, **before}
        if before.get(name, 0) != after.get(name, 0)
    ]
    return _sorted(found)


def _initializer_changes(before: Snapshot, now: Snapshot) -> list[Growth]:
    """Changed initializers; a recorded baseline has only the largest ones."""
    changes = _changes("initializer", "bytes", _initializers(before), _initializers(now))
    if not before.are_initializers_cut:
        return changes
    least = min((item.size_bytes for item in before.initializers), default=0)
    return _sorted(
        [
            part if part.before else msgspec.structs.replace(part, before=None)
            for part in changes
            if part.before or part.after > least
        ]
    )


def _sorted(parts: Iterable[Growth]) -> list[Growth]:
    return sorted(parts, key=lambda part: (-abs(part.after - (part.before or 0)), part.name))


def _phases(snapshot: Snapshot) -> dict[str, int]:
    figures = snapshot.figures
    return {METRICS[name].title: figures[name] for name in _MEMORY_PHASES if name in figures}


def _initializers(snapshot: Snapshot) -> dict[str, int]:
    return {item.name: item.size_bytes for item in snapshot.initializers}


def _weights(snapshot: Snapshot) -> dict[str, int]:
    return {item.op_type: item.weight_bytes for item in snapshot.operators if item.weight_bytes}


def _work(snapshot: Snapshot) -> dict[str, int]:
    return {item.op_type: item.flops for item in snapshot.operators if item.flops}


def _times(snapshot: Snapshot) -> dict[str, int]:
    times: Counter[str] = Counter()
    for item in snapshot.operator_times:
        times[item.op_type] += item.time_ns
    return times
