"""How is a model made ready for a change of its precision?

ONNX Runtime's basic optimisations make weights of `Constant` nodes and of computed weights, fold
batch normalisation into convolutions, and put weights beside the graph, which is small then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.errors import ChangeError
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import skeleton_of
from feasibility.model_file.tensors import TensorInfo
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.every_node import every_node, name_of
from feasibility.rewrite.forked.graph_edits import keep_only
from feasibility.rewrite.forked.optimise import write_optimised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto

# Parts of the names of operators on integers, for example QLinearConv and MatMulNBits.
_INTEGER_OPERATORS: Final = ("quantize", "qlinear", "integer", "nbits", "qgemm", "qattention")
_FOLDER: Final = "work"
# Since then, weights need not be inputs.
_LEAST_IR_VERSION: Final = 4


class PreparedModel(NamedTuple):
    """A copy of the model that is ready for the change.

    Attributes:
        path: Its file, in a folder of its own.
        model: Its graph; each node has a name.
        weights: Its weights.
        keep_float: Names of its nodes that stay in float.
    """

    path: Path
    model: ModelProto
    weights: tuple[TensorInfo, ...]
    keep_float: tuple[str, ...]


def prepared(request: ChangeRequest) -> PreparedModel:
    """The prepared model.

    Raises:
        ModelError: The model cannot be read.
        ChangeError: It is quantized already.
    """
    with open_model(request.source) as file:
        source = skeleton_of(file)
    if has_integer_operators(source.model):
        raise ChangeError(
            request.what, "it is quantized already", "use the float model that it was made from"
        )
    path = request.target.parent / _FOLDER / "prepared.onnx"
    path.parent.mkdir()
    model, weights = write_optimised(source, path, "BASIC", packs=False)
    names = {each.name for each in model.graph.initializer}
    # Weights that are inputs, too, could be replaced by the caller; the libraries refuse that.
    keep_only(model.graph.input, lambda each: each.name not in names)
    model.ir_version = max(model.ir_version, _LEAST_IR_VERSION)
    # The libraries infer these again, and refuse those of the runtime where theirs differ.
    del model.graph.value_info[:]
    keep_float = _names_in(model, source.model, request.keep_float)
    path.write_bytes(model.SerializeToString())
    return PreparedModel(path, model, weights, keep_float)


def has_integer_operators(model: ModelProto) -> bool:
    """Whether a model is quantized, in part at least."""
    return any(
        part in node.op_type.lower() for node in every_node(model) for part in _INTEGER_OPERATORS
    )


def _names_in(model: ModelProto, source: ModelProto, wanted: Sequence[str]) -> tuple[str, ...]:
    """Names of the nodes that compute what the wanted nodes of the source compute.

    The libraries find nodes by name, so nodes without one get one here. A fused node has another
    name than the nodes that it replaces, and the output of the last one.
    """
    values = {
        value for node in every_node(source) if name_of(node) in wanted for value in node.output
    }
    found = []
    for node in every_node(model):
        node.name = name_of(node)
        if node.name in wanted or not values.isdisjoint(filter(None, node.output)):
            found.append(node.name)
    return tuple(found)
