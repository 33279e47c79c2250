"""How is MNN used in the child? As an engine: `__main__` lists the functions of engines.

MNN reads files of its own format, which `convert` writes. MNN's console script installs packages
with pip, so the converter is called in MNN's binary module.
"""

from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Net:
    """A loaded model."""

    def __init__(self, library: ModuleType, module: Any, input_names: list[str]) -> None:
        self.library = library
        self.module = module
        self.input_names = input_names


def import_library() -> ModuleType:
    """MNN."""
    return importlib.import_module("MNN")


def library_versions(mnn: ModuleType) -> dict[str, str]:
    """Its version."""
    return {"MNN": str(mnn.version())}


def convert(request: dict[str, Any]) -> None:
    """Writes a model of MNN from an ONNX model whose constants are folded.

    With constants that are not folded, the converter can lose the mask of a network without an
    error. The activation function GELU is kept exact.
    """
    tools = importlib.import_module("_tools")
    arguments = [
        "mnnconvert", "-f", "ONNX", "--modelFile", request["model_path"],
        "--MNNModel", request["target_path"], "--bizCode", "feasibility",
        "--useGeluApproximation", "0",
    ]  # fmt: skip
    if request["variant"] == "external weights":
        arguments.append("--saveExternalData")
    # During the conversion, the converter keeps weights in a file in the current folder.
    os.chdir(os.path.dirname(request["target_path"]))
    tools.mnnconvert(arguments)
    if not os.path.exists(request["target_path"]):
        raise ValueError("the converter of MNN wrote no file")


def create_session(mnn: ModuleType, request: dict[str, Any]) -> Net:
    """The loaded model."""
    names = [spec["name"] for spec in request["inputs"]]
    runtime = mnn.nn.create_runtime_manager(
        ({"backend": "CPU", "numThread": request["threads"], "precision": "high"},)
    )
    module = mnn.nn.load_module_from_file(
        request["model_path"],
        names,
        list(request["output_names"]),
        runtime_manager=runtime,
        shape_mutable=True,
    )
    return Net(mnn, module, names)


def precision(net: Net) -> str:  # noqa: ARG001
    """The type in which it computes: `high` is single precision."""
    return "float32"


def as_feeds(mnn: ModuleType, specs: list[dict[str, Any]], arrays: dict[str, Any]) -> Any:
    """Variables of MNN; it has no 64-bit integers."""
    expr = mnn.expr
    types = {"float32": expr.float, "int32": expr.int, "int64": expr.int, "bool": expr.int}
    feeds = {}
    for spec in specs:
        if spec["dtype"] not in types:
            error = ValueError("MNN takes no input of the type " + spec["dtype"])
            error.input_name = spec["name"]  # type: ignore[attr-defined]
            raise error
        array = arrays[spec["name"]]
        if spec["dtype"] in ("int64", "bool"):
            array = array.astype("int32")
        feeds[spec["name"]] = expr.const(array, list(array.shape), expr.NCHW, types[spec["dtype"]])
    return feeds


def bind_run(net: Net, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """A function without arguments that runs the model once and returns its outputs."""
    expr = net.library.expr
    given = [feeds[name] for name in net.input_names]

    def run() -> list[Any]:
        found = []
        for output in net.module.forward(given):
            plain = output
            if output.data_format == expr.NC4HW4:
                plain = expr.convert(output, expr.NCHW)
            found.append(plain.read())
        return found

    return run


def end_profile(net: Net) -> None:
    """None: its Python interface has no times per node."""
