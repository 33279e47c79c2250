"""Which figures does a model file give without running it?"""

from __future__ import annotations

from feasibility import __version__
from feasibility.records.budget import InitializerSize, Metric, OperatorShare, Snapshot
from feasibility.records.facts import ModelFacts


def snapshot_of(
    name: str, facts: ModelFacts, initializers: tuple[InitializerSize, ...]
) -> Snapshot:
    """The snapshot of a model whose facts are known."""
    figures: dict[Metric, int | None] = {
        "file_size": facts.file_bytes + facts.external_bytes,
        "parameters": facts.parameter_count,
        "flops": facts.flops,
        "activation_peak": facts.activation_peak.peak_bytes if facts.activation_peak else None,
    }
    return Snapshot(
        tool_version=__version__,
        model=name,
        dims=dict(sorted(facts.dims.items())),
        figures={key: value for key, value in sorted(figures.items()) if value is not None},
        operators=tuple(
            sorted(
                (
                    OperatorShare(
                        op_type=f"{kind.domain}:{kind.op_type}",
                        node_count=kind.node_count,
                        weight_bytes=kind.weight_bytes,
                        flops=kind.flops,
                    )
                    for kind in facts.operators
                ),
                key=lambda share: share.op_type,
            )
        ),
        initializers=tuple(sorted(initializers, key=lambda size: size.name)),
    )
