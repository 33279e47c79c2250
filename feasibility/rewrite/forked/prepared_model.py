"""How is a model made ready for a change of its precision, and how is the result written?

ONNX Runtime's basic optimisations make weights of `Constant` nodes and of computed weights, fold
batch normalisation into convolutions, and put weights beside the graph, which is small then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feasibility.errors import ChangeError
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import skeleton_of
from feasibility.rewrite.change_process import data_path
from feasibility.rewrite.forked.optimise import every_node, write_optimised
from feasibility.rewrite.forked.plan_weights import plan_weights
from feasibility.rewrite.write_planned import write_planned

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Parts of the names of operators on integers, for example QLinearConv and MatMulNBits.
_INTEGER_OPERATORS: Final = ("quantize", "qlinear", "integer", "nbits", "qgemm", "qattention")
_FOLDER: Final = "work"
# Since then, weights need not be inputs.
_LEAST_IR_VERSION: Final = 4


def prepared(source: Path, folder: Path, what: str) -> Path:
    """The prepared model, in a folder of its own.

    Raises:
        ModelError: The model cannot be read.
        ChangeError: It is quantized already.
    """
    with open_model(source) as file:
        is_quantized = has_integer_operators(skeleton_of(file).model)
    if is_quantized:
        raise ChangeError(
            what, "it is quantized already", "use the float model that it was made from"
        )
    work = folder / _FOLDER
    work.mkdir()
    path = work / "prepared.onnx"
    write_optimised(source, path, "BASIC")
    model = read_graph(path)
    weights = {each.name for each in model.graph.initializer}
    # Weights that are inputs, too, could be replaced by the caller; the libraries refuse that.
    inputs = [each for each in model.graph.input if each.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _LEAST_IR_VERSION)
    # The libraries infer these again, and refuse those of the runtime where theirs differ.
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString())
    return path


def has_integer_operators(model: ModelProto) -> bool:
    """Whether a model is quantized, in part at least."""
    return any(
        part in node.op_type.lower() for node in every_node(model) for part in _INTEGER_OPERATORS
    )


def read_graph(path: Path) -> ModelProto:
    """A model whose weights lie beside it; they are not read."""
    from onnx import ModelProto

    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def every_weight(path: Path) -> list[tuple[str, int]]:
    """Operator type and bytes of each constant second input of a node."""
    with open_model(path) as file:
        skeleton = skeleton_of(file)
    sizes = {each.name: each.size_bytes for each in skeleton.initializers}
    return [
        (node.op_type, sizes[name])
        for node in every_node(skeleton.model)
        for name in node.input[:2]
        if name in sizes
    ]


def with_newer_operators(path: Path, least: int) -> Path:
    """The model, converted to a newer operator set if its own is older than `least`.

    Raises:
        Exception: The converter of ONNX cannot convert one of its operators.
    """
    import onnx

    model = read_graph(path)
    own = next((each.version for each in model.opset_import if not each.domain), least)
    if own >= least:
        return path
    onnx.load_external_data_for_model(model, str(path.parent))
    converted = onnx.version_converter.convert_version(model, least)
    newer = path.with_name("newer.onnx")
    onnx.save_model(
        converted,
        newer,
        save_as_external_data=True,
        location=data_path(newer).name,
        size_threshold=LEAST_EXTERNAL_BYTES,
    )
    return newer


def finish(model: ModelProto, folder: Path, target: Path) -> None:
    """Writes a model whose weights are in memory or in files of the folder."""
    import onnx

    path = folder / "changed.onnx"
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=data_path(path).name,
        size_threshold=LEAST_EXTERNAL_BYTES,
    )
    finish_file(path, target)


def finish_file(changed: Path, target: Path) -> None:
    """Writes a model with all its weights in one file beside it."""
    with open_model(changed) as file:
        plan = plan_weights(file, data_path(target).name)
        write_planned(file, plan, target)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The number in an attribute of a node."""
    from onnx import helper

    found = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
