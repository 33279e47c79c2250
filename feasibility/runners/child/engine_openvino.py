"""How is OpenVINO used in the child? An engine: `__main__` says what each has to offer."""

from __future__ import annotations

import importlib
import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# Element types of OpenVINO whose names are not those of numpy.
TYPE_NAMES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32", "f64": "float64"}


class Model:
    """A compiled model, and the profile of its nodes so far."""

    def __init__(self, compiled: Any, profile_path: str | None) -> None:
        self.compiled = compiled
        self.request = compiled.create_infer_request()
        self.profile_path = profile_path
        self.runs: list[list[dict[str, Any]]] = []


def import_library() -> ModuleType:
    """OpenVINO, without its telemetry.

    With it, the import starts a thread, leaves a file in the home folder and connects to a server.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")


def library_versions(openvino: ModuleType) -> dict[str, str]:
    """Its version, without the number of the build."""
    return {"openvino": str(openvino.__version__).partition("-")[0]}


def create_session(openvino: ModuleType, request: dict[str, Any]) -> Model:
    """The model, compiled for the CPU."""
    config = {
        "INFERENCE_NUM_THREADS": request["threads"],
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if request["variant"] != "default":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    if request.get("profile_prefix"):
        config["PERF_COUNT"] = True
    compiled = openvino.Core().compile_model(request["model_path"], "CPU", config)
    prefix = request.get("profile_prefix")
    return Model(compiled, prefix and prefix + ".json")


def precision(model: Model) -> str:
    """The type in which it computes."""
    name = str(model.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    return TYPE_NAMES.get(name, name)


def as_feeds(openvino: ModuleType, specs: list[dict[str, Any]], arrays: dict[str, Any]) -> Any:  # noqa: ARG001
    """Inputs as they are."""
    return arrays


def bind_run(model: Model, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """A function without arguments that runs the model once and returns its outputs."""
    outputs = model.compiled.outputs

    def run() -> list[Any]:
        found = model.request.infer(feeds)
        return [found[output] for output in outputs]

    def profiled() -> list[Any]:
        found = run()
        model.runs.append([_node(node) for node in model.request.get_profiling_info()])
        return found

    return run if model.profile_path is None else profiled


def end_profile(model: Model) -> str | None:
    """Path of the file with the times of all nodes in each run."""
    if model.profile_path is not None:
        with open(model.profile_path, "w") as file:
            json.dump(model.runs, file)
    return model.profile_path


def _node(node: Any) -> dict[str, Any]:
    return {
        "name": node.node_name,
        "type": node.node_type,
        "kernel": node.exec_type,
        "time_ns": round(node.real_time.total_seconds() * 1e9),
        "ran": str(node.status).endswith(".EXECUTED"),
    }
