"""Which operators does each optimised graph have, what do they cost, and which were replaced?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final

from feasibility.compare.subjects import LABELS
from feasibility.records.comparison import ComparedOperator, NodeReplacement, OperatorUse
from feasibility.records.profile import OperatorProfile, Profile

# Aligning graphs takes a time that grows with the product of their sizes if few names agree.
_ALIGNED_COUNT_MAX: Final = 4000


def compared_operators(profiles: Sequence[Profile]) -> tuple[ComparedOperator, ...]:
    """Operator types of all profiles, the largest difference of time first."""
    used = [uses_by_type(each.operators) if each.operators else None for each in profiles]
    names = dict.fromkeys(name for uses in used if uses for name in uses)
    compared = [
        ComparedOperator(
            op_type=name,
            uses=tuple(None if uses is None else uses.get(name, OperatorUse()) for uses in used),
        )
        for name in names
    ]
    return tuple(sorted(compared, key=lambda each: (-_largest_change_ns(each), each.op_type)))


def _largest_change_ns(operator: ComparedOperator) -> int:
    """The largest difference of time to the reference."""
    reference = operator.uses[0]
    before = 0 if reference is None else reference.time_ns
    return max(abs(use.time_ns - before) for use in operator.uses if use is not None)


def uses_by_type(operators: Iterable[OperatorProfile]) -> dict[str, OperatorUse]:
    """Number, time and memory of the nodes of each operator type."""
    by_type: dict[str, list[OperatorProfile]] = {}
    for node in operators:
        by_type.setdefault(node.op_type, []).append(node)
    return {name: _use(nodes) for name, nodes in by_type.items()}


def _use(nodes: Sequence[OperatorProfile]) -> OperatorUse:
    moved = [each.bytes for each in nodes if each.bytes is not None]
    arena = [each.arena_in_use_bytes for each in nodes if each.arena_in_use_bytes is not None]
    return OperatorUse(
        node_count=len(nodes),
        time_ns=sum(each.total_ns // max(each.run_count, 1) for each in nodes),
        moved_bytes=sum(moved) if moved else None,
        arena_bytes=max(arena, default=None),
    )


def node_replacements(profiles: Sequence[Profile]) -> tuple[NodeReplacement, ...]:
    """Nodes that are in the place of others, against the first profile; most nodes first."""
    reference = profiles[0].operators
    found = [
        each
        for label, profile in zip(LABELS[1:], profiles[1:], strict=False)
        if reference and profile.operators
        for each in _replaced(reference, profile.operators, label)
    ]
    return tuple(sorted(found, key=lambda each: (each.subject, -_size(each), *each.after)))


def _size(replacement: NodeReplacement) -> int:
    return sum(replacement.before.values()) + sum(replacement.after.values())


def _replaced(
    reference: Sequence[OperatorProfile], other: Sequence[OperatorProfile], label: str
) -> Iterable[NodeReplacement]:
    """Places between nodes that both have, in the order in which they run, grouped by result."""
    if max(len(reference), len(other)) > _ALIGNED_COUNT_MAX:
        return ()
    before, after = _keys(reference), _keys(other)
    places: dict[tuple[str, ...], list[tuple[Counter[str], Counter[str]]]] = {}
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, new = _types(reference[first:last]), _types(other[start:end])
        # Nodes with a new name are no change.
        gone, new = gone - new, new - gone
        if gone or new:
            places.setdefault(tuple(sorted(new)), []).append((gone, new))
    return [
        NodeReplacement(
            subject=label,
            before=_ordered(sum((gone for gone, _ in pairs), Counter())),
            after=_ordered(sum((new for _, new in pairs), Counter())),
            place_count=len(pairs),
        )
        for pairs in places.values()
    ]


def _keys(operators: Sequence[OperatorProfile]) -> list[tuple[str, str]]:
    return [(each.node, each.op_type) for each in operators]


def _types(operators: Iterable[OperatorProfile]) -> Counter[str]:
    return Counter(each.op_type for each in operators)


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
