"""Which shapes does onnx's shape inference accept, although the node cannot run with them?

They show which of several likely sizes for an open dim are wrong, before anything runs. For
example, a dense layer behind a flattened image fits only one image size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feasibility.graph.attributes import int_of
from feasibility.graph.typed_graph import Call
from feasibility.graph.value_types import Shape, ValueType, element_count

Outputs = tuple[ValueType, ...]

_WINDOWED: Final = frozenset({"Conv", "ConvInteger", "MaxPool", "AveragePool", "LpPool"})


def contradiction(call: Call, outputs: Outputs) -> str:
    """Why a node cannot run with these shapes; empty if it can."""
    if call.domain:
        return ""
    rule = _RULES.get(call.op_type)
    return rule(call, outputs) if rule is not None else ""


def _is_closed(shape: Shape | None) -> bool:
    return shape is not None and None not in shape


def _window(call: Call, outputs: Outputs) -> str:
    data, found = call.type_of(0).shape, outputs[0].shape if outputs else None
    if call.op_type.startswith("Conv") and data is not None and len(data) > 1:
        per_group, group = call.dim(1, 1), int_of(call.attributes, "group", 1)
        taken = None if per_group is None else per_group * group
        if why := _unequal(data[1], taken, "channels"):
            return why
    # If the window is larger than the input, the output size is negative, which reads as open.
    is_whole = _is_closed(data) and 0 not in (data or ())
    if is_whole and found is not None and any(not dim for dim in found[2:]):
        return "its window is larger than its input"
    return ""


def _gemm(call: Call, _: Outputs) -> str:
    inner = call.dim(0, 0 if int_of(call.attributes, "transA", 0) else 1)
    rows = call.dim(1, 1 if int_of(call.attributes, "transB", 0) else 0)
    return _unequal(inner, rows, "values per row")


def _reshape(call: Call, outputs: Outputs) -> str:
    before = call.type_of(0).element_count
    after = element_count(outputs[0].shape) if outputs else None
    if before is None or after is None or before == after:
        return ""
    return f"its input has {before} elements, its output {after}"


def _gather(call: Call, _: Outputs) -> str:
    indices = call.value(1)
    rows = call.dim(0, int_of(call.attributes, "axis", 0))
    if indices is None or rows is None or indices.size == 0 or indices.dtype.kind not in "iu":
        return ""
    low, high = int(indices.min()), int(indices.max())
    return f"it takes row {high} of {rows}" if high >= rows or low < -rows else ""


def _recurrent(call: Call, _: Outputs) -> str:
    return _unequal(call.dim(0, 2), call.dim(1, 2), "values per step")


def _unequal(given: int | None, taken: int | None, what: str) -> str:
    if given is None or taken is None or given == taken:
        return ""
    return f"its weight takes {taken} {what}, its input has {given}"


_RULES: Final[dict[str, Callable[[Call, Outputs], str]]] = {
    **dict.fromkeys(_WINDOWED, _window),
    "Gemm": _gemm,
    "Reshape": _reshape,
    "Gather": _gather,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
