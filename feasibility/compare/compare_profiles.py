"""What does a comparison hold? Built from the profiles of all subjects, the reference first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import feasibility
from feasibility.compare.conditions import affected, condition_differences
from feasibility.compare.figures import Side, compared_figures
from feasibility.compare.memory_parts import compared_parts
from feasibility.compare.operators import compared_operators, node_replacements
from feasibility.compare.subjects import LABELS, Subject
from feasibility.records.comparison import ComparedOutputs, ComparedSubject, Comparison
from feasibility.records.shared_fields import Notice


def compare_profiles(
    subjects: Sequence[Subject],
    sides: Sequence[Side],
    *,
    outputs: Sequence[ComparedOutputs] = (),
    round_count: int = 0,
    warnings: Sequence[Notice] = (),
) -> Comparison:
    """All figures of at least two subjects, against those of the first."""
    profiles = [side.profile for side in sides]
    differences = [
        condition_differences(profiles[0], other, label)
        for label, other in zip(LABELS[1:], profiles[1:], strict=False)
    ]
    return Comparison(
        tool_version=feasibility.__version__,
        compared_at=datetime.now(UTC).isoformat(timespec="seconds"),
        subjects=tuple(
            _described(label, subject, side)
            for label, subject, side in zip(LABELS, subjects, sides, strict=False)
        ),
        conditions=sum(differences, ()),
        figures=compared_figures(sides, [affected(each) for each in differences]),
        outputs=tuple(outputs),
        operators=compared_operators(profiles),
        # Nodes of different engines have nothing in common but some names.
        replacements=node_replacements(profiles)
        if len({each.workload.engine for each in profiles}) == 1
        else (),
        parts=compared_parts(profiles),
        round_count=round_count,
        warnings=tuple(warnings),
    )


def _described(label: str, subject: Subject, side: Side) -> ComparedSubject:
    profile = side.profile
    return ComparedSubject(
        label=label,
        path=str(subject.path),
        kind=subject.kind,
        model=profile.model.name,
        sha256=profile.model.sha256,
        measured_at=profile.measured_at,
        method=profile.method,
        host=profile.host,
        workload=profile.workload,
        latency=profile.latency,
    )
