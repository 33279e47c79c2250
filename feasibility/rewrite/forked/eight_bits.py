"""How do weights and activations become 8-bit integers? By ONNX Runtime's quantization tools.

Dynamic: ranges of activations are computed in each run. Static: they come from samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feasibility.errors import ChangeError
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.every_node import every_node
from feasibility.rewrite.forked.feeds import feeds_of
from feasibility.rewrite.forked.graph_file import finish_file, write_graph
from feasibility.rewrite.forked.prepared_model import (
    PreparedModel,
    has_integer_operators,
    prepared,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feasibility.records.workload import InputPlan

# In networks without convolutions, only what multiplies matrices or holds them: between those
# operators, 8 bits are not enough for the activations of transformers.
_MATRIX_OPERATORS: Final = ["MatMul", "Gemm", "Gather"]
_DYNAMIC_OPERATORS: Final = ["MatMul", "Gather", "LSTM", "Attention", "EmbedLayerNormalization"]
_CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose"})
# Per-channel weights are an attribute of these operators since then.
_PER_CHANNEL_OPSET: Final = 13
_NOTHING_TO_QUANTIZE: Final = "it has no operator that can be quantized this way"


def quantize_dynamic(request: ChangeRequest) -> None:
    """Writes the model with 8-bit weights; activations are quantized in each run.

    Convolutions stay float if other operators hold more weights: on CPUs they are several times
    slower this way.

    Raises:
        ModelError: The runtime refuses the model.
        ChangeError: No operator can be quantized.
    """
    from onnxruntime import quantization

    model = prepared(request)
    weights = _weight_bytes(model)
    in_convolutions = sum(size for kind, size in weights if kind in _CONVOLUTIONS)
    is_mostly_convolutions = 2 * in_convolutions > sum(size for _, size in weights)
    keep_float = model.keep_float
    changed = model.path.with_name("changed.onnx")
    quantization.quantize_dynamic(
        model.path,
        changed,
        op_types_to_quantize=[*_DYNAMIC_OPERATORS, *(["Conv"] if is_mostly_convolutions else [])],
        per_channel=True,
        reduce_range=request.reduce_range,
        weight_type=quantization.QuantType.QInt8,
        # A Gemm becomes a MatMul and an Add first.
        nodes_to_exclude=[*keep_float, *(f"{name}_MatMul" for name in keep_float)],
        use_external_data_format=True,
        # In bodies of nodes, convolutions are not supported.
        extra_options={"EnableSubgraph": not is_mostly_convolutions},
    )
    _finish(changed, request)


def quantize_static(request: ChangeRequest) -> None:
    """Writes the model with 8-bit weights and activations.

    Raises:
        ModelError: The runtime refuses the model.
        ChangeError: No operator can be quantized.
    """
    from onnxruntime import quantization

    model = prepared(request)
    kinds = {kind for kind, _ in _weight_bytes(model)}
    has_convolutions = not kinds.isdisjoint(_CONVOLUTIONS)
    if not has_convolutions and kinds.isdisjoint(_MATRIX_OPERATORS):
        raise ChangeError(request.what, _NOTHING_TO_QUANTIZE, "try another change")
    methods = quantization.CalibrationMethod
    changed = model.path.with_name("changed.onnx")
    quantization.quantize_static(
        _with_newer_operators(model, _PER_CHANNEL_OPSET),
        changed,
        _reader(request.samples),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=None if has_convolutions else _MATRIX_OPERATORS,
        per_channel=True,
        reduce_range=request.reduce_range,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=list(model.keep_float),
        use_external_data_format=True,
        # Transformers have a few activations far outside the range of all others.
        calibrate_method=methods.MinMax if has_convolutions else methods.Percentile,
        # Activations of one sample at a time are in memory.
        extra_options={"CalibStridedMinMax": 1},
    )
    _finish(changed, request)


def _finish(changed: Path, request: ChangeRequest) -> None:
    if not has_integer_operators(finish_file(changed, request.target)):
        raise ChangeError(request.what, _NOTHING_TO_QUANTIZE, "try another change")


def _weight_bytes(model: PreparedModel) -> list[tuple[str, int]]:
    """Operator type and bytes of each constant input of a node, among its first two."""
    sizes = {each.name: each.size_bytes for each in model.weights}
    return [
        (node.op_type, sizes[name])
        for node in every_node(model.model)
        for name in node.input[:2]
        if name in sizes
    ]


def _with_newer_operators(prepared: PreparedModel, least: int) -> Path:
    """The model, converted to a newer operator set if its own is older than `least`.

    Raises:
        Exception: The converter of ONNX cannot convert one of its operators.
    """
    import onnx

    path, model = prepared.path, prepared.model
    own = next((each.version for each in model.opset_import if not each.domain), least)
    if own >= least:
        return path
    onnx.load_external_data_for_model(model, str(path.parent))
    newer = path.with_name("newer.onnx")
    write_graph(onnx.version_converter.convert_version(model, least), newer)
    return newer


def _reader(samples: Sequence[tuple[InputPlan, int]]) -> Any:
    """The samples as the quantization tools read them: those of a range, one by one."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Makes one sample at a time."""

        def __init__(self) -> None:
            self._left = list(samples)

        def __len__(self) -> int:
            return len(samples)

        def set_range(self, start_index: int, end_index: int) -> None:
            """Go on with these samples."""
            self._left = list(samples[start_index:end_index])

        def get_next(self) -> dict[str, Any] | None:
            """Inputs by name; None after the last sample."""
            if not self._left:
                return None
            return feeds_of(*self._left.pop(0))

    return Reader()
