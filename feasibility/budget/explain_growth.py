"""Which parts of a model explain the growth of a figure?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

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
    old, new = _Parts.of(before), _Parts.of(now)
    needs, wanted = {METRICS[metric].need for metric in metrics}, set(metrics)
    has_memory = bool(needs & {"memory", "allocations"})
    parts: list[Growth] = []
    if has_memory:
        parts += _changes("phase", "bytes", old.phases, new.phases)
    if has_memory or wanted & {"file_size", "parameters"}:
        initializers = _changes("initializer", "bytes", old.initializers, new.initializers)
        if before.are_initializers_cut:
            initializers = _with_unknown(initializers, min(old.initializers.values(), default=0))
        parts += initializers[:KEPT_PARTS]
        parts += _changes("operator", "bytes", old.weights, new.weights)[:KEPT_PARTS]
    if "flops" in wanted or "latency" in needs:
        parts += _changes("operator", "count", old.work, new.work)[:KEPT_PARTS]
    if "latency" in needs and (baseline is None or old.times):
        parts += _changes("operator-time", "ns", old.times, new.times)[:KEPT_PARTS]
    if baseline is None:
        return tuple(replace(part, before=None) for part in parts)
    return tuple(parts)


class _Parts(NamedTuple):
    """Figures of a model's parts by name: bytes, FLOPs and ns."""

    phases: dict[str, int]
    initializers: dict[str, int]
    weights: dict[str, int]
    work: dict[str, int]
    times: Counter[str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Parts:
        """The parts that a snapshot knows; work and weights only of operators that have some."""
        figures, times = snapshot.figures, Counter[str]()
        for item in snapshot.operator_times:
            times[item.op_type] += item.time_ns
        return cls(
            {METRICS[name].title: figures[name] for name in _MEMORY_PHASES if name in figures},
            {item.name: item.size_bytes for item in snapshot.initializers},
            {each.op_type: each.weight_bytes for each in snapshot.operators if each.weight_bytes},
            {each.op_type: each.flops for each in snapshot.operators if each.flops},
            times,
        )


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
    return sorted(found, key=_order)


def _with_unknown(parts: Iterable[Growth], least_bytes: int) -> list[Growth]:
    """Changes from a baseline that has only its largest initializers, of at least this size.

    Whether a smaller one is new is not known, so it is left out.
    """
    known = (
        part if part.before else replace(part, before=None)
        for part in parts
        if part.before or part.after > least_bytes
    )
    return sorted(known, key=_order)


def _order(part: Growth) -> tuple[int, str]:
    return -abs(part.after - (part.before or 0)), part.name
