"""How is LiteRT (TensorFlow Lite) used in the child? An engine: `__main__` says what it offers."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def import_library() -> ModuleType:
    """The interpreter of LiteRT."""
    return importlib.import_module("ai_edge_litert.interpreter")


def library_versions(litert: ModuleType) -> dict[str, str]:  # noqa: ARG001
    """Its version."""
    metadata = importlib.import_module("importlib.metadata")
    return {"ai_edge_litert": str(metadata.version("ai-edge-litert"))}


def create_session(litert: ModuleType, request: dict[str, Any]) -> Any:
    """The interpreter, with memory for the shapes of the request."""
    resolver = litert.OpResolverType
    kernels = resolver.AUTO
    if request["variant"] == "built-in kernels":
        kernels = resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(
        model_path=request["model_path"],
        num_threads=request["threads"],
        experimental_op_resolver_type=kernels,
    )
    wanted = {spec["name"]: list(spec["shape"]) for spec in request["inputs"]}
    for detail in interpreter.get_input_details():
        shape = wanted.get(detail["name"])
        if shape is not None and shape != list(detail["shape"]):
            interpreter.resize_tensor_input(detail["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


def precision(interpreter: Any) -> None:
    """Unknown: the type in which a node computes is that of its inputs."""


def as_feeds(litert: ModuleType, specs: list[dict[str, Any]], arrays: dict[str, Any]) -> Any:  # noqa: ARG001
    """Inputs as they are."""
    return arrays


def bind_run(interpreter: Any, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """A function without arguments that runs the model once and returns its outputs."""
    inputs = [
        (detail["index"], feeds[detail["name"]])
        for detail in interpreter.get_input_details()
        if detail["name"] in feeds
    ]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run() -> list[Any]:
        for index, array in inputs:
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def end_profile(interpreter: Any) -> None:
    """None: its Python interface has no times per node."""
