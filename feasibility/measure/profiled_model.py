"""The part of the facts that a profile carries, so that it can be projected on its own."""

from __future__ import annotations

from collections import Counter

from feasibility.records.facts import ModelFacts, OperatorClass
from feasibility.records.profile import ProfiledModel


def profiled_model(facts: ModelFacts) -> ProfiledModel:
    """The model's facts without its nodes, which are summed by operator class."""
    flops: Counter[OperatorClass] = Counter()
    moved: Counter[OperatorClass] = Counter()
    count: Counter[OperatorClass] = Counter()
    for node in facts.nodes:
        repeats = 1 if node.repeat_count is None else node.repeat_count
        flops[node.op_class] += (node.flops or 0) * repeats
        moved[node.op_class] += (node.moved_bytes or 0) * repeats
        count[node.op_class] += repeats
    by_dtype = facts.initializer_bytes_by_dtype
    return ProfiledModel(
        name=facts.name,
        path=facts.path,
        format=facts.format,
        sha256=facts.sha256,
        file_bytes=facts.file_bytes,
        external_bytes=facts.external_bytes,
        parameter_count=facts.parameter_count,
        initializer_bytes=facts.initializer_bytes,
        largest_initializer_bytes=facts.largest_initializer_bytes,
        generated_bytes=facts.generated_bytes,
        weight_bytes_by_operator={
            operator.op_type: operator.weight_bytes
            for operator in facts.operators
            if operator.weight_bytes
        },
        node_count=facts.node_count,
        opset=facts.opset,
        flops=facts.flops,
        macs=facts.macs,
        moved_bytes=facts.moved_bytes,
        flops_by_class=dict(flops),
        moved_bytes_by_class=dict(moved),
        node_count_by_class=dict(count),
        weight_dtype=max(by_dtype, key=lambda dtype: by_dtype[dtype], default=None),
        custom_operators=facts.custom_operators,
        operator_types=tuple(f"{kind.domain}:{kind.op_type}" for kind in facts.operators),
        inputs=facts.inputs,
        outputs=facts.outputs,
        per_iteration=facts.per_iteration,
        activation_peak=facts.activation_peak,
        modelled_memory=facts.modelled_memory,
    )
