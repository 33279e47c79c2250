"""What a model file says, as far as budgets and their explanations need it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from feasibility import __version__
from feasibility.facts.model_facts import facts_of
from feasibility.facts.ort_format import ort_facts
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.records.budget import InitializerSize, Metric, OperatorShare, Snapshot
from feasibility.records.facts import ModelFacts


def read_contents(name: str, path: Path, dims: Mapping[str, int]) -> Snapshot:
    """The snapshot of a model that is not run.

    Args:
        name: Its name in the report.
        path: The file.
        dims: Sizes of symbolic dims by name; the others are assumed.

    Raises:
        ModelError: The file cannot be read, or is no model.
        InputError: A dim was given that the model does not have.
    """
    with open_model(path) as file:
        if file.format == "ort":
            return contents_of(name, ort_facts(file, None), None)
        skeleton = skeleton_of(file)
    return contents_of(name, facts_of(skeleton, dims=dims), skeleton)


def contents_of(name: str, facts: ModelFacts, skeleton: Skeleton | None) -> Snapshot:
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
        initializers=() if skeleton is None else _initializers(skeleton),
    )


def _initializers(skeleton: Skeleton) -> tuple[InitializerSize, ...]:
    sizes = (
        InitializerSize(name=tensor.name, dtype=tensor.dtype, size_bytes=tensor.size_bytes)
        for tensor in skeleton.initializers
    )
    return tuple(sorted(sizes, key=lambda size: size.name))
