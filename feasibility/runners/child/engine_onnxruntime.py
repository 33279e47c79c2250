"""How is ONNX Runtime used in the child? An engine: `__main__` says what each has to offer."""

from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# Element types that numpy does not have, by their number in ONNX's TensorProto.DataType.
ONNX_TYPES = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
}


class ProviderUnavailable(Exception):  # noqa: N818 - it names what was found
    """An execution provider that cannot be used; another one must not replace it silently."""

    def __init__(self, message: str, available: list[str]) -> None:
        super().__init__(message)
        self.available_providers = available


def import_library() -> ModuleType:
    """ONNX Runtime, without its telemetry, which starts a thread and leaves a file in TMPDIR."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return importlib.import_module("onnxruntime")


def library_versions(onnxruntime: ModuleType) -> dict[str, str]:
    """Its version."""
    return {"onnxruntime": onnxruntime.__version__}


def create_session(onnxruntime: ModuleType, request: dict[str, Any]) -> Any:
    """The session, with the requested provider only."""
    provider = request["provider"]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise ProviderUnavailable(provider + " is not part of this onnxruntime build", available)
    if provider in ("CUDAExecutionProvider", "TensorrtExecutionProvider"):
        # Finds CUDA in Python packages; older runtimes do not have this function.
        getattr(onnxruntime, "preload_dlls", lambda: None)()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    # Without a log only errors, because printing warnings would add to the load time.
    options.log_severity_level = 1 if request.get("log_path") else 3
    options.enable_cpu_mem_arena = request.get("arena", True)
    options.enable_mem_pattern = request.get("memory_pattern", True)
    if not request.get("optimize", True):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in request.get("session_config", {}).items():
        options.add_session_config_entry(key, value)
    if request.get("profile_prefix"):
        options.enable_profiling = True
        options.profile_file_prefix = request["profile_prefix"]
    session = onnxruntime.InferenceSession(
        request["model_path"], options, providers=[provider], enable_fallback=False
    )
    if provider not in session.get_providers():
        raise ProviderUnavailable(
            provider + " is in this build but did not register; its library or its hardware "
            "is missing here",
            session.get_providers(),
        )
    return session


def bind_run(session: Any, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """A function without arguments that runs the model once and returns its outputs."""
    if any(type(value).__name__ == "OrtValue" for value in feeds.values()):
        names = [output.name for output in session.get_outputs()]
        return lambda: session.run_with_ort_values(names, feeds)
    return lambda: session.run(None, feeds)


def convert(request: dict[str, Any]) -> None:
    """Writes the model after the basic optimisations, which fold constants."""
    onnxruntime = import_library()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = request["target_path"]
    # With several threads, the peak would grow with the number of cores.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    onnxruntime.InferenceSession(request["model_path"], options, providers=["CPUExecutionProvider"])


def precision(session: Any) -> None:
    """Unknown: the type in which a node computes is that of its inputs."""


def end_profile(session: Any) -> str:
    """Path of the profile that the runtime wrote."""
    path: str = session.end_profiling()
    return path


def as_feeds(onnxruntime: ModuleType, specs: list[dict[str, Any]], arrays: dict[str, Any]) -> Any:
    """Inputs as they are; all as `OrtValue` if numpy does not have the type of one."""
    if not any(spec["kind"] == "tensor" and spec["dtype"] in ONNX_TYPES for spec in specs):
        return arrays
    made = onnxruntime.OrtValue
    return {
        spec["name"]: made.ortvalue_from_numpy_with_onnx_type(
            arrays[spec["name"]], ONNX_TYPES[spec["dtype"]]
        )
        if spec["dtype"] in ONNX_TYPES
        else made.ortvalue_from_numpy(arrays[spec["name"]])
        for spec in specs
    }
