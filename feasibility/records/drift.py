"""How far are the outputs of a model from those of a reference?"""

from __future__ import annotations

from typing import Annotated

from feasibility.records.shared_fields import Count, Ratio, Record, doc


class OutputDrift(Record, frozen=True, kw_only=True):
    """Difference of one output to that of the original model, over all samples."""

    name: Annotated[str, doc("Output name; untrusted text.")]
    max_difference: Annotated[float, doc("Largest absolute difference of an element.")]
    mean_difference: Annotated[float, doc("Mean absolute difference.")]
    relative_ratio: Annotated[
        Ratio, doc("Largest difference, divided by the largest absolute value of the original.")
    ]
    cosine: Annotated[float | None, doc("Lowest cosine similarity; null for zeros.")] = None
    top1_ratio: Annotated[
        Ratio | None, doc("Share of rows with the same largest element; null if it has no classes.")
    ] = None


class Drift(Record, frozen=True, kw_only=True):
    """How far the outputs of a changed model are from those of the original."""

    sample_count: Annotated[Count, doc("Number of different inputs.")]
    is_identical: Annotated[bool, doc("True if all outputs are equal bit by bit.")]
    relative_ratio: Annotated[Ratio, doc("Largest relative difference of all outputs.")]
    outputs: Annotated[tuple[OutputDrift, ...], doc("Per output.")] = ()
    first_node: Annotated[
        str | None, doc("First node whose output drifts; null if not searched.")
    ] = None
    first_node_ratio: Annotated[Ratio | None, doc("Relative difference of its output.")] = None
