"""How much work of each kind does one inference of a profiled model take?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feasibility.predict.latency.cpu_formula import Work
from feasibility.records.facts import OperatorClass
from feasibility.records.profile import ProfiledModel

# The runtime merges activations and normalisations into the operator before them. About half of
# their operations, bytes and dispatch remain.
MERGED_CLASSES: Final[frozenset[OperatorClass]] = frozenset({"normalization", "elementwise"})
MERGED_SHARE: Final = 0.5
# Share of the nodes of a class that cost a dispatch. Half of the nodes that move data rename a
# buffer or are folded before the runs.
_LAYER_SHARES: Final[dict[OperatorClass, float]] = {
    **dict.fromkeys(MERGED_CLASSES, MERGED_SHARE),
    "data_movement": 0.5,
}
# Share of convolutions that are 3x3 of stride one: the median of the published models with such
# convolutions. Profiles do not contain window sizes.
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
# Operators of ONNX and of TensorFlow Lite.
_MATRIX_OPERATORS: Final = frozenset(
    {
        "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "LSTM", "GRU", "RNN", "FULLY_CONNECTED",
        "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
    }
)  # fmt: skip
_LOOKUPS: Final = ("Gather", "GATHER", "EMBEDDING_LOOKUP")
# A weight used in at most this many multiply-adds belongs to a product with one row.
_VECTOR_REUSE: Final = 2.0


def work_of_model(model: ProfiledModel) -> Work | None:
    """Work of one inference; None if its FLOPs are not known (`.ort` files, open shapes)."""
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
    # An inference reads only a few rows of an embedding table.
    lookups = _weights(model, lambda name: name.startswith(_LOOKUPS))
    weights = sum(model.weight_bytes_by_operator.values()) or model.initializer_bytes or 0
    lookup_weights = lookups / element_bytes
    return Work(
        operations=operations,
        activation_count=max(0.0, moved - weights + lookups) / 4,
        weight_count=max(0.0, weight_count - vector_weights - lookup_weights),
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
    """Weights of products with so few rows that reading the weights takes most of the time."""
    weights = _weights(model, _MATRIX_OPERATORS.__contains__) / element_bytes
    multiplied = (operations.get("matmul", 0.0) + operations.get("recurrent", 0.0)) / 2
    return weights if weights and multiplied <= _VECTOR_REUSE * weights else 0.0


def _weights(model: ProfiledModel, is_wanted: Callable[[str], bool]) -> int:
    """Bytes of the weights of some operators."""
    return sum(
        size
        for operator, size in model.weight_bytes_by_operator.items()
        if is_wanted(operator.rpartition(":")[2])
    )


def _layers(model: ProfiledModel) -> float:
    counts = model.node_count_by_class
    if not counts:
        return float(model.node_count or 0)
    return sum(count * _LAYER_SHARES.get(name, 1.0) for name, count in counts.items())
