"""The work of a profiled model, in the kinds that the formulas know."""

from __future__ import annotations

from typing import Final

from feasibility.predict.latency.cpu_formula import Work
from feasibility.records.facts import OperatorClass
from feasibility.records.profile import ProfiledModel

# The runtime merges activations and normalisations into the operator before them, about half
# of what they would compute, move and dispatch.
MERGED_CLASSES: Final[frozenset[OperatorClass]] = frozenset({"normalization", "elementwise"})
MERGED_SHARE: Final = 0.5
# Nodes that only rename a buffer or are folded before the first run.
_MOVEMENT_SHARE: Final = 0.5
# Share of convolutions that are 3x3 of stride one; the median of the published models that
# have any. Profiles do not tell windows apart.
WINOGRAD_SHARE: Final = 0.8
_KINDS: Final[dict[OperatorClass, str]] = {
    "pointwise_conv": "pointwise",
    "depthwise_conv": "depthwise",
    "matmul": "matmul",
    "attention": "attention",
    "recurrent": "recurrent",
    "quantization": "quantization",
    "tree": "tree",
}
_ELEMENT_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2, "double": 8, "float64": 8}
_MATRIX_OPERATORS: Final = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "LSTM", "GRU", "RNN")
# A weight that serves this many multiply-adds or fewer is read for a vector, not a matrix.
_VECTOR_REUSE: Final = 2.0


def work_of_model(model: ProfiledModel) -> Work | None:
    """Work of one inference, or None where no FLOPs are known (`.ort` files, open shapes)."""
    operations = _operations(model)
    if not sum(operations.values()):
        return None
    element_bytes = _ELEMENT_BYTES.get(model.weight_dtype or "", 4)
    weight_count = (model.initializer_bytes or 0) / element_bytes
    vector_weights = _vector_weights(model, operations, element_bytes)
    moved = sum(
        size * (MERGED_SHARE if name in MERGED_CLASSES else 1)
        for name, size in model.moved_bytes_by_class.items()
    ) or float(model.moved_bytes or 0)
    streamed = sum(model.weight_bytes_by_operator.values()) or model.initializer_bytes or 0
    return Work(
        operations=operations,
        activation_count=max(0.0, moved - streamed) / 4,
        weight_count=max(
            0.0, weight_count - vector_weights - _lookup_weights(model, element_bytes)
        ),
        vector_weight_count=vector_weights,
        layer_count=_layers(model),
    )


def _operations(model: ProfiledModel) -> dict[str, float]:
    operations: dict[str, float] = {}
    by_class = model.flops_by_class
    if not sum(by_class.values()) and model.flops:
        by_class = {"matmul": model.flops}
    for name, amount in by_class.items():
        if name == "conv":
            operations["winograd"] = amount * WINOGRAD_SHARE
            operations["dense"] = amount * (1 - WINOGRAD_SHARE)
        else:
            kind = _KINDS.get(name, "other")
            share = MERGED_SHARE if name in MERGED_CLASSES else 1.0
            operations[kind] = operations.get(kind, 0.0) + amount * share
    return operations


def _vector_weights(
    model: ProfiledModel, operations: dict[str, float], element_bytes: int
) -> float:
    """Weights of products with so few rows that reading them is what takes the time."""
    weights = (
        sum(
            size
            for operator, size in model.weight_bytes_by_operator.items()
            if operator.rpartition(":")[2] in _MATRIX_OPERATORS
        )
        / element_bytes
    )
    multiplied = (operations.get("matmul", 0.0) + operations.get("recurrent", 0.0)) / 2
    return weights if weights and multiplied <= _VECTOR_REUSE * weights else 0.0


def _lookup_weights(model: ProfiledModel, element_bytes: int) -> float:
    """Embedding tables, of which an inference reads a few rows."""
    return (
        sum(
            size
            for operator, size in model.weight_bytes_by_operator.items()
            if operator.rpartition(":")[2].startswith("Gather")
        )
        / element_bytes
    )


def _layers(model: ProfiledModel) -> float:
    counts = model.node_count_by_class
    if not counts:
        return float(model.node_count or 0)
    return sum(
        count
        * (
            MERGED_SHARE
            if name in MERGED_CLASSES
            else _MOVEMENT_SHARE
            if name == "data_movement"
            else 1.0
        )
        for name, count in counts.items()
    )
