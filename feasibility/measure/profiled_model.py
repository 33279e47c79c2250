"""Which facts of a model file does a profile contain, so that it can be projected alone?"""

from __future__ import annotations

from collections import Counter

from feasibility.records.facts import ModelFacts, ModelSummary, OperatorClass
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
        **{name: getattr(facts, name) for name in ModelSummary.__struct_fields__},
        weight_bytes_by_operator={
            operator.op_type: operator.weight_bytes
            for operator in facts.operators
            if operator.weight_bytes
        },
        flops_by_class=dict(flops),
        moved_bytes_by_class=dict(moved),
        node_count_by_class=dict(count),
        weight_dtype=max(by_dtype, key=lambda dtype: by_dtype[dtype], default=None),
        operator_types=tuple(f"{kind.domain}:{kind.op_type}" for kind in facts.operators),
    )
