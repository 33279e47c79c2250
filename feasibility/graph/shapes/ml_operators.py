"""What are the output types of ai.onnx.ml operators that onnx cannot infer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onnx import TensorProto

from feasibility.graph.attributes import int_of, ints_of, list_length
from feasibility.graph.value_types import ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

    from feasibility.graph.typed_graph import Call

_FLOAT: Final = TensorProto.FLOAT


def _row_count(call: Call) -> int | None:
    shape = call.type_of(0).shape
    if shape is None:
        return None
    return shape[0] if len(shape) > 1 else 1


def _class_count(call: Call) -> int | None:
    names = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
    return max((list_length(call.attributes, name) for name in names), default=0) or None


def _label_type(call: Call) -> int:
    names = ("classlabels_strings",)
    return (
        TensorProto.STRING
        if any(list_length(call.attributes, name) for name in names)
        else TensorProto.INT64
    )


def _classifier(call: Call) -> tuple[ValueType, ...]:
    rows = _row_count(call)
    return ValueType(_label_type(call), (rows,)), ValueType(_FLOAT, (rows, _class_count(call)))


def _regressor(call: Call) -> tuple[ValueType, ...]:
    targets = max(int_of(call.attributes, "n_targets", 0), int_of(call.attributes, "targets", 0), 1)
    return (ValueType(_FLOAT, (_row_count(call), targets)),)


def _float_like(call: Call) -> tuple[ValueType, ...]:
    return (call.type_of(0).with_elem_type(_FLOAT),)


def _feature_vectorizer(call: Call) -> tuple[ValueType, ...]:
    sizes = ints_of(call.attributes, "inputdimensions")
    return (ValueType(_FLOAT, (_row_count(call), sum(sizes) if sizes else None)),)


def _same(call: Call) -> tuple[ValueType, ...]:
    return (call.type_of(0),)


CLASSIC_RULES: Final[dict[str, Callable[[Call], tuple[ValueType, ...]]]] = {
    "TreeEnsembleClassifier": _classifier,
    "TreeEnsembleRegressor": _regressor,
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "SVMClassifier": _classifier,
    "SVMRegressor": _regressor,
    "Scaler": _float_like,
    "Normalizer": _float_like,
    "Imputer": _same,
    "FeatureVectorizer": _feature_vectorizer,
}
